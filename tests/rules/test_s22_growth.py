"""S22: finished runs leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cnstra import (
    CNS,
    AbortController,
    ActivationTask,
    Response,
    StimulationAborted,
    StimulationGate,
    collateral,
    engine,
    neuron,
)

from .gates import one_call_more, relay

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


Scenario = Callable[[int], Awaitable[None]]


class Forgetful(list[Any]):
    """A log that keeps nothing."""

    def append(self, _: Any) -> None:
        """Forget it."""


def plain() -> Scenario:
    cns = CNS([relay("one", ping, Forgetful(), a), relay("two", a, Forgetful())])

    async def run(n: int) -> None:
        for _ in range(n):
            cns.stimulate(ping.create_signal(1))

    return run


def listening() -> Scenario:
    cns = CNS([relay("one", ping, Forgetful(), a, b), relay("two", a, Forgetful())])

    async def listen(response: Response) -> None:
        assert len(response.caused) < 3

    async def run(n: int) -> None:
        for _ in range(n):
            remove = cns.add_response_listener(listen)
            cns.stimulate(ping.create_signal(1), on_response=listen, on_drain=lambda drain: None)
            remove()

    return run


def deriving() -> Scenario:
    cns = CNS([relay("one", ping, Forgetful(), a), relay("two", a, Forgetful())])
    cns.add_response_listener(lambda response: None)

    async def run(n: int) -> None:
        for _ in range(n):
            cns.with_middleware(one_call_more).stimulate(ping.create_signal(1))

    return run


def suspending() -> Scenario:
    one = neuron("one", {"a": a}, concurrency=2, max_duration=3600)

    @one.dendrite(ping)
    async def wait(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.set(payload)
        await asyncio.sleep(0)
        return axon.a.create_signal(payload)

    cns = CNS([one, relay("two", a, Forgetful())], auto_cleanup_contexts=True)

    async def run(n: int) -> None:
        for _ in range(n // 4):
            for each in [cns.stimulate(ping.create_signal(k), timeout=3600) for k in range(4)]:
                await each

    return run


def failing() -> Scenario:
    def fail(payload: int) -> None:
        raise LookupError(payload)

    cns = CNS([neuron("one").dendrite(collateral=ping, response=fail)])

    async def run(n: int) -> None:
        for _ in range(n):
            assert cns.stimulate(ping.create_signal(1)).failed_tasks

    return run


def aborted() -> Scenario:
    async def wait(payload: int) -> None:
        await asyncio.Event().wait()

    cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=wait)])

    async def run(n: int) -> None:
        controller = AbortController()
        for _ in range(n // 2):
            runs = [cns.stimulate(ping.create_signal(k), abort_signal=controller.signal) for k in range(2)]
            for each in runs:
                each.cancel()
            for each in runs:
                with suppress(StimulationAborted):
                    await each

    return run


def resumed() -> Scenario:
    one = relay("one", ping, Forgetful(), a)
    feeder = neuron("feeder").dendrite(
        collateral=b,
        response=lambda n, axon, ctx: ctx.stimulation.enqueue([ActivationTask(one, ping.create_signal(n))]),
    )
    cns = CNS([one, feeder, neuron("total").join(collateral=a, response=lambda payloads: None)])

    async def run(n: int) -> None:
        for _ in range(n):
            cns.activate([ActivationTask(feeder, b.create_signal(1), id=7)])

    return run


def queried() -> Scenario:
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    async def answer(payload: int) -> Any:
        await asyncio.sleep(0)
        return a.create_signal(payload)

    cns = CNS([one])

    async def run(n: int) -> None:
        for _ in range(n // 2):
            assert await cns.query(ping.create_signal(1), a) == 1
            async for _response in cns.stream(ping.create_signal(1), buffer=1):
                pass

    return run


def gated() -> Scenario:
    one = neuron("one").dendrite(collateral=ping, response=lambda _: asyncio.sleep(0))
    gate = StimulationGate(CNS([one]), ping.create_signal(1))

    async def run(n: int) -> None:
        for _ in range(n):
            await gate.drain()

    return run


# How many runs tell a leak from noise; the Python engine has no memory of its own to lose.


COUNT = 30_000 if engine == "native" else 3_000


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    "make",
    [plain, listening, deriving, suspending, failing, aborted, resumed, queried, gated],
    ids=lambda make: make.__name__,
)
def test_there_is_no_growth_over_any_number_of_runs(make: Callable[[], Scenario]) -> None:
    async def main() -> tuple[int, int]:
        run = make()

        def look() -> tuple[int, int]:
            gc.collect()
            return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

        await run(400)
        before = look()
        await run(2000)
        after = look()
        return after[0] - before[0], after[1] - before[1]

    tracemalloc.start()
    try:
        objects, traced = asyncio.run(main())
    finally:
        tracemalloc.stop()
    # asyncio keeps up to a hundred timers that were cancelled, and a few more until it looks.
    assert objects < 250, "one object for eight runs would be more"
    assert traced < 20_000, "ten bytes for each run would be more"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("make", [plain, listening, deriving, suspending], ids=lambda make: make.__name__)
def test_nor_of_what_the_engine_has_allocated_itself(make: Callable[[], Scenario]) -> None:
    async def main() -> int:
        run = make()
        await run(COUNT // 3)
        gc.collect()
        before = resident()
        await run(COUNT)
        gc.collect()
        return resident() - before

    assert asyncio.run(main()) < 100 * COUNT + 500_000, "a hundred bytes for each run would be more"
