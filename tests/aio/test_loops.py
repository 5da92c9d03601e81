"""S20, S21: every way to run a loop, and every kind of task."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from cnstra import CNS, Context, Signal, Stimulation, StimulationAborted, collateral, neuron

go = collateral("go", int)
result = collateral("result", int)

Factory = Callable[[], asyncio.AbstractEventLoop]


class Bench:
    """A CNS with a neuron of one slot whose handler waits, and one that notes what it answered."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.gates: list[asyncio.Future[None]] = []

        async def waiting(payload: int, axon: Any) -> Signal[int]:
            gate = asyncio.get_running_loop().create_future()
            self.gates.append(gate)
            await gate
            return axon.result.create_signal(payload)  # type: ignore[no-any-return]

        async def napping(payload: int, axon: Any) -> Signal[int]:
            await asyncio.sleep(0)
            return axon.result.create_signal(payload)  # type: ignore[no-any-return]

        self.waiting = collateral("waiting", int)
        worker = neuron("worker", {"result": result}, concurrency=1)
        worker.dendrite(collateral=self.waiting, response=waiting).dendrite(collateral=go, response=napping)
        self.cns = CNS([worker, neuron("sink").dendrite(collateral=result, response=self.seen.append)])

    async def one(self, payload: int) -> None:
        await self.cns.stimulate(go.create_signal(payload))


def test_loops_one_after_the_other(loop_factory: Factory) -> None:
    bench = Bench()
    for i in range(5):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(bench.one(i))
    assert bench.seen == list(range(5))


def test_a_loop_that_is_run_again_and_again(loop_factory: Factory) -> None:
    bench = Bench()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        for i in range(5):
            runner.run(bench.one(i))
    assert bench.seen == list(range(5))


def test_a_run_goes_on_when_its_loop_does(loop_factory: Factory) -> None:
    """It was started in one ``run_until_complete`` and ends in another; in between the loop stands still."""
    bench = Bench()

    async def start() -> Stimulation:
        return bench.cns.stimulate(bench.waiting.create_signal(1))

    async def finish(run: Stimulation) -> None:
        await run

    loop = loop_factory()
    try:
        run = loop.run_until_complete(start())
        assert not run.done()
        bench.gates[0].set_result(None)
        assert not run.done()
        loop.run_until_complete(finish(run))
        assert run.outcome == "completed"
    finally:
        loop.close()
    assert bench.seen == [1]


def test_runs_that_wait_in_a_loop_that_stands_still_keep_their_place(loop_factory: Factory) -> None:
    """The second waits for the slot of the first; what comes to the CNS from outside meanwhile comes after it."""
    bench = Bench()

    async def start(payload: int) -> Stimulation:
        return bench.cns.stimulate(bench.waiting.create_signal(payload))

    first_loop, second_loop = loop_factory(), loop_factory()
    try:
        first = first_loop.run_until_complete(start(1))
        second = second_loop.run_until_complete(start(2))
        third = first_loop.run_until_complete(start(3))
        assert len(bench.gates) == 1
        bench.gates[0].set_result(None)
        first_loop.run_until_complete(awaited(first))
        # The slot is the second's now, whose loop does not run: nobody overtakes it.
        first_loop.run_until_complete(asyncio.sleep(0.01))
        assert len(bench.gates) == 1
        second_loop.run_until_complete(asyncio.sleep(0))
        second_loop.run_until_complete(asyncio.sleep(0))
        assert len(bench.gates) == 2
        bench.gates[1].set_result(None)
        second_loop.run_until_complete(awaited(second))
        first_loop.run_until_complete(asyncio.sleep(0.01))
        bench.gates[2].set_result(None)
        first_loop.run_until_complete(awaited(third))
    finally:
        first_loop.close()
        second_loop.close()
    assert bench.seen == [1, 2, 3]


async def awaited(run: Stimulation) -> None:
    await run


def test_a_loop_that_is_closed_over_its_runs(loop_factory: Factory) -> None:
    """Nobody cancelled them: they end aborted when the next run of another loop starts, and their slots are free."""
    bench = Bench()

    async def start(payload: int) -> Stimulation:
        return bench.cns.stimulate(bench.waiting.create_signal(payload))

    loop = loop_factory()
    holding = loop.run_until_complete(start(1))
    waiting = loop.run_until_complete(start(2))
    # As asyncio.run does it, so that asyncio has nothing to complain about, but without what it does to the runs.
    tasks = list(asyncio.all_tasks(loop))
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(bench.one(3))
    assert bench.seen == [3]
    assert (holding.outcome, waiting.outcome) == ("aborted", "aborted")
    assert "closed" in str(holding.exception())
    assert [task.signal.payload for task in holding.outstanding_tasks] == [1]
    assert [task.signal.payload for task in waiting.outstanding_tasks] == [2]


def test_runs_that_are_started_by_callbacks(loop_factory: Factory) -> None:
    """There is a loop, and no current task."""
    bench = Bench()
    runs: list[Stimulation] = []

    def start() -> None:
        assert asyncio.current_task() is None
        runs.append(bench.cns.stimulate(go.create_signal(len(runs))))
        assert asyncio.current_task() is None

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(start)
        loop.call_later(0.005, start)
        await asyncio.sleep(0.01)
        for run in runs:
            await run

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert bench.seen == [0, 1]


