"""S11: ``concurrency=n`` bounds one run."""

from __future__ import annotations

from typing import Any

import pytest

from cnstra import CNS, collateral, neuron

from .gates import Gates, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def slow_neuron(gates: Gates, name: str = "slow", **limits: Any) -> Any:
    return neuron(name, **limits).dendrite(collateral=ping, response=lambda n: gates.wait(f"{name} {n}"))


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 2, 5, 9])
async def test_it_bounds_the_active_activations_of_the_run(limit: int) -> None:
    gates = Gates()
    run = CNS([slow_neuron(gates)]).stimulate([ping.create_signal(n) for n in range(6)], concurrency=limit)
    for n in range(6):
        assert list(gates.waiting) == [f"slow {k}" for k in range(n, min(n + limit, 6))]
        await gates.open(f"slow {n}")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_what_finishes_at_once_never_fills_it() -> None:
    gates = Gates()
    log: list[str] = []
    run = CNS([sink("sync", ping, log), slow_neuron(gates), sink("also sync", ping, log)]).stimulate(
        ping.create_signal(1), concurrency=2
    )
    assert log == ["sync", "also sync"]
    await gates.open("slow 1")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_a_full_run_takes_nothing_not_even_what_would_finish_at_once() -> None:
    gates = Gates()
    log: list[str] = []
    run = CNS([slow_neuron(gates), sink("sync", ping, log)]).stimulate(ping.create_signal(1), concurrency=1)
    await settle()
    assert log == []
    await gates.open("slow 1")
    assert (log, run.outcome) == (["sync"], "completed")


@pytest.mark.anyio
async def test_what_waits_for_a_slot_counts() -> None:
    gates = Gates()
    log: list[str] = []
    cns = CNS([slow_neuron(gates, concurrency=1), sink("sync", ping, log)])
    holder = cns.stimulate(ping.create_signal(0), concurrency=3)
    assert log == ["sync"]
    waiter = cns.stimulate(ping.create_signal(1), concurrency=1)
    await settle()
    assert log == ["sync"], "the one that waits for a slot fills the run"
    await gates.open("slow 0")
    assert holder.outcome == "completed"
    assert log == ["sync"], "it is entered now, and fills it still"
    await gates.open("slow 1")
    assert (log, waiter.outcome) == (["sync", "sync"], "completed")


@pytest.mark.anyio
async def test_it_bounds_one_run_and_not_the_others() -> None:
    gates = Gates()
    cns = CNS([slow_neuron(gates)])
    runs = [cns.stimulate([ping.create_signal(2 * n), ping.create_signal(2 * n + 1)], concurrency=1) for n in range(2)]
    assert list(gates.waiting) == ["slow 0", "slow 2"]
    for n in (0, 2, 1, 3):
        await gates.open(f"slow {n}")
    assert [run.outcome for run in runs] == ["completed"] * 2


@pytest.mark.anyio
async def test_order_is_kept() -> None:
    gates = Gates()
    order: list[int] = []
    source = neuron("source", {"a": a})

    @source.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return a.create_signal(payload)

    cns = CNS([source, neuron("end").dendrite(collateral=a, response=order.append)])
    run = cns.stimulate([ping.create_signal(n) for n in range(4)], concurrency=2)
    await gates.open("slow 1")
    assert order == [], "the next of the queue was entered before what the settled one caused"
    await gates.open("slow 2")
    await gates.open("slow 0")
    await gates.open("slow 3")
    assert run.outcome == "completed"
    assert order == [1, 2, 0, 3]


def test_it_may_be_any_number_for_a_run_without_a_loop() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    assert cns.stimulate([ping.create_signal(n) for n in range(5)], concurrency=1).outcome == "completed"
    assert len(log) == 5
