"""Section 2 of the design: query and run_query."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    NoReplyError,
    Stimulation,
    StimulationFailed,
    StimulationTimeout,
    collateral,
    neuron,
)

from ..conftest import RunLoop
from .gates import Gates, patient, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def slow_cns(gates: Gates, log: list[str]) -> CNS:
    """A neuron that waits at a gate and then emits on a, which is relayed to b."""
    return CNS([patient(gates, ping, log, a), relay("relay", a, log, b)])


@pytest.mark.anyio
async def test_query_gives_the_payload_of_the_first_signal_on_the_reply() -> None:
    cns = CNS([relay("one", ping, [], a), relay("two", a, [], b)])
    assert await cns.query(ping.create_signal(3), b) == 3
    assert await cns.query([ping.create_signal(3), ping.create_signal(4)], b) == 3


@pytest.mark.anyio
async def test_query_returns_at_once_while_the_run_goes_on() -> None:
    gates = Gates()
    log: list[str] = []
    quick = relay("quick", ping, log, b)
    slow = neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))
    runs: list[Stimulation] = []
    cns = CNS([slow, quick])
    answer = await cns.query(ping.create_signal(3), b, on_response=lambda response: runs.append(response.stimulation))
    assert answer == 3
    assert not runs[0].done()
    await gates.open("slow")
    assert runs[0].outcome == "completed"


@pytest.mark.anyio
async def test_query_waits_for_a_reply_that_comes_later() -> None:
    gates = Gates()
    cns = slow_cns(gates, [])
    query = asyncio.ensure_future(cns.query(ping.create_signal(3), b))
    await settle()
    assert not query.done()
    await gates.open("slow 3")
    assert await query == 3


@pytest.mark.anyio
async def test_an_entry_signal_is_no_reply() -> None:
    with pytest.raises(NoReplyError, match="'ping'"):
        await CNS([sink("ears", ping, [])]).query(ping.create_signal(3), ping)


@pytest.mark.anyio
async def test_without_a_reply_query_raises_what_the_run_ended_with() -> None:
    def fail(payload: int) -> None:
        raise LookupError("lost")

    with pytest.raises(StimulationFailed) as caught:
        await CNS([neuron("bad").dendrite(collateral=ping, response=fail)]).query(ping.create_signal(1), b)
    assert caught.group_contains(LookupError)
    gates = Gates()
    with pytest.raises(StimulationTimeout):
        await slow_cns(gates, []).query(ping.create_signal(1), b, timeout=0.01)
    with pytest.raises(NoReplyError):
        await CNS([]).query(ping.create_signal(1), b)


@pytest.mark.anyio
async def test_a_reply_of_a_run_that_also_failed_is_a_reply() -> None:
    def fail(payload: int) -> None:
        raise LookupError("lost")

    errors: list[Any] = []
    cns = CNS([neuron("bad").dendrite(collateral=ping, response=fail), relay("good", ping, [], b)])
    assert await cns.query(ping.create_signal(3), b, on_response=lambda response: errors.append(response.error)) == 3
    assert len([error for error in errors if error]) == 1


@pytest.mark.anyio
async def test_cancelling_a_query_cancels_its_run() -> None:
    gates = Gates()
    log: list[str] = []
    query = asyncio.ensure_future(slow_cns(gates, log).query(ping.create_signal(3), b))
    await settle()
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    await settle()
    assert log == ["cancelled"]


@pytest.mark.anyio
async def test_a_falsy_payload_is_a_reply_too() -> None:
    nothing = collateral("nothing")
    cns = CNS(
        [neuron("one", {"nothing": nothing}).dendrite(collateral=ping, response=lambda _: nothing.create_signal())]
    )
    answer: Any = cns.query(ping.create_signal(1), nothing)
    assert await answer is None


def test_run_query_gives_the_reply_when_the_run_is_complete(run_loop: RunLoop) -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        await asyncio.sleep(0)
        log.append("slow")

    cns = CNS([relay("quick", ping, log, b), neuron("slow").dendrite(collateral=ping, response=wait)])
    assert cns.run_query(ping.create_signal(3), b) == 3
    assert log == ["quick", "slow"]
    with pytest.raises(NoReplyError):
        cns.run_query(ping.create_signal(3), a)
