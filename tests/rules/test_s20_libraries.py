"""S20: what asyncio and anyio offer works in handlers and listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cnstra import CNS, Response, StimulationFailed, collateral, neuron

ping = collateral("ping", int)


async def completes(handler: Callable[[int], Awaitable[Any]]) -> None:
    """Run a handler to its end; what it raises is raised."""
    run = CNS([neuron("one").dendrite(collateral=ping, response=handler)]).stimulate(ping.create_signal(1))
    try:
        async with asyncio.timeout(60):
            await run
    except StimulationFailed as failure:
        raise failure.exceptions[0] from None
    assert run.outcome == "completed"


async def timeout_of_nothing(payload: int) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)


async def timeout_later(payload: int) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.get_running_loop().create_future()


async def timeout_in_time(payload: int) -> None:
    async with asyncio.timeout(60):
        await asyncio.sleep(0)


async def wait_for(payload: int) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), 0.001)
    assert await asyncio.wait_for(asyncio.sleep(0, 3), 60) == 3


async def task_group(payload: int) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        await asyncio.sleep(0)
        done.append(n)

    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(work(n))
    assert done == [0, 1, 2]


async def failing_task_group(payload: int) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("lost")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            await asyncio.sleep(3600)

    with pytest.raises(ExceptionGroup) as caught:
        await group()
    assert caught.group_contains(LookupError, match="lost")


async def cancel_scope(payload: int) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep(3600)
    assert scope.cancelled_caught


async def move_on(payload: int) -> None:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep(3600)
    assert scope.cancelled_caught


async def fail_after(payload: int) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await anyio.sleep(3600)


async def anyio_task_group(payload: int) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(n)

    async with anyio.create_task_group() as group:
        for n in range(3):
            group.start_soon(work, n)
    assert sorted(done) == [0, 1, 2]
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 3600)
        group.cancel_scope.cancel()
    assert group.cancel_scope.cancel_called


async def anyio_thread(payload: int) -> None:
    assert await anyio.to_thread.run_sync(lambda: payload + 1) == 2


async def cancelled_by_another(payload: int) -> None:
    mine = asyncio.current_task()
    assert mine is not None
    asyncio.get_running_loop().call_soon(mine.cancel)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(3600)
    assert mine.cancelling() == 1
    assert mine.uncancel() == 0
    await asyncio.sleep(0)


async def shield(payload: int) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    assert await asyncio.shield(work()) == 3


async def lock_and_queue(payload: int) -> None:
    lock = asyncio.Lock()
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    async with lock:
        asyncio.get_running_loop().call_soon(queue.put_nowait, 3)
        assert await queue.get() == 3


async def async_generator(payload: int) -> None:
    async def count() -> Any:
        for n in range(3):
            await asyncio.sleep(0)
            yield n

    assert [n async for n in count()] == [0, 1, 2]


LIBRARY = [
    timeout_of_nothing,
    timeout_later,
    timeout_in_time,
    wait_for,
    task_group,
    failing_task_group,
    cancel_scope,
    move_on,
    fail_after,
    anyio_task_group,
    anyio_thread,
    cancelled_by_another,
    shield,
    lock_and_queue,
    async_generator,
]


@pytest.mark.anyio
@pytest.mark.parametrize("handler", LIBRARY, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("step", ["first", "second"])
async def test_what_asyncio_and_anyio_offer_works_in_handlers(handler: Any, step: str) -> None:
    async def second(payload: int) -> None:
        await asyncio.sleep(0)
        await handler(payload)

    await completes(handler if step == "first" else second)


@pytest.mark.anyio
@pytest.mark.parametrize("handler", LIBRARY, ids=lambda handler: handler.__name__)
async def test_it_works_in_listeners_too(handler: Any) -> None:
    async def listen(response: Response) -> None:
        await handler(1)

    await CNS([]).stimulate(ping.create_signal(1), on_response=listen)
