"""S22: neither stack nor memory grows with the length of a chain, or with the size of the graph."""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any

from cnstra import CNS, Response, Signal, collateral, neuron

from .sizes import size

HOPS = size(1_000_000, 150_000)
step = collateral("step", int)


def depth() -> int:
    """How many Python frames are on the stack."""
    frame: FrameType | None = sys._getframe()
    found = 0
    while frame is not None:
        found += 1
        frame = frame.f_back
    return found


def countdown(depths: list[int]) -> CNS:
    """One neuron that answers itself until it has counted down to 0."""

    def count(left: int, axon: Any) -> Signal[int] | None:
        if left % 1000 == 0:
            depths.append(depth())
        return axon.step.create_signal(left - 1) if left else None

    return CNS([neuron("counter", {"step": step}).dendrite(collateral=step, response=count)])


def test_a_chain_of_a_million_hops() -> None:
    depths: list[int] = []
    assert countdown(depths).stimulate(step.create_signal(HOPS)).outcome == "completed"
    assert len(depths) == HOPS // 1000 + 1
    assert len(set(depths)) == 1


def test_a_chain_of_a_million_hops_with_a_listener() -> None:
    depths: list[int] = []
    hops: list[int] = []

    def hear(response: Response) -> None:
        assert response.hops == len(hops)
        hops.append(response.hops)

    run = countdown(depths).stimulate(step.create_signal(HOPS), on_response=hear)
    assert run.outcome == "completed"
    assert len(hops) == HOPS + 2
    assert len(set(depths)) == 1


def test_a_chain_of_coroutines_that_never_suspend() -> None:
    hops = HOPS // 2
    depths: list[int] = []

    async def count(left: int, axon: Any) -> Signal[int] | None:
        if left % 1000 == 0:
            depths.append(depth())
        return axon.step.create_signal(left - 1) if left else None

    async def main() -> None:
        cns = CNS([neuron("counter", {"step": step}).dendrite(collateral=step, response=count)])
        tasks = len(asyncio.all_tasks())
        assert cns.stimulate(step.create_signal(hops)).outcome == "completed"
        # The one task that served all of them is there still, for the next.
        assert len(asyncio.all_tasks()) <= tasks + 1

    asyncio.run(main())
    assert len(depths) == hops // 1000 + 1
    assert len(set(depths)) == 1


def test_a_chain_of_coroutines_that_suspend() -> None:
    hops = size(100_000, 30_000)
    depths: set[int] = set()

    async def count(left: int, axon: Any) -> Signal[int] | None:
        await asyncio.sleep(0)
        depths.add(depth())
        return axon.step.create_signal(left - 1) if left else None

    async def main() -> None:
        cns = CNS([neuron("counter", {"step": step}).dendrite(collateral=step, response=count)])
        await cns.stimulate(step.create_signal(hops))

    asyncio.run(main())
    assert len(depths) == 1


def test_a_chain_whose_every_response_waits_for_its_listener() -> None:
    hops = size(100_000, 30_000)
    heard = 0

    async def hear(response: Response) -> None:
        nonlocal heard
        await asyncio.sleep(0)
        heard += 1

    async def main() -> None:
        await countdown([]).stimulate(step.create_signal(hops), on_response=hear)

    asyncio.run(main())
    assert heard == hops + 2


def test_a_chain_through_a_neuron_with_one_slot() -> None:
    hops = size(300_000, 50_000)
    entered = 0

    def count(left: int, axon: Any) -> Signal[int] | None:
        nonlocal entered
        entered += 1
        return axon.step.create_signal(left - 1) if left else None

    counter = neuron("counter", {"step": step}, concurrency=1).dendrite(collateral=step, response=count)
    assert CNS([counter]).stimulate(step.create_signal(hops), concurrency=1).outcome == "completed"
    assert entered == hops + 1
