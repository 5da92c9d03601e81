"""S14: ``max_hops`` bounds the length of a chain."""

from __future__ import annotations

from typing import Any

import pytest

from cnstra import CNS, ActivationTask, MaxHopsError, Response, StimulationFailed, collateral, neuron

from .gates import names, relay, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def circle(log: list[int]) -> CNS:
    """Two neurons that pass a signal to and fro for ever."""
    left, right = neuron("left", {"a": a}), neuron("right", {"b": b})

    @left.dendrite(ping, b)
    def to(payload: int) -> Any:
        log.append(payload)
        return a.create_signal(payload + 1)

    @right.dendrite(a)
    def fro(payload: int) -> Any:
        log.append(payload)
        return b.create_signal(payload + 1)

    return CNS([left, right])


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 1000])
def test_an_entry_activation_has_hop_1_and_each_that_it_causes_one_more(limit: int) -> None:
    log: list[int] = []
    run = circle(log).stimulate(ping.create_signal(1), max_hops=limit)
    assert log == list(range(1, limit + 1))
    (failure,) = run.failed_tasks
    assert failure.task.hop == limit + 1
    assert isinstance(failure.error, MaxHopsError)
    assert f"max_hops={limit}" in str(failure.error)
    assert repr(failure.task.neuron.name) in str(failure.error)
    assert repr(failure.task.collateral.name) in str(failure.error)


def test_a_chain_that_is_as_long_as_the_limit_completes() -> None:
    log: list[str] = []
    cns = CNS([relay("one", ping, log, a), relay("two", a, log, b), sink("three", b, log)])
    assert cns.stimulate(ping.create_signal(1), max_hops=3).outcome == "completed"
    run = cns.stimulate(ping.create_signal(1), max_hops=2)
    assert names(run.failed_tasks) == ["three"]


def test_without_a_limit_a_chain_is_as_long_as_it_is() -> None:
    log: list[int] = []
    count = neuron("count", {"ping": ping})

    @count.dendrite(ping)
    def down(payload: int) -> Any:
        log.append(payload)
        return ping.create_signal(payload - 1) if payload else None

    assert CNS([count]).stimulate(ping.create_signal(5000)).outcome == "completed"
    assert len(log) == 5001


def test_one_beyond_it_is_queued_like_others_and_fails_when_its_turn_comes_and_the_run_goes_on() -> None:
    log: list[str] = []
    responses: list[Response] = []
    cns = CNS([relay("one", ping, log, a), relay("two", ping, log, b), sink("far", a, log), sink("far too", b, log)])
    run = cns.stimulate(ping.create_signal(1), max_hops=1, on_response=responses.append)
    assert log == ["one", "two"], "nothing beyond the limit is entered"
    assert [(r.neuron and r.neuron.name, r.hops, type(r.error)) for r in responses[3:]] == [
        ("far", 2, MaxHopsError),
        ("far too", 2, MaxHopsError),
    ]
    assert run.outcome == "failed"
    assert names(run.outstanding_tasks) == ["far", "far too"]


@pytest.mark.anyio
async def test_nothing_is_raised_out_of_stimulate_and_awaiting_raises_the_failure() -> None:
    run = circle([]).stimulate(ping.create_signal(1), max_hops=5)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert caught.group_contains(MaxHopsError)


@pytest.mark.anyio
async def test_a_resumed_task_goes_on_from_its_own_hop() -> None:
    log: list[int] = []
    cns = circle(log)
    run = cns.stimulate(ping.create_signal(1), max_hops=3)
    assert log == [1, 2, 3]
    assert [task.hop for task in run.outstanding_tasks] == [4]
    same = cns.activate(run.outstanding_tasks, max_hops=3)
    assert log == [1, 2, 3], "it is still beyond the limit"
    assert isinstance(same.failed_tasks[0].error, MaxHopsError)
    more = cns.activate(run.outstanding_tasks, max_hops=5)
    assert log == [1, 2, 3, 4, 5]
    assert [task.hop for task in more.outstanding_tasks] == [6]
    for each in (run, same, more):
        each.exception()


def test_enqueued_tasks_keep_their_hop_too() -> None:
    log: list[str] = []
    ears = sink("ears", a, log)
    feeder = neuron("feeder")

    @feeder.dendrite(ping)
    def feed(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.enqueue([ActivationTask(ears, a.create_signal(n), hop=n) for n in (1, 2, 3)])

    run = CNS([feeder, ears]).stimulate(ping.create_signal(1), max_hops=2)
    assert log == ["ears", "ears"]
    assert [failure.task.hop for failure in run.failed_tasks] == [3]
