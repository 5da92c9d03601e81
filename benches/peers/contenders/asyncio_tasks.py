"""asyncio without a library: each step is a task, and what is to happen at once stands in a ``TaskGroup``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


def async_chain() -> Case:
    def step() -> Callable[[int], Coroutine[Any, Any, int]]:
        async def add_one(value: int) -> int:
            return value + 1

        return add_one

    steps = [step() for _ in range(SIZE)]

    async def case() -> int:
        value = 0
        for add_one in steps:
            value = await asyncio.create_task(add_one(value))
        return value

    return case


def run() -> Case:
    box = Box()

    async def receive(value: int) -> None:
        box.value += value

    async def case() -> int:
        box.value = 0
        await asyncio.create_task(receive(1))
        return box.value

    return case


def suspended() -> Case:
    box = Box()

    async def wait(value: int) -> None:
        await asyncio.sleep(0)
        box.value += value

    async def case() -> int:
        box.value = 0
        async with asyncio.TaskGroup() as group:
            for _ in range(SIZE):
                group.create_task(wait(1))
        return box.value

    return case


CONTENDER = Contender(
    name="asyncio (tasks)",
    what="one task for every step",
    distribution=None,
    cases={ASYNC_CHAIN: async_chain, RUN: run, SUSPENDED: suspended},
    remarks={
        CHAIN: "Tasks run coroutines, not plain functions.",
        FAN_OUT: "Tasks run coroutines, not plain functions.",
        RUN: "An `async` handler, awaited inside the event loop.",
    },
    fairness=(
        "the tasks have cancellation, context variables and, in a group, a common end; there is no graph, no routing, "
        "no order to rely on beyond that of the loop, and no record of what is left. Values come back from `await`, "
        "which cnstra's handlers do not have."
    ),
)
