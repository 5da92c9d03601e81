"""No library: functions in a list, called by hand. The floor under all other numbers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


def chain() -> Case:
    def step() -> Callable[[int], int]:
        def add_one(value: int) -> int:
            return value + 1

        return add_one

    steps = [step() for _ in range(SIZE)]

    def case() -> int:
        value = 0
        for add_one in steps:
            value = add_one(value)
        return value

    return case


def async_chain() -> Case:
    def step() -> Callable[[int], Coroutine[Any, Any, int]]:
        async def add_one(value: int) -> int:
            return value + 1

        return add_one

    steps = [step() for _ in range(SIZE)]

    async def case() -> int:
        value = 0
        for add_one in steps:
            value = await add_one(value)
        return value

    return case


def subscribers(count: int) -> Case:
    box = Box()

    def subscriber() -> Callable[[int], None]:
        def receive(value: int) -> None:
            box.value += value

        return receive

    receivers = [subscriber() for _ in range(count)]

    def case() -> int:
        box.value = 0
        for receive in receivers:
            receive(1)
        return box.value

    return case


CONTENDER = Contender(
    name="plain calls",
    what="functions called by hand",
    distribution=None,
    cases={
        CHAIN: chain,
        FAN_OUT: lambda: subscribers(SIZE),
        ASYNC_CHAIN: async_chain,
        RUN: lambda: subscribers(1),
    },
    remarks={SUSPENDED: "Waiting at the same time takes tasks: see `asyncio (tasks)`."},
    fairness=(
        "the floor. It routes nothing: who calls whom is spread over the code, a failure is whatever the caller makes "
        "of it, and nothing can be watched, bounded or resumed unless that is written by hand."
    ),
)
