"""S10: cancel and timeout, which also cancel what is in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from cnstra import CNS, Response, Stimulation, StimulationAborted, StimulationTimeout, collateral, neuron

from .gates import Gates, ids, names, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


@pytest.mark.anyio
@pytest.mark.parametrize("passes", [0, 1, 10])
async def test_cancel_cancels_handlers_in_flight_and_returns_at_once(passes: int) -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("cancelled")
            await asyncio.sleep(0)
            log.append("unwound")
            raise

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait), sink("queued", ping, log)]).stimulate(
        ping.create_signal(1), concurrency=1
    )
    for _ in range(passes):
        await asyncio.sleep(0)
    run.cancel("enough")
    assert (log, run.done()) == ([], False)
    await settle()
    assert log == ["cancelled", "unwound"]
    assert aborted(run).reason == "enough"
    assert names(run.outstanding_tasks) == ["slow", "queued"]
    assert [(failure.aborted, failure.error) for failure in run.failed_tasks] == [(True, run.exception())] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("passes", [0, 1, 10])
async def test_what_a_cancelled_handler_waits_for_is_cancelled_too(passes: int) -> None:
    inner: list[asyncio.Task[None]] = []

    async def wait(payload: int) -> None:
        inner.append(asyncio.create_task(asyncio.sleep(3600)))
        await inner[0]

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    for _ in range(passes):
        await asyncio.sleep(0)
    run.cancel("enough")
    await settle()
    assert inner[0].cancelled()
    assert aborted(run).reason == "enough"


@pytest.mark.anyio
async def test_cancel_cancels_listeners_in_flight() -> None:
    log: list[str] = []

    async def listen(response: Response) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    cns = CNS([sink("parked", ping, log)])
    cns.add_response_listener(listen)
    run = cns.stimulate(ping.create_signal(1), on_response=listen)
    run.cancel("enough")
    await settle()
    assert log == ["unwound", "unwound"]
    assert aborted(run).reason == "enough"
    assert names(run.outstanding_tasks) == ["parked"]


@pytest.mark.anyio
@pytest.mark.parametrize("then", ["returns a signal", "fails", "raises another cancellation", "returns nothing"])
async def test_a_cancelled_activation_counts_as_aborted_whatever_it_does(then: str) -> None:
    log: list[str] = []
    responses: list[Response] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            log.append("cancelled")
            if then == "fails":
                raise LookupError("lost") from error
            if then == "raises another cancellation":
                raise asyncio.CancelledError from error
        return a.create_signal(1) if then == "returns a signal" else None

    run = CNS([slow, sink("child", a, log)]).stimulate(ping.create_signal(1), on_response=responses.append)
    run.cancel("enough")
    await settle()
    assert log == ["cancelled"]
    assert len(responses) == 1, "a cancelled activation gives no response"
    assert aborted(run).exceptions == ()
    assert [(names([failure]), failure.aborted) for failure in run.failed_tasks] == [(["slow"], True)]
    assert names(run.outstanding_tasks) == ["slow"]


@pytest.mark.anyio
async def test_the_run_ends_when_the_last_has_unwound() -> None:
    gates = Gates()

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await gates.wait(f"unwind {payload}")

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(
        [ping.create_signal(1), ping.create_signal(2)]
    )
    run.cancel()
    await settle()
    await gates.open("unwind 2")
    assert not run.done()
    await gates.open("unwind 1")
    assert run.outcome == "aborted"
    assert ids(run.failed_tasks) == [2, 1]
    assert ids(run.outstanding_tasks) == [1, 2]


@pytest.mark.anyio
async def test_a_second_cancel_does_not_disturb_what_is_unwinding() -> None:
    gates = Gates()
    log: list[str] = []

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await gates.wait("unwind")
            log.append("unwound")

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    run.cancel("first")
    await settle()
    run.cancel("second")
    await settle()
    await gates.open("unwind")
    assert (log, aborted(run).reason) == (["unwound"], "first")


@pytest.mark.anyio
async def test_cancel_after_abort_cancels_what_the_abort_had_let_run() -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    run.abort("enough")
    await settle()
    assert log == []
    run.cancel("now")
    await settle()
    assert (log, aborted(run).reason) == (["unwound"], "enough")


def test_a_sync_handler_that_cancels_its_run_counts_as_aborted() -> None:
    log: list[str] = []
    responses: list[Response] = []

    def stop(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.stimulation.cancel("enough")
        log.append("ran on")
        return axon.a.create_signal(1)

    cns = CNS([neuron("stop", {"a": a}).dendrite(collateral=ping, response=stop), sink("child", a, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert log == ["ran on"]
    assert len(responses) == 1
    assert aborted(run).reason == "enough"
    assert [(names([failure]), failure.aborted) for failure in run.failed_tasks] == [(["stop"], True)]


@pytest.mark.anyio
async def test_an_async_handler_that_cancels_its_run_in_its_first_step_is_cancelled_at_its_first_wait() -> None:
    log: list[str] = []

    async def stop(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.cancel("enough")
        log.append("ran on")
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    run = CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).stimulate(ping.create_signal(1))
    await settle()
    assert log == ["ran on", "unwound"]
    assert aborted(run).reason == "enough"
    assert names(run.outstanding_tasks) == ["stop"]


@pytest.mark.anyio
async def test_a_handler_that_cancels_its_run_after_a_wait_is_cancelled_at_its_next() -> None:
    log: list[str] = []

    async def stop(payload: int, axon: None, ctx: Any) -> None:
        await asyncio.sleep(0)
        ctx.stimulation.cancel("enough")
        log.append("ran on")
        await asyncio.sleep(3600)
        log.append("not reached")

    run = CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).stimulate(ping.create_signal(1))
    await settle()
    assert log == ["ran on"]
    assert aborted(run).reason == "enough"


@pytest.mark.anyio
async def test_a_cancelled_handler_gives_its_slot_back_when_it_has_unwound() -> None:
    gates = Gates()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        try:
            await gates.wait(f"slow {payload}")
        except asyncio.CancelledError:
            await gates.wait("unwind")
            raise

    cns = CNS([slow])
    first, second = cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))
    first.cancel()
    await settle()
    assert list(gates.waiting) == ["unwind"]
    await gates.open("unwind")
    assert first.done()
    assert list(gates.waiting) == ["slow 2"]
    await gates.open("slow 2")
    assert second.outcome == "completed"


@pytest.mark.anyio
async def test_a_worker_cannot_be_interrupted_and_the_run_ends_when_it_has_returned() -> None:
    entered, release = threading.Event(), threading.Event()
    heavy = neuron("heavy", {"a": a}, offload=True)

    @heavy.dendrite(ping)
    def work(payload: int) -> Any:
        entered.set()
        release.wait(60)
        return a.create_signal(1)

    log: list[str] = []
    run = CNS([heavy, sink("child", a, log)]).stimulate(ping.create_signal(1))
    entered.wait(60)
    run.cancel("enough")
    await settle()
    assert not run.done()
    release.set()
    with pytest.raises(StimulationAborted):
        await run
    assert (log, names(run.outstanding_tasks)) == ([], ["heavy"])


@pytest.mark.anyio
async def test_timeout_cancels_and_raises_a_stimulation_timeout() -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("unwound")

    cns = CNS([neuron("slow").dendrite(collateral=ping, response=wait), sink("queued", ping, log)])
    run = cns.stimulate(ping.create_signal(1), timeout=0.01, concurrency=1)
    with pytest.raises(StimulationTimeout, match=r"0\.01 s") as caught:
        await run
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, StimulationAborted)
    assert log == ["unwound"]
    assert run.outcome == "aborted"
    assert names(run.outstanding_tasks) == ["slow", "queued"]


@pytest.mark.anyio
async def test_a_run_that_only_waits_for_a_slot_times_out_at_once() -> None:
    gates = Gates()
    cns = CNS([neuron("slow", concurrency=1).dendrite(collateral=ping, response=lambda n: gates.wait(f"slow {n}"))])
    holder = cns.stimulate(ping.create_signal(1))
    with pytest.raises(StimulationTimeout):
        await cns.stimulate(ping.create_signal(2), timeout=0.01)
    await gates.open("slow 1")
    assert holder.outcome == "completed"
    assert gates.waiting == {}


@pytest.mark.anyio
async def test_a_run_that_ends_in_time_is_not_touched() -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))])
    run = cns.stimulate(ping.create_signal(1), timeout=3600)
    await gates.open("slow")
    await run
    assert run.outcome == "completed"


def test_without_a_loop_the_time_is_checked_when_a_handler_returns() -> None:
    log: list[str] = []

    def work(payload: int) -> None:
        log.append("worked")
        time.sleep(0.03)

    cns = CNS([neuron("heavy").dendrite(collateral=ping, response=work), sink("queued", ping, log)])
    run = cns.stimulate(ping.create_signal(1), timeout=0.01)
    assert isinstance(run.exception(), StimulationTimeout)
    assert log == ["worked"]
    assert names(run.outstanding_tasks) == ["queued"]


@pytest.mark.anyio
async def test_in_a_loop_the_time_is_also_checked_when_a_plain_handler_returns() -> None:
    log: list[str] = []

    def work(payload: int) -> None:
        log.append("worked")
        time.sleep(0.03)

    cns = CNS([neuron("heavy").dendrite(collateral=ping, response=work), sink("queued", ping, log)])
    run = cns.stimulate(ping.create_signal(1), timeout=0.01)
    assert run.done()
    assert isinstance(run.exception(), StimulationTimeout)
    assert log == ["worked"]


@pytest.mark.anyio
async def test_timeout_after_abort_cancels_and_the_abort_is_what_it_ends_with() -> None:
    async def wait(payload: int) -> None:
        await asyncio.sleep(3600)

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1), timeout=0.01)
    run.abort("enough")
    with pytest.raises(StimulationAborted, match="enough"):
        await run
    assert not isinstance(run.exception(), StimulationTimeout)
