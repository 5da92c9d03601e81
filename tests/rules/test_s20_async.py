"""S20: async handlers are tasks from their first step, and cost none if they never suspend."""

from __future__ import annotations

import asyncio
import gc
import types
import weakref
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

import pytest

from cnstra import CNS, StimulationFailed, collateral, neuron

from .gates import Gates, settle, sink

ping = collateral("ping", int)


a = collateral("a", int)


async def completes(handler: Callable[[int], Awaitable[Any]]) -> None:
    """Run a handler to its end; what it raises is raised."""
    run = CNS([neuron("one").dendrite(collateral=ping, response=handler)]).stimulate(ping.create_signal(1))
    try:
        async with asyncio.timeout(60):
            await run
    except StimulationFailed as failure:
        raise failure.exceptions[0] from None
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_async_handlers_start_at_once_and_run_on_until_they_really_suspend() -> None:
    gates = Gates()
    log: list[str] = []

    async def inner() -> None:
        log.append("inner")

    async def handle(payload: int) -> None:
        log.append("started")
        await inner()
        log.append("before the gate")
        await gates.wait("gate")
        log.append("after the gate")

    run = CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    assert log == ["started", "inner", "before the gate"]
    await gates.open("gate")
    assert log[3:] == ["after the gate"]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_one_that_never_suspends_finishes_at_once_and_costs_no_task() -> None:
    async def handle(payload: int) -> Any:
        return a.create_signal(payload)

    async def end(payload: int) -> None: ...

    one = neuron("one", {"a": a}).dendrite(collateral=ping, response=handle)
    cns = CNS([one, neuron("end").dendrite(collateral=a, response=end)])
    before = len(asyncio.all_tasks())
    for n in range(100):
        assert cns.stimulate(ping.create_signal(n)).outcome == "completed"
    assert len(asyncio.all_tasks()) <= before + 1, "one spare task serves them all"
    await settle()
    assert len(asyncio.all_tasks()) <= before + 1


@pytest.mark.anyio
async def test_from_its_first_step_a_handler_is_a_task_of_its_own() -> None:
    tasks: list[Any] = []

    async def handle(payload: int) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        tasks.append(asyncio.current_task())

    here = asyncio.current_task()
    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle)])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(2)]
    assert asyncio.current_task() is here
    for run in runs:
        await run
    mine = {id(task) for task in tasks}
    assert len(mine) == 2
    assert id(here) not in mine
    assert all(isinstance(task, asyncio.Task) for task in tasks)
    assert tasks[0] is not tasks[1]


@pytest.mark.anyio
async def test_nested_first_steps_each_have_their_own_task() -> None:
    depth = 20
    seen: list[Any] = []
    nested = neuron("nested")

    @nested.dendrite(ping)
    async def handle(payload: int, axon: None, ctx: Any) -> None:
        mine = asyncio.current_task()
        seen.append(mine)
        inner = ctx.cns.stimulate(ping.create_signal(payload - 1)) if payload else None
        assert asyncio.current_task() is mine
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        if inner is not None:
            await inner

    here = asyncio.current_task()
    await CNS([nested]).stimulate(ping.create_signal(depth))
    assert asyncio.current_task() is here
    assert len({id(task) for task in seen}) == depth + 1


@pytest.mark.anyio
async def test_nested_handlers_that_never_suspend_leave_the_task_of_the_outer_alone() -> None:
    seen: list[bool] = []

    async def nothing() -> None: ...

    async def at_once(payload: int) -> None:
        async with asyncio.timeout(60):
            await nothing()

    inner = CNS([neuron("inner").dendrite(collateral=ping, response=at_once)])

    async def handle(payload: int) -> None:
        mine = asyncio.current_task()
        for _ in range(3):
            inner.stimulate(ping.create_signal(payload)).raise_for_failure()
            seen.append(asyncio.current_task() is mine)
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        seen.append(asyncio.current_task() is mine)

    await completes(handle)
    assert seen == [True] * 4


class Custom:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return a.create_signal(3)


@types.coroutine
def generator_based() -> Generator[Any, None, Any]:
    yield from asyncio.sleep(0).__await__()
    return a.create_signal(3)


def a_future() -> Any:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, a.create_signal(3))
    return future


def a_done_future() -> Any:
    future = asyncio.get_running_loop().create_future()
    future.set_result(a.create_signal(3))
    return future


async def later() -> Any:
    await asyncio.sleep(0)
    return a.create_signal(3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make",
    [
        Custom,
        generator_based,
        a_future,
        a_done_future,
        lambda: asyncio.create_task(later()),
        lambda: asyncio.ensure_future(later()),
        lambda: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(later(), asyncio.get_running_loop())),
    ],
    ids=["custom", "generator", "future", "done future", "task", "ensure_future", "wrapped"],
)
async def test_awaitables_other_than_coroutines_are_awaited(make: Callable[[], Any]) -> None:
    log: list[str] = []
    source = neuron("source", {"a": a}).dendrite(collateral=ping, response=lambda _: make())
    await CNS([source, sink("end", a, log)]).stimulate(ping.create_signal(1))
    assert log == ["end"]


