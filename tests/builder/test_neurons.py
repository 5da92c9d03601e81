"""Neurons and dendrites: what they are given, what they say, and when they stop taking more (S1)."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import time
import weakref
from typing import Any

import pytest

from cnstra import CNS, BindingError, Collateral, Dendrite, GraphError, Neuron, collateral, neuron, neuron_factory
from cnstra.graph import NeuronFactory
from cnstra.wiring import HandlerUnit

tick = collateral("tick")
tock = collateral("tock")


def handle(payload: Any) -> None: ...


# --- what a neuron is given


def test_defaults_and_values() -> None:
    plain = neuron("plain")
    assert (plain.name, plain.axon, plain.dendrites) == ("plain", None, ())
    assert (plain.concurrency, plain.max_duration, plain.context_type) == (None, None, None)
    full = neuron("full", {"tick": tick}, concurrency=3, max_duration=2, offload=True)
    assert (full.name, full.concurrency, full.max_duration) == ("full", 3, 2)
    assert full.axon.tick is tick
    assert neuron("by keyword", axon={"tick": tick}).axon.tick is tick


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": 3}, TypeError, "a neuron's name must be a str, not int"),
        ({"name": None}, TypeError, "a neuron's name must be a str, not NoneType"),
        ({"name": ""}, ValueError, "a neuron needs a name that is not empty"),
        ({"concurrency": 0}, ValueError, "neuron 'n': concurrency must be at least 1, not 0"),
        ({"concurrency": -3}, ValueError, "neuron 'n': concurrency must be at least 1, not -3"),
        ({"concurrency": True}, TypeError, "neuron 'n': concurrency must be an int or None, not bool"),
        ({"concurrency": 1.0}, TypeError, "neuron 'n': concurrency must be an int or None, not float"),
        ({"concurrency": "1"}, TypeError, "neuron 'n': concurrency must be an int or None, not str"),
        ({"max_duration": 0}, ValueError, "neuron 'n': max_duration must be more than 0 seconds"),
        ({"max_duration": -0.1}, ValueError, "neuron 'n': max_duration must be more than 0 seconds"),
        ({"max_duration": float("inf")}, ValueError, "neuron 'n': max_duration must be .*finite, not inf"),
        ({"max_duration": float("nan")}, ValueError, "neuron 'n': max_duration must be .*finite, not nan"),
        ({"max_duration": True}, TypeError, "neuron 'n': max_duration must be a number of seconds or None, not bool"),
        ({"max_duration": "1"}, TypeError, "neuron 'n': max_duration must be a number of seconds or None, not str"),
        ({"offload": 1}, TypeError, "neuron 'n': offload must be a bool, not int"),
        ({"retries": 3}, TypeError, "retries"),
    ],
)
@pytest.mark.parametrize("make", [neuron, neuron_factory(context=int, shared=dict).neuron], ids=["neuron", "factory"])
def test_bad_values(make: Any, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**{"name": "n", **arguments})


def test_collaterals() -> None:
    assert collateral("a").payload_type is None
    assert collateral("a", int).payload_type is int
    assert collateral("a", int) != collateral("a", int)
    assert Collateral[int | str]("a").payload_type == int | str
    with pytest.raises(TypeError, match="must be a str, not int"):
        collateral(3)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="not empty"):
        collateral("")


def test_factories() -> None:
    make = neuron_factory(context=int, shared=dict)
    made = make.neuron("n", {"tick": tick}, concurrency=2, max_duration=0.5, offload=True)
    assert type(made) is Neuron
    assert (made.name, made.concurrency, made.max_duration, made.axon.tick) == ("n", 2, 0.5, tick)
    assert isinstance(make, NeuronFactory)
    assert repr(make) == "<NeuronFactory context=int shared=dict>"


@pytest.mark.parametrize("context", [int, dict, list[int], dict[str, int]])
def test_the_context_type_is_kept_as_it_was_given(context: Any) -> None:
    made = neuron_factory(context=context).neuron("n").dendrite(collateral=tick, response=handle)
    assert made.context_type is context
    assert CNS([made]).neurons[0].context_type is context
    assert neuron_factory(shared=dict).neuron("n").context_type is None


# --- identity and representation


def test_final_identical_unpicklable_and_weak() -> None:
    made = neuron("n").dendrite(collateral=tick, response=handle)
    dendrite = made.dendrites[0]
    for thing in (made, dendrite):
        assert copy.copy(thing) is thing
        assert copy.deepcopy([thing])[0] is thing
        with pytest.raises(TypeError, match=rf"{thing!r} cannot be pickled: it holds"):
            pickle.dumps(thing)
        assert not hasattr(thing, "__dict__")
    assert repr(made) == "<Neuron 'n' with 1 dendrite>"
    assert repr(neuron("m")) == "<Neuron 'm' with 0 dendrites>"
    assert repr(dendrite) == "<Dendrite of 'n' on 'tick'>"
    assert repr(made.join(collateral=tick, response=handle).dendrites[1]) == "<Dendrite of 'n' on 'tick', joined>"
    assert weakref.ref(made)() is made
    assert made != neuron("n")
    for cls in (Neuron, Dendrite):
        with pytest.raises(TypeError, match=f"{cls.__name__} is final"):
            type("Sub", (cls,), {})
    for name in ("name", "axon", "dendrites", "concurrency", "max_duration", "context_type"):
        with pytest.raises(AttributeError):
            setattr(made, name, None)


def test_neurons_are_collected() -> None:
    def in_a_cycle() -> weakref.ref[Any]:
        made: Any = neuron("n", {"t": collateral("t")})
        made.dendrite(made.axon.t)(lambda payload: made)
        return weakref.ref(made)

    reference = in_a_cycle()
    gc.collect()
    assert reference() is None


def test_generic_aliases_work_at_run_time() -> None:
    assert isinstance(neuron("n"), Neuron)
    assert Neuron[int, str, Any, Any].__origin__ is Neuron  # type: ignore[attr-defined]
    assert Dendrite[int].__origin__ is Dendrite  # type: ignore[attr-defined]


# --- dendrites


def test_both_forms() -> None:
    made = neuron("n")
    assert made.dendrite(tick)(handle) is handle
    assert made.dendrite(collateral=tick, response=handle) is made
    assert made.dendrite(collateral=[tick, tock], response=handle) is made
    assert made.dendrite(collateral=(tock,), response=handle) is made
    made.dendrite(tick, tock)(handle)
    assert [d.collateral for d in made.dendrites] == [tick, tick, tick, tock, tock, tick, tock]
    assert {d.handler for d in made.dendrites} == {handle}
    assert {d.neuron for d in made.dendrites} == {made}
    assert {d.arity for d in made.dendrites} == {1}
    assert repr(made.dendrite(tick, tock)) == "<decorator: dendrite of 'n' on 'tick', 'tock'>"


def test_joins_share_one_object() -> None:
    made = neuron("n")
    assert made.join(tick, tock)(handle) is handle
    assert made.join(collateral=[tick], response=handle) is made
    first, second, third = (d._join for d in made.dendrites)
    assert first is second
    assert first is not third
    assert first is not None
    assert first.collaterals == (tick, tock)
    assert repr(first) == "<Join of 'tick', 'tock'>"


@pytest.mark.parametrize("method", ["dendrite", "join"])
@pytest.mark.parametrize(
    ("positional", "keywords", "error", "message"),
    [
        ((), {}, TypeError, "at least one collateral is needed"),
        (("tick",), {}, GraphError, "on 'tick' (str), which is no collateral: make one with"),
        ((tick, None), {}, GraphError, "on None (NoneType), which is no collateral"),
        (([tick],), {}, GraphError, "(list), which is no collateral"),
        ((tick, tock, tick), {}, ValueError, "a collateral is there twice: 'tick', 'tock', 'tick'"),
        ((), {"collateral": tick}, TypeError, "collateral= needs response=, the handler"),
        ((), {"response": handle}, TypeError, "response= takes its collaterals as collateral="),
        ((tick,), {"response": handle}, TypeError, "response= takes its collaterals as collateral="),
        ((tick,), {"collateral": tock}, TypeError, "collateral= needs response="),
        ((), {"collateral": [], "response": handle}, TypeError, "at least one collateral is needed"),
        ((), {"collateral": "tick", "response": handle}, GraphError, "on 't' (str), which is no collateral"),
        ((), {"collateral": 3, "response": handle}, GraphError, "on 3 (int), which is no collateral"),
        ((), {"collateral": [tick, 3], "response": handle}, GraphError, "on 3 (int), which is no collateral"),
        ((), {"collateral": [tick, tick], "response": handle}, ValueError, "a collateral is there twice"),
        ((), {"collateral": tick, "response": 3}, TypeError, "on 'tick': a handler must be callable, not int"),
        ((), {"collateral": tick, "response": handle, "more": 3}, TypeError, "more"),
    ],
)
def test_bad_wiring(method: str, positional: Any, keywords: Any, error: type[Exception], message: str) -> None:
    made = neuron("n")
    where = "" if "more" in keywords else f"neuron 'n', {method}.*"
    with pytest.raises(error, match=where + re.escape(message)):
        getattr(made, method)(*positional, **keywords)
    assert made.dendrites == ()


def test_no_dendrites_after_compiling() -> None:
    made = neuron("n", {"tock": tock}).dendrite(collateral=tick, response=handle)
    decorate = made.dendrite(tick)
    CNS([made])
    message = "neuron 'n' is part of a CNS, which is compiled once: add its dendrites before"
    for late in (
        lambda: made.dendrite(tick),
        lambda: made.dendrite(collateral=tick, response=handle),
        lambda: made.join(tick),
        lambda: made.bind({"tick": tick}),
        lambda: made.bind({"tick": tick}, tick=handle),
        lambda: made.modality_dendrite(collateral=tick, default=handle, modalities={}),
        lambda: decorate(handle),
    ):
        with pytest.raises(GraphError, match=message):
            late()
    assert len(made.dendrites) == 1
    assert len(CNS([made]).neurons) == 1  # several CNSs are fine


# --- bind


def test_bind_as_decorator() -> None:
    door = {"opened": tick, "shut": tock}
    made = neuron("n")
    assert made.bind(door)(handle) is handle
    assert [d.collateral for d in made.dendrites] == [tick, tock]
    owner = neuron("owner", door)
    assert neuron("m").bind(owner.axon, opened=handle, shut=handle).dendrites[1].collateral is tock


def test_bind_by_name_follows_the_axon() -> None:
    def other(payload: Any, axon: Any) -> None: ...

    made = neuron("n")
    assert made.bind({"opened": tick, "shut": tock}, shut=other, opened=handle) is made
    assert [(d.collateral, d.handler, d.arity) for d in made.dendrites] == [(tick, handle, 1), (tock, other, 2)]


def test_bind_takes_any_name() -> None:
    names = {"axon": tick, "self": tock}
    assert len(neuron("n").bind(names, axon=handle, self=handle).dendrites) == 2


@pytest.mark.parametrize(
    ("axon", "handlers", "error", "message"),
    [
        ({"a": tick, "b": tock}, {"a": handle}, BindingError, "neuron 'n' must bind exactly .*; missing: 'b'$"),
        ({"a": tick}, {"a": handle, "c": handle}, BindingError, "unknown: 'c'$"),
        ({"a": tick, "b": tock}, {"c": handle, "d": handle}, BindingError, "missing: 'a', 'b'; unknown: 'c', 'd'$"),
        ({}, {}, BindingError, "neuron 'n' cannot bind an axon without collaterals"),
        ({}, {"a": handle}, BindingError, "neuron 'n' cannot bind an axon without collaterals"),
        ({"a": tick}, {"a": 3}, TypeError, "neuron 'n', dendrite on 'tick': a handler must be callable, not int"),
        ({"a": tick, "b": tock}, {"a": handle, "b": 3}, TypeError, "neuron 'n', dendrite on 'tock': a handler must"),
        (tick, {}, TypeError, "neuron 'n': axon must be an Axon, a mapping"),
        (None, {}, TypeError, "neuron 'n': axon must be an Axon, a mapping"),
        ({"a": 3}, {}, TypeError, "neuron 'n': the axon's 'a' must be a Collateral"),
    ],
)
def test_bad_bindings(axon: Any, handlers: Any, error: type[Exception], message: str) -> None:
    made = neuron("n")
    with pytest.raises(error, match=message):
        made.bind(axon, **handlers)
    assert made.dendrites == ()


def test_binding_error_is_a_graph_error() -> None:
    assert issubclass(BindingError, GraphError)
    assert issubclass(GraphError, ValueError)


# --- what the engines read


def test_the_slots_that_engines_read() -> None:
    made = neuron("n", {"tock": tock}, concurrency=2, max_duration=3, offload=True).join(
        collateral=tick, response=handle
    )
    assert (made._name, made._emits, made._concurrency, made._max_duration) == ("n", (tock,), 2, 3)
    assert (made._offload, made._frozen, len(made._dendrites)) == (True, False, 1)
    dendrite = made._dendrites[0]
    assert (dendrite._neuron, dendrite._collateral, dendrite._handler) == (made, tick, handle)
    assert (dendrite._arity, dendrite._is_async) == (1, False)
    CNS([made])
    assert made._frozen
    assert set(HandlerUnit.__slots__) == {
        "__weakref__", "_axon", "_concurrency", "_context_type", "_dendrites", "_emits", "_frozen", "_max_duration",
        "_name", "_offload",
    }  # fmt: skip


def test_building_is_linear() -> None:
    """Twice the neurons take about twice as long: a graph of a million neurons is a matter of seconds."""

    def build(count: int) -> float:
        started = time.perf_counter()
        for number in range(count):
            neuron(f"n{number}").dendrite(collateral=tick, response=handle)
        return time.perf_counter() - started

    build(1000)
    small = min(build(5_000) for _ in range(3))
    large = min(build(50_000) for _ in range(3))
    assert large < 30 * small
    assert large / 50_000 < 30e-6  # seconds; about 2e-6 on a quiet machine
