"""Section 2 of the design: a run as a stream of responses."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from cnstra import (
    CNS,
    StimulationFailed,
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
async def test_stream_gives_every_response_in_order_and_ends_with_the_run() -> None:
    gates = Gates()
    seen: list[Any] = []
    cns = slow_cns(gates, [])

    async def read() -> None:
        async for response in cns.stream(ping.create_signal(3)):
            seen.append((response.neuron and response.neuron.name, response.final))

    reader = asyncio.ensure_future(read())
    await settle()
    assert seen == [(None, False)]
    await gates.open("slow 3")
    await reader
    assert seen == [(None, False), ("slow", False), ("relay", True)]


@pytest.mark.anyio
async def test_the_run_starts_with_the_stream_and_its_responses_wait_to_be_read() -> None:
    log: list[str] = []
    cns = CNS([relay("one", ping, log, a), relay("two", a, log, b)])
    stream = cns.stream(ping.create_signal(3))
    assert log == ["one", "two"]
    assert stream.stimulation.outcome == "completed"
    assert [response.hops async for response in stream] == [0, 1, 2]
    assert [response async for response in stream] == []


@pytest.mark.anyio
@pytest.mark.parametrize("buffer", [1, 2, 3])
async def test_with_a_buffer_a_response_that_nobody_has_room_for_is_a_barrier(buffer: int) -> None:
    log: list[str] = []
    count = neuron("count", {"ping": ping})

    @count.dendrite(ping)
    def down(payload: int) -> Any:
        log.append(str(payload))
        return ping.create_signal(payload - 1) if payload else None

    async with CNS([count]).stream(ping.create_signal(9), buffer=buffer) as stream:
        await settle()
        assert len(log) == buffer
        responses = [await anext(stream)]
        await settle()
        assert len(log) == buffer + 1
        responses += [response async for response in stream]
    assert len(responses) == 11
    assert len(log) == 10


@pytest.mark.anyio
async def test_stream_ends_by_raising_what_await_would() -> None:
    seen: list[Any] = []

    def fail(payload: int) -> None:
        raise LookupError("lost")

    async def read() -> None:
        cns = CNS([neuron("bad").dendrite(collateral=ping, response=fail)])
        async for response in cns.stream(ping.create_signal(1)):
            seen.append(repr(response.error))

    with pytest.raises(StimulationFailed) as caught:
        await read()
    assert caught.group_contains(LookupError)
    assert seen == ["None", "LookupError('lost')"]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["closing", "leaving", "leaving by an error", "dropping"])
async def test_closing_leaving_or_dropping_a_stream_cancels_the_run(how: str) -> None:
    gates = Gates()
    log: list[str] = []
    stream: Any = slow_cns(gates, log).stream(ping.create_signal(3))
    run = stream.stimulation
    first = await anext(stream)
    assert first.neuron is None
    if how == "closing":
        await stream.aclose()
        assert run.done()
        await stream.aclose()
    elif how == "leaving":
        async with stream:
            pass
        assert run.done()
    elif how == "leaving by an error":
        with pytest.raises(LookupError):
            async with stream:
                raise LookupError
        assert run.done()
    if how != "dropping":
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    del stream
    gc.collect()
    await settle()
    assert run.outcome == "aborted"
    assert log == ["cancelled"]


@pytest.mark.anyio
async def test_a_reader_that_is_cancelled_may_read_on() -> None:
    gates = Gates()
    stream = slow_cns(gates, []).stream(ping.create_signal(3))
    await anext(stream)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.001)
    await gates.open("slow 3")
    assert [response.hops async for response in stream] == [1, 2]


def test_a_stream_needs_a_loop() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        CNS([]).stream(ping.create_signal(1))
