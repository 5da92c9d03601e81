"""S9: cancellation from outside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, HandlerCancelledError, Response, Stimulation, StimulationAborted, collateral, neuron

from .gates import names, settle, sink

ping = collateral("ping", int)


a = collateral("a", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


@pytest.mark.anyio
async def test_a_handler_whose_task_is_cancelled_from_outside_aborts_the_run_with_that_as_reason() -> None:
    tasks: list[Any] = []
    log: list[str] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    run = CNS([slow, sink("queued", ping, log)]).stimulate(ping.create_signal(1), concurrency=1)
    await settle()
    tasks[0].cancel("stop it")
    with pytest.raises(StimulationAborted) as caught:
        await run
    assert isinstance(caught.value.reason, asyncio.CancelledError)
    assert caught.value.reason.args == ("stop it",)
    assert log == []
    assert [(failure.task.neuron.name, failure.aborted) for failure in run.failed_tasks] == [
        ("slow", True),
        ("queued", True),
    ]
    assert all(failure.error is run.exception() for failure in run.failed_tasks)


@pytest.mark.anyio
async def test_so_does_one_that_is_cancelled_before_the_first_pass_of_the_loop() -> None:
    tasks: list[Any] = []
    seen: list[str] = []

    async def wait(payload: int) -> None:
        tasks.append(asyncio.current_task())
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("unwound")

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    tasks[0].cancel()
    await settle()
    assert seen == ["cancelled", "unwound"]
    assert isinstance(aborted(run).reason, asyncio.CancelledError)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["raises in its first step", "is interrupted at its first wait"])
async def test_so_does_one_that_cancels_its_own_task(how: str) -> None:
    async def handle(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if how == "raises in its first step":
            raise asyncio.CancelledError
        await asyncio.sleep(3600)

    run = CNS([neuron("slow").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    await settle()
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert names(run.outstanding_tasks) == ["slow"]


@pytest.mark.anyio
async def test_a_cancellation_that_the_handler_survives_changes_nothing() -> None:
    tasks: list[Any] = []
    log: list[str] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            task.uncancel()
        return a.create_signal(payload)

    run = CNS([slow, sink("end", a, log)]).stimulate(ping.create_signal(1))
    tasks[0].cancel()
    await run
    assert log == ["end"]


@pytest.mark.anyio
async def test_a_listener_whose_task_is_cancelled_from_outside_aborts_the_run() -> None:
    tasks: list[Any] = []
    log: list[str] = []

    async def listen(response: Response) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    run = CNS([sink("parked", ping, log)]).stimulate(ping.create_signal(1), on_response=listen)
    tasks[0].cancel()
    with pytest.raises(StimulationAborted):
        await run
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert (log, names(run.failed_tasks)) == ([], ["parked"])


def test_any_other_cancelled_error_is_an_ordinary_failure() -> None:
    log: list[str] = []

    def handle(payload: int) -> None:
        raise asyncio.CancelledError("somebody else's")

    run = CNS([neuron("odd").dendrite(collateral=ping, response=handle), sink("next", ping, log)]).stimulate(
        ping.create_signal(1)
    )
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, HandlerCancelledError)
    assert isinstance(failure.error.__cause__, asyncio.CancelledError)
    assert "'odd'" in str(failure.error)
    assert "'ping'" in str(failure.error)
    assert failure.aborted is False
    assert (run.outcome, log) == ("failed", ["next"])


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["sync", "first step", "after a wait", "a cancelled future", "a cancelled task"])
async def test_so_it_is_in_a_loop(how: str) -> None:
    log: list[str] = []

    def odd(payload: int) -> Any:
        if how == "sync":
            raise asyncio.CancelledError
        return suspending()

    async def suspending() -> None:
        if how == "after a wait":
            await asyncio.sleep(0)
        if how == "a cancelled future":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        if how == "a cancelled task":
            task = asyncio.create_task(asyncio.sleep(3600))
            asyncio.get_running_loop().call_soon(task.cancel)
            await task
        raise asyncio.CancelledError

    cns = CNS([neuron("odd").dendrite(collateral=ping, response=odd), sink("next", ping, log)])
    run = cns.stimulate(ping.create_signal(1))
    with pytest.raises(ExceptionGroup):
        await run
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, HandlerCancelledError)
    assert isinstance(failure.error.__cause__, asyncio.CancelledError)
    assert (run.outcome, log) == ("failed", ["next"])
