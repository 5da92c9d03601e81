"""S19: a gate runs one run at a time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cnstra import CNS, AbortController, Stimulation, StimulationAborted, StimulationGate, collateral, neuron

from .gates import Gates, settle, sink

ping = collateral("ping", int)


def slow_cns(gates: Gates) -> CNS:
    return CNS([neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))])


@pytest.mark.anyio
async def test_drain_gives_the_run_that_is_going_on_or_starts_one() -> None:
    gates = Gates()
    gate = StimulationGate(slow_cns(gates), ping.create_signal(1))
    assert gates.waiting == {}, "nothing runs before the first drain"
    first = gate.drain()
    assert gate.drain() is first
    await gates.open("slow")
    assert first.outcome == "completed"
    second = gate.drain()
    assert second is not first
    await gates.open("slow")
    assert second.outcome == "completed"


def test_without_waiting_each_drain_is_a_run() -> None:
    log: list[str] = []
    gate = StimulationGate(CNS([sink("ears", ping, log)]), [ping.create_signal(1), ping.create_signal(2)])
    runs = [gate.drain(), gate.drain()]
    assert log == ["ears"] * 4
    assert [run.outcome for run in runs] == ["completed", "completed"]


@pytest.mark.parametrize("where", ["handler", "response", "drain"])
def test_drain_from_inside_the_run_gives_that_run(where: str) -> None:
    seen: list[Any] = []

    def look(event: Any) -> None:
        seen.append((gate.drain(), event.stimulation))

    def handle(payload: int, axon: None, ctx: Any) -> None:
        if where == "handler":
            look(ctx)

    options: dict[str, Any] = {} if where == "handler" else {f"on_{where}": look}
    gate = StimulationGate(
        CNS([neuron("one").dendrite(collateral=ping, response=handle)]), ping.create_signal(1), **options
    )
    run = gate.drain()
    assert run.outcome == "completed"
    assert seen
    assert all(mine is run and theirs is run for mine, theirs in seen)


@pytest.mark.anyio
async def test_after_a_failed_run_the_next_drain_starts_anew() -> None:
    gates = Gates()
    gate = StimulationGate(slow_cns(gates), ping.create_signal(1))
    first = gate.drain()
    await gates.fail("slow", LookupError())
    assert first.failed_tasks
    second = gate.drain()
    assert second is not first
    await gates.open("slow")
    assert second.outcome == "completed"


@pytest.mark.anyio
async def test_abort_aborts_its_run_and_tells_whether_one_was_going_on() -> None:
    gates = Gates()
    gate = StimulationGate(slow_cns(gates), ping.create_signal(1))
    assert gate.abort() is False
    run = gate.drain()
    assert gate.abort("enough") is True
    assert gate.abort("again") is True, "its handler is still in flight"
    assert gate.drain() is run
    await gates.open("slow")
    with pytest.raises(StimulationAborted) as caught:
        await run
    assert caught.value.reason == "enough"
    assert gate.abort() is False
    again = gate.drain()
    assert again is not run
    await gates.open("slow")
    assert again.outcome == "completed"


@pytest.mark.anyio
async def test_abort_does_not_touch_other_runs_of_the_cns() -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait(f"slow {n}"))])
    gate = StimulationGate(cns, ping.create_signal(1))
    mine, other = gate.drain(), cns.stimulate(ping.create_signal(2))
    gate.abort()
    await gates.open("slow 1")
    await gates.open("slow 2")
    assert (mine.outcome, other.outcome) == ("aborted", "completed")


@pytest.mark.anyio
async def test_its_options_are_those_of_stimulate_for_every_run() -> None:
    responses: list[Any] = []
    seen: list[Any] = []
    controller = AbortController()
    one = neuron("one").dendrite(collateral=ping, response=lambda n, axon, ctx: seen.append(ctx.stimulation_context))
    gate = StimulationGate(
        CNS([one]),
        ping.create_signal(1),
        on_response=responses.append,
        stimulation_context="context",
        abort_signal=controller.signal,
    )
    gate.drain()
    gate.drain()
    assert (len(responses), seen) == (4, ["context"] * 2)
    controller.abort("over")
    assert gate.drain().outcome == "aborted"
    assert len(seen) == 2


def test_bad_arguments_are_told_when_the_gate_is_made() -> None:
    cns = CNS([])
    bad: Any = 3
    with pytest.raises(TypeError, match="CNS"):
        StimulationGate(bad, ping.create_signal(1))
    with pytest.raises(TypeError, match="signal"):
        StimulationGate(cns, bad)
    with pytest.raises(TypeError, match="unknown_option"):
        StimulationGate(cns, ping.create_signal(1), unknown_option=1)
    with pytest.raises(ValueError, match="timeout"):
        StimulationGate(cns, ping.create_signal(1), timeout=0)


@pytest.mark.anyio
async def test_the_gate_may_be_shared_by_tasks() -> None:
    gates = Gates()
    started: list[int] = []

    async def work(payload: int) -> None:
        started.append(payload)
        await gates.wait("slow")

    gate = StimulationGate(CNS([neuron("slow").dendrite(collateral=ping, response=work)]), ping.create_signal(1))

    async def drain() -> None:
        await gate.drain()

    tasks = [asyncio.create_task(drain()) for _ in range(5)]
    await settle()
    await gates.open("slow")
    await asyncio.gather(*tasks)
    assert started == [1]


def test_a_drain_in_another_thread_gives_the_run_that_is_going_on() -> None:
    entered, release = threading.Event(), threading.Event()

    def work(payload: int) -> None:
        entered.set()
        release.wait(60)

    gate = StimulationGate(CNS([neuron("slow").dendrite(collateral=ping, response=work)]), ping.create_signal(1))
    runs: list[Stimulation] = []
    thread = threading.Thread(target=lambda: runs.append(gate.drain()))
    thread.start()
    entered.wait(60)
    run = gate.drain()
    assert not run.done()
    assert gate.abort("from here") is True
    release.set()
    thread.join(60)
    assert runs == [run]
    assert run.outcome == "aborted"


def test_a_run_of_a_loop_that_was_closed_does_not_keep_the_gate_shut() -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        log.append("started")
        await asyncio.Event().wait()

    def work(payload: int) -> Any:
        return wait(payload) if not log else log.append("again")

    gate = StimulationGate(CNS([neuron("slow").dendrite(collateral=ping, response=work)]), ping.create_signal(1))

    async def drain() -> Stimulation:
        return gate.drain()

    loop = asyncio.new_event_loop()
    lost = loop.run_until_complete(drain())
    # Closed without a shutdown, so that nobody tells the run.
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    run = asyncio.run(drain())
    assert run is not lost
    assert log == ["started", "again"]
    assert (lost.outcome, run.outcome) == ("aborted", "completed")
