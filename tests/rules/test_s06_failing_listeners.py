"""S6: response listeners that fail."""

from __future__ import annotations

import asyncio

import pytest

from cnstra import (
    CNS,
    HandlerCancelledError,
    NoEventLoopError,
    Response,
    StimulationError,
    StimulationFailed,
    collateral,
    neuron,
)

from .gates import relay, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def is_entry(response: Response) -> bool:
    return response.neuron is None


class BrokenError(Exception):
    """What listeners of these tests raise."""


def test_a_failing_listener_makes_the_run_fail_after_everything_else_has_run() -> None:
    log: list[str] = []
    error = BrokenError()

    def fail(response: Response) -> None:
        if is_entry(response):
            raise error

    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    cns.add_response_listener(lambda response: log.append("other listener"))
    run = cns.stimulate(ping.create_signal(1), on_response=fail)
    assert log == ["other listener", "source", "other listener", "end", "other listener"]
    assert run.outcome == "failed"
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == (error,)
    assert "response listener" in error.__notes__[0]
    assert run.failed_tasks == []
    assert run.outstanding_tasks == []


@pytest.mark.anyio
@pytest.mark.parametrize("suspends", [False, True])
async def test_so_does_one_that_fails_asynchronously_its_own_parked_activations_included(suspends: bool) -> None:
    log: list[str] = []
    error = BrokenError()

    async def fail(response: Response) -> None:
        if is_entry(response):
            if suspends:
                await asyncio.sleep(0)
            raise error

    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=fail)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert caught.value.exceptions == (error,)
    assert log == ["source", "end"]


def test_every_failing_listener_is_told_in_order_with_failing_activations() -> None:
    errors = [BrokenError(n) for n in range(3)]

    def fail_at_entry(response: Response) -> None:
        if is_entry(response):
            raise errors[0]

    def fail_later(response: Response) -> None:
        if not is_entry(response):
            raise errors[2]

    def fail(payload: int) -> None:
        raise errors[1]

    cns = CNS([neuron("failing").dendrite(collateral=ping, response=fail)])
    cns.add_response_listener(fail_at_entry)
    run = cns.stimulate(ping.create_signal(1), on_response=fail_later)
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == tuple(errors)
    assert [each.error for each in run.failed_tasks] == [errors[1]]


def test_a_listener_that_fails_at_the_last_response_makes_a_completed_run_fail() -> None:
    def fail(response: Response) -> None:
        if response.final:
            raise BrokenError

    run = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_response=fail)
    assert run.outcome == "failed"
    assert isinstance(run.exception(), StimulationFailed)


def test_an_async_listener_without_a_loop_makes_the_run_fail_before_any_of_its_code_runs() -> None:
    log: list[str] = []

    async def listener(response: Response) -> None:
        log.append("listener")

    run = CNS([sink("ears", ping, log)]).stimulate(ping.create_signal(1), on_response=listener)
    assert log == ["ears"]
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert [type(each) for each in failure.exceptions] == [NoEventLoopError] * 2
    assert isinstance(failure.exceptions[0], RuntimeError)


@pytest.mark.anyio
async def test_a_listener_that_awaits_its_own_run_is_told_so() -> None:
    async def listener(response: Response) -> None:
        await response.stimulation

    run = CNS([]).stimulate(ping.create_signal(1), on_response=listener)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert [type(error) for error in caught.value.exceptions] == [StimulationError]


@pytest.mark.anyio
async def test_a_cancelled_error_that_leaves_a_listener_is_wrapped() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()

    async def listener(response: Response) -> None:
        await future

    run = CNS([]).stimulate(ping.create_signal(1), on_response=listener)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert [type(error) for error in caught.value.exceptions] == [HandlerCancelledError]
    assert isinstance(caught.value.exceptions[0].__cause__, asyncio.CancelledError)
