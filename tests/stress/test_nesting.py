"""Runs inside runs inside runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cnstra import CNS, Context, SlotDeadlockError, StimulationFailed, collateral, neuron

deeper = collateral("deeper", int)
DEPTH = 100


@pytest.fixture(autouse=True)
def deep_stack() -> Iterator[None]:
    """The pure engine has about ten frames of its own between a handler and a run that it starts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20 * DEPTH + before)
    yield
    sys.setrecursionlimit(before)


def test_handlers_that_stimulate_without_a_loop() -> None:
    reached: list[int] = []

    def descend(left: int, axon: None, ctx: Context[None, object]) -> None:
        reached.append(left)
        if left:
            assert ctx.cns.stimulate(deeper.create_signal(left - 1)).outcome == "completed"

    cns = CNS([neuron("diver").dendrite(collateral=deeper, response=descend)])
    assert cns.stimulate(deeper.create_signal(DEPTH)).outcome == "completed"
    assert reached == list(range(DEPTH, -1, -1))


@pytest.mark.parametrize("suspends", [False, True])
def test_handlers_that_await_what_they_stimulate(suspends: bool) -> None:
    reached: list[int] = []

    async def descend(left: int, axon: None, ctx: Context[None, object]) -> None:
        if suspends:
            await asyncio.sleep(0)
        if left:
            await ctx.cns.stimulate(deeper.create_signal(left - 1))
        reached.append(left)

    cns = CNS([neuron("diver").dendrite(collateral=deeper, response=descend)])

    async def main() -> None:
        await cns.stimulate(deeper.create_signal(DEPTH))

    asyncio.run(main())
    assert reached == list(range(DEPTH + 1))


def test_a_failure_comes_up_from_the_bottom() -> None:
    async def descend(left: int, axon: None, ctx: Context[None, object]) -> None:
        await asyncio.sleep(0)
        if not left:
            raise ValueError("the bottom")
        await ctx.cns.stimulate(deeper.create_signal(left - 1))

    cns = CNS([neuron("diver").dendrite(collateral=deeper, response=descend)])

    async def main() -> None:
        await cns.stimulate(deeper.create_signal(DEPTH))

    with pytest.raises(StimulationFailed) as caught:
        asyncio.run(main())
    error: BaseException = caught.value
    for _ in range(DEPTH + 1):
        assert isinstance(error, StimulationFailed)
        (error,) = error.exceptions
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("looped", [False, True])
def test_a_chain_of_awaits_that_is_longer_than_the_slots(looped: bool) -> None:
    """The handler that finds all slots held by those who wait for it fails, and the others hear of it."""
    slots = 20

    async def descend(left: int, axon: None, ctx: Context[None, object]) -> None:
        if left:
            await ctx.cns.stimulate(deeper.create_signal(left - 1))

    def plainly(left: int, axon: None, ctx: Context[None, object]) -> None:
        if left:
            ctx.cns.stimulate(deeper.create_signal(left - 1)).raise_for_failure()

    handler: Any = descend if looped else plainly
    cns = CNS([neuron("diver", concurrency=slots).dendrite(collateral=deeper, response=handler)])

    async def main(depth: int) -> None:
        await cns.stimulate(deeper.create_signal(depth))

    def dive(depth: int) -> None:
        if looped:
            asyncio.run(main(depth))
        else:
            cns.stimulate(deeper.create_signal(depth)).raise_for_failure()

    dive(slots - 1)
    with pytest.raises(StimulationFailed) as caught:
        dive(slots)
    error: BaseException = caught.value
    for _ in range(slots + 1):
        assert isinstance(error, StimulationFailed)
        (error,) = error.exceptions
    assert isinstance(error, SlotDeadlockError)
    dive(slots - 1)
