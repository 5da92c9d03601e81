"""Section 2 of the design: ``with_middleware``, and the listeners that the CNS that it makes shares (S6, S7)."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Drain, MaxDurationError, OwnershipError, Response, collateral, neuron

from .gates import Gates, names, one_call_more, patient, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)

Middleware = Callable[[Any, Callable[..., Any]], Callable[..., Any]]


def layer(name: str, log: list[str]) -> Middleware:
    """Writes down when it wraps and when it is called."""

    def wrap(dendrite: Any, handler: Any) -> Any:
        log.append(f"{name} wraps {dendrite.neuron.name}")

        def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            log.append(name)
            return handler(payload, axon, ctx)

        return wrapped

    return wrap


# --- what is wrapped


def test_it_goes_around_the_middleware_that_is_there_which_is_not_called_again() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)], middleware=[layer("one", log), layer("two", log)])
    log.clear()
    derived = cns.with_middleware(layer("outer", log), layer("inner", log))
    assert log == ["inner wraps ears", "outer wraps ears"]
    log.clear()
    again = derived.with_middleware(layer("outermost", log))
    assert log == ["outermost wraps ears"]
    for each, layers in [
        (cns, ["one", "two"]),
        (derived, ["outer", "inner", "one", "two"]),
        (again, ["outermost", "outer", "inner", "one", "two"]),
    ]:
        log.clear()
        assert each.stimulate(ping.create_signal(1)).outcome == "completed"
        assert log == [*layers, "ears"]


def test_every_form_of_handler_is_called_with_what_it_takes() -> None:
    seen: list[Any] = []
    forms = neuron("forms", {"a": a})
    forms.dendrite(collateral=ping, response=seen.append)
    forms.dendrite(collateral=ping, response=lambda payload, axon: seen.append((payload, axon is forms.axon)))
    forms.dendrite(collateral=ping, response=lambda payload, axon, ctx: seen.append(ctx.task.dendrite))
    forms.join(collateral=b, response=seen.append)
    derived = CNS([forms]).with_middleware(one_call_more)
    derived.stimulate([ping.create_signal(1), b.create_signal(2), b.create_signal(3)])
    assert seen == [1, (1, True), 2, [2, 3]]


def test_each_middleware_is_given_the_dendrites_in_order() -> None:
    given: list[Any] = []

    def note(dendrite: Any, handler: Any) -> Any:
        given.append(dendrite)
        return handler

    neurons = [relay("one", ping, [], a), neuron("none"), sink("two", a, []), sink("three", ping, [])]
    neurons[2].dendrite(collateral=b, response=lambda _: None)
    CNS(neurons).with_middleware(note)
    assert given == [dendrite for each in neurons for dendrite in each.dendrites]


def test_without_any_it_is_a_cns_of_its_own_over_the_same_handlers() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)], middleware=[layer("one", [])])
    derived = cns.with_middleware()
    run = derived.stimulate(ping.create_signal(1))
    assert type(derived) is CNS
    assert derived is not cns
    assert (run.cns, run.outcome, log) == (derived, "completed", ["ears"])


def test_it_has_the_options_and_the_graph_of_the_first() -> None:
    shared, log = object(), []
    foreign = neuron("foreign", {"a": a}).dendrite(collateral=ping, response=lambda _: b.create_signal(1))
    keeping = neuron("keeping").dendrite(collateral=ping, response=lambda _, axon, ctx: ctx.set(ctx.shared))
    ending = neuron("ending").dendrite(collateral=b, response=lambda _: log.append("b"))
    for strict in (True, False):
        cns = CNS([foreign, keeping, ending], shared=shared, auto_cleanup_contexts=True, enforce_ownership=strict)
        derived = cns.with_middleware(one_call_more)
        assert derived.neurons == cns.neurons
        assert derived.shared is shared
        assert derived.enforce_ownership is cns.enforce_ownership is strict
        assert derived.network.get_subscribers(ping) == cns.network.get_subscribers(ping)
        run = derived.stimulate(ping.create_signal(1))
        assert [type(failure.error) for failure in run.failed_tasks] == [OwnershipError] * strict
        assert dict(run.context.get_all()) == {}
    assert log == ["b"]


def test_collaterals_of_both_lead_the_same_way_whatever_else_is_made_of_their_neurons() -> None:
    log: list[str] = []
    neurons = [relay("one", ping, log, a), sink("two", a, log)]
    cns = CNS(neurons)
    derived = cns.with_middleware(one_call_more)
    CNS([neuron("other"), *neurons])
    last = derived.with_middleware(one_call_more)
    for each in (cns, derived, last):
        assert each.stimulate([ping.create_signal(1), b.create_signal(1)]).outcome == "completed"
        assert each.activate([ActivationTask(neurons[1], a.create_signal(1))]).outcome == "completed"
    assert log == ["one", "two", "two"] * 3


@pytest.mark.parametrize("result", [None, 3, "handler"])
def test_what_is_no_middleware_is_a_type_error_as_when_a_cns_is_made(result: Any) -> None:
    cns = CNS([sink("ears", ping, [])])
    for wrong in (result, lambda dendrite, handler: result):
        with pytest.raises(TypeError, match="middleware") as derived:
            cns.with_middleware(one_call_more, wrong)
        with pytest.raises(TypeError, match="middleware") as made:
            CNS(cns.neurons, middleware=[one_call_more, wrong])
        assert str(derived.value) == str(made.value)
    with pytest.raises(TypeError, match="unexpected keyword"):
        CNS(cns.neurons, _inner=cns)  # type: ignore[call-arg]


def test_async_middleware_is_refused_without_a_loop_and_stays_so_inside_more() -> None:
    log: list[str] = []

    def wrap(dendrite: Any, handler: Any) -> Any:
        async def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            log.append("ran")

        return wrapped

    cns = CNS([sink("ears", ping, log)])
    for derived in (cns.with_middleware(wrap), cns.with_middleware(wrap).with_middleware(lambda _, handler: handler)):
        run = derived.stimulate(ping.create_signal(1))
        assert (names(run.failed_tasks), log) == (["ears"], [])
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"


def test_limits_and_worker_threads_are_those_of_the_neuron() -> None:
    threads: list[int] = []
    late = neuron("late", max_duration=0.01).dendrite(collateral=ping, response=lambda _: time.sleep(0.02))
    away = neuron("away", offload=True).dendrite(collateral=a, response=lambda _: threads.append(threading.get_ident()))
    derived = CNS([late, away]).with_middleware(one_call_more)
    run = derived.stimulate([ping.create_signal(1), a.create_signal(1)])
    assert [type(failure.error) for failure in run.failed_tasks] == [MaxDurationError]
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


# --- whose a run is


def test_a_run_is_of_the_cns_that_it_was_started_on() -> None:
    seen: list[Any] = []

    def look(payload: int, axon: None, ctx: Any) -> None:
        seen.append(ctx.cns)
        if payload:
            ctx.cns.stimulate(ping.create_signal(0))

    cns = CNS([neuron("look").dendrite(collateral=ping, response=look)])
    derived = cns.with_middleware(one_call_more)
    assert cns.stimulate(ping.create_signal(1)).cns is cns
    assert derived.stimulate(ping.create_signal(1)).cns is derived
    assert seen == [cns, cns, derived, derived]


@pytest.mark.anyio
async def test_a_block_waits_for_runs_of_its_own_cns() -> None:
    gates = Gates()
    cns = CNS([patient(gates, ping, [])])
    derived = cns.with_middleware(one_call_more)
    async with cns:
        foreign = derived.stimulate(ping.create_signal(1))
        own = cns.stimulate(ping.create_signal(2))
        asyncio.get_running_loop().call_soon(gates.set, "slow 2")
    assert (own.done(), foreign.done()) == (True, False)
    async with derived:
        asyncio.get_running_loop().call_soon(gates.set, "slow 1")
        late = cns.stimulate(ping.create_signal(3))
        inside = derived.stimulate([])
    assert (inside.done(), late.done()) == (True, False)
    await gates.open("slow 3")
    assert (foreign.outcome, late.outcome) == ("completed", "completed")


@pytest.mark.anyio
async def test_queries_and_streams_are_those_of_its_own_runs() -> None:
    log: list[str] = []
    cns = CNS([relay("one", ping, [], a)])
    derived = cns.with_middleware(layer("outer", log))
    assert await derived.query(ping.create_signal(1), a) == 1
    async with derived.stream(ping.create_signal(2)) as responses:
        assert [response.stimulation.cns is derived async for response in responses] == [True, True]
    assert await cns.query(ping.create_signal(1), a) == 1
    assert log == ["outer wraps one", "outer", "outer"]


# --- listeners


def test_listeners_of_either_hear_the_runs_of_both_in_order_of_registration() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, [])])

    def listen(to: CNS, name: str) -> list[Callable[[], None]]:
        def on_response(response: Response) -> None:
            if response.final:
                log.append(f"{name} {runs[response.stimulation.cns]}")

        def on_drain(drain: Drain) -> None:
            log.append(f"{name} drains {runs[drain.stimulation.cns]}")

        return [to.add_response_listener(on_response), to.add_drain_listener(on_drain)]

    before = listen(cns, "1")
    derived = cns.with_middleware(one_call_more)
    second, third = listen(derived, "2"), listen(cns, "3")
    last = derived.with_middleware(one_call_more)
    fourth = listen(last, "4")
    runs = {cns: "first", derived: "derived", last: "last"}

    def heard(*listeners: str) -> None:
        for each, name in runs.items():
            log.clear()
            each.stimulate(ping.create_signal(1))
            assert log == [f"{one} {name}" for one in listeners] + [f"{one} drains {name}" for one in listeners]

    heard("1", "2", "3", "4")
    for remove in (*second, *second, *before):
        remove()
    heard("3", "4")
    for remove in (*third, *fourth):
        remove()
    heard()


@pytest.mark.anyio
async def test_a_listener_of_one_is_a_barrier_in_the_runs_of_the_other() -> None:
    gates, log = Gates(), list[str]()
    cns = CNS([relay("one", ping, log, a), sink("two", a, log)])
    derived = cns.with_middleware(one_call_more)
    derived.add_response_listener(lambda response: gates.wait("listener") if response.hops == 1 else None)
    run = cns.stimulate(ping.create_signal(1))
    await settle()
    assert (log, run.done()) == (["one"], False)
    await gates.open("listener")
    assert (log, run.outcome) == (["one", "two"], "completed")


def test_listeners_outlive_the_cns_that_they_were_added_to() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, [])])
    remove = cns.add_response_listener(lambda response: log.append("heard"))
    derived = cns.with_middleware(one_call_more)
    gone = weakref.ref(cns)
    del cns
    gc.collect()
    assert gone() is None
    assert derived.stimulate(ping.create_signal(1)).outcome == "completed"
    assert log == ["heard"] * 2
    remove()
    derived.stimulate(ping.create_signal(1))
    assert log == ["heard"] * 2
