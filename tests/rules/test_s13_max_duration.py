"""S13: ``max_duration``, from the entry of a handler."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from cnstra import CNS, MaxDurationError, Response, Stimulation, collateral, neuron

from .gates import Gates, names, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def late(run: Stimulation) -> MaxDurationError:
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, MaxDurationError)
    assert failure.aborted is False
    return failure.error


async def ended(run: Stimulation) -> None:
    """Wait until the run has ended, however."""
    with pytest.raises(ExceptionGroup):
        await run


@pytest.mark.anyio
async def test_a_handler_that_takes_too_long_is_cancelled_and_its_activation_fails() -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    slow = neuron("slow", max_duration=0.01).dendrite(collateral=ping, response=wait)
    run = CNS([slow, sink("next", ping, log)]).stimulate(ping.create_signal(1))
    await ended(run)
    assert log == ["next", "unwound"]
    error = late(run)
    assert isinstance(error, TimeoutError)
    assert all(told in str(error) for told in ("'slow'", "'ping'", "0.01 s"))
    assert names(run.outstanding_tasks) == ["slow"]


@pytest.mark.anyio
@pytest.mark.parametrize("then", ["a signal", "an error", "another cancellation"])
async def test_what_it_does_after_that_is_dropped(then: str) -> None:
    log: list[str] = []
    responses: list[Response] = []
    slow = neuron("slow", {"a": a}, max_duration=0.01)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            if then == "an error":
                raise LookupError("lost") from error
            if then == "another cancellation":
                raise asyncio.CancelledError from error
        return a.create_signal(1)

    run = CNS([slow, sink("child", a, log)]).stimulate(ping.create_signal(1), on_response=responses.append)
    await ended(run)
    assert log == []
    assert [(response.output_signal, response.error) for response in responses[1:]] == [(None, late(run))]
    assert run.outcome == "failed"


@pytest.mark.anyio
async def test_it_is_awaited_until_it_has_unwound_and_gives_its_slot_back_then() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", max_duration=0.01, concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        log.append(f"start {payload}")
        if payload == 1:
            try:
                await asyncio.sleep(3600)
            finally:
                unwinding.set()
                await gates.wait("unwind")
                log.append("unwound")

    unwinding = asyncio.Event()
    cns = CNS([slow])
    first, second = cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))
    await unwinding.wait()
    await settle()
    assert log == ["start 1"]
    assert not first.done()
    await gates.open("unwind")
    assert log == ["start 1", "unwound", "start 2"]
    late(first)
    await second


@pytest.mark.anyio
async def test_time_in_line_for_a_slot_does_not_count() -> None:
    gates = Gates()
    slow = neuron("slow", concurrency=1, max_duration=0.2)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        await gates.wait(f"slow {payload}")

    cns = CNS([slow])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(4)]
    # Together they take longer than one of them may.
    for n in range(4):
        await asyncio.sleep(0.1)
        await gates.open(f"slow {n}")
    assert [run.outcome for run in runs] == ["completed"] * 4


@pytest.mark.anyio
async def test_a_handler_that_finishes_in_time_is_not_touched() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", {"a": a}, max_duration=3600)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait("slow")
        return a.create_signal(1)

    run = CNS([slow, sink("child", a, log)]).stimulate(ping.create_signal(1))
    await gates.open("slow")
    assert (run.outcome, log) == ("completed", ["child"])


@pytest.mark.anyio
async def test_each_activation_has_the_whole_time() -> None:
    slow = neuron("slow", {"a": a}, max_duration=0.5)
    heard: list[int] = []

    @slow.dendrite(a)
    async def wait(payload: int) -> Any:
        heard.append(payload)
        await asyncio.sleep(0.01)
        return a.create_signal(payload - 1) if payload else None

    await CNS([slow]).stimulate(a.create_signal(3))
    assert heard == [3, 2, 1, 0]


def test_a_plain_function_keeps_its_slot_until_it_returns_and_fails_after_the_fact() -> None:
    log: list[str] = []
    slow = neuron("slow", {"a": a}, max_duration=0.005)

    @slow.dendrite(ping)
    def work(payload: int) -> Any:
        time.sleep(0.02)
        log.append("worked")
        return a.create_signal(1)

    run = CNS([slow, sink("child", a, log), sink("next", ping, log)]).stimulate(ping.create_signal(1))
    assert log == ["worked", "next"]
    assert run.outcome == "failed"
    late(run)


def test_one_that_fails_late_has_its_own_error_as_the_cause() -> None:
    error = LookupError("lost")

    def work(payload: int) -> None:
        time.sleep(0.02)
        raise error

    slow = neuron("slow", max_duration=0.005).dendrite(collateral=ping, response=work)
    assert late(CNS([slow]).stimulate(ping.create_signal(1))).__cause__ is error


@pytest.mark.anyio
async def test_an_offloaded_one_too() -> None:
    release = threading.Event()
    log: list[str] = []
    slow = neuron("slow", {"a": a}, max_duration=0.005, offload=True, concurrency=1)

    @slow.dendrite(ping)
    def work(payload: int) -> Any:
        if payload == 1:
            assert release.wait(60)
        return a.create_signal(payload)

    ends = neuron("end").dendrite(collateral=a, response=lambda payload: log.append(f"end {payload}"))
    cns = CNS([slow, ends])
    first, second = cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))
    await asyncio.sleep(0.02)
    assert not first.done()
    assert not second.done(), "the slot is kept"
    release.set()
    await ended(first)
    late(first)
    await second
    assert log == ["end 2"]


def test_an_offloaded_one_without_a_loop_too() -> None:
    log: list[str] = []

    def work(payload: int) -> None:
        time.sleep(0.02)
        log.append("worked")

    slow = neuron("slow", max_duration=0.005, offload=True).dendrite(collateral=ping, response=work)
    run = CNS([slow]).stimulate(ping.create_signal(1))
    assert log == ["worked"]
    late(run)


@pytest.mark.anyio
async def test_an_async_handler_that_blocks_in_its_first_step_and_finishes_there_fails_after_the_fact() -> None:
    async def work(payload: int) -> None:
        time.sleep(0.02)  # noqa: ASYNC251

    slow = neuron("slow", max_duration=0.005).dendrite(collateral=ping, response=work)
    late(CNS([slow]).stimulate(ping.create_signal(1)))


@pytest.mark.anyio
async def test_one_that_blocks_in_its_first_step_and_then_waits_is_cancelled() -> None:
    log: list[str] = []

    async def work(payload: int) -> None:
        time.sleep(0.02)  # noqa: ASYNC251
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    slow = neuron("slow", max_duration=0.005).dendrite(collateral=ping, response=work)
    run = CNS([slow]).stimulate(ping.create_signal(1))
    await ended(run)
    assert log == ["unwound"]
    late(run)


@pytest.mark.anyio
async def test_cancelling_the_run_while_a_late_handler_unwinds_leaves_it_late_or_aborted_but_ends() -> None:
    gates = Gates()
    unwinding = asyncio.Event()

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            unwinding.set()
            await gates.wait("unwind")

    slow = neuron("slow", max_duration=0.01).dendrite(collateral=ping, response=wait)
    run = CNS([slow]).stimulate(ping.create_signal(1))
    await unwinding.wait()
    run.abort("enough")
    await gates.open("unwind")
    assert run.outcome == "aborted"
    assert names(run.outstanding_tasks) == ["slow"]


@pytest.mark.anyio
async def test_the_limit_is_that_of_the_neuron_and_others_take_as_long_as_they_like() -> None:
    gates = Gates()
    strict = neuron("strict", max_duration=0.01).dendrite(collateral=ping, response=lambda _: asyncio.sleep(3600))
    free = neuron("free").dendrite(collateral=ping, response=lambda _: gates.wait("free"))
    failed = asyncio.Event()

    def on_response(response: Response) -> None:
        if response.error:
            failed.set()

    run = CNS([strict, free]).stimulate(ping.create_signal(1), on_response=on_response)
    await failed.wait()
    assert not run.done()
    await gates.open("free")
    assert names(run.failed_tasks) == ["strict"]
