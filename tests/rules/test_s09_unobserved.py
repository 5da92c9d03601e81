"""S9: a failure that nobody looked at is logged when its run is collected."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, Response, Stimulation, StimulationFailed, StimulationGate, collateral, neuron

from .gates import Gates, settle

ping = collateral("ping", int)
a = collateral("a", int)


def failing_cns() -> CNS:
    def fail(payload: int) -> None:
        raise LookupError("lost")

    return CNS([neuron("finder").dendrite(collateral=ping, response=fail)])


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the collected runs had to say; it is taken off the log."""
    gc.collect()
    records = [record for record in caplog.records if record.name == "cnstra"]
    caplog.clear()
    return records


def test_a_failure_that_nobody_looked_at_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    failing_cns().stimulate(ping.create_signal(1))
    gc.collect()
    assert "in fail" in caplog.text
    assert "LookupError: lost" in caplog.text
    assert "'finder'" in caplog.text
    (record,) = logged(caplog)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], StimulationFailed)


def test_it_is_logged_when_the_run_is_collected_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    run = failing_cns().stimulate(ping.create_signal(1))
    assert run.outcome == "failed"
    assert run.done()
    assert "failed" in repr(run)
    assert len(run.outstanding_tasks) == 1
    assert logged(caplog) == []
    del run
    assert len(logged(caplog)) == 1


def look_at_failed_tasks(run: Stimulation) -> None:
    assert run.failed_tasks


def raise_for_failure(run: Stimulation) -> None:
    with pytest.raises(StimulationFailed):
        run.raise_for_failure()


def exception(run: Stimulation) -> None:
    assert run.exception()


@pytest.mark.parametrize("look", [look_at_failed_tasks, raise_for_failure, exception])
def test_a_failure_that_somebody_looked_at_is_not(
    look: Callable[[Stimulation], None], caplog: pytest.LogCaptureFixture
) -> None:
    look(failing_cns().stimulate(ping.create_signal(1)))
    assert logged(caplog) == []


@pytest.mark.anyio
async def test_neither_is_one_that_was_awaited(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StimulationFailed):
        await failing_cns().stimulate(ping.create_signal(1))
    assert logged(caplog) == []


@pytest.mark.anyio
async def test_neither_is_one_that_somebody_was_awaiting_when_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    gates = Gates()
    run = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))]).stimulate(
        ping.create_signal(1)
    )
    gates.waiting["slow"].set_exception(LookupError("lost"))
    with pytest.raises(StimulationFailed):
        await run
    del run
    assert logged(caplog) == []


def test_neither_is_one_whose_error_was_given_to_a_local_listener(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Any] = []
    failing_cns().stimulate(ping.create_signal(1), on_response=lambda response: errors.append(response.error))
    assert isinstance(errors[-1], LookupError)
    assert logged(caplog) == []


def test_a_global_listener_is_not_enough(caplog: pytest.LogCaptureFixture) -> None:
    cns = failing_cns()
    errors: list[str] = []
    cns.add_response_listener(lambda response: errors.append(repr(response.error)))
    cns.stimulate(ping.create_signal(1))
    assert errors[-1] == "LookupError('lost')"
    assert len(logged(caplog)) == 1


def test_a_local_listener_that_was_given_no_error_is_not_enough(caplog: pytest.LogCaptureFixture) -> None:
    def fail(response: Response) -> None:
        raise LookupError("lost")

    CNS([]).stimulate(ping.create_signal(1), on_response=fail)
    assert len(logged(caplog)) == 1


def test_failed_tasks_that_were_looked_at_before_the_failure_are_enough(caplog: pytest.LogCaptureFixture) -> None:
    def fail(payload: int, axon: None, ctx: Any) -> None:
        assert ctx.stimulation.failed_tasks == []
        raise LookupError("lost")

    CNS([neuron("finder").dendrite(collateral=ping, response=fail)]).stimulate(ping.create_signal(1))
    assert logged(caplog) == []


def test_an_aborted_run_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort()
        raise LookupError("lost")

    CNS([neuron("finder").dendrite(collateral=ping, response=fail)]).stimulate(ping.create_signal(1))
    assert logged(caplog) == []


def test_a_completed_run_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    CNS([]).stimulate(ping.create_signal(1))
    assert logged(caplog) == []


@pytest.mark.anyio
async def test_a_run_that_nobody_holds_is_logged_when_it_fails_later(caplog: pytest.LogCaptureFixture) -> None:
    gates = Gates()
    CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))]).stimulate(
        ping.create_signal(1)
    )
    gc.collect()
    await gates.fail("slow", LookupError("lost"))
    assert len(logged(caplog)) == 1


def asking(gates: Gates, *, answer: bool) -> CNS:
    """A neuron that may answer on ``a``, beside one that fails at a gate."""
    answering = neuron("answering", {"a": a})
    answering.dendrite(collateral=ping, response=lambda _: a.create_signal(1) if answer else None)
    return CNS([answering, neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))])


@pytest.mark.anyio
async def test_a_query_that_was_answered_has_not_seen_what_failed_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    gates = Gates()
    assert await asking(gates, answer=True).query(ping.create_signal(1), a) == 1
    await gates.fail("slow", LookupError("lost"))
    assert len(logged(caplog)) == 1


@pytest.mark.anyio
async def test_a_query_that_raises_the_failure_has_seen_it(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StimulationFailed):
        await failing_cns().query(ping.create_signal(1), a)
    assert logged(caplog) == []


@pytest.mark.anyio
async def test_a_stream_that_raises_the_failure_has_seen_it(caplog: pytest.LogCaptureFixture) -> None:
    async def read() -> None:
        async for response in failing_cns().stream(ping.create_signal(1)):
            assert response.neuron is None or response.error

    with pytest.raises(StimulationFailed):
        await read()
    assert logged(caplog) == []


def test_what_a_gate_runs_is_logged_like_any_other_run(caplog: pytest.LogCaptureFixture) -> None:
    gate = StimulationGate(failing_cns(), ping.create_signal(1))
    gate.drain()
    assert logged(caplog) == [], "the gate holds its last run"
    del gate
    assert len(logged(caplog)) == 1


@pytest.mark.anyio
async def test_waiting_for_a_cns_at_the_end_of_a_block_is_not_looking(caplog: pytest.LogCaptureFixture) -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))])
    async with cns:
        cns.stimulate(ping.create_signal(1))
        await settle()
        gates.waiting["slow"].set_exception(LookupError("lost"))
    assert len(logged(caplog)) == 1
