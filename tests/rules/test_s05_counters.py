"""S5: the counters, and which response is final."""

from __future__ import annotations

from typing import Any

import pytest

from cnstra import CNS, AbortController, ActivationTask, Drain, Response, collateral, neuron

from .gates import Gates, relay, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def counted(event: Response | Drain) -> tuple[int, int]:
    """(pending, active), after a look at their sum."""
    assert event.queue_length == event.pending_activations + event.active_activations
    return event.pending_activations, event.active_activations


def finals(responses: list[Response]) -> list[bool]:
    return [response.final for response in responses]


def test_a_response_counts_what_it_causes() -> None:
    responses: list[Response] = []
    cns = CNS([relay("source", ping, [], a), sink("one", a, []), sink("two", a, []), sink("three", a, [])])
    cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert list(map(counted, responses)) == [(1, 0), (3, 0), (2, 0), (1, 0), (0, 0)]


@pytest.mark.anyio
async def test_a_handler_that_finishes_at_once_is_never_seen_as_active_by_its_own_response() -> None:
    responses: list[Response] = []

    async def at_once(payload: int) -> None: ...

    def fail(payload: int) -> None:
        raise LookupError

    async def fail_at_once(payload: int) -> None:
        raise LookupError

    neurons = [neuron(each.__name__).dendrite(collateral=ping, response=each) for each in (at_once, fail, fail_at_once)]
    run = CNS([sink("plain", ping, []), *neurons]).stimulate(ping.create_signal(1), on_response=responses.append)
    assert list(map(counted, responses)) == [(4, 0), (3, 0), (2, 0), (1, 0), (0, 0)]
    assert len(run.failed_tasks) == 2


def test_pending_counts_the_subscribers_of_later_signals_of_a_list_from_its_first_response_on() -> None:
    responses: list[Response] = []
    cns = CNS(
        [relay("source", ping, [], a, b, a), sink("hears a", a, []), sink("hears b", b, []), sink("b too", b, [])]
    )
    cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert list(map(counted, responses)) == [(1, 0), *[(4, 0)] * 3, (3, 0), (2, 0), (1, 0), (0, 0)]
    assert [len(response.caused) for response in responses] == [1, 1, 2, 1, 0, 0, 0, 0]


def test_so_it_does_for_a_list_of_entry_signals() -> None:
    drains: list[Drain] = []
    responses: list[Response] = []
    cns = CNS([sink("one", ping, []), sink("two", ping, [])])
    cns.stimulate([ping.create_signal(1), ping.create_signal(2)], on_response=responses.append, on_drain=drains.append)
    assert list(map(counted, responses)) == [(4, 0), (4, 0), (3, 0), (2, 0), (1, 0), (0, 0)]
    assert list(map(counted, drains)) == [(0, 0)]


@pytest.mark.anyio
async def test_active_counts_entered_and_unsettled_handlers() -> None:
    gates = Gates()
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return a.create_signal(payload)

    responses: list[Response] = []
    drains: list[Drain] = []
    cns = CNS([slow, sink("end", a, [])])
    run = cns.stimulate([ping.create_signal(n) for n in range(3)], on_response=responses.append, on_drain=drains.append)
    assert list(map(counted, drains)) == [(0, 3)]
    for n in (1, 0, 2):
        await gates.open(f"slow {n}")
    await run
    # Three entries; then each that settles is active no more and has caused one, which runs.
    assert list(map(counted, responses)) == [(3, 0)] * 3 + [(1, 2), (0, 2), (1, 1), (0, 1), (1, 0), (0, 0)]
    assert list(map(counted, drains)) == [(0, 3), (0, 2), (0, 1), (0, 0)]


@pytest.mark.anyio
async def test_pending_counts_what_is_parked_behind_a_listener() -> None:
    gates = Gates()
    drains: list[Drain] = []
    cns = CNS([sink("one", ping, []), sink("two", ping, [])])

    async def checkpoint(response: Response) -> None:
        if response.neuron is None:
            await gates.wait("checkpoint")

    run = cns.stimulate(ping.create_signal(1), on_response=checkpoint, on_drain=drains.append)
    assert list(map(counted, drains)) == [(2, 0)]
    await gates.open("checkpoint")
    assert list(map(counted, drains)) == [(2, 0), (0, 0)]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_pending_counts_what_waits_for_a_slot() -> None:
    gates = Gates()
    drains: list[Drain] = []
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        await gates.wait(f"slow {payload}")

    run = CNS([slow]).stimulate([ping.create_signal(0), ping.create_signal(1)], on_drain=drains.append)
    assert list(map(counted, drains)) == [(1, 1)]
    await gates.open("slow 0")
    await gates.open("slow 1")
    assert list(map(counted, drains)) == [(1, 1), (0, 1), (0, 0)]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_pending_counts_what_a_join_holds() -> None:
    gates = Gates()
    drains: list[Drain] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return a.create_signal(payload)

    joined: list[Any] = []
    total = neuron("total").join(collateral=a, response=joined.append)
    run = CNS([slow, total]).stimulate([ping.create_signal(0), ping.create_signal(1)], on_drain=drains.append)
    await gates.open("slow 0")
    assert list(map(counted, drains)) == [(0, 2), (1, 1)]
    await gates.open("slow 1")
    assert list(map(counted, drains)) == [(0, 2), (1, 1), (0, 0)]
    assert (joined, run.outcome) == ([[0, 1]], "completed")