@pytest.mark.anyio
async def test_callables_of_every_kind_may_be_asynchronous() -> None:
    log: list[Any] = []

    class Answering:
        async def __call__(self, payload: int) -> None:
            await asyncio.sleep(0)
            log.append("object")

        async def method(self, payload: int) -> None:
            await asyncio.sleep(0)
            log.append("method")

    async def two(name: str, payload: int) -> None:
        await asyncio.sleep(0)
        log.append(name)

    each: Any
    for each in (Answering(), Answering().method, partial(two, "partial")):
        await completes(each)
    assert log == ["object", "method", "partial"]


@pytest.mark.anyio
async def test_the_stack_and_the_name_of_a_waiting_handlers_task_tell_what_it_does() -> None:
    gates = Gates()

    async def my_handler(payload: int) -> None:
        tasks.append(asyncio.current_task())
        await gates.wait("gate")

    tasks: list[Any] = []
    run = CNS([neuron("one").dendrite(collateral=ping, response=my_handler)]).stimulate(ping.create_signal(1))
    await settle()
    (task,) = tasks
    assert "my_handler" in repr(task)
    assert [frame.f_code.co_name for frame in task.get_stack()][:1] == ["my_handler"]
    await gates.open("gate")
    assert task.done()
    assert run.done()


@pytest.mark.anyio
async def test_running_runs_and_their_tasks_are_held_by_the_engine() -> None:
    log: list[str] = []
    futures: list[weakref.ref[asyncio.Future[None]]] = []

    async def wait(payload: int) -> Any:
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        log.append("went on")
        return a.create_signal(payload)

    source = neuron("source", {"a": a}).dendrite(collateral=ping, response=wait)
    CNS([source, sink("end", a, log)]).stimulate(ping.create_signal(1))
    del source
    for _ in range(3):
        gc.collect()
        await settle()
    future = futures[0]()
    assert future is not None, "nobody but the run holds it"
    future.set_result(None)
    await settle()
    assert log == ["went on", "end"]


@pytest.mark.anyio
async def test_an_exception_that_is_raised_in_the_first_step_does_not_disturb_the_next() -> None:
    tasks: list[Any] = []

    async def handle(payload: int) -> None:
        tasks.append(asyncio.current_task())
        if payload == 0:
            raise LookupError
        async with asyncio.timeout(60):
            await asyncio.sleep(0)

    run = CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(
        [ping.create_signal(n) for n in (0, 1, 0, 1)]
    )
    with pytest.raises(StimulationFailed):
        await run
    assert len(run.failed_tasks) == 2
    assert all(task is not None for task in tasks)


@pytest.mark.anyio
async def test_one_that_cancels_its_own_task_and_finishes_does_not_cancel_the_next() -> None:
    log: list[str] = []

    async def handle(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        if payload == 0:
            task.cancel()
            return
        await asyncio.sleep(0)
        log.append(f"{payload}, {task.cancelling()}")

    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle)])
    await cns.stimulate([ping.create_signal(n) for n in (0, 1, 2)])
    assert log == ["1, 0", "2, 0"]


@pytest.mark.anyio
async def test_several_handlers_wait_for_one_future_from_their_first_steps_on() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    seen: list[int] = []

    async def wait(payload: int) -> None:
        seen.append(payload + await gate)

    waiters = [neuron(f"waiter {i}").dendrite(collateral=ping, response=wait) for i in range(2)]
    cns = CNS(waiters)
    async with asyncio.timeout(60):
        async with cns:
            runs = [cns.stimulate(ping.create_signal(number)) for number in range(3)]
            await settle()
            assert not seen
            gate.set_result(10)
    assert [run.outcome for run in runs] == ["completed"] * 3
    assert seen == [10, 10, 11, 11, 12, 12]


@pytest.mark.anyio
async def test_one_of_several_that_wait_for_one_future_is_done_before_the_others_tasks_have_begun() -> None:
    """The future is done, and its mark used up, before the first pass of the second handler's task."""
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    seen: list[int] = []

    async def wait(payload: int) -> None:
        seen.append(payload + await gate)

    cns = CNS([neuron("waiter").dendrite(collateral=ping, response=wait)])
    async with asyncio.timeout(60):
        async with cns:
            runs = [cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))]
            gate.set_result(10)
    assert [run.outcome for run in runs] == ["completed"] * 2
    assert seen == [11, 12]
