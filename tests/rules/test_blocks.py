"""Section 2 of the design: ``async with cns``, and what ends a program."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    Stimulation,
    StimulationAborted,
    collateral,
    neuron,
)

from .gates import Gates, patient, relay, settle

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def slow_cns(gates: Gates, log: list[str]) -> CNS:
    """A neuron that waits at a gate and then emits on a, which is relayed to b."""
    return CNS([patient(gates, ping, log, a), relay("relay", a, log, b)])


@pytest.mark.anyio
async def test_a_block_waits_for_the_runs_that_were_started_inside_it() -> None:
    gates = Gates()
    log: list[str] = []
    cns = slow_cns(gates, log)
    before = cns.stimulate(ping.create_signal(0))
    other = slow_cns(gates, log).stimulate(ping.create_signal(9))
    inside: list[Stimulation] = []

    async def block() -> None:
        async with cns as same:
            assert same is cns
            inside.extend(cns.stimulate(ping.create_signal(n)) for n in (1, 2))

    task = asyncio.ensure_future(block())
    await settle()
    await gates.open("slow 1")
    assert not task.done()
    await gates.open("slow 2")
    await task
    assert [run.outcome for run in inside] == ["completed", "completed"]
    assert not before.done()
    assert not other.done()
    for name in ("slow 0", "slow 9"):
        await gates.open(name)


@pytest.mark.anyio
async def test_a_block_that_is_left_by_an_exception_cancels_and_awaits_them() -> None:
    gates = Gates()
    log: list[str] = []
    cns = slow_cns(gates, log)
    runs: list[Stimulation] = []

    async def block() -> None:
        async with cns:
            runs.append(cns.stimulate(ping.create_signal(1)))
            await settle()
            raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await block()
    assert log == ["cancelled"]
    assert runs[0].outcome == "aborted"


@pytest.mark.anyio
async def test_a_block_that_is_cancelled_while_it_waits_cancels_and_awaits_them() -> None:
    gates = Gates()
    log: list[str] = []
    cns = slow_cns(gates, log)
    runs: list[Stimulation] = []

    async def block() -> None:
        async with cns:
            runs.append(cns.stimulate(ping.create_signal(1)))

    task = asyncio.ensure_future(block())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cancelled"]
    assert runs[0].outcome == "aborted"


@pytest.mark.anyio
async def test_a_failing_run_does_not_leave_the_block() -> None:
    gates = Gates()
    cns = slow_cns(gates, [])
    async with cns:
        run = cns.stimulate(ping.create_signal(1))
        await settle()
        gates.waiting["slow 1"].set_exception(LookupError("lost"))
    assert run.failed_tasks


@pytest.mark.anyio
async def test_blocks_may_be_nested_and_side_by_side() -> None:
    gates = Gates()
    cns = slow_cns(gates, [])

    async def block(n: int) -> None:
        async with cns, cns:
            cns.stimulate(ping.create_signal(n))

    tasks = [asyncio.ensure_future(block(n)) for n in range(2)]
    await settle()
    await gates.open("slow 0")
    await gates.open("slow 1")
    await asyncio.gather(*tasks)


def test_an_aborted_stimulation_tells_its_reason() -> None:
    def stop(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort("enough")

    with pytest.raises(StimulationAborted) as caught:
        CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).run(ping.create_signal(1))
    assert caught.value.reason == "enough"


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [False, True])
async def test_a_block_in_a_handler_has_nothing_to_do_with_the_run_of_that_handler(fails: bool) -> None:
    inner: list[Stimulation] = []
    one = neuron("one")

    @one.dendrite(ping)
    async def handle(payload: int, axon: None, ctx: Any) -> None:
        async with ctx.cns:
            inner.append(ctx.cns.stimulate(a.create_signal(1)))
            if fails:
                raise LookupError("lost")
        assert inner[0].done()

    # The outer run is in its first turn when its handler enters the block, and so is the one above it.
    above = neuron("above").dendrite(
        collateral=b, response=lambda _, axon, ctx: outer.append(ctx.cns.stimulate(ping.create_signal(1)))
    )
    outer: list[Stimulation] = []
    cns = CNS([one, above, neuron("two").dendrite(collateral=a, response=lambda _: asyncio.sleep(0))])
    run = cns.stimulate(b.create_signal(1))
    await settle()
    assert run.outcome == "completed"
    assert inner[0].outcome == ("aborted" if fails else "completed")
    assert outer[0].outcome == ("failed" if fails else "completed")
    assert [type(failure.error) for failure in outer[0].failed_tasks] == [LookupError] * fails


@pytest.mark.anyio
async def test_a_block_may_be_left_by_another_task_than_entered_it() -> None:
    gates = Gates()
    cns = slow_cns(gates, [])
    await asyncio.ensure_future(cns.__aenter__())
    run = cns.stimulate(ping.create_signal(1))
    leaving = asyncio.ensure_future(cns.__aexit__(None, None, None))
    await settle()
    assert not leaving.done()
    await gates.open("slow 1")
    await leaving
    assert run.outcome == "completed"
