"""The graphs of the benches of durable runs: each activation suspends once, and hands an order on to the next.

Their handlers do nothing else, and make nothing: what they emit is there before the time is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cnstra import CNS, Collateral, Signal, collateral, neuron

__all__ = ["Chain", "Order", "Parked", "orders"]

# Something that is awaited until a run has ended: a run of the engine, or a durable one.
Start = Callable[[Signal[Any]], Awaitable[Awaitable[Any]]]

_NOTE = (
    "Please ring twice and leave the parcel with the neighbours on the second floor if nobody opens; the gate to the "
    "yard is open until six in the evening, and the bell of the back entrance does not work at the moment. "
) * 4


@dataclass(frozen=True, slots=True)
class Order:
    """What an application may pass on: encoded it is about 1 KB, most of it text."""

    left: int  # how many are to follow
    id: str
    customer: str
    email: str
    street: str
    city: str
    country: str
    currency: str
    cents: int
    is_express: bool
    note: str


def orders(count: int) -> list[Order]:
    """One for each number of orders that are to follow it, none first."""
    return [
        Order(
            left=left,
            id=f"order-{left:08}",
            customer="Wilhelmina van der Westhuizen",
            email="wilhelmina.van.der.westhuizen@example.org",
            street="Avenue de la République 142, Apartment 17",
            city="Saint-Germain-en-Laye",
            country="FR",
            currency="EUR",
            cents=1_295_00 + left,
            is_express=left % 2 == 0,
            note=_NOTE,
        )
        for left in range(count)
    ]


class Chain:
    """Runs of one neuron that hears itself: every turn finishes one activation and causes one, the last none.

    Args:
        turns: how many turns a run has after it was let go, its end included.
        runs: how many runs there are at once.
    """

    def __init__(self, turns: int, runs: int = 1) -> None:
        self.turns = turns
        self.runs = runs
        self._gate = asyncio.Event()
        self._all_wait = asyncio.Event()
        self._waiting = 0
        steps = collateral("step", Order)
        given = orders(turns)

        async def hand_on(order: Order, axon: Any) -> Any:
            if order.left == turns - 1:
                self._waiting += 1
                if self._waiting == runs:
                    self._all_wait.set()
                await self._gate.wait()
            else:
                await asyncio.sleep(0)
            return axon.out.create_signal(given[order.left - 1]) if order.left else None

        self.cns = CNS([neuron("clerk", {"out": steps}).dendrite(collateral=steps, response=hand_on)])
        self.signal = steps.create_signal(given[-1])

    async def begin(self, start: Start) -> list[Awaitable[Any]]:
        """Start the runs, as far as their first activations, which wait for the gate."""
        self._gate.clear()
        self._all_wait.clear()
        self._waiting = 0
        runs = [await start(self.signal) for _ in range(self.runs)]
        await self._all_wait.wait()
        return runs

    async def finish(self, runs: list[Awaitable[Any]]) -> None:
        """Let them go, and wait for their ends."""
        self._gate.set()
        for run in runs:
            await run


class Parked:
    """One run that has any number of activations pending, behind a slot that never gets free, and whose chain of turns
    goes on beside them, a stretch at a time.

    Args:
        pending: how many activations are pending.
        turns: how many turns a stretch has.
    """

    def __init__(self, pending: int, turns: int) -> None:
        self.pending = pending
        self.turns = turns
        self.entered = 0
        self._gate = asyncio.Event()
        self._arrived = asyncio.Event()
        steps: Collateral[Order] = collateral("step", Order)
        parked: Collateral[int] = collateral("parked", int)
        given = orders(turns)

        async def hand_on(order: Order, axon: Any) -> Any:
            if order.left:
                await asyncio.sleep(0)
                return axon.out.create_signal(given[order.left - 1])
            self._arrived.set()
            await self._gate.wait()
            self._gate.clear()
            return axon.out.create_signal(given[-1])

        async def wait(number: int) -> None:
            self.entered += 1
            await asyncio.Event().wait()

        self.cns = CNS(
            [
                neuron("clerk", {"out": steps}).dendrite(collateral=steps, response=hand_on),
                neuron("warehouse", concurrency=1).dendrite(collateral=parked, response=wait),
            ]
        )
        # The first of these has the slot: it is active, and the others are pending.
        self.signals: list[Signal[Any]] = [
            steps.create_signal(given[0]),
            *(parked.create_signal(number) for number in range(pending + 1)),
        ]

    async def arrive(self) -> None:
        """Wait until the chain has come to the end of a stretch."""
        await self._arrived.wait()
        self._arrived.clear()

    async def stretch(self) -> None:
        """Let the chain go on for a stretch."""
        self._gate.set()
        await self.arrive()
