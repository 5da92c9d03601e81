"""S17: activate, enqueue, and the frontier of a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    ActivationTask,
    Drain,
    Response,
    Stimulation,
    StimulationError,
    UnknownSubscriberError,
    collateral,
    neuron,
)

from .gates import Gates, ids, names, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def test_activate_runs_tasks_without_an_entry() -> None:
    responses: list[Response] = []
    log: list[str] = []
    cns = CNS([relay("one", ping, log, a), sink("two", a, log)])
    run = cns.activate([ActivationTask(cns.neurons[1], a.create_signal(1))], on_response=responses.append)
    assert (run.outcome, log) == ("completed", ["two"])
    assert [response.neuron for response in responses] == [cns.neurons[1]], "there is no response of an entry"
    assert [(response.hops, response.final) for response in responses] == [(1, True)]


def test_activate_counts_all_tasks_before_the_first_starts() -> None:
    seen: list[int] = []
    one = neuron("one").dendrite(
        collateral=ping, response=lambda n, axon, ctx: seen.append(len(ctx.stimulation.activation_tasks))
    )
    tasks = [ActivationTask(one, ping.create_signal(n)) for n in range(3)]
    pending: list[int] = []
    CNS([one]).activate(tasks, on_response=lambda response: pending.append(response.pending_activations))
    assert seen == [3, 2, 1]
    assert pending == [2, 1, 0]


@pytest.mark.anyio
async def test_enqueue_counts_all_tasks_before_the_first_starts() -> None:
    gates = Gates()
    pending: list[int] = []
    slow = neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))
    ears = sink("ears", a, [])
    run = CNS([slow, ears]).stimulate(
        ping.create_signal(1), on_response=lambda response: pending.append(response.pending_activations)
    )
    run.enqueue([ActivationTask(ears, a.create_signal(n)) for n in range(3)])
    assert pending == [1, 2, 1, 0]
    await gates.open("slow")
    assert run.outcome == "completed"


def test_a_task_means_one_dendrite() -> None:
    log: list[str] = []
    both = neuron("both")
    both.dendrite(collateral=a, response=lambda _: log.append("a, 0"))
    both.dendrite(collateral=ping, response=lambda _: log.append("ping, 0"))
    both.dendrite(collateral=ping, response=lambda _: log.append("ping, 1"))
    cns = CNS([both, sink("other", ping, log)])
    cns.activate([ActivationTask(both, ping.create_signal(1), dendrite=1), ActivationTask(both, a.create_signal(1))])
    assert log == ["ping, 1", "a, 0"], "dendrites are counted per collateral"


@pytest.mark.anyio
async def test_enqueue_needs_a_run_with_something_pending_or_active() -> None:
    gates = Gates()
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))])
    task = ActivationTask(cns.neurons[0], ping.create_signal(1))
    run = cns.stimulate(ping.create_signal(1))
    await gates.open("slow")
    for each in (run, cns.stimulate([])):
        assert each.done()
        with pytest.raises(StimulationError, match="nothing pending or active"):
            each.enqueue([task])
        with pytest.raises(StimulationError, match="nothing pending or active"):
            each.enqueue([])


@pytest.mark.anyio
async def test_a_run_that_only_waits_for_listeners_cannot_be_fed() -> None:
    gates = Gates()
    cns = CNS([sink("ears", ping, [])])
    run = cns.stimulate(ping.create_signal(1), on_response=lambda r: gates.wait("last") if r.final else None)
    assert not run.done()
    with pytest.raises(StimulationError, match="nothing pending or active"):
        run.enqueue([ActivationTask(cns.neurons[0], ping.create_signal(1))])
    await gates.open("last")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_enqueueing_nothing_on_a_living_run_does_nothing() -> None:
    gates = Gates()
    drains: list[Drain] = []
    cns = CNS([neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))])
    run = cns.stimulate(ping.create_signal(1), on_drain=drains.append)
    run.enqueue([])
    assert len(drains) == 1
    await gates.open("slow")
    assert run.outcome == "completed"


def test_stimulate_nothing_gives_one_response_without_output_and_activate_nothing_none() -> None:
    responses: list[Response] = []
    cns = CNS([sink("ears", ping, [])])
    run = cns.stimulate([], on_response=responses.append)
    (response,) = responses
    assert (response.neuron, response.input_signal, response.output_signal) == (None, None, None)
    assert (response.output_index, response.output_count, response.final, response.hops) == (0, 0, True, 0)
    assert run.outcome == "completed"
    run = cns.activate([], on_response=responses.append)
    assert (len(responses), run.outcome) == (1, "completed")


def test_a_tuple_is_as_good_as_a_list() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    cns.stimulate((ping.create_signal(1), ping.create_signal(2)))
    cns.activate((ActivationTask(cns.neurons[0], ping.create_signal(1)),))
    assert log == ["ears"] * 3


@pytest.mark.anyio
async def test_the_frontier_is_every_unfinished_activation_at_any_moment() -> None:
    """One activation in each place that there is: the handler on the stack, one suspended, one in line for a slot, one
    parked, one held by a join, and one queued behind the run's own limit."""
    gates = Gates()
    slow = neuron("slow", {"b": b}, concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")

    seen: list[list[int]] = []
    looking = neuron("looking")

    @looking.dendrite(a)
    def look(payload: int, axon: None, ctx: Any) -> None:
        seen.append(ids(ctx.stimulation.outstanding_tasks))
        assert ids(ctx.stimulation.activation_tasks) == seen[-1]

    total = neuron("total").join(collateral=b, response=lambda _: None)
    cns = CNS([slow, looking, total])
    signals = [ping.create_signal(1), ping.create_signal(2), b.create_signal(3), a.create_signal(4), a.create_signal(5)]
    run = cns.stimulate(
        signals, on_response=lambda r: gates.wait("parked") if r.output_signal == a.create_signal(5) else None
    )
    assert seen == [[1, 2, 3, 4, 5]]
    assert ids(run.outstanding_tasks) == [1, 2, 3, 5]
    await gates.open("parked")
    assert seen[1:] == [[1, 2, 3, 5]]
    run.enqueue([ActivationTask(looking, a.create_signal(6))])
    assert seen[2:] == [[1, 2, 3, 6]]
    await gates.open("slow 1")
    assert ids(run.outstanding_tasks) == [2, 3]
    await gates.open("slow 2")
    assert (run.outcome, run.outstanding_tasks) == ("completed", [])


def test_lists_in_dispatch_are_in_the_frontier_from_their_first_response_on() -> None:
    seen: list[tuple[str, list[int]]] = []
    cns = CNS([relay("source", ping, [], a, b, a), sink("hears a", a, []), sink("hears b", b, [])])

    def on_response(response: Response) -> None:
        name = "entry" if response.neuron is None else response.neuron.name
        seen.append((name, ids(response.stimulation.outstanding_tasks)))

    cns.stimulate(ping.create_signal(1), on_response=on_response)
    assert seen == [
        ("entry", [1]),
        *[("source", [2, 3, 4])] * 3,
        ("hears a", [3, 4]),
        ("hears b", [4]),
        ("hears a", []),
    ]


def test_entry_lists_are_in_the_frontier_as_a_whole_too() -> None:
    seen: list[list[int]] = []
    cns = CNS([sink("ears", ping, [])])
    cns.stimulate(
        [ping.create_signal(n) for n in range(3)],
        on_response=lambda response: seen.append(ids(response.stimulation.outstanding_tasks)),
    )
    assert seen == [[1, 2, 3]] * 3 + [[2, 3], [3], []]


def test_an_activation_is_in_it_until_its_handler_has_settled_and_no_longer_in_its_responses() -> None:
    log: list[tuple[str, list[int]]] = []

    def handle(payload: int, axon: None, ctx: Any) -> None:
        log.append(("handler", ids(ctx.stimulation.outstanding_tasks)))

    CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(
        ping.create_signal(1),
        on_response=lambda response: log.append(("response", ids(response.stimulation.outstanding_tasks))),
    )
    assert log == [("response", [1]), ("handler", [1]), ("response", [])]


@pytest.mark.anyio
async def test_every_failed_and_aborted_one_is_in_it_once_in_order_of_number() -> None:
    gates = Gates()
    one = neuron("one").dendrite(collateral=ping, response=lambda n: gates.wait(f"one {n}"))
    cns = CNS([one, sink("never", a, [])])
    run = cns.stimulate(
        [ping.create_signal(1), ping.create_signal(2), a.create_signal(3), ping.create_signal(4)], concurrency=2
    )
    await gates.fail("one 2", LookupError())
    assert ids(run.outstanding_tasks) == [1, 2, 4]
    await gates.fail("one 4", LookupError())
    run.abort()
    await gates.fail("one 1", LookupError())
    assert ids(run.failed_tasks) == [2, 4, 1]
    assert ids(run.outstanding_tasks) == [1, 2, 4]
    assert run.outcome == "aborted"


def unknown_tasks() -> dict[str, Any]:
    stranger = neuron("ears").dendrite(collateral=ping, response=print)
    known = sink("ears", ping, [])
    return {
        "a neuron of another graph": (known, ActivationTask(stranger, ping.create_signal(1))),
        "a collateral that it does not hear": (known, ActivationTask(known, a.create_signal(1))),
        "a collateral of the same name": (known, ActivationTask(known, collateral("ping", int).create_signal(1))),
        "a dendrite that it lacks": (known, ActivationTask(known, ping.create_signal(1), dendrite=1)),
    }


@pytest.mark.parametrize("which", list(unknown_tasks()))
def test_unknown_tasks_fail_when_their_turn_comes(which: str) -> None:
    known, task = unknown_tasks()[which]
    log: list[str] = []
    responses: list[Response] = []
    cns = CNS([known, sink("other", a, log)])
    other = ActivationTask(cns.neurons[1], a.create_signal(1))
    run = cns.activate([other, task, other], on_response=responses.append)
    assert log == ["other", "other"]
    assert [(r.task and r.task.id, type(r.error)) for r in responses] == [
        (1, type(None)),
        (2, UnknownSubscriberError),
        (3, type(None)),
    ]
    (failure,) = run.failed_tasks
    assert (failure.task.neuron, failure.task.signal, failure.task.dendrite) == (
        task.neuron,
        task.signal,
        task.dendrite,
    )
    assert failure.task.id == 2
    assert repr(task.neuron.name) in str(failure.error)
    assert repr(task.collateral.name) in str(failure.error)
    assert responses[1].neuron is task.neuron
    assert responses[1].input_signal == task.signal
    assert [pending.pending_activations for pending in responses] == [2, 1, 0]
    assert responses[2].final
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"


@pytest.mark.anyio
async def test_an_enqueued_task_of_another_graph_fails_its_run() -> None:
    gates = Gates()
    slow = neuron("slow").dendrite(collateral=ping, response=lambda n: gates.wait("slow"))
    run = CNS([slow]).stimulate(ping.create_signal(1))
    run.enqueue([ActivationTask(sink("stranger", a, []), a.create_signal(1))])
    await gates.open("slow")
    assert names(run.failed_tasks) == ["stranger"]
    assert run.outcome == "failed"


def test_failed_tasks_can_be_tried_again() -> None:
    broken = [True]
    log: list[int] = []

    def work(payload: int) -> None:
        if broken[0] and payload % 2:
            raise LookupError(payload)
        log.append(payload)

    cns = CNS([neuron("worker").dendrite(collateral=ping, response=work)])
    run = cns.stimulate([ping.create_signal(n) for n in range(5)])
    assert log == [0, 2, 4]
    broken[0] = False
    again = cns.activate([failure.task for failure in run.failed_tasks])
    assert (log, again.outcome) == ([0, 2, 4, 1, 3], "completed")


@pytest.mark.anyio
async def test_a_run_that_awaits_and_fails_leaves_its_cause_in_the_tasks() -> None:
    source = relay("source", ping, [], a)

    async def fail(payload: int) -> None:
        await asyncio.sleep(0)
        raise LookupError

    run: Stimulation = CNS([source, neuron("end").dendrite(collateral=a, response=fail)]).stimulate(
        ping.create_signal(1)
    )
    await settle()
    (task,) = run.outstanding_tasks
    assert (task.id, task.cause, task.hop) == (2, 1, 2)
    run.exception()
