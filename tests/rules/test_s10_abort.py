"""S10: abort, which lets what is in flight finish."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, AbortController, ActivationTask, Response, Stimulation, StimulationAborted, collateral, neuron

from .gates import Gates, ids, names, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


def slow_neuron(gates: Gates, *emitted: Any, **limits: Any) -> Any:
    slow = neuron("slow", {each.name: each for each in emitted}, **limits)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return [each.create_signal(payload) for each in emitted]

    return slow


@pytest.mark.anyio
async def test_after_abort_nothing_more_is_entered() -> None:
    gates = Gates()
    log: list[str] = []
    run = CNS([slow_neuron(gates), sink("queued", ping, log)]).stimulate(
        [ping.create_signal(1), ping.create_signal(2)], concurrency=1
    )
    run.abort("enough")
    assert not run.done(), "its handler is in flight"
    await gates.open("slow 1")
    assert log == []
    assert aborted(run).reason == "enough"


@pytest.mark.anyio
async def test_entered_handlers_run_on_and_what_they_return_is_dispatched_but_not_started() -> None:
    gates = Gates()
    log: list[str] = []
    responses: list[Response] = []
    run = CNS([slow_neuron(gates, a, b), sink("hears a", a, log), sink("hears b", b, log)]).stimulate(
        ping.create_signal(1), on_response=responses.append
    )
    run.abort()
    await gates.open("slow 1")
    assert log == []
    assert [response.output_signal for response in responses[1:]] == [a.create_signal(1), b.create_signal(1)]
    assert [(task.id, task.cause, task.neuron.name) for task in responses[1].caused + responses[2].caused] == [
        (2, 1, "hears a"),
        (3, 1, "hears b"),
    ]
    assert names(run.failed_tasks) == ["hears a", "hears b"]
    assert names(run.outstanding_tasks) == ["hears a", "hears b"]
    assert not any(response.final for response in responses)


@pytest.mark.anyio
async def test_unsettled_listeners_run_on_and_the_run_ends_with_the_last() -> None:
    gates = Gates()
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    cns.add_response_listener(lambda response: gates.wait("global"))
    run = cns.stimulate(ping.create_signal(1), on_response=lambda response: gates.wait("local"))
    run.abort("enough")
    await gates.open("local")
    assert not run.done()
    await gates.open("global")
    assert aborted(run).reason == "enough"
    assert log == []
    assert names(run.failed_tasks) == ["ears"]


@pytest.mark.anyio
async def test_handlers_can_watch_the_abort_signal_of_their_context() -> None:
    seen: list[Any] = []

    async def wait(payload: int, axon: None, ctx: Any) -> None:
        signal = ctx.abort_signal
        seen.append((signal.aborted, signal.reason))
        signal.add_listener(lambda reason: seen.append(("listener", reason)))
        seen.append(("waited", await signal.wait()))
        seen.append((signal.aborted, signal.reason, ctx.abort_signal is signal))

    run = CNS([neuron("watcher").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    run.abort("enough")
    await settle()
    assert seen == [(False, None), ("listener", "enough"), ("waited", "enough"), (True, "enough", True)]
    assert aborted(run).reason == "enough"


def test_the_abort_signal_that_is_looked_at_after_the_abort_tells_it() -> None:
    seen: list[Any] = []

    def stop(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort("enough")
        seen.append((ctx.abort_signal.aborted, ctx.abort_signal.reason))

    CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).stimulate(ping.create_signal(1))
    assert seen == [(True, "enough")]


@pytest.mark.anyio
async def test_what_was_not_entered_is_recorded_exactly_once_in_order_of_number() -> None:
    gates = Gates()
    slow = slow_neuron(gates, a, concurrency=1)
    cns = CNS([slow, sink("parked", b, []), sink("end", a, []), neuron("total").join(collateral=a, response=print)])
    run = cns.stimulate(
        [ping.create_signal(1), b.create_signal(2), ping.create_signal(3)],
        on_response=lambda response: gates.wait("b") if response.output_signal == b.create_signal(2) else None,
    )
    run.enqueue([ActivationTask(slow, ping.create_signal(4))])
    run.abort("enough")
    await gates.open("slow 1")  # causes two more: the end, and a signal that the join holds
    await gates.open("b")
    assert aborted(run).reason == "enough"
    assert ids(run.failed_tasks) == [2, 3, 4, 5, 6]
    assert names(run.failed_tasks) == ["parked", "slow", "slow", "end", "total"]
    assert all(failure.aborted and failure.error is run.exception() for failure in run.failed_tasks)
    assert ids(run.outstanding_tasks) == [2, 3, 4, 5, 6]
    assert run.activation_tasks == []


@pytest.mark.anyio
async def test_failures_are_told_before_those_that_an_abort_left_undone_and_in_the_exceptions_of_the_abort() -> None:
    gates = Gates()
    errors = [LookupError("one"), ValueError("two"), OSError("three")]

    async def fail(payload: int) -> None:
        await gates.wait(f"fail {payload}")

    def listen(response: Response) -> None:
        if response.error is errors[0]:
            raise errors[2]

    cns = CNS([neuron("bad").dendrite(collateral=ping, response=fail), sink("never", a, [])])
    run = cns.stimulate(
        [ping.create_signal(0), ping.create_signal(1), a.create_signal(2)], concurrency=2, on_response=listen
    )
    run.abort("enough")
    await gates.fail("fail 1", errors[1])
    await gates.fail("fail 0", errors[0])
    assert aborted(run).exceptions == (errors[1], errors[0], errors[2])
    assert [(f.task.id, f.error, f.aborted) for f in run.failed_tasks] == [
        (2, errors[1], False),
        (1, errors[0], False),
        (3, run.exception(), True),
    ]
    assert ids(run.outstanding_tasks) == [1, 2, 3]


def test_with_nothing_in_flight_it_ends_with_the_turn_that_is_going_on_and_not_before() -> None:
    log: list[Any] = []

    def stop(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.stimulation.abort("enough")
        log.append(("handler", ctx.stimulation.outcome))
        return axon.a.create_signal(1)

    cns = CNS(
        [
            neuron("stop", {"a": a}).dendrite(collateral=ping, response=stop),
            sink("queued", ping, log),
            sink("child", a, log),
        ]
    )
    run = cns.stimulate(
        ping.create_signal(1),
        on_response=lambda response: log.append(("response", response.stimulation.outcome)),
        on_drain=lambda drain: log.append(("drain", drain.stimulation.outcome)),
    )
    assert log == [("response", "running"), ("handler", "running"), ("response", "running"), ("drain", "running")]
    assert aborted(run).reason == "enough"
    assert names(run.failed_tasks) == ["queued", "child"]


@pytest.mark.anyio
async def test_with_nothing_in_flight_and_no_turn_going_on_it_ends_at_once() -> None:
    gates = Gates()
    cns = CNS([slow_neuron(gates, concurrency=1)])
    holder, waiter = cns.stimulate(ping.create_signal(1)), cns.stimulate(ping.create_signal(2))
    waiter.abort("enough")
    assert aborted(waiter).reason == "enough"
    await gates.open("slow 1")
    assert holder.outcome == "completed"
    assert gates.waiting == {}


@pytest.mark.anyio
async def test_a_run_that_had_not_ended_is_aborted_even_if_nothing_was_left_to_skip() -> None:
    gates = Gates()
    run = CNS([slow_neuron(gates)]).stimulate(ping.create_signal(1))
    run.abort()
    await gates.open("slow 1")
    assert (aborted(run).reason, run.failed_tasks, run.outstanding_tasks) == (None, [], [])
    with pytest.raises(StimulationAborted):
        await run


def test_so_it_is_from_the_last_response_and_from_the_last_drain() -> None:
    cns = CNS([sink("ears", ping, [])])

    def stop(event: Any) -> None:
        if not event.pending_activations:
            event.stimulation.abort("late")

    assert aborted(cns.stimulate(ping.create_signal(1), on_response=stop)).reason == "late"
    assert aborted(cns.stimulate(ping.create_signal(1), on_drain=stop)).reason == "late"


def test_an_aborted_run_that_also_failed_is_aborted() -> None:
    error = LookupError("lost")

    def fail(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort("enough")
        raise error

    run = CNS([neuron("bad").dendrite(collateral=ping, response=fail)]).stimulate(ping.create_signal(1))
    assert aborted(run).exceptions == (error,)
    assert [(failure.error, failure.aborted) for failure in run.failed_tasks] == [(error, False)]


def test_aborting_a_run_that_has_ended_does_nothing() -> None:
    run = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1))
    run.abort("late")
    run.cancel("late")
    assert (run.outcome, run.exception()) == ("completed", None)


@pytest.mark.anyio
async def test_the_first_reason_counts() -> None:
    gates = Gates()
    run = CNS([slow_neuron(gates)]).stimulate(ping.create_signal(1))
    run.abort("first")
    run.abort("second")
    run.cancel("third")
    await settle()
    assert aborted(run).reason == "first"
    run.abort("fourth")
    assert aborted(run).reason == "first"


@pytest.mark.parametrize("reason", [None, "enough", LookupError("lost"), 3, ()])
def test_a_reason_is_anything_and_is_told(reason: Any) -> None:
    def stop(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.abort(reason)

    run = CNS([neuron("stop").dendrite(collateral=ping, response=stop)]).stimulate(ping.create_signal(1))
    error = aborted(run)
    assert error.reason is reason
    assert reason is None or str(reason) in str(error)


def test_a_run_can_be_given_an_abort_signal() -> None:
    log: list[str] = []
    controller = AbortController()
    stop = neuron("stop").dendrite(collateral=ping, response=lambda _: controller.abort("enough"))
    cns = CNS([stop, sink("queued", ping, log)])
    run = cns.stimulate(ping.create_signal(1), abort_signal=controller.signal)
    assert (aborted(run).reason, log) == ("enough", [])


@pytest.mark.anyio
async def test_one_signal_may_abort_many_runs() -> None:
    gates = Gates()
    controller = AbortController()
    cns = CNS([slow_neuron(gates, concurrency=1)])
    runs = [cns.stimulate(ping.create_signal(n), abort_signal=controller.signal) for n in range(4)]
    controller.abort("enough")
    assert [run.done() for run in runs] == [False, True, True, True]
    await gates.open("slow 0")
    assert [aborted(run).reason for run in runs] == ["enough"] * 4


def test_a_signal_that_is_aborted_already_lets_nothing_start() -> None:
    log: list[str] = []
    controller = AbortController()
    controller.abort("before")
    cns = CNS([sink("ears", ping, log)])
    run = cns.stimulate(ping.create_signal(1), abort_signal=controller.signal)
    assert (aborted(run).reason, log) == ("before", [])
    assert names(run.outstanding_tasks) == ["ears"]
    resumed = cns.activate(run.outstanding_tasks)
    assert (resumed.outcome, log) == ("completed", ["ears"])
    again = cns.activate(run.outstanding_tasks, abort_signal=controller.signal)
    assert (aborted(again).reason, names(again.outstanding_tasks)) == ("before", ["ears"])


def test_the_message_of_the_abort_tells_the_reason() -> None:
    assert str(StimulationAborted("enough")) == "the run was aborted: enough"
    assert str(StimulationAborted()) == "the run was aborted"


@pytest.mark.anyio
async def test_aborting_one_run_does_not_touch_another() -> None:
    gates = Gates()
    log: list[str] = []
    cns = CNS([slow_neuron(gates, a), sink("end", a, log)])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(2)]
    runs[0].abort()
    await gates.open("slow 0")
    await gates.open("slow 1")
    assert [run.outcome for run in runs] == ["aborted", "completed"]
    assert log == ["end"]


@pytest.mark.anyio
async def test_an_abort_during_a_resumed_run_leaves_its_frontier() -> None:
    gates = Gates()
    cns = CNS([slow_neuron(gates, a), sink("end", a, [])])
    run = cns.activate([ActivationTask(cns.neurons[0], ping.create_signal(1), hop=5)])
    run.abort()
    await gates.open("slow 1")
    (task,) = run.outstanding_tasks
    assert (task.neuron.name, task.hop, task.id, task.cause) == ("end", 6, 2, 1)


@pytest.mark.anyio
async def test_tasks_that_are_enqueued_on_an_aborted_run_are_left_undone() -> None:
    gates = Gates()
    log: list[str] = []
    ears = sink("ears", a, log)
    run = CNS([slow_neuron(gates), ears]).stimulate(ping.create_signal(1))
    run.abort()
    run.enqueue([ActivationTask(ears, a.create_signal(1))])
    await gates.open("slow 1")
    assert (log, names(run.outstanding_tasks)) == ([], ["ears"])


@pytest.mark.anyio
async def test_those_who_await_are_told_when_it_has_ended() -> None:
    gates = Gates()
    run = CNS([slow_neuron(gates)]).stimulate(ping.create_signal(1))

    async def wait() -> object:
        try:
            await run
        except StimulationAborted as error:
            return error.reason
        return None

    waiter = asyncio.create_task(wait())
    await settle()
    run.abort("enough")
    await settle()
    assert not waiter.done()
    await gates.open("slow 1")
    assert await waiter == "enough"


def test_a_relay_that_is_aborted_half_way_keeps_what_it_did() -> None:
    log: list[str] = []
    neurons = [relay("one", ping, log, a), relay("two", a, log, b), sink("three", b, log)]

    def stop(response: Response) -> None:
        if response.hops == 2:
            response.stimulation.abort()

    run = CNS(neurons).stimulate(ping.create_signal(1), on_response=stop)
    assert (log, run.outcome) == (["one", "two"], "aborted")
    assert [(task.neuron.name, task.hop) for task in run.outstanding_tasks] == [("three", 3)]
