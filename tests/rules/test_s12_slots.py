"""S12: the slots of a neuron, shared by all runs of a CNS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, AbortController, ActivationTask, Response, Stimulation, StimulationError, collateral, neuron

from .gates import Gates, names, relay, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def limited(gates: Gates, concurrency: int = 1, *emitted: Any) -> Any:
    slow = neuron("slow", {each.name: each for each in emitted}, concurrency=concurrency)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return [each.create_signal(payload) for each in emitted]

    return slow


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 2, 3, 7])
async def test_slots_bound_the_active_handlers_of_a_neuron_over_all_runs(concurrency: int) -> None:
    gates = Gates()
    cns = CNS([limited(gates, concurrency)])
    runs = [cns.stimulate([ping.create_signal(2 * n), ping.create_signal(2 * n + 1)]) for n in range(3)]
    for n in range(6):
        assert list(gates.waiting) == [f"slow {k}" for k in range(n, min(n + concurrency, 6))]
        await gates.open(f"slow {n}")
    assert [run.outcome for run in runs] == ["completed"] * 3


@pytest.mark.anyio
async def test_they_bound_all_dendrites_of_a_neuron_together() -> None:
    gates = Gates()
    slow = neuron("slow", concurrency=1)
    slow.dendrite(collateral=a, response=lambda _: gates.wait("a"))
    slow.dendrite(collateral=b, response=lambda _: gates.wait("b"))
    run = CNS([slow]).stimulate([a.create_signal(1), b.create_signal(1)])
    assert list(gates.waiting) == ["a"]
    await gates.open("a")
    assert list(gates.waiting) == ["b"]
    await gates.open("b")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_waiters_are_served_first_come_first_served_across_runs() -> None:
    gates = Gates()
    cns = CNS([limited(gates)])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(3)]
    runs[0].enqueue([ActivationTask(cns.neurons[0], ping.create_signal(3))])
    served: list[str] = []
    for _ in range(4):
        (name,) = gates.waiting
        served.append(name)
        await gates.open(name)
    assert served == ["slow 0", "slow 1", "slow 2", "slow 3"]
    assert [run.outcome for run in runs] == ["completed"] * 3


@pytest.mark.anyio
async def test_ten_thousand_waiters_are_served_in_order() -> None:
    order: list[int] = []
    gate = asyncio.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        order.append(payload)
        if payload == 0:
            await gate.wait()

    cns = CNS([slow])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(10_000)]
    assert order == [0]
    gate.set()
    for run in runs:
        await run
    assert order == list(range(10_000))


@pytest.mark.anyio
async def test_an_aborted_waiter_never_starts() -> None:
    gates = Gates()
    cns = CNS([limited(gates)])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(4)]
    runs[1].abort()
    runs[2].cancel()
    assert [run.outcome for run in runs[1:3]] == ["aborted", "aborted"]
    await gates.open("slow 0")
    assert list(gates.waiting) == ["slow 3"]
    await gates.open("slow 3")
    assert runs[3].outcome == "completed"


@pytest.mark.anyio
async def test_a_waiter_that_is_aborted_between_grant_and_turn_never_starts_and_passes_the_slot_on() -> None:
    gates = Gates()
    slow = limited(gates)
    cns = CNS([slow])
    holder = cns.stimulate(ping.create_signal(0))
    runs: list[Stimulation] = []

    def on_drain(event: Any) -> None:
        # Its slot has been given to the next by now; that one gets its turn at the next pass of the loop.
        if event.stimulation is holder:
            runs[0].abort("just now")

    remove = cns.add_drain_listener(on_drain)
    runs += [cns.stimulate(ping.create_signal(n)) for n in (1, 2)]
    await gates.open("slow 0")
    remove()
    assert runs[0].outcome == "aborted"
    assert names(runs[0].outstanding_tasks) == ["slow"]
    assert list(gates.waiting) == ["slow 2"]
    await gates.open("slow 2")
    assert runs[1].outcome == "completed"


@pytest.mark.anyio
async def test_a_slot_is_given_back_after_the_responses_of_its_activation_were_emitted() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", {"a": a, "b": b}, concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        log.append(f"start {payload}")
        await gates.wait(f"slow {payload}")
        return [a.create_signal(payload), b.create_signal(payload)]

    def on_response(response: Response) -> None:
        if response.neuron is slow:
            log.append(f"response {response.output_index} of {response.stimulation is first}")

    cns = CNS([slow])
    cns.add_response_listener(on_response)
    first = cns.stimulate(ping.create_signal(1))
    second = cns.stimulate(ping.create_signal(2))
    await gates.open("slow 1")
    assert log == ["start 1", "response 0 of True", "response 1 of True", "start 2"]
    await gates.open("slow 2")
    assert second.outcome == "completed"


@pytest.mark.anyio
async def test_a_slot_is_not_held_until_async_listeners_have_settled() -> None:
    gates = Gates()
    cns = CNS([limited(gates)])
    first = cns.stimulate(
        ping.create_signal(1), on_response=lambda r: None if r.neuron is None else gates.wait("listener")
    )
    second = cns.stimulate(ping.create_signal(2))
    await gates.open("slow 1")
    assert set(gates.waiting) == {"listener", "slow 2"}
    await gates.open("slow 2")
    await gates.open("listener")
    assert (first.outcome, second.outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_a_granted_activation_goes_to_the_front_of_its_run() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", {"a": a}, concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        log.append(f"slow {payload}")
        if payload == 1:
            await gates.wait("slow 1")
        return a.create_signal(payload)

    cns = CNS([slow, sink("child", a, log)])
    run = cns.stimulate([ping.create_signal(1), ping.create_signal(2)])
    await gates.open("slow 1")
    # The child of the first is in the queue already when the second gets the slot.
    assert log == ["slow 1", "slow 2", "child", "child"]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_another_run_gets_its_turn_at_the_next_pass_and_not_on_this_stack() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        log.append(f"start {payload}")
        if payload == 1:
            await gates.wait("slow 1")

    cns = CNS([slow, sink("sync", ping, log)])
    first = cns.stimulate([ping.create_signal(1), a.create_signal(1)], on_drain=lambda drain: log.append("drain"))
    second = cns.stimulate(ping.create_signal(2))
    log.clear()
    await gates.open("slow 1")
    assert log == ["drain", "start 2"]
    assert (first.outcome, second.outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_a_failed_activation_gives_its_slot_back() -> None:
    gates = Gates()
    cns = CNS([limited(gates)])
    first, second = cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))
    await gates.fail("slow 1", LookupError())
    assert first.failed_tasks
    await gates.open("slow 2")
    assert second.outcome == "completed"


@pytest.mark.anyio
async def test_an_activation_beyond_max_hops_takes_no_slot() -> None:
    gates = Gates()
    cns = CNS([relay("source", a, [], ping), limited(gates)])
    holder = cns.stimulate(ping.create_signal(1))
    run = cns.stimulate(a.create_signal(1), max_hops=1)
    assert (run.outcome, len(run.failed_tasks)) == ("failed", 1)
    await gates.open("slow 1")
    assert holder.outcome == "completed"


def test_a_plain_handler_that_finishes_at_once_never_makes_another_wait() -> None:
    log: list[str] = []
    ears = neuron("ears", concurrency=1).dendrite(collateral=ping, response=lambda n: log.append(str(n)))
    cns = CNS([ears])
    assert cns.stimulate([ping.create_signal(n) for n in range(3)]).outcome == "completed"
    assert log == ["0", "1", "2"]


def test_a_limited_neuron_that_reaches_itself_without_waiting_is_no_deadlock() -> None:
    count = neuron("count", {"ping": ping}, concurrency=1)
    heard: list[int] = []

    @count.dendrite(ping)
    def down(payload: int) -> Any:
        heard.append(payload)
        return ping.create_signal(payload - 1) if payload else None

    assert CNS([count]).stimulate(ping.create_signal(5)).outcome == "completed"
    assert heard == [5, 4, 3, 2, 1, 0]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["await", "return", "async return"])
async def test_awaiting_or_returning_ones_own_run_raises_a_stimulation_error(how: str) -> None:
    log: list[str] = []

    def handle(payload: int, axon: None, ctx: Any) -> Any:
        return ctx.stimulation if how == "return" else wait(ctx)

    async def wait(ctx: Any) -> Any:
        if how == "async return":
            await asyncio.sleep(0)
        await ctx.stimulation

    own: Any = neuron("own").dendrite(collateral=ping, response=handle)
    run = CNS([own, sink("next", ping, log)]).stimulate(ping.create_signal(1))
    with pytest.raises(ExceptionGroup):
        await run
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, StimulationError)
    assert "own run" in str(failure.error)
    assert (run.outcome, log) == ("failed", ["next"])


@pytest.mark.anyio
async def test_a_run_that_has_ended_may_be_awaited_and_returned_by_anybody() -> None:
    done = CNS([]).stimulate(ping.create_signal(1))
    cns = CNS([neuron("source").dendrite(collateral=ping, response=lambda _: done)])
    await cns.stimulate(ping.create_signal(1))


@pytest.mark.anyio
async def test_a_handler_may_return_another_run() -> None:
    gates = Gates()
    inner = CNS([limited(gates)])
    outer: Any = neuron("outer").dendrite(collateral=a, response=lambda n: inner.stimulate(ping.create_signal(n)))
    run = CNS([outer]).stimulate(a.create_signal(1))
    assert not run.done()
    await gates.open("slow 1")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_an_abort_signal_takes_all_waiters_out_of_the_line() -> None:
    gates = Gates()
    controller = AbortController()
    cns = CNS([limited(gates)])
    holder = cns.stimulate(ping.create_signal(0))
    runs = [cns.stimulate(ping.create_signal(n), abort_signal=controller.signal) for n in range(1, 100)]
    last = cns.stimulate(ping.create_signal(100))
    controller.abort()
    assert all(run.outcome == "aborted" for run in runs)
    await gates.open("slow 0")
    assert list(gates.waiting) == ["slow 100"]
    await gates.open("slow 100")
    assert (holder.outcome, last.outcome) == ("completed", "completed")
