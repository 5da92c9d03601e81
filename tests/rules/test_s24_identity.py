"""S24: what objects look like, and what can be done with them as objects."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cnstra
from cnstra import (
    CNS,
    AbortController,
    ActivationTask,
    Axon,
    Collateral,
    MemoryContextStore,
    StimulationFailed,
    StimulationGate,
    afferent_path,
    collateral,
    modality,
    neuron,
    neuron_factory,
)

from .gates import relay, sink

ping = collateral("ping", int)
a = collateral("a", int)


class UserAxon(Axon[int], namespace="user"):
    created: Collateral[int]


def objects() -> dict[str, Any]:
    """One of every kind of object that a user meets."""
    found: dict[str, Any] = {}

    def look(payload: int, axon: None, ctx: Any) -> None:
        found["Context"] = ctx
        raise LookupError("lost")

    one = neuron("one").dendrite(collateral=ping, response=look)
    cns = CNS([one])
    run = cns.stimulate(
        ping.create_signal(3),
        on_response=lambda response: found.update(Response=response),
        on_drain=lambda drain: found.update(Drain=drain),
    )
    controller = AbortController()
    found.update(
        {
            "Collateral": ping,
            "Signal": ping.create_signal(3),
            "Axon": UserAxon(),
            "MappingAxon": neuron("two", {"a": a}).axon,
            "Neuron": one,
            "Dendrite": one.dendrites[0],
            "CNS": cns,
            "Stimulation": run,
            "ActivationTask": run.failed_tasks[0].task,
            "TaskFailure": run.failed_tasks[0],
            "AbortController": controller,
            "AbortSignal": controller.signal,
            "MemoryContextStore": MemoryContextStore({"one": 1}),
            "StimulationGate": StimulationGate(cns, ping.create_signal(1)),
            "AfferentPath": afferent_path("api"),
            "Modality": modality("http"),
            "NeuronFactory": neuron_factory(context=int, shared=str),
            "Network": cns.network,
        }
    )
    return found


KINDS = list(objects())
FINAL = ["Collateral", "Signal", "Neuron", "CNS", "Stimulation"]


def test_a_repr_is_short_and_useful() -> None:
    expected = {
        "Collateral": ["'ping'"],
        "Signal": ["'ping'", "3"],
        "Axon": ["UserAxon", "created"],
        "MappingAxon": ["a"],
        "Neuron": ["'one'", "1 dendrite"],
        "Dendrite": ["'one'", "'ping'"],
        "CNS": ["1 neuron"],
        "Stimulation": ["failed"],
        "ActivationTask": ["one", "'ping'", "1"],
        "TaskFailure": ["one", "lost"],
        "Context": ["'one'"],
        "Response": ["'one'", "lost"],
        "Drain": ["0 pending", "0 active"],
        "AbortController": ["AbortController"],
        "AbortSignal": ["AbortSignal"],
        "MemoryContextStore": ["one"],
        "StimulationGate": ["idle"],
        "AfferentPath": ["'api'"],
        "Modality": ["'http'"],
        "NeuronFactory": ["NeuronFactory"],
        "Network": ["1 neuron"],
    }
    found = objects()
    assert set(found) == set(expected)
    for kind, each in found.items():
        text = repr(each)
        assert len(text) < 120, text
        assert "\n" not in text
        assert " object at 0x" not in text, text
        assert all(part in text for part in expected[kind]), text


def test_a_repr_survives_odd_names_and_payloads() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise LookupError("no repr")

    odd: Any = collateral("new\nline ‽ 'quote'", object)
    assert "\n" not in repr(odd)
    assert "‽" in repr(odd)
    with pytest.raises(LookupError):
        repr(odd.create_signal(Rude()))
    run = CNS([]).stimulate(odd.create_signal(Rude()))
    assert repr(run)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_nothing_is_picklable_and_each_says_why(kind: str, protocol: int) -> None:
    with pytest.raises((TypeError, pickle.PicklingError), match="pickle") as caught:
        pickle.dumps(objects()[kind], protocol)
    assert len(str(caught.value)) > 40, "it says why, or what to do instead"


@pytest.mark.parametrize(
    "kind", ["Collateral", "Neuron", "CNS", "Dendrite", "Axon", "MappingAxon", "Modality", "AfferentPath"]
)
def test_copies_of_what_routes_are_the_object_itself(kind: str) -> None:
    each = objects()[kind]
    assert copy.copy(each) is each
    assert copy.deepcopy(each) is each
    assert copy.deepcopy([each, {"key": each}]) == [each, {"key": each}]


def test_a_copied_payload_keeps_its_collaterals() -> None:
    own: Any = collateral("own", list)
    signal = own.create_signal([1, own])
    deep = copy.deepcopy(signal)
    assert deep == signal
    assert deep is not signal
    assert deep.payload is not signal.payload
    assert deep.payload[1] is own
    assert copy.copy(signal) is signal


@pytest.mark.parametrize("kind", ["Collateral", "Neuron", "CNS", "Stimulation"])
def test_collateral_neuron_cns_and_stimulation_can_be_weakly_referenced(kind: str) -> None:
    each = objects()[kind]
    assert weakref.ref(each)() is each


@pytest.mark.parametrize("kind", FINAL)
def test_these_and_signal_are_final(kind: str) -> None:
    base: type = type(objects()[kind])
    with pytest.raises(TypeError, match=r"final|not an acceptable base type"):
        type("Sub", (base,), {})


@pytest.mark.parametrize("kind", ["Signal", "Context", "Response", "Drain", "Stimulation"])
def test_what_the_engine_makes_cannot_be_made_by_hand(kind: str) -> None:
    with pytest.raises(TypeError, match=r"made by|No constructor|cannot create"):
        type(objects()[kind])()


@pytest.mark.parametrize("kind", FINAL)
def test_they_are_what_the_package_exports(kind: str) -> None:
    assert type(objects()[kind]) is getattr(cnstra, kind)


def test_signals_are_immutable_and_equal_by_collateral_and_payload() -> None:
    signal: Any = ping.create_signal(3)
    for name in ("collateral", "payload", "collateral_name", "anything"):
        with pytest.raises(AttributeError):
            setattr(signal, name, 4)
        with pytest.raises(AttributeError):
            delattr(signal, name)
    assert signal == ping.create_signal(3)
    assert signal != ping.create_signal(4)
    assert signal != collateral("ping", int).create_signal(3)
    assert signal != 3
    assert hash(signal) == hash(ping.create_signal(3))
    assert (signal.collateral, signal.collateral_name, signal.payload) == (ping, "ping", 3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(collateral("list", list).create_signal([]))


def test_a_signal_can_be_matched() -> None:
    signal = ping.create_signal(3)
    assert ping.match(signal) is signal
    assert ping.match(None) is None
    assert a.match(signal) is None
    assert collateral("ping", int).match(signal) is None
    match signal:
        case cnstra.Signal(collateral=where, payload=int(n)):
            assert (where, n) == (ping, 3)
        case _:
            raise AssertionError


def test_collaterals_are_equal_to_themselves_only_and_hashable() -> None:
    twin = collateral("ping", int)
    assert ping != twin
    assert {ping: 1, twin: 2}[ping] == 1


def test_responses_and_drains_are_read_only() -> None:
    found = objects()
    for kind, name in (
        ("Response", "error"),
        ("Drain", "queue_length"),
        ("ActivationTask", "hop"),
        ("TaskFailure", "error"),
    ):
        with pytest.raises(AttributeError):
            setattr(found[kind], name, None)


def test_tasks_are_equal_by_what_they_say() -> None:
    one = sink("one", ping, [])
    task = ActivationTask(one, ping.create_signal(3))
    assert task == ActivationTask(one, ping.create_signal(3), 0, 1, None, None)
    assert task != ActivationTask(one, ping.create_signal(3), hop=2)
    assert task.collateral is ping


def shop() -> CNS:
    return CNS(
        [relay("one", ping, [], a), sink("two", a, []), neuron("three").join(collateral=a, response=lambda _: None)]
    )


def test_dump_and_load_carry_signals_and_tasks_by_name() -> None:
    cns = shop()
    run = cns.stimulate(
        [a.create_signal(1), a.create_signal(2)], on_response=lambda response: response.stimulation.abort()
    )
    assert run.outstanding_tasks
    # Another process has the same names and other objects.
    other_ping, other_a = collateral("ping", int), collateral("a", int)
    log: list[str] = []
    joined: list[list[int]] = []
    other = CNS(
        [
            relay("one", other_ping, log, other_a),
            sink("two", other_a, log),
            neuron("three").join(collateral=other_a, response=joined.append),
        ]
    )
    carried = json.loads(json.dumps([cns.network.dump(task) for task in run.outstanding_tasks]))
    tasks: Any = [other.network.load(each) for each in carried]
    assert [(t.neuron.name, t.collateral, t.id) for t in tasks] == [
        (t.neuron.name, other_a, t.id) for t in run.outstanding_tasks
    ]
    other.activate(tasks).raise_for_failure()
    assert log == ["two", "two"]
    assert joined == [[1, 2]]
    signal = ping.create_signal(3)
    assert other.network.load(cns.network.dump(signal)) == other_ping.create_signal(3)
    assert cns.network.load(cns.network.dump(signal)) == signal


def test_a_failure_group_can_be_raised_again_and_formatted() -> None:
    def fail(payload: int) -> None:
        raise LookupError("lost")

    run = CNS([neuron("finder").dendrite(collateral=ping, response=fail)]).stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed) as caught:
        run.raise_for_failure()
    text = "".join(traceback.format_exception(caught.value))
    assert "LookupError: lost" in text
    assert "in fail" in text
    assert "'finder'" in text


@pytest.mark.parametrize("kind", KINDS)
def test_public_classes_say_what_they_are(kind: str) -> None:
    assert inspect.getdoc(type(objects()[kind]))


def test_exceptions_can_be_raised_caught_and_pickled_where_their_content_can() -> None:
    makers: dict[str, Callable[[], BaseException]] = {
        "StimulationAborted": lambda: cnstra.StimulationAborted("enough"),
        "GraphError": lambda: cnstra.GraphError("twice"),
        "MaxHopsError": lambda: cnstra.MaxHopsError("too far"),
        "StimulationTimeout": lambda: cnstra.StimulationTimeout("late"),
        "StimulationFailed": lambda: StimulationFailed("failed", [LookupError("lost")]),
    }
    for name, make in makers.items():
        error = make()
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is getattr(cnstra, name)
        assert str(again) == str(error)
