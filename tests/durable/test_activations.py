"""``current_activation()``: the same id whenever an activation is run again, and no other's (promise 5)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cnstra import CNS, Axon, Collateral, Context, Signal, StimulationAborted, collateral, neuron
from cnstra.durable import Activation, Durable, current_activation

from .conftest import OpenStore
from .crashing import Death, mortal


class Parts(Axon[int]):
    part: Collateral[int]
    other: Collateral[int]


def test_there_is_none_outside_of_handlers(open_store: OpenStore) -> None:
    async def main() -> None:
        go, seen = collateral("go", int), list[Any]()
        plain = neuron("plain").dendrite(collateral=go, response=lambda number: seen.append(current_activation()))
        cns = CNS([plain])

        def listen(_: Any) -> None:
            with pytest.raises(LookupError, match="for handlers of durable runs"):
                current_activation()

        listen(None)
        cns.add_response_listener(listen)
        cns.add_drain_listener(listen)
        async with Durable(cns, open_store()) as durable:
            run = await durable.start(go.create_signal(1), run_id="r")
            listen(None)
            await run
            (task,) = (await durable.tasks("r")).items
            assert seen == [Activation("r", 1, task.id)]
            assert len(task.id) == 32
        with pytest.raises(Exception, match="failed") as failed:
            await cns.stimulate(go.create_signal(2))
        assert [type(error) for error in failed.value.exceptions] == [LookupError]  # type: ignore[attr-defined]

    asyncio.run(main())


def test_whatever_a_handler_calls_and_awaits_has_it(open_store: OpenStore) -> None:
    async def main() -> None:
        go, seen, threads = collateral("go", int), dict[str, Activation](), set[int]()

        def look(where: str) -> None:
            seen[where] = current_activation()
            threads.add(threading.get_ident())

        async def deep(where: str) -> None:
            await asyncio.sleep(0)
            look(where)

        later, worker = neuron("later"), neuron("worker", offload=True)
        quick, future = neuron("quick"), neuron("future")

        @later.dendrite(go)
        async def on_later(number: int) -> None:
            look("later, first step")
            await deep("later, awaited")
            await asyncio.create_task(deep("later, task"))
            await asyncio.to_thread(look, "later, thread")

        @worker.dendrite(go)
        def on_worker(number: int) -> None:
            look("worker")

        @quick.dendrite(go)
        def on_quick(number: int) -> None:
            look("quick")

        @future.dendrite(go)
        def on_future(number: int) -> asyncio.Future[None]:
            look("future")
            return asyncio.ensure_future(deep("future, its task"))

        async with Durable(CNS([later, worker, quick, future]), open_store()) as durable:
            await (await durable.start(go.create_signal(1), run_id="r"))
            ids = {task.neuron: task.id for task in (await durable.tasks("r")).items}
        assert {where: one.id for where, one in seen.items()} == {where: ids[where.split(",")[0]] for where in seen}
        assert len(seen) == 8
        assert len(threads) > 1

    asyncio.run(main())


def test_two_handlers_at_once_have_their_own(open_store: OpenStore) -> None:
    async def main() -> None:
        go, seen = collateral("go", int), dict[str, list[str]]()
        worker = neuron("worker")

        @worker.dendrite(go)
        async def on_go(number: int) -> None:
            for _ in range(3):
                activation = current_activation()
                seen.setdefault(f"{activation.run_id}/{number}", []).append(activation.id)
                await asyncio.sleep(0)

        async with Durable(CNS([worker]), open_store()) as durable:
            runs = [await durable.start([go.create_signal(n) for n in (1, 2)], run_id=id_) for id_ in ("a", "b")]
            await asyncio.gather(*runs)
        assert all(len(set(ids)) == 1 for ids in seen.values())
        assert len({ids[0] for ids in seen.values()}) == 4

    asyncio.run(main())


def test_equal_outputs_and_equal_dendrites_are_told_apart(open_store: OpenStore) -> None:
    async def main() -> None:
        go, axon, ids = collateral("go", int), Parts(), list[str]()
        boss, hand = neuron("boss", axon), neuron("hand")
        boss.dendrite(collateral=go, response=lambda number: [axon.part.create_signal(7)] * 2)
        for _ in range(2):
            hand.dendrite(collateral=axon.part, response=lambda number: ids.append(current_activation().id))
        async with Durable(CNS([boss, hand]), open_store()) as durable:
            await (await durable.start([go.create_signal(1)] * 2))
        assert len(set(ids)) == len(ids) == 8

    asyncio.run(main())


def test_a_join_has_one_id_however_its_signals_arrive(open_store: OpenStore) -> None:
    async def main() -> None:
        go, axon, ids = collateral("go", int), Parts(), list[tuple[str, list[int]]]()
        one, other, sum_up = neuron("one", {"part": axon.part}), neuron("other", {"other": axon.other}), neuron("sum")

        @one.dendrite(go)
        async def on_one(number: int) -> Signal[int]:
            await asyncio.sleep(0 if current_activation().attempt == 1 else 0.01)
            return axon.part.create_signal(1)

        @other.dendrite(go)
        async def on_other(number: int) -> Signal[int]:
            await asyncio.sleep(0.01 if current_activation().attempt == 1 else 0)
            return axon.other.create_signal(2)

        @sum_up.join(axon.part, axon.other)
        def on_both(numbers: list[int]) -> None:
            ids.append((current_activation().id, numbers))

        # With the whole run in one commit, all of it is run again.
        cns, store = CNS([one, other, sum_up]), mortal(open_store(), Death(2, "before"))
        async with Durable(cns, store, sync="end") as durable:
            with pytest.raises(StimulationAborted):
                await (await durable.start(go.create_signal(1)))
        async with Durable(cns, open_store(), sync="end") as durable:
            (run,) = await durable.recover()
            await run
        (first, numbers), (second, numbers_again) = ids
        assert (numbers, numbers_again) == ([1, 2], [2, 1])
        assert first == second

    asyncio.run(main())


# -- runs in runs


def test_a_run_inside_of_a_handler_is_not_recorded(open_store: OpenStore) -> None:
    async def main() -> None:
        go, axon, seen = collateral("go", int), Parts(), list[tuple[str, int]]()
        starter, inner, last = (
            neuron("starter", axon),
            neuron("inner", {"other": collateral("out", int)}),
            neuron("last"),
        )
        nested = collateral("nested", int)

        @starter.dendrite(go)
        async def on_go(number: int, axon: Parts, ctx: Context[int, Any]) -> Signal[int]:
            # Also one that shares its context values.
            for store in (None, ctx.stimulation.context):
                await ctx.cns.stimulate([nested.create_signal(number) for number in (1, 2)], context_store=store)
            return axon.part.create_signal(number)

        @inner.dendrite(nested)
        async def on_nested(number: int) -> None:
            await asyncio.sleep(0)
            seen.append(("inner", number))

        last.dendrite(collateral=axon.part, response=lambda number: seen.append(("last", number)))
        async with Durable(CNS([starter, inner, last]), open_store()) as durable:
            await (await durable.start(go.create_signal(7), run_id="r"))
            tasks = (await durable.tasks("r")).items
            assert [(task.neuron, task.status) for task in tasks] == [("starter", "finished"), ("last", "finished")]
            assert [one["payload"] for one in tasks[0].outputs] == [7]
        assert seen == [("inner", 1), ("inner", 2)] * 2 + [("last", 7)]

    asyncio.run(main())
