"""Section 2 of the design: query, stream, the block of a CNS, and middleware, where no rule is theirs alone."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from cnstra import (
    CNS,
    NoReplyError,
    Response,
    Signal,
    Stimulation,
    StimulationAborted,
    StimulationFailed,
    StimulationTimeout,
    collateral,
    neuron,
)

from ..conftest import RunLoop
from .gates import Gates, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def slow_cns(gates: Gates, log: list[str]) -> CNS:
    """A neuron that waits at a gate and then emits on a, which is relayed to b."""
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Signal[int]:
        try:
            await gates.wait(f"slow {payload}")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return a.create_signal(payload)

    return CNS([slow, relay("relay", a, log, b)])


# -- query


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


# -- stream


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


# -- async with cns


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


# -- middleware


def test_middleware_is_called_once_per_dendrite_when_the_graph_is_compiled_first_one_outermost() -> None:
    log: list[str] = []

    def layer(name: str) -> Any:
        def wrap(dendrite: Any, handler: Any) -> Any:
            log.append(f"{name} wraps {dendrite.neuron.name} on {dendrite.collateral.name}")

            def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
                log.append(f"{name} before")
                result = handler(payload, axon, ctx)
                log.append(f"{name} after")
                return result

            return wrapped

        return wrap

    one = neuron("one").dendrite(collateral=ping, response=lambda _: log.append("handler"))
    one.dendrite(collateral=a, response=lambda n, axon, ctx: log.append(f"handler of {ctx.task.neuron.name}"))
    cns = CNS([one], middleware=[layer("outer"), layer("inner")])
    assert sorted(log) == [f"{name} wraps one on {each}" for name in ("inner", "outer") for each in ("a", "ping")]
    log.clear()
    cns.stimulate(ping.create_signal(1))
    cns.stimulate(a.create_signal(1))
    around = [
        ["outer before", "inner before", middle, "inner after", "outer after"]
        for middle in ("handler", "handler of one")
    ]
    assert log == around[0] + around[1]


@pytest.mark.anyio
async def test_middleware_may_make_a_handler_asynchronous_or_replace_it() -> None:
    log: list[str] = []

    def retry(dendrite: Any, handler: Any) -> Any:
        async def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            for _ in range(3):
                try:
                    result = handler(payload, axon, ctx)
                    return await result if asyncio.iscoroutine(result) else result
                except LookupError:
                    await asyncio.sleep(0)
            return None

        return wrapped

    async def flaky(payload: int) -> Any:
        log.append("tried")
        if len(log) < 3:
            raise LookupError
        return a.create_signal(payload)

    one = neuron("one", {"a": a}).dendrite(collateral=ping, response=flaky)
    cns = CNS([one, sink("end", a, log)], middleware=[retry])
    await cns.stimulate(ping.create_signal(1))
    assert log == ["tried"] * 3 + ["end"]
    double = CNS([one, sink("end", a, log)], middleware=[lambda dendrite, handler: lambda payload, axon, ctx: None])
    await double.stimulate(ping.create_signal(1))
    assert len(log) == 4


def test_async_middleware_is_refused_without_a_loop_before_any_of_its_code_runs() -> None:
    log: list[str] = []

    def wrap(dendrite: Any, handler: Any) -> Any:
        async def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            log.append("ran")

        return wrapped

    run = CNS([sink("ears", ping, log)], middleware=[wrap]).stimulate(ping.create_signal(1))
    assert (run.outcome, log) == ("failed", [])
    assert "'ears'" in str(run.failed_tasks[0].error)


def test_what_middleware_returns_is_checked_like_any_result() -> None:
    def wrap(dendrite: Any, handler: Any) -> Any:
        return lambda payload, axon, ctx: 3

    run = CNS([sink("ears", ping, [])], middleware=[wrap]).stimulate(ping.create_signal(1))
    assert "int" in str(run.failed_tasks[0].error)


@pytest.mark.parametrize("result", [None, 3, "handler"])
def test_middleware_that_returns_no_handler_is_a_type_error_when_the_graph_is_compiled(result: Any) -> None:
    with pytest.raises(TypeError, match="middleware"):
        CNS([sink("ears", ping, [])], middleware=[lambda dendrite, handler: result])
    with pytest.raises(TypeError, match="middleware"):
        CNS([sink("ears", ping, [])], middleware=[result])


def test_middleware_that_raises_raises_out_of_the_compiling() -> None:
    def wrap(dendrite: Any, handler: Any) -> Any:
        raise LookupError("broken")

    log: list[str] = []
    ears = sink("ears", ping, log)
    with pytest.raises(LookupError, match="broken"):
        CNS([ears], middleware=[wrap])
    ears.dendrite(collateral=a, response=lambda _: log.append("a"))
    CNS([ears]).stimulate(a.create_signal(1))
    assert log == ["a"]


def test_a_response_has_what_listeners_need() -> None:
    """The list of the design, so that none is forgotten."""
    seen: list[Response] = []
    CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_response=seen.append)
    wanted = (
        "task neuron input_signal output_signal output_index output_count caused error hops queue_length "
        "pending_activations active_activations context_value stimulation final"
    )
    for response in seen:
        for name in wanted.split():
            getattr(response, name)


def test_an_aborted_stimulation_tells_its_reason() -> None:
    def stop(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort("enough")

    with pytest.raises(StimulationAborted) as caught:
        CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).run(ping.create_signal(1))
    assert caught.value.reason == "enough"