def test_debug_mode(loop_factory: Factory) -> None:
    bench = Bench()
    with asyncio.Runner(loop_factory=loop_factory, debug=True) as runner:
        assert runner.get_loop().get_debug()
        runner.run(bench.one(1))

        async def many() -> None:
            async with bench.cns:
                for i in range(10):
                    bench.cns.stimulate(go.create_signal(i))
            run = bench.cns.stimulate(bench.waiting.create_signal(0))
            await asyncio.sleep(0)
            run.cancel()
            with pytest.raises(StimulationAborted):
                await run

        runner.run(many())
    assert bench.seen == [1, *range(10)]


class CountingTask(asyncio.Task[Any]):
    """A task of the application's own kind."""

    made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        CountingTask.made += 1
        super().__init__(*args, **kwargs)


def test_a_task_factory_of_the_application() -> None:
    """Tasks that handlers make are of its kind."""
    bench = Bench()
    kinds: list[type] = []

    async def child() -> None:
        kinds.append(type(asyncio.current_task()))

    async def spawning(payload: int) -> None:
        await asyncio.create_task(child())

    spawner = CNS([neuron("spawner").dendrite(collateral=go, response=spawning)])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **kwargs: CountingTask(coro, loop=loop, **kwargs))
        await spawner.stimulate(go.create_signal(0))
        await bench.one(1)

    asyncio.run(main())
    assert kinds == [CountingTask]
    assert bench.seen == [1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks from 3.12 on")
def test_an_eager_task_that_stimulates_and_ends() -> None:
    """All of it happens inside create_task, before the task has been scheduled even once."""
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        assert asyncio.current_task() is not None
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    cns = CNS(
        [
            neuron("n", {"result": result}).dendrite(collateral=go, response=handler),
            neuron("sink").dendrite(collateral=result, response=seen.append),
        ]
    )

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]

        async def one() -> None:
            await cns.stimulate(go.create_signal(1))

        task = asyncio.create_task(one())
        assert task.done()
        assert seen == [1]
        await task

    asyncio.run(main())


def test_handlers_see_the_loop_they_are_in_from_the_start(loop_factory: Factory) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    tasks: list[asyncio.Task[Any] | None] = []

    async def handler(payload: int) -> None:
        loops.append(asyncio.get_running_loop())
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    def plain(payload: int) -> None:
        loops.append(asyncio.get_running_loop())

    waiting = neuron("async").dendrite(collateral=go, response=handler)
    cns = CNS([waiting, neuron("plain").dendrite(collateral=go, response=plain)])

    async def main() -> None:
        await cns.stimulate(go.create_signal(0))
        assert loops == [asyncio.get_running_loop()] * 2
        assert tasks[0] is not asyncio.current_task()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert tasks[0] is tasks[1]
    assert tasks[0] is not None


def test_what_debuggers_see_of_a_handler_that_waits() -> None:
    """Its task has a name, a stack that ends in the handler, and a repr."""
    gate: list[asyncio.Future[None]] = []

    async def sleeper(payload: int) -> None:
        gate.append(asyncio.get_running_loop().create_future())
        await gate[0]

    cns = CNS([neuron("n").dendrite(collateral=go, response=sleeper)])

    async def main() -> None:
        before = asyncio.all_tasks()
        run = cns.stimulate(go.create_signal(0))
        fresh = [task for task in asyncio.all_tasks() - before if "keeper" not in task.get_name()]
        for _ in range(2):
            (task,) = fresh
            assert "sleeper" in repr(task)
            frames = task.get_stack()
            assert [frame.f_code.co_name for frame in frames][-1] == "sleeper"
            await asyncio.sleep(0)
        gate[0].set_result(None)
        await run

    asyncio.run(main())


def test_contexts_of_the_loop_reach_handlers(loop_factory: Factory) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    seen: list[str] = []

    async def handler(payload: int) -> None:
        seen.append(name.get())
        token = name.set("handler")
        await asyncio.sleep(0)
        seen.append(name.get())
        name.reset(token)
        seen.append(name.get())

    cns = CNS([neuron("n").dendrite(collateral=go, response=handler)])

    async def one(who: str) -> None:
        name.set(who)
        await cns.stimulate(go.create_signal(0))
        assert name.get() == who

    async def main() -> None:
        await asyncio.gather(one("first"), one("second"))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert seen == ["first", "second", "handler", "first", "handler", "second"]


def test_a_loop_in_each_of_several_threads(loop_factory: Factory) -> None:
    bench = Bench()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                for i in range(20):
                    runner.run(bench.one(number * 100 + i))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(bench.seen) == [number * 100 + i for number in range(4) for i in range(20)]


class Awaitable:
    """What awaits another without being a coroutine."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


@pytest.mark.parametrize("kind", ["task", "future", "object", "generator"])
def test_what_handlers_may_return_to_be_awaited(kind: str, loop_factory: Factory) -> None:
    seen: list[int] = []

    async def later(payload: int, axon: Any) -> Signal[int]:
        await asyncio.sleep(0)
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    def handler(payload: int, axon: Any, ctx: Context[None, object]) -> Any:
        if kind == "task":
            return asyncio.ensure_future(later(payload, axon))
        if kind == "future":
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, axon.result.create_signal(payload))
            return future
        if kind == "object":
            return Awaitable(later(payload, axon))
        return from_generator(payload, axon)

    import types

    @types.coroutine
    def from_generator(payload: int, axon: Any) -> Generator[Any, Any, Any]:
        yield
        return axon.result.create_signal(payload)

    cns = CNS(
        [
            neuron("n", {"result": result}).dendrite(collateral=go, response=handler),
            neuron("sink").dendrite(collateral=result, response=seen.append),
        ]
    )

    async def main() -> None:
        await cns.stimulate([go.create_signal(1), go.create_signal(2)])

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert seen == [1, 2]
