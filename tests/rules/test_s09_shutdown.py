"""S9: a loop that shuts down starts no handlers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from cnstra import CNS, Stimulation, StimulationAborted, collateral, neuron

from ..conftest import RunLoop
from .gates import names, settle, sink

ping = collateral("ping", int)


a = collateral("a", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


class Started:
    """Handlers that block, and a record of those that were started."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.unwound: list[str] = []

    async def wait(self, name: str) -> None:
        self.names.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.unwound.append(name)


def test_a_loop_that_shuts_down_starts_no_handlers_of_a_run_that_waits_for_a_task(run_loop: RunLoop) -> None:
    started = Started()
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        try:
            await started.wait("slow")
        except asyncio.CancelledError:
            return a.create_signal(1)

    cns = CNS([slow, sink("queued", ping, started.names), sink("child", a, started.names)])

    async def main() -> Stimulation:
        run = cns.stimulate(ping.create_signal(1), concurrency=1)
        await settle()
        return run

    run = run_loop(main)
    assert (started.names, started.unwound) == (["slow"], ["slow"])
    assert run.done()


def test_nor_of_one_that_waits_for_a_slot(run_loop: RunLoop) -> None:
    started = Started()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        await started.wait(f"slow {payload}")

    cns = CNS([slow])

    async def main() -> list[Stimulation]:
        return [cns.stimulate(ping.create_signal(n)) for n in range(4)]

    runs = run_loop(main)
    assert (started.names, started.unwound) == (["slow 0"], ["slow 0"])
    assert [run.outcome for run in runs] == ["aborted"] * 4
    assert all(isinstance(aborted(run).reason, asyncio.CancelledError) for run in runs)


def test_nor_of_one_that_waits_for_a_slot_held_in_another_thread(run_loop: RunLoop) -> None:
    started: list[int] = []
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def wait(payload: int) -> None:
        started.append(payload)
        entered.set()
        release.wait(60)

    cns = CNS([slow])
    holder = threading.Thread(target=cns.stimulate, args=(ping.create_signal(1),))
    holder.start()
    entered.wait(60)

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(2))

    run = run_loop(main)
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    release.set()
    holder.join(60)
    assert started == [1]
    assert cns.stimulate(ping.create_signal(3)).outcome == "completed"


def test_nor_of_one_that_waits_for_a_worker(run_loop: RunLoop) -> None:
    log: list[str] = []
    heavy = neuron("heavy", {"a": a}, offload=True)

    @heavy.dendrite(ping)
    def work(payload: int, axon: Any, ctx: Any) -> Any:
        stop = threading.Event()
        ctx.abort_signal.add_listener(lambda reason: stop.set())
        log.append("heavy")
        assert stop.wait(60), "nobody told it"
        return a.create_signal(1)

    cns = CNS([heavy, sink("child", a, log)])

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(1))

    run = run_loop(main)
    assert log == ["heavy"]
    assert isinstance(aborted(run).reason, asyncio.CancelledError)


def test_nor_of_one_that_waits_for_a_listener(run_loop: RunLoop) -> None:
    started = Started()
    cns = CNS([sink("parked", ping, started.names)])

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(1), on_response=lambda response: started.wait("listener"))

    run = run_loop(main)
    assert (started.names, started.unwound) == (["listener"], ["listener"])
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert names(run.outstanding_tasks) == ["parked"]
