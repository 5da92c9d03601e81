"""S8: how a run ends, and what its failure says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from cnstra import CNS, Response, StimulationError, StimulationFailed, TaskFailure, collateral, neuron

from .gates import Gates, ids, names, relay, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def failing(name: str, error: BaseException, heard: Any = ping) -> Any:
    def fail(payload: int) -> None:
        raise error

    return neuron(name).dendrite(collateral=heard, response=fail)


def failure_of(run: Any) -> StimulationFailed:
    error = run.exception()
    assert isinstance(error, StimulationFailed)
    return error


def test_a_run_with_nothing_left_is_completed() -> None:
    run = CNS([relay("source", ping, [], a), sink("end", a, [])]).stimulate(ping.create_signal(1))
    assert (run.outcome, run.done(), run.exception()) == ("completed", True, None)
    assert (run.activation_tasks, run.failed_tasks, run.outstanding_tasks) == ([], [], [])
    run.raise_for_failure()


@pytest.mark.anyio
async def test_awaiting_a_completed_run_gives_none() -> None:
    run: Any = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1))
    assert await run is None


@pytest.mark.anyio
async def test_a_run_with_something_active_is_running() -> None:
    gates = Gates()
    run = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))]).stimulate(
        ping.create_signal(1)
    )
    assert (run.outcome, run.done()) == ("running", False)
    with pytest.raises(StimulationError, match="not ended"):
        run.exception()
    with pytest.raises(StimulationError, match="not ended"):
        run.raise_for_failure()
    await gates.open("slow")
    assert (run.outcome, run.done(), run.exception()) == ("completed", True, None)


def test_a_run_is_failed_if_an_activation_has_failed() -> None:
    error = LookupError("lost")
    run = CNS([failing("finder", error)]).stimulate(ping.create_signal(1))
    assert (run.outcome, run.done()) == ("failed", True)
    assert failure_of(run).exceptions == (error,)


def test_one_failing_branch_never_stops_the_others() -> None:
    log: list[str] = []
    cns = CNS(
        [
            failing("bad", LookupError()),
            relay("good", ping, log, a),
            failing("worse", KeyError(), a),
            sink("end", a, log),
        ]
    )
    run = cns.stimulate([ping.create_signal(1), ping.create_signal(2)])
    assert log == ["good", "good", "end", "end"]
    assert names(run.failed_tasks) == ["bad", "bad", "worse", "worse"]


def test_the_failure_is_an_exception_group_of_the_original_exceptions_in_order() -> None:
    errors = [LookupError("one"), ValueError("two"), ExceptionGroup("three", [OSError()])]
    run = CNS([failing(f"neuron {n}", error) for n, error in enumerate(errors)]).stimulate(ping.create_signal(1))
    failure = failure_of(run)
    assert isinstance(failure, ExceptionGroup)
    assert isinstance(failure, StimulationError)
    assert all(mine is theirs for mine, theirs in zip(failure.exceptions, errors, strict=True))
    assert "3 activations" in str(failure)


def test_except_star_and_split_and_derive_work_on_it() -> None:
    run = CNS([failing("one", LookupError("one")), failing("two", ValueError("two"))]).stimulate(ping.create_signal(1))
    caught: list[Any] = []
    try:
        run.raise_for_failure()
    except* LookupError as group:
        caught.append(group)
    except* ValueError as group:
        caught.append(group)
    assert [type(group) for group in caught] == [StimulationFailed, StimulationFailed]
    matching, rest = failure_of(run).split(ValueError)
    assert isinstance(matching, StimulationFailed)
    assert isinstance(rest, StimulationFailed)
    assert [str(error) for error in rest.exceptions] == ["one"]
    assert isinstance(failure_of(run).subgroup(LookupError), StimulationFailed)
    assert isinstance(failure_of(run).derive([OSError()]), StimulationFailed)


def test_each_exception_has_a_note_that_names_neuron_collateral_and_hop() -> None:
    error = LookupError("lost")
    CNS([relay("source", ping, [], a), failing("finder", error, a)]).stimulate(ping.create_signal(1)).exception()
    (note,) = error.__notes__
    assert "'finder'" in note
    assert "'a'" in note
    assert "hop 2" in note


def test_a_note_is_added_at_most_once_to_an_exception_that_is_raised_again_and_again() -> None:
    error = LookupError("lost")
    error.add_note("mine")
    cns = CNS([failing("one", error), failing("two", error)])
    for _ in range(3):
        assert failure_of(cns.stimulate(ping.create_signal(1))).exceptions == (error, error)
    assert len(error.__notes__) == 2
    assert error.__notes__[0] == "mine"


def test_an_exception_that_goes_through_two_runs_has_the_note_of_the_first() -> None:
    error = LookupError("lost")
    inner = CNS([failing("inner", error)])

    def call(payload: int) -> None:
        run = inner.stimulate(ping.create_signal(payload))
        raise failure_of(run).exceptions[0]

    CNS([neuron("outer").dendrite(collateral=ping, response=call)]).stimulate(ping.create_signal(1)).exception()
    (note,) = error.__notes__
    assert "'inner'" in note


@dataclass(frozen=True)
class FrozenError(Exception):
    """An exception that refuses notes."""

    code: int


class NotesError(Exception):
    """An exception that uses the name for something else."""

    __notes__ = 3  # type: ignore[assignment]


@pytest.mark.parametrize("error", [FrozenError(4), NotesError()], ids=repr)
def test_an_exception_that_cannot_be_annotated_is_told_as_it_is(error: Exception) -> None:
    log: list[str] = []

    def listener(response: Response) -> None:
        if response.neuron is None:
            raise error

    cns = CNS([failing("bad", error), sink("good", ping, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=listener)
    assert run.outcome == "failed"
    assert failure_of(run).exceptions == (error, error)
    assert log == ["good"]


def test_failed_tasks_has_the_same_as_data() -> None:
    error = LookupError("lost")
    run = CNS([relay("source", ping, [], a), failing("finder", error, a)]).stimulate(ping.create_signal(7))
    (failure,) = run.failed_tasks
    assert isinstance(failure, TaskFailure)
    assert failure.error is error
    assert failure.aborted is False
    task = failure.task
    assert (task.neuron.name, task.collateral, task.signal.payload) == ("finder", a, 7)
    assert (task.dendrite, task.hop, task.id, task.cause) == (0, 2, 2, 1)


@pytest.mark.anyio
async def test_failures_are_in_the_order_in_which_they_occurred() -> None:
    gates = Gates()

    async def fail(payload: int) -> None:
        await gates.wait(f"fail {payload}")
        raise LookupError(payload)

    cns = CNS([neuron("slow").dendrite(collateral=ping, response=fail)])
    run = cns.stimulate([ping.create_signal(n) for n in range(3)])
    for n in (2, 0, 1):
        await gates.open(f"fail {n}")
    assert [str(error) for error in failure_of(run).exceptions] == ["2", "0", "1"]
    assert ids(run.failed_tasks) == [3, 1, 2]


@pytest.mark.anyio
async def test_every_await_raises_the_same_failure() -> None:
    run = CNS([failing("finder", LookupError("lost"))]).stimulate(ping.create_signal(1))
    caught = []
    for _ in range(2):
        with pytest.raises(StimulationFailed) as info:
            await run
        caught.append(info.value)
    with pytest.raises(StimulationFailed) as info:
        run.raise_for_failure()
    assert caught == [run.exception()] * 2
    assert info.value is run.exception()


@pytest.mark.anyio
async def test_many_may_await_one_run() -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))])
    run = cns.stimulate(ping.create_signal(1))

    async def wait() -> str:
        try:
            await run
        except StimulationFailed as failure:
            return repr(failure.exceptions)
        return "completed"

    waiters = [asyncio.create_task(wait()) for _ in range(5)]
    await settle()
    await gates.fail("slow", LookupError("lost"))
    assert await asyncio.gather(*waiters) == ["(LookupError('lost'),)"] * 5


@pytest.mark.anyio
async def test_cancelling_one_who_awaits_does_not_touch_the_run() -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))])
    run = cns.stimulate(ping.create_signal(1))

    async def wait() -> None:
        await run

    waiter = asyncio.create_task(wait())
    await settle()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.001)
    assert not run.done()
    await gates.open("slow")
    await run
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_an_async_failure_has_a_traceback_into_its_handler() -> None:
    async def fail(payload: int) -> None:
        await asyncio.sleep(0)
        raise LookupError("lost")

    run = CNS([neuron("finder").dendrite(collateral=ping, response=fail)]).stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed) as caught:
        await run
    traceback = caught.value.exceptions[0].__traceback__
    functions = []
    while traceback is not None:
        functions.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert functions[-1] == "fail"