def test_the_queue_is_not_bounded() -> None:
    heard: list[int] = []
    cns = CNS([neuron("ears").dendrite(collateral=ping, response=heard.append)])
    longest: list[int] = []
    remove = cns.add_response_listener(lambda response: longest.append(response.queue_length))
    cns.stimulate([ping.create_signal(n) for n in range(20_000)])
    remove()
    assert max(longest) == 20_000
    assert heard == list(range(20_000))


def test_hops_are_those_of_the_activation_that_answered_and_0_on_entry() -> None:
    responses: list[Response] = []
    cns = CNS([relay("one", ping, [], a), relay("two", a, [], b), sink("three", b, []), sink("also two", a, [])])
    cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert [(r.neuron and r.neuron.name, r.hops) for r in responses] == [
        (None, 0),
        ("one", 1),
        ("two", 2),
        ("also two", 2),
        ("three", 3),
    ]


def test_final_is_the_response_after_which_nothing_is_left() -> None:
    responses: list[Response] = []
    cns = CNS([relay("source", ping, [], a), sink("one", a, []), sink("two", a, [])])
    cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert finals(responses) == [False, False, False, True]


def test_final_is_the_entry_if_nobody_hears_it() -> None:
    responses: list[Response] = []
    CNS([]).stimulate(ping.create_signal(1), on_response=responses.append)
    CNS([]).stimulate([], on_response=responses.append)
    assert finals(responses) == [True, True]


def test_final_is_the_last_of_a_list_that_nobody_hears() -> None:
    responses: list[Response] = []
    CNS([]).stimulate([ping.create_signal(n) for n in range(3)], on_response=responses.append)
    assert finals(responses) == [False, False, True]
    responses.clear()
    CNS([relay("source", ping, [], a, b)]).stimulate(ping.create_signal(1), on_response=responses.append)
    assert finals(responses) == [False, False, True]


def test_final_may_be_a_failure() -> None:
    responses: list[Response] = []

    def fail(payload: int) -> None:
        raise LookupError

    cns = CNS([neuron("failing").dendrite(collateral=ping, response=fail)])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert (finals(responses), run.outcome) == ([False, True], "failed")


def test_final_may_be_an_activation_that_was_never_entered() -> None:
    responses: list[Response] = []
    cns = CNS([relay("source", ping, [], a), sink("end", a, [])])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append, max_hops=1)
    assert (finals(responses), list(map(counted, responses))) == ([False, False, True], [(1, 0), (1, 0), (0, 0)])
    assert run.outcome == "failed"


@pytest.mark.anyio
async def test_final_does_not_wait_for_listeners() -> None:
    gates = Gates()
    responses: list[Response] = []

    async def slow(response: Response) -> None:
        responses.append(response)
        await gates.wait(f"listener {len(responses)}")

    run = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_response=slow)
    await gates.open("listener 1")
    assert finals(responses) == [False, True]
    assert not run.done()
    await gates.open("listener 2")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_final_moves_on_with_what_is_enqueued() -> None:
    gates = Gates()
    responses: list[Response] = []
    slow = neuron("slow")

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        await gates.wait(f"slow {payload}")

    run = CNS([slow]).stimulate(ping.create_signal(1), on_response=responses.append)
    run.enqueue([ActivationTask(slow, ping.create_signal(2))])
    await gates.open("slow 1")
    await gates.open("slow 2")
    assert (finals(responses), run.outcome) == ([False, False, True], "completed")


def test_no_response_of_an_aborted_run_is_final() -> None:
    responses: list[Response] = []
    controller = AbortController()
    stop = neuron("stop").dendrite(collateral=ping, response=lambda _: controller.abort())
    run = CNS([stop]).stimulate(ping.create_signal(1), abort_signal=controller.signal, on_response=responses.append)
    assert (finals(responses), run.outcome) == ([False, False], "aborted")


def test_the_counters_of_an_aborted_run_stay_as_they_are() -> None:
    responses: list[Response] = []
    drains: list[Drain] = []
    controller = AbortController()
    stop = neuron("stop").dendrite(collateral=ping, response=lambda _: controller.abort())
    run = CNS([stop, sink("skipped", ping, []), sink("skipped too", ping, [])]).stimulate(
        ping.create_signal(1), abort_signal=controller.signal, on_response=responses.append, on_drain=drains.append
    )
    assert list(map(counted, responses)) == [(3, 0), (2, 0)]
    assert list(map(counted, drains)) == [(2, 0)]
    assert run.outcome == "aborted"
