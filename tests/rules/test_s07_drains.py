"""S7: drains, the batch boundaries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Context, Drain, StimulationFailed, collateral, neuron

from .gates import Gates, relay, sink

ping = collateral("ping", int)
a = collateral("a", int)


class BrokenError(Exception):
    """What listeners of these tests raise."""


def test_a_drain_comes_once_at_the_end_of_every_turn_the_last_included() -> None:
    log: list[str] = []
    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    run = cns.stimulate(ping.create_signal(1), on_drain=lambda drain: log.append("drain"))
    assert log == ["source", "end", "drain"]
    assert run.outcome == "completed"


def test_it_comes_after_the_responses_of_its_turn() -> None:
    log: list[str] = []
    CNS([sink("ears", ping, log)]).stimulate(
        ping.create_signal(1),
        on_response=lambda response: log.append("response"),
        on_drain=lambda drain: log.append("drain"),
    )
    assert log == ["response", "ears", "response", "drain"]


def test_a_run_that_causes_nothing_has_one() -> None:
    drains: list[Drain] = []
    CNS([]).stimulate([], on_drain=drains.append)
    CNS([]).activate([], on_drain=drains.append)
    assert len(drains) == 2


@pytest.mark.anyio
async def test_a_run_that_suspends_has_one_for_each_turn() -> None:
    gates = Gates()
    batches: list[list[int]] = [[]]
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return [a.create_signal(payload * 10), a.create_signal(payload * 10 + 1)]

    end = neuron("end")

    @end.dendrite(a)
    def collect(payload: int) -> None:
        batches[-1].append(payload)

    run = CNS([slow, end]).stimulate(
        [ping.create_signal(1), ping.create_signal(2)], on_drain=lambda drain: batches.append([])
    )
    await gates.open("slow 2")
    await gates.open("slow 1")
    await run
    assert batches == [[], [20, 21], [10, 11], []]


def test_the_local_one_comes_first_then_global_ones_in_order() -> None:
    log: list[str] = []
    cns = CNS([])
    cns.add_drain_listener(lambda drain: log.append("first"))
    remove = cns.add_drain_listener(lambda drain: log.append("second"))
    cns.stimulate(ping.create_signal(1), on_drain=lambda drain: log.append("local"))
    remove()
    remove()
    cns.stimulate(ping.create_signal(1))
    assert log == ["local", "first", "second", "first"]


def test_a_drain_says_where_its_run_stands() -> None:
    drains: list[Drain] = []
    run = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_drain=drains.append)
    (drain,) = drains
    assert (drain.stimulation, drain.queue_length, drain.pending_activations, drain.active_activations) == (
        run,
        0,
        0,
        0,
    )


def test_a_drain_tells_how_many_activations_there_have_been() -> None:
    last_ids: list[int] = []
    part, work = collateral("part", int), collateral("work", int)

    def enqueue(number: int, _: Any, ctx: Context[Any, Any]) -> None:
        if number == 1:
            ctx.stimulation.enqueue([ActivationTask(worker, work.create_signal(number))])

    worker = sink("worker", work, [])
    summer = neuron("summer").join(collateral=part, response=lambda _: None)
    cns = CNS([neuron("boss").dendrite(collateral=part, response=enqueue), summer, worker])
    cns.add_drain_listener(lambda drain: last_ids.append(drain.last_id))
    cns.stimulate([])
    # Two for each part, one that is enqueued, and the join that takes the parts over.
    cns.stimulate([part.create_signal(1), part.create_signal(2)])
    cns.activate([ActivationTask(worker, work.create_signal(0))])
    assert last_ids == [0, 6, 1]


def test_one_that_raises_makes_the_run_fail_and_the_others_are_still_called() -> None:
    log: list[str] = []
    errors = [BrokenError("local"), BrokenError("global")]

    def fail(drain: Drain) -> None:
        log.append("failed")
        raise errors[len(log) - 1]

    cns = CNS([sink("ears", ping, [])])
    cns.add_drain_listener(fail)
    cns.add_drain_listener(lambda drain: log.append("called"))
    run = cns.stimulate(ping.create_signal(1), on_drain=fail)
    assert log == ["failed", "failed", "called"]
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == tuple(errors)
    assert "drain listener" in errors[0].__notes__[0]
    assert (run.outcome, run.failed_tasks) == ("failed", [])


@pytest.mark.anyio
async def test_one_that_raises_in_an_early_turn_does_not_stop_the_run() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait("slow")
        return a.create_signal(payload)

    error = BrokenError()

    def fail_once(drain: Drain) -> None:
        if drain.active_activations:
            raise error

    run = CNS([slow, sink("end", a, log)]).stimulate(ping.create_signal(1), on_drain=fail_once)
    await gates.open("slow")
    assert log == ["end"]
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == (error,)


@pytest.mark.anyio
async def test_one_that_returns_an_awaitable_makes_the_run_fail_and_none_of_it_runs() -> None:
    log: list[str] = []

    async def asynchronous(drain: Drain) -> None:
        log.append("ran")

    bad: Any = asynchronous
    cns = CNS([])
    cns.add_drain_listener(lambda drain: log.append("called"))
    run = cns.stimulate(ping.create_signal(1), on_drain=bad)
    assert log == ["called"]
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert [type(error) for error in failure.exceptions] == [TypeError]
    assert "synchronous" in str(failure.exceptions[0])


@pytest.mark.anyio
async def test_an_awaitable_that_is_no_coroutine_is_refused_too() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    bad: Any = lambda drain: future  # noqa: E731
    run = CNS([]).stimulate(ping.create_signal(1), on_drain=bad)
    assert isinstance(run.exception(), StimulationFailed)
    assert not future.done(), "it is somebody else's"


def test_other_values_are_ignored() -> None:
    values: list[Any] = [3, [], "text", a.create_signal(1)]
    cns = CNS([sink("ears", ping, [])])
    for value in values:
        cns.add_drain_listener(lambda drain, value=value: value)  # type: ignore[misc]
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"


def test_a_run_that_is_started_inside_a_drain_listener_announces_its_own() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])

    def again(drain: Drain) -> None:
        log.append("drain")
        if len(log) < 6:
            assert cns.stimulate(ping.create_signal(1)).outcome == "completed"
            log.append("back")

    cns.add_drain_listener(again)
    cns.stimulate(ping.create_signal(1))
    assert log == ["ears", "drain", "ears", "drain", "ears", "drain", "back", "back"]


def test_a_drain_listener_that_is_added_during_a_drain_hears_the_next() -> None:
    log: list[str] = []
    cns = CNS([])

    def add(drain: Drain) -> None:
        log.append("first")
        cns.add_drain_listener(lambda drain: log.append("added"))

    cns.add_drain_listener(add)
    cns.stimulate(ping.create_signal(1))
    assert log == ["first"]
    cns.stimulate(ping.create_signal(1))
    assert log == ["first", "first", "added"]
