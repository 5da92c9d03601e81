"""What handlers enqueue is part of the record as well: nothing of it is lost, and its order is kept (promise 2)."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Axon, Collateral, Context, Signal, StimulationAborted, collateral, neuron
from cnstra.durable import Durable, DurableRun, Store, current_activation

from .conftest import OpenStore
from .crashing import MortalStore, mortal


class Parts(Axon[int]):
    part: Collateral[int]


async def die(durable: Durable, store: MortalStore, run: DurableRun) -> None:
    """When everything is committed that there is to commit."""
    await committed(durable)
    store.die()
    assert run.stimulation is not None
    run.stimulation.cancel()
    with pytest.raises(StimulationAborted):
        await run


async def committed(durable: Durable) -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    assert durable._owner is not None
    await durable._owner._journal.settled()


class Queue:
    """A neuron that enqueues tasks for another one, which has one slot, and returns a signal for it as well."""

    def __init__(self, *, naps: bool) -> None:
        self.go, self.axon = collateral("go", int), Parts()
        self.seen: list[tuple[int, str]] = []
        self.is_held = asyncio.Event()
        self.worker = neuron("worker", concurrency=1)
        boss = neuron("boss", self.axon)

        def enqueue(number: int, ctx: Context[Any, Any]) -> None:
            numbers = (10 * number, 10 * number + 1)
            ctx.stimulation.enqueue([ActivationTask(self.worker, self.axon.part.create_signal(one)) for one in numbers])

        def plain(number: int, axon: Parts, ctx: Context[Any, Any]) -> Signal[int]:
            enqueue(number, ctx)
            return axon.part.create_signal(100 * number)

        async def napping(number: int, axon: Parts, ctx: Context[Any, Any]) -> Signal[int]:
            await asyncio.sleep(0)
            enqueue(number, ctx)
            await asyncio.sleep(0)
            return axon.part.create_signal(100 * number)

        boss.dendrite(collateral=self.go, response=napping if naps else plain)

        @self.worker.dendrite(self.axon.part)
        async def on_part(number: int) -> None:
            activation = current_activation()
            self.seen.append((number, activation.id))
            if activation.attempt == 1:
                self.is_held.set()
                await asyncio.sleep(30)

        self.cns = CNS([boss, self.worker])


@pytest.mark.parametrize("naps", [False, True])
@pytest.mark.parametrize("sync", ["turn", "hop"])
def test_what_has_not_begun_is_not_lost_and_keeps_its_order(open_store: OpenStore, naps: bool, sync: Any) -> None:
    async def main() -> None:
        queue, store = Queue(naps=naps), mortal(open_store())
        async with Durable(queue.cns, store, sync=sync, commit_interval=0) as durable:
            run = await durable.start([queue.go.create_signal(number) for number in (1, 2, 3)])
            await queue.is_held.wait()
            await die(durable, store, run)
        ((first, id_),) = queue.seen
        queue.seen.clear()
        async with Durable(queue.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
            tasks = (await durable.tasks(run.id)).items
        assert queue.seen[0] == (first, id_) == (10, id_)
        # Enqueued tasks are reserved at the call, so before what their handler returns (S3).
        numbers = [number for number, _ in queue.seen]
        expected = [10, 11, 100, 20, 21, 200, 30, 31, 300]
        assert numbers == expected if not naps else sorted(numbers) == sorted(expected)
        assert len({id_ for _, id_ in queue.seen}) == 9
        assert {one.status for one in tasks} == {"finished"}
        assert len(tasks) == 12

    asyncio.run(main())


def test_as_many_as_before_may_be_others(open_store: OpenStore) -> None:
    async def main() -> None:
        class Ticks(Axon[int]):
            tick: Collateral[int]
            tock: Collateral[int]

        axon, work = Ticks(), collateral("work", int)
        clock, boss, slow = neuron("clock", axon), neuron("boss"), neuron("slow", concurrency=1)
        gates = [asyncio.Event() for _ in range(10)]
        done: list[int] = []

        @clock.dendrite(axon.tick)
        async def on_tick(number: int) -> list[Signal[int]]:
            if number == 4:
                await asyncio.sleep(30 if current_activation().attempt == 1 else 0)
                return []
            await gates[number].wait()
            return [axon.tock.create_signal(number), axon.tick.create_signal(number + 1)]

        @boss.dendrite(axon.tock)
        def on_tock(number: int, _: Any, ctx: Context[Any, Any]) -> None:
            ctx.stimulation.enqueue([ActivationTask(slow, work.create_signal(number))])

        @slow.dendrite(work)
        async def on_work(number: int) -> None:
            await gates[5 + number].wait()
            done.append(number)

        cns, store = CNS([clock, boss, slow]), mortal(open_store())
        async with Durable(cns, store, commit_interval=0) as durable:
            run = await durable.start(axon.tick.create_signal(0))
            # The first works, the second waits for its slot; the second works, the third waits for its slot; and so on.
            for number in (0, 1, 5, 2, 6, 3):
                gates[number].set()
                await committed(durable)
            await die(durable, store, run)
        assert done == [0, 1]
        for gate in gates:
            gate.set()
        async with Durable(cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        assert done == [0, 1, 2, 3]

    asyncio.run(main())


def test_a_join_that_is_due_does_not_hide_what_was_enqueued(open_store: OpenStore) -> None:
    async def main() -> None:
        go, axon, work, held = collateral("go", int), Parts(), collateral("work", int), collateral("held", int)
        splitter, boss, slow = neuron("splitter", axon), neuron("boss"), neuron("slow")
        summer = neuron("summer", concurrency=1)
        begun, is_first = asyncio.Event(), [True]
        done: list[Any] = []

        async def hold(what: Any) -> None:
            if is_first[0]:
                begun.set()
                await asyncio.sleep(30)
            done.append(what)

        # It takes the slot that the join would need.
        summer.dendrite(collateral=held, response=hold)

        @splitter.dendrite(go)
        async def on_go(number: int) -> list[Signal[int]]:
            await begun.wait()
            return [axon.part.create_signal(one) for one in (1, 2)]

        summer.join(collateral=axon.part, response=hold)

        # Hears the same as the join: in the turn in which its two parts become one activation, it enqueues one.
        @boss.dendrite(axon.part)
        def on_part(number: int, _: Any, ctx: Context[Any, Any]) -> None:
            if number == 1:
                ctx.stimulation.enqueue([ActivationTask(slow, work.create_signal(number))])

        @slow.dendrite(work)
        async def on_work(number: int) -> None:
            await hold("work")

        cns, store = CNS([splitter, boss, summer, slow]), mortal(open_store())
        async with Durable(cns, store, commit_interval=0) as durable:
            run = await durable.start([held.create_signal(0), go.create_signal(0)], concurrency=2)
            await begun.wait()
            await die(durable, store, run)
        is_first[0] = False
        async with Durable(cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        assert sorted(map(str, done)) == ["0", "[1, 2]", "work"]

    asyncio.run(main())


def test_worker_threads_note_nothing_twice() -> None:
    go, work, ids = collateral("go", int), collateral("work", int), list[str]()
    boss, worker = neuron("boss"), neuron("worker", offload=True)

    @boss.dendrite(go)
    def on_go(count: int, _: Any, ctx: Context[Any, Any]) -> None:
        ctx.stimulation.enqueue([ActivationTask(worker, work.create_signal(number)) for number in range(count)])

    @worker.dendrite(work)
    def on_work(number: int, _: Any, ctx: Context[int, Any]) -> None:
        ctx.set(number)
        ids.append(current_activation().id)

    async def main() -> None:
        async with Durable(CNS([boss, worker]), Store.open("memory://"), commit_interval=0) as durable:
            for number in range(40):
                ids.clear()
                await (await durable.start(go.create_signal(30), run_id=f"r{number}"))
                tasks = (await durable.tasks(f"r{number}")).items
                assert {task.status for task in tasks} == {"finished"}
                assert sorted(task.id for task in tasks if task.neuron == "worker") == sorted(ids)
                assert len(tasks) == 31

    before = sys.getswitchinterval()
    # Threads take turns as often as they can: what they note is entered there, while the loop ends the turn.
    sys.setswitchinterval(1e-6)
    try:
        asyncio.run(main())
    finally:
        sys.setswitchinterval(before)
