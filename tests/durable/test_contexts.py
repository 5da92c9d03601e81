"""Context values of durable runs: as they stood at the end of the last committed turn (promises 2 and 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Context, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import Durable, EncodingError, Store

from .conftest import OpenStore
from .crashing import MortalStore, mortal


@dataclass
class Basket:
    """A context value that can be changed in place."""

    items: list[str] = field(default_factory=list[str])


Step = Callable[[Context[Any, Any]], object]


class TurnEnder:
    """Ends a turn from within a handler that goes on: something has to feed its run for that."""

    def __init__(self) -> None:
        self.settled: Callable[[], Awaitable[None]]
        self._tick = collateral("tick", int)
        self.neuron = neuron("clock").dendrite(collateral=self._tick, response=lambda _: None)

    async def __call__(self, ctx: Context[Any, Any]) -> None:
        ctx.stimulation.enqueue([ActivationTask(self.neuron, self._tick.create_signal(0))])
        await asyncio.sleep(0)
        await self.settled()


class Bench:
    """A neuron that does one step after the other to its context, each in a turn of its own; then it waits."""

    def __init__(self, *steps: Step) -> None:
        self.seen: list[Any] = []
        self.is_held = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.go = collateral("go", int)
        keeper = neuron("keeper")
        self.end_turn = TurnEnder()

        @keeper.dendrite(self.go)
        async def on_go(number: int, axon: Any, ctx: Context[Basket, Any]) -> None:
            self.seen.append(ctx.get())
            if len(self.seen) == 1:
                for step in steps:
                    await asyncio.sleep(0)
                    step(ctx)
                    await self.end_turn(ctx)
                self.is_held.set()
                await self.goes_on.wait()

        self.cns = CNS([keeper, self.end_turn.neuron])


def journal_of(durable: Durable) -> Any:
    assert durable._owner is not None
    return durable._owner._journal


def after_a_crash(open_store: OpenStore, *steps: Step) -> Any:
    """What a handler that runs again finds, after it has done this and its process has died."""

    async def main() -> Any:
        bench = Bench(*steps)
        dead = mortal(open_store())
        async with Durable(bench.cns, dead, commit_interval=0) as durable:
            bench.end_turn.settled = journal_of(durable).settled
            run = await durable.start(bench.go.create_signal(1))
            await bench.is_held.wait()
            dead.die()
            bench.goes_on.set()
            with pytest.raises(StimulationAborted):
                await run
        async with Durable(bench.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        first, found = bench.seen
        assert first is None
        return found

    return asyncio.run(main())


def put_in(item: str) -> Step:
    def step(ctx: Context[Basket, Any]) -> None:
        basket = ctx.get()
        assert basket is not None
        basket.items.append(item)

    return step


def test_what_is_set_is_there_after_a_crash(open_store: OpenStore) -> None:
    assert after_a_crash(open_store, lambda ctx: ctx.set(Basket(["a"]))) == Basket(["a"])


def test_what_is_set_again_is_what_was_set_last(open_store: OpenStore) -> None:
    found = after_a_crash(open_store, lambda ctx: ctx.set(Basket(["a"])), lambda ctx: ctx.set(Basket(["b"])))
    assert found == Basket(["b"])


def test_what_is_changed_in_place_is_written_at_the_end_of_the_turn(open_store: OpenStore) -> None:
    assert after_a_crash(open_store, lambda ctx: ctx.set(Basket()), put_in("a"), put_in("b")) == Basket(["a", "b"])


def test_what_is_deleted_is_not_there(open_store: OpenStore) -> None:
    assert after_a_crash(open_store, lambda ctx: ctx.set(Basket()), lambda ctx: ctx.delete()) is None
    assert after_a_crash(open_store, lambda ctx: ctx.delete()) is None


def test_what_is_set_after_it_was_deleted_is_there(open_store: OpenStore) -> None:
    steps: list[Step] = [lambda ctx: ctx.set(Basket()), lambda ctx: ctx.delete(), lambda ctx: ctx.set(Basket(["c"]))]
    assert after_a_crash(open_store, *steps) == Basket(["c"])


def test_a_later_change_of_what_was_read_before_is_seen_with_the_next_get() -> None:
    async def main() -> None:
        go, kept = collateral("go", int), MortalStore(Store.open("memory://"), lease=30)
        keeper, end_turn = neuron("keeper"), TurnEnder()

        async def turn(ctx: Context[Any, Any]) -> bool:
            """End a turn; tells whether the context was written in it."""
            before = len(kept.commits)
            await end_turn(ctx)
            written = [one for batch in kept.commits[before:] for one in batch if "keeper" in one.contexts]
            assert len(written) <= 1
            return bool(written)

        @keeper.dendrite(go)
        async def on_go(number: int, axon: Any, ctx: Context[Basket, Any]) -> None:
            await asyncio.sleep(0)
            ctx.set(Basket())
            assert await turn(ctx)
            basket = ctx.get()
            assert basket is not None
            assert not await turn(ctx)
            basket.items.append("too late")
            assert not await turn(ctx)
            ctx.get()
            assert await turn(ctx)

        async with Durable(CNS([keeper, end_turn.neuron]), kept, commit_interval=0) as durable:
            end_turn.settled = journal_of(durable).settled
            await (await durable.start(go.create_signal(1), run_id="r"))

    asyncio.run(main())


def test_neurons_have_their_own(open_store: OpenStore) -> None:
    async def main() -> None:
        go = collateral("go", int)
        found: dict[str, list[Any]] = {"a": [], "b": []}

        def counter(name: str) -> Any:
            def on_go(number: int, axon: Any, ctx: Context[int, Any]) -> None:
                found[name].append(ctx.get())
                ctx.set((ctx.get() or 0) + number)

            return neuron(name, concurrency=1).dendrite(collateral=go, response=on_go)

        async with Durable(CNS([counter("a"), counter("b")]), open_store()) as durable:
            one, other = [await durable.start([go.create_signal(1), go.create_signal(2)]) for _ in range(2)]
            await one
            await other
        assert found == {"a": [None, 1, None, 1], "b": [None, 1, None, 1]}

    asyncio.run(main())


def test_what_cannot_be_stored_fails_what_sets_it(open_store: OpenStore) -> None:
    async def main() -> None:
        go, keeper = collateral("go", int), neuron("keeper")

        @keeper.dendrite(go)
        def on_go(number: int, axon: Any, ctx: Context[Basket, Any]) -> None:
            ctx.set(Basket(["fine"]) if number == 1 else "no basket")  # type: ignore[arg-type]

        async with Durable(CNS([keeper]), open_store()) as durable:
            run = await durable.start([go.create_signal(number) for number in (1, 2)], run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await run
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "the context of neuron 'keeper'" in str(error)
            tasks = (await durable.tasks("r")).items
            assert [task.status for task in tasks] == ["finished", "failed"]
            assert tasks[1].error is not None
            assert "neuron 'keeper'" in tasks[1].error
            assert (await durable.run("r")).status == "failed"

    asyncio.run(main())


@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
@pytest.mark.parametrize("naps", [0, 1])
def test_what_is_made_unstorable_in_place_fails_the_run(open_store: OpenStore, sync: Any, naps: int) -> None:
    async def main() -> None:
        go, keeper = collateral("go", int), neuron("keeper", concurrency=1)

        @keeper.dendrite(go)
        async def on_go(number: int, axon: Any, ctx: Context[Basket, Any]) -> None:
            if ctx.get() is None:
                ctx.set(Basket())
            for _ in range(naps):
                await asyncio.sleep(0)
            basket = ctx.get()
            assert basket is not None
            basket.items.append("fine" if number == 1 else number)  # type: ignore[arg-type]

        async with Durable(CNS([keeper]), open_store(), sync=sync, commit_interval=0) as durable:
            run = await durable.start([go.create_signal(number) for number in (1, 2, 3)], run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await asyncio.wait_for(run._wait(), 10)
            # It is told once, however often the value is found to be so.
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "the context of neuron 'keeper'" in str(error)
            row = await durable.run("r")
            assert row.status == "failed"
            assert row.error is not None
            assert "neuron 'keeper'" in row.error
            assert {task.status for task in (await durable.tasks("r")).items} == {"finished"}
            other = await durable.start(go.create_signal(1), run_id="other")
            await other

    asyncio.run(main())
