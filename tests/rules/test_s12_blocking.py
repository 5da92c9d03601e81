"""S12: deadlocks without a loop, and through worker threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cnstra import CNS, SlotDeadlockError, Stimulation, collateral, neuron

ping, pong = collateral("ping", int), collateral("pong", int)

answer = collateral("answer", int)


def deadlock_of(run: Stimulation) -> SlotDeadlockError:
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, SlotDeadlockError)
    assert failure.aborted is False
    return failure.error


def test_without_a_loop_a_nested_run_that_needs_the_slot_above_it_fails() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(payload - 1)))

    run = CNS([busy]).stimulate(ping.create_signal(2))
    assert run.outcome == "completed"
    assert len(inner) == 1
    deadlock_of(inner[0])


def test_without_a_loop_it_is_found_through_further_runs() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    def work(payload: int) -> None:
        if payload:
            inner.append(other.stimulate(pong.create_signal(3)))

    @(between := neuron("between")).dendrite(pong)
    def pass_on(payload: int) -> None:
        inner.append(
            other.stimulate(pong.create_signal(payload - 1)) if payload else cns.stimulate(ping.create_signal(0))
        )

    cns, other = CNS([busy]), CNS([between])
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"
    assert [run.outcome for run in inner] == ["failed", *["completed"] * 4]
    deadlock_of(inner[0])


def test_without_a_loop_it_is_found_through_a_worker() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1, offload=True)

    @busy.dendrite(ping)
    def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(payload - 1)))

    run = CNS([busy]).stimulate(ping.create_signal(1))
    assert run.outcome == "completed"
    deadlock_of(inner[0])


@pytest.mark.anyio
async def test_in_a_loop_it_is_found_through_a_worker() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1, offload=True)

    @busy.dendrite(ping)
    def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(payload - 1)))

    run = CNS([busy]).stimulate(ping.create_signal(1))
    await run
    deadlock_of(inner[0])


def test_without_a_loop_it_is_found_through_a_worker_of_a_run_whose_thread_waits() -> None:
    inner: list[Stimulation] = []
    entered = threading.Event()
    busy = neuron("busy", concurrency=1, offload=True)
    busy.dendrite(collateral=ping, response=lambda _: entered.set())
    calling = neuron("calling")

    @calling.dendrite(ping)
    def call(payload: int) -> None:
        if payload:
            # The worker has the slot, and comes back to a run whose thread is in here.
            assert entered.wait(60)
            inner.append(cns.stimulate(ping.create_signal(0)))

    cns = CNS([busy, calling])
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"
    deadlock_of(inner[0])
