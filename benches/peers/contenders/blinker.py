"""blinker: receivers connected to a signal. Held strongly here, its quicker choice; its default are weak references."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from blinker import Signal
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


def subscribers(count: int) -> Case:
    box, event = Box(), Signal()

    def subscriber() -> Callable[..., None]:
        def receive(sender: Any, value: int) -> None:
            box.value += value

        return receive

    for _ in range(count):
        event.connect(subscriber(), weak=False)

    def case() -> int:
        box.value = 0
        event.send(value=1)
        return box.value

    return case


def suspended() -> Case:
    box, event = Box(), Signal()

    async def wait(sender: Any, value: int) -> None:
        await asyncio.sleep(0)
        box.value += value

    event.connect(wait, weak=False)

    async def case() -> int:
        box.value = 0
        await asyncio.gather(*(event.send_async(value=1) for _ in range(SIZE)))
        return box.value

    return case


CONTENDER = Contender(
    name="blinker",
    what="signals and their receivers",
    distribution="blinker",
    cases={FAN_OUT: lambda: subscribers(SIZE), RUN: lambda: subscribers(1), SUSPENDED: suspended},
    remarks={
        CHAIN: "Made for notices: what a receiver returns goes back to the sender, not on to another receiver.",
        ASYNC_CHAIN: "Made for notices: what a receiver returns goes back to the sender, not on to another receiver.",
    },
    fairness=(
        "keeps no queue and tracks nothing, and leaves the order of receivers open. In its numbers is what cnstra does "
        "not do: it filters by sender, checks each receiver for being `async`, and returns what all of them returned. "
        "It can hold receivers weakly."
    ),
)
