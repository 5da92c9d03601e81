"""asyncio without a library: one ``asyncio.Queue``, one worker, and steps that name what comes next.

The worker lives as long as the program. A run puts its jobs and waits with ``join`` until all of them, and what they
have caused, are done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender

Job: TypeAlias = tuple[Callable[[int], Any], int]

# The event loop holds its tasks weakly.
workers: list[asyncio.Task[None]] = []


async def work(queue: asyncio.Queue[Job]) -> None:
    """Serve plain handlers; what a handler returns, if anything, is the next job."""
    while True:
        handler, value = await queue.get()
        job: Job | None = handler(value)
        if job is not None:
            queue.put_nowait(job)
        queue.task_done()


async def work_async(queue: asyncio.Queue[Job]) -> None:
    """Serve async handlers."""
    while True:
        handler, value = await queue.get()
        job: Job | None = await handler(value)
        if job is not None:
            queue.put_nowait(job)
        queue.task_done()


def start(worker: Callable[[asyncio.Queue[Job]], Any]) -> asyncio.Queue[Job]:
    queue: asyncio.Queue[Job] = asyncio.Queue()
    workers.append(asyncio.create_task(worker(queue)))
    return queue


def chain() -> Case:
    box, queue = Box(), start(work)

    def step(following: Callable[[int], Job | None]) -> Callable[[int], Job | None]:
        def add_one(value: int) -> Job | None:
            return following, value + 1

        return add_one

    def keep(value: int) -> Job | None:
        box.value = value + 1
        return None

    first: Callable[[int], Job | None] = keep
    for _ in range(SIZE - 1):
        first = step(first)

    async def case() -> int:
        queue.put_nowait((first, 0))
        await queue.join()
        return box.value

    return case


def async_chain() -> Case:
    box, queue = Box(), start(work_async)

    def step(following: Callable[[int], Awaitable[Job | None]]) -> Callable[[int], Awaitable[Job | None]]:
        async def add_one(value: int) -> Job | None:
            return following, value + 1

        return add_one

    async def keep(value: int) -> Job | None:
        box.value = value + 1
        return None

    first: Callable[[int], Awaitable[Job | None]] = keep
    for _ in range(SIZE - 1):
        first = step(first)

    async def case() -> int:
        queue.put_nowait((first, 0))
        await queue.join()
        return box.value

    return case


def subscribers(count: int) -> Case:
    box, queue = Box(), start(work)

    def subscriber() -> Callable[[int], None]:
        def receive(value: int) -> None:
            box.value += value

        return receive

    receivers = [subscriber() for _ in range(count)]

    async def case() -> int:
        box.value = 0
        for receive in receivers:
            queue.put_nowait((receive, 1))
        await queue.join()
        return box.value

    return case


CONTENDER = Contender(
    name="asyncio (queue)",
    what="one queue and one worker",
    distribution=None,
    cases={CHAIN: chain, FAN_OUT: lambda: subscribers(SIZE), ASYNC_CHAIN: async_chain, RUN: lambda: subscribers(1)},
    remarks={
        RUN: "A plain handler, but the queue is awaited inside the event loop.",
        SUSPENDED: "While a handler waits, so does the worker that called it.",
    },
    fairness=(
        "the nearest to what cnstra does inside, in a dozen lines: one queue, first in, first out. Nothing is checked "
        "or recorded, all runs share one end (`join`), an async handler is not a task of its own, and one that raises "
        "ends the worker. With a `maxsize` it has back pressure by itself, which in cnstra takes a listener."
    ),
)
