"""What cannot be stored, found before anything starts, or failing the one activation that emits it (promise 9)."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Axon, Collateral, Context, Signal, StimulationFailed, collateral, neuron
from cnstra.durable import Codec, CodecError, Durable, EncodingError, Record, RecordedError

from .conftest import OpenStore
from .shop import Order, Shop


class Emitted(Axon[int | str]):
    number: Collateral[int]
    text: Collateral[str]


class Bench:
    """A neuron that emits what it is told to, and those that hear it."""

    def __init__(self, emits: list[Any], *, naps: int = 0) -> None:
        self.heard: list[Any] = []
        self.go = collateral("go", int)
        self.axon = Emitted()
        emitter = neuron("emitter", self.axon)
        listener = neuron("listener")

        @emitter.dendrite(self.go)
        async def on_go(count: int) -> list[Signal[Any]]:
            for _ in range(naps):
                await asyncio.sleep(0)
            makes: dict[bool, Any] = {True: self.axon.text.create_signal, False: self.axon.number.create_signal}
            return [makes[isinstance(one, str)](one) for one in emits[:count]]

        for emitted in (self.axon.number, self.axon.text):
            listener.dendrite(collateral=emitted, response=self.heard.append)
        self.cns = CNS([emitter, listener])


@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
@pytest.mark.parametrize("volume", ["full", "frontier"])
@pytest.mark.parametrize("naps", [0, 1])
def test_a_payload_of_the_wrong_type_fails_what_emits_it(
    open_store: OpenStore, sync: Any, volume: Any, naps: int
) -> None:
    async def main() -> None:
        bench = Bench([1, "two", 3.5], naps=naps)
        async with Durable(bench.cns, open_store(), sync=sync, volume=volume) as durable:
            run = await durable.start([bench.go.create_signal(count) for count in (3, 2)], run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await run
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "collateral 'number'" in str(error)
            # Nothing of its list is emitted; the other activation does its part.
            assert bench.heard == [1, "two"]
            tasks = (await durable.tasks("r")).items
            assert next(task.status for task in tasks if task.neuron == "emitter") == "failed"
            assert tasks[0].error is not None
            assert "collateral 'number'" in tasks[0].error
            assert (await durable.run("r")).status == "failed"
        # The store is sound: it can be read without the graph, and goes on.
        store = open_store()
        await store.connect()
        assert (await Record(store).run("r")).status == "failed"
        assert (await Record(store).tasks("r")).items[0].input == 3
        await store.close()
        bench = Bench([1, "two"])
        async with Durable(bench.cns, open_store(), sync=sync, volume=volume) as durable:
            await (await durable.retry("r"))
            assert (await durable.run("r")).status == "completed"
            assert bench.heard == [1, "two"]

    asyncio.run(main())


def test_what_a_run_begins_with_is_refused_at_once(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        wrong: Any = Order("o1", "much")  # type: ignore[arg-type]
        async with Durable(shop.cns, open_store()) as durable:
            for call in (durable.start, lambda signal: durable.schedule(signal, at=0)):
                with pytest.raises(EncodingError, match="collateral 'place': an Order cannot be stored"):
                    await call(shop.place.create_signal(wrong))
            with pytest.raises(EncodingError, match="options"):
                await durable.start(shop.order(), stimulation_context={"line": object()})
            assert not (await durable.runs()).items
            assert not shop.log

    asyncio.run(main())


def test_what_is_too_large_fails_what_emits_it(open_store: OpenStore) -> None:
    async def main() -> None:
        bench = Bench([1, "x" * 1000])
        async with Durable(bench.cns, open_store(), max_size=100) as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bench.go.create_signal(2), run_id="r"))
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "collateral 'text'" in str(error)
            assert "max_size is 100" in str(error)
            await (await durable.start(bench.go.create_signal(1)))
        assert bench.heard == [1]

    asyncio.run(main())


def test_types_without_a_codec_are_named_before_anything_starts(open_store: OpenStore) -> None:
    class Odd(Axon[Fraction | complex]):
        share: Collateral[Fraction]
        phase: Collateral[complex]

    axon = Odd()
    keeper = neuron("keeper", axon)

    @keeper.dendrite(axon.share)
    def on_share(share: Fraction, _: Odd, ctx: Context[Fraction, Any]) -> None:
        ctx.set((ctx.get() or Fraction()) + share)

    with pytest.raises(CodecError) as refused:
        Durable(CNS([keeper]), open_store())
    for words in ("'share'", "'phase'", "the context of neuron 'keeper'"):
        assert words in str(refused.value)
    assert issubclass(CodecError, TypeError)

    async def main() -> None:
        codec = Codec(lambda value: repr(value).encode(), lambda data: eval(data, {"Fraction": Fraction}))
        given: Any = {"codecs": {axon.share: codec, "phase": codec}, "context_codecs": {keeper: codec}}
        async with Durable(CNS([keeper]), open_store(), **given) as durable:
            await (await durable.start([axon.share.create_signal(Fraction(1, n)) for n in (2, 3)], run_id="r"))
            assert (await durable.run("r")).status == "completed"

    asyncio.run(main())


def test_a_codec_that_fails_fails_the_activation(open_store: OpenStore) -> None:
    async def main() -> None:
        def encode(number: int) -> bytes:
            if number < 0:
                raise OSError("no key to encrypt it with")
            return str(number).encode()

        bench = Bench([-1])
        async with Durable(bench.cns, open_store(), codecs={"number": Codec(encode, int)}) as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bench.go.create_signal(1), run_id="r"))
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "no key" in str(error)
            assert isinstance(error.__cause__, OSError)

    asyncio.run(main())


@pytest.mark.parametrize("volume", ["full", "frontier"])
@pytest.mark.parametrize("waits", [False, True])
def test_what_is_enqueued_and_cannot_be_stored_fails(open_store: OpenStore, volume: Any, waits: bool) -> None:
    async def main() -> None:
        go, work, done = collateral("go", int), collateral("work", int), list[Any]()
        boss, worker = neuron("boss"), neuron("worker", concurrency=1 if waits else None)

        @boss.dendrite(go)
        async def on_go(number: int, axon: Any, ctx: Context[Any, Any]) -> None:
            wrong: tuple[Any, ...] = (1, "two", 3)
            ctx.stimulation.enqueue([ActivationTask(worker, work.create_signal(one)) for one in wrong])
            await asyncio.sleep(0)

        @worker.dendrite(work)
        async def on_work(number: int) -> None:
            await asyncio.sleep(0)
            done.append(number)

        async with Durable(CNS([boss, worker]), open_store(), volume=volume) as durable:
            run = await durable.start(go.create_signal(1), run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await run
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "collateral 'work'" in str(error)
            # It was never called with what could not be recorded.
            assert done == [1, 3]
            assert (await durable.run("r")).status == "failed"
            (task,) = [task for task in (await durable.tasks("r")).items if task.status == "failed"]
            assert (task.neuron, task.input) == ("worker", None)
            assert task.error is not None
            assert "collateral 'work'" in task.error
            # There is nothing that it could be done again with.
            with pytest.raises(EncodingError, match="activation"):
                await durable.retry("r")

    asyncio.run(main())


def test_recorded_errors_have_their_tracebacks(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def fail(who: str, attempt: int) -> None:
            raise ConnectionError("no courier")

        shop.on_call = fail
        async with Durable(shop.cns, open_store()) as durable:
            with pytest.raises(StimulationFailed):
                await (await durable.start(shop.order(), run_id="o1"))
            again = await durable.find("o1")
            with pytest.raises(StimulationFailed) as failed:
                await again
            (error,) = failed.value.exceptions
            assert isinstance(error, RecordedError)
            assert "no courier" in str(error)
            (task,) = (await durable.tasks("o1")).items
            assert task.traceback is not None
            assert "in fail" in task.traceback

    asyncio.run(main())
