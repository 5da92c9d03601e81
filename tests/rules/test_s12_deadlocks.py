"""S12: runs that would wait for each other for ever fail instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, Response, SlotDeadlockError, Stimulation, StimulationFailed, collateral, neuron

from .gates import Gates, names, settle

ping, pong = collateral("ping", int), collateral("pong", int)

answer = collateral("answer", int)


def deadlock_of(run: Stimulation) -> SlotDeadlockError:
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, SlotDeadlockError)
    assert failure.aborted is False
    return failure.error


@pytest.mark.anyio
@pytest.mark.parametrize("suspend_first", [False, True])
async def test_awaiting_a_run_that_needs_ones_own_slot_fails_the_activation_that_waits(suspend_first: bool) -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if suspend_first:
            await asyncio.sleep(0)
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(0)))
            with pytest.raises(StimulationFailed):
                await inner[0]

    cns = CNS([busy])
    run = cns.stimulate(ping.create_signal(1))
    await run
    error = deadlock_of(inner[0])
    assert "'busy'" in str(error)
    assert "'ping'" in str(error)
    assert run.outcome == "completed"
    # The slot is as good as new.
    await cns.stimulate(ping.create_signal(0))


@pytest.mark.anyio
async def test_so_does_returning_it() -> None:
    inner: list[Stimulation] = []

    def work(payload: int, axon: None, ctx: Any) -> Any:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(0)))
            return inner[0]
        return None

    busy = neuron("busy", concurrency=1).dendrite(collateral=ping, response=work)

    run = CNS([busy]).stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert caught.value.exceptions == (inner[0].exception(),)
    deadlock_of(inner[0])


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [2, 3, 10])
async def test_it_is_found_through_further_runs(depth: int) -> None:
    """The neuron 'between', of another CNS, passes on; the last run needs the slot that the first holds."""
    runs: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)
    between = neuron("between")

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        if payload:
            runs.append(other.stimulate(pong.create_signal(depth)))
            await runs[-1]

    @between.dendrite(pong)
    async def pass_on(payload: int) -> None:
        await asyncio.sleep(0)
        runs.append(
            other.stimulate(pong.create_signal(payload - 1)) if payload else cns.stimulate(ping.create_signal(0))
        )
        await runs[-1]

    cns, other = CNS([busy]), CNS([between])
    run = cns.stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed):
        await run
    assert len(runs) == depth + 2
    deadlock_of(runs[-1])
    assert all(each.outcome == "failed" for each in [run, *runs])
    for each in runs:
        each.exception()


@pytest.mark.anyio
async def test_it_is_found_through_query() -> None:
    errors: list[BaseException] = []
    busy = neuron("busy", {"answer": answer}, concurrency=1)

    @busy.dendrite(ping)
    async def work(payload: int, axon: Any, ctx: Any) -> Any:
        if payload:
            try:
                await ctx.cns.query(ping.create_signal(0), answer)
            except StimulationFailed as failure:
                errors.extend(failure.exceptions)
        return axon.answer.create_signal(payload)

    assert await CNS([busy]).query(ping.create_signal(1), answer) == 1
    assert [type(error) for error in errors] == [SlotDeadlockError]


@pytest.mark.anyio
async def test_it_is_found_when_the_last_free_slot_is_taken_by_the_chain_itself() -> None:
    depth: list[Stimulation] = []
    busy = neuron("busy", concurrency=3)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        await asyncio.sleep(0)
        depth.append(ctx.cns.stimulate(ping.create_signal(payload + 1)))
        await depth[-1]

    run = CNS([busy]).stimulate(ping.create_signal(0))
    with pytest.raises(StimulationFailed):
        await run
    assert len(depth) == 3, "three hold a slot, and the run of the third could not start its activation"
    deadlock_of(depth[-1])
    for each in depth:
        each.exception()


@pytest.mark.anyio
async def test_a_slot_that_somebody_outside_holds_is_waited_for() -> None:
    gates = Gates()
    busy = neuron("busy", concurrency=2)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if payload == 1:
            await ctx.cns.stimulate(ping.create_signal(2))
        if payload == 3:
            await gates.wait("outside")

    cns = CNS([busy])
    outside, run = cns.stimulate(ping.create_signal(3)), cns.stimulate(ping.create_signal(1))
    await settle()
    assert not run.done()
    await gates.open("outside")
    assert (outside.outcome, run.outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_it_is_found_when_the_one_outside_begins_to_wait_for_the_chain_too() -> None:
    gates = Gates()
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=2)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if payload == 1:
            inner.append(ctx.cns.stimulate(ping.create_signal(2)))
            await inner[0]
        if payload == 3:
            await gates.wait("outside")
            await run

    cns = CNS([busy])
    outside, run = cns.stimulate(ping.create_signal(3)), cns.stimulate(ping.create_signal(1))
    await settle()
    assert not inner[0].done()
    await gates.open("outside")
    deadlock_of(inner[0])
    assert names(run.failed_tasks) == ["busy"]
    assert names(outside.failed_tasks) == ["busy"]


@pytest.mark.anyio
async def test_it_is_found_when_the_waiter_was_in_line_before_the_slot_was_taken() -> None:
    gates = Gates()
    busy = neuron("busy", concurrency=1)
    outer = neuron("outer")
    behind: list[Stimulation] = []

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        if payload == 0:
            await gates.wait("holder")
        if payload == 1:
            await behind[0]  # it stands in line behind this very activation

    @outer.dendrite(pong)
    async def call(payload: int) -> None: ...

    cns = CNS([busy, outer])
    holder = cns.stimulate(ping.create_signal(0))
    first = cns.stimulate(ping.create_signal(1))
    behind.append(cns.stimulate(ping.create_signal(2)))
    await gates.open("holder")
    deadlock_of(behind[0])
    assert first.outcome == "failed"
    assert isinstance(first.exception(), StimulationFailed)
    assert holder.outcome == "completed"


@pytest.mark.anyio
async def test_awaiting_each_other_raises_a_stimulation_error() -> None:
    gates = Gates()
    runs: dict[int, Stimulation] = {}
    pair = neuron("pair")

    @pair.dendrite(ping)
    async def wait(payload: int) -> None:
        await gates.wait(f"pair {payload}")
        await runs[1 - payload]

    cns = CNS([pair])
    for n in range(2):
        runs[n] = cns.stimulate(ping.create_signal(n))
    await gates.open("pair 0")
    await gates.open("pair 1")
    assert runs[1].outcome == "failed", "it would have waited for a run that waits for it"
    assert runs[0].outcome == "failed"
    for run in runs.values():
        assert len(run.failed_tasks) == 1


@pytest.mark.anyio
async def test_what_is_handed_to_another_task_is_not_followed() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)
    others: list[asyncio.Task[None]] = []

    async def wait(run: Stimulation) -> None:
        await run

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(0)))
            others.append(asyncio.create_task(wait(inner[0])))
            await settle()
            assert not inner[0].done(), "it waits for the slot, and gets it when this handler has returned"

    run = CNS([busy]).stimulate(ping.create_signal(1))
    await run
    await others[0]
    assert inner[0].outcome == "completed"


@pytest.mark.anyio
async def test_a_wait_that_is_given_up_is_no_deadlock() -> None:
    gates = Gates()
    given_up = asyncio.Event()
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=2)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if payload == 1:
            inner.append(ctx.cns.stimulate(ping.create_signal(2)))
            try:
                async with asyncio.timeout(0.001):
                    await inner[0]
            except TimeoutError:
                given_up.set()
            await gates.wait("first")
        if payload == 3:
            await gates.wait("outside")
            await inner[0]

    cns = CNS([busy])
    outside, run = cns.stimulate(ping.create_signal(3)), cns.stimulate(ping.create_signal(1))
    await given_up.wait()
    await gates.open("outside")
    assert not inner[0].done(), "only one of the two holders waits for it"
    await gates.open("first")
    await outside
    assert (run.outcome, inner[0].outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_a_plain_handler_that_starts_a_run_which_needs_its_slot_does_not_wait_for_it() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate(ping.create_signal(0)))
            assert not inner[0].done()

    run = CNS([busy]).stimulate(ping.create_signal(1))
    assert run.outcome == "completed"
    await inner[0]


@pytest.mark.anyio
async def test_other_branches_of_a_run_with_a_deadlock_go_on() -> None:
    inner: list[Stimulation] = []
    log: list[str] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    async def work(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            inner.append(ctx.cns.stimulate([ping.create_signal(0), pong.create_signal(0)]))
            with pytest.raises(StimulationFailed):
                await inner[0]
            log.append("went on")

    other = neuron("other").dendrite(collateral=pong, response=lambda _: log.append("other"))
    run = CNS([busy, other]).stimulate(ping.create_signal(1))
    await run
    assert log == ["other", "went on"]
    assert names(inner[0].failed_tasks) == ["busy"]


@pytest.mark.anyio
async def test_a_listener_that_awaits_a_run_does_not_keep_the_handlers_of_its_own_run_from_ending() -> None:
    gates = Gates()
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        if payload:
            await gates.wait("busy")

    async def listen(response: Response) -> None:
        if response.neuron is other:
            inner.append(cns.stimulate(ping.create_signal(0)))
            await inner[0]

    other = neuron("other").dendrite(collateral=pong, response=lambda _: None)
    cns = CNS([busy, other])
    run = cns.stimulate([ping.create_signal(1), pong.create_signal(1)], on_response=listen)
    await settle()
    assert not inner[0].done(), "it waits for a slot that will be given back"
    await gates.open("busy")
    assert (run.outcome, inner[0].outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_it_is_found_through_a_listener_that_the_run_of_the_chain_waits_for() -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        if payload:
            await other.stimulate(pong.create_signal(1), on_response=listen)

    async def listen(response: Response) -> None:
        if response.neuron is None:
            await asyncio.sleep(0)
            inner.append(cns.stimulate(ping.create_signal(0)))
            await inner[0]

    cns, other = CNS([busy]), CNS([])
    run = cns.stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed):
        await run
    deadlock_of(inner[0])
