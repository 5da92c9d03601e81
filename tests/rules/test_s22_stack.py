"""S22: the stack does not grow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import (
    CNS,
    Response,
    Stimulation,
    collateral,
    neuron,
)

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def in_a_small_stack(work: Callable[[], None]) -> None:
    """Run it in a thread with little stack, so that growth would end it."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(100)
    finally:
        threading.stack_size(before)
    assert errors == []


def circle(count: int, asynchronous: bool) -> CNS:
    one = neuron("one", {"ping": ping})

    def down(payload: int) -> Any:
        return ping.create_signal(payload - 1) if payload else None

    async def down_later(payload: int) -> Any:
        return down(payload)

    one.dendrite(collateral=ping, response=down_later if asynchronous else down)
    return CNS([one])


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("listener", [False, True])
def test_stack_use_does_not_grow_with_the_length_of_a_chain(asynchronous: bool, listener: bool) -> None:
    cns = circle(20_000, asynchronous)
    count = [0]

    def listen(response: Response) -> None:
        count[0] += 1

    async def main() -> None:
        await cns.stimulate(ping.create_signal(20_000), on_response=listen if listener else None)

    in_a_small_stack(lambda: asyncio.run(main()))
    assert count[0] == (20_002 if listener else 0)


def test_nor_with_the_fan_out_or_the_size_of_the_graph() -> None:
    heard: list[int] = []

    def work() -> None:
        channels = [collateral(f"c{n}", int) for n in range(5000)]

        def pass_on(n: int) -> Any:
            following = channels[n + 1]
            return lambda payload: following.create_signal(payload + 1)

        chain = [
            neuron(f"n{n}", {"next": channels[n + 1]}).dendrite(collateral=channels[n], response=pass_on(n))
            for n in range(4999)
        ]
        fan = [neuron(f"f{n}").dendrite(collateral=channels[-1], response=heard.append) for n in range(5000)]
        cns = CNS([*chain, *fan])
        assert cns.stimulate(channels[0].create_signal(1)).outcome == "completed"
        assert len(cns.network.strongly_connected_components) == 9999

    in_a_small_stack(work)
    assert heard == [5000] * 5000


def test_nor_with_the_number_of_waiters() -> None:
    runs: list[Stimulation] = []

    def work() -> None:
        async def main() -> None:
            gate = asyncio.Event()

            async def wait(payload: int) -> None:
                if not payload:
                    await gate.wait()

            cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=wait)])
            runs.extend(cns.stimulate(ping.create_signal(n)) for n in range(5000))
            gate.set()
            for run in runs:
                await run

        asyncio.run(main())

    in_a_small_stack(work)
    assert all(run.outcome == "completed" for run in runs)
