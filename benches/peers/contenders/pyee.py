"""pyee: handlers on named events. Plain ones use ``EventEmitter``, async ones ``AsyncIOEventEmitter``, as its docs say.

A chain is handlers that emit the next event. Emitting an event for async handlers returns at once, so whoever needs the
end of an async chain leaves a future for the last handler; for many handlers at once there is ``wait_for_complete``.
"""

from __future__ import annotations

import asyncio

from pyee import EventEmitter
from pyee.asyncio import AsyncIOEventEmitter
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


def chain() -> Case:
    box, emitter = Box(), EventEmitter()

    def step(number: int) -> None:
        following = f"step{number + 1}"

        @emitter.listens_to(f"step{number}")
        def add_one(value: int) -> None:
            emitter.emit(following, value + 1)

    for number in range(SIZE - 1):
        step(number)

    @emitter.listens_to(f"step{SIZE - 1}")
    def keep(value: int) -> None:
        box.value = value + 1

    def case() -> int:
        emitter.emit("step0", 0)
        return box.value

    return case


def async_chain() -> Case:
    emitter = AsyncIOEventEmitter()

    def step(number: int) -> None:
        following = f"step{number + 1}"

        @emitter.listens_to(f"step{number}")
        async def add_one(value: int, end: asyncio.Future[int]) -> None:
            emitter.emit(following, value + 1, end)

    for number in range(SIZE - 1):
        step(number)

    @emitter.listens_to(f"step{SIZE - 1}")
    async def keep(value: int, end: asyncio.Future[int]) -> None:
        end.set_result(value + 1)

    async def case() -> int:
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        emitter.emit("step0", 0, end)
        return await end

    return case


def subscribers(count: int) -> Case:
    box, emitter = Box(), EventEmitter()

    def subscribe() -> None:
        @emitter.listens_to("event")
        def receive(value: int) -> None:
            box.value += value

    for _ in range(count):
        subscribe()

    def case() -> int:
        box.value = 0
        emitter.emit("event", 1)
        return box.value

    return case


def suspended() -> Case:
    box, emitter = Box(), AsyncIOEventEmitter()

    @emitter.listens_to("event")
    async def wait(value: int) -> None:
        await asyncio.sleep(0)
        box.value += value

    async def case() -> int:
        box.value = 0
        for _ in range(SIZE):
            emitter.emit("event", 1)
        await emitter.wait_for_complete()
        return box.value

    return case


CONTENDER = Contender(
    name="pyee",
    what="event emitter as in Node.js",
    distribution="pyee",
    cases={
        CHAIN: chain,
        FAN_OUT: lambda: subscribers(SIZE),
        ASYNC_CHAIN: async_chain,
        RUN: lambda: subscribers(1),
        SUSPENDED: suspended,
    },
    remarks={
        CHAIN: "Each step calls the next from inside itself, so the stack grows with the chain.",
        ASYNC_CHAIN: "Each step is a task that nobody awaits; the last one sets a future.",
    },
    fairness=(
        "keeps no queue and tracks nothing: `emit` calls plain handlers there and then, and starts a task for each "
        "async one. Handlers come and go at any time, `once` ones included; a cnstra graph is fixed once compiled."
    ),
)
