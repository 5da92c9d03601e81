"""S1: the graph is compiled and checked once, and limits are checked at the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cnstra
from cnstra import CNS, Axon, Collateral, GraphError, collateral, neuron

from .gates import Gates, relay, settle, sink

ping = collateral("ping", int)


def test_a_neuron_that_is_listed_twice_is_an_error_that_names_it() -> None:
    twice = neuron("twice")
    with pytest.raises(GraphError, match="'twice'"):
        CNS([twice, neuron("other"), twice])


def test_two_neurons_of_one_name_are_an_error_that_names_it() -> None:
    with pytest.raises(GraphError, match="'users'"):
        CNS([neuron("users"), neuron("users")])


@pytest.mark.parametrize(
    "make",
    [
        lambda: [sink("hears", collateral("same"), []), sink("hears too", collateral("same"), [])],
        lambda: [neuron("owns", {"x": collateral("same")}), sink("hears", collateral("same"), [])],
        lambda: [neuron("owns", {"x": collateral("same")}), neuron("owns too", {"x": collateral("same")})],
        lambda: [neuron("owns both", {"x": collateral("same"), "y": collateral("same")})],
        lambda: [
            neuron("hears both")
            .dendrite(collateral=collateral("same"), response=print)
            .dendrite(collateral=collateral("same"), response=print)
        ],
    ],
    ids=["heard and heard", "owned and heard", "owned and owned", "on one axon", "at one neuron"],
)
def test_two_collaterals_of_one_name_are_an_error_that_names_it_and_the_neurons(make: Callable[[], list[Any]]) -> None:
    neurons = make()
    with pytest.raises(GraphError, match="'same'") as caught:
        CNS(neurons)
    assert all(repr(each.name) in str(caught.value) for each in neurons)


def test_the_second_of_two_collaterals_of_one_name_is_found_however_many_lie_between() -> None:
    others = [sink(f"neuron {n}", collateral(f"collateral {n}"), []) for n in range(50)]
    with pytest.raises(GraphError, match="'same'"):
        CNS([sink("first", collateral("same"), []), *others, sink("last", collateral("same"), [])])


def test_a_collateral_on_two_axons_is_an_error_that_names_it_and_both_neurons() -> None:
    with pytest.raises(GraphError, match=r"'ping'.*'first'.*'second'"):
        CNS([neuron("first", {"ping": ping}), neuron("second", {"pong": ping})])


def test_one_axon_object_on_two_neurons_is_an_error() -> None:
    class Shared(Axon[int]):
        shared: Collateral[int]

    axon = Shared()
    with pytest.raises(GraphError, match=r"'shared'.*'first'.*'second'"):
        CNS([neuron("first", axon), neuron("second", axon)])


def test_two_objects_of_one_axon_class_clash_by_name() -> None:
    class Twin(Axon[int]):
        twin: Collateral[int]

    with pytest.raises(GraphError, match="'twin'"):
        CNS([neuron("first", Twin()), neuron("second", Twin())])


@pytest.mark.parametrize("no_collateral", ["ping", ping.create_signal(1), None, Collateral, 3])
def test_a_dendrite_on_something_that_is_no_collateral_is_an_error_that_names_both(no_collateral: Any) -> None:
    ears: Any = neuron("ears")
    with pytest.raises((GraphError, TypeError), match="'ears'"):
        ears.dendrite(collateral=no_collateral, response=print)
    with pytest.raises(GraphError, match=f"'ears'.*{type(no_collateral).__name__}"):
        ears.dendrite(ping, no_collateral)
    assert ears.dendrites == ()


def test_errors_of_the_graph_are_value_errors_of_cnstra() -> None:
    assert issubclass(GraphError, ValueError)
    assert issubclass(GraphError, cnstra.CnstraError)


@pytest.mark.parametrize(
    "add",
    [
        lambda ears: ears.dendrite(collateral=ping, response=print),
        lambda ears: ears.dendrite(ping)(print),
        lambda ears: ears.join(ping)(print),
        lambda ears: ears.join(collateral=[ping], response=print),
        lambda ears: ears.bind({"ping": ping})(print),
        lambda ears: ears.bind({"ping": ping}, ping=print),
        lambda ears: ears.modality_dendrite(collateral=ping, default=print),
    ],
    ids=["dendrite", "decorator", "join decorator", "join", "bind decorator", "bind", "modality dendrite"],
)
def test_a_dendrite_that_is_added_to_a_compiled_neuron_is_an_error(add: Callable[[Any], object]) -> None:
    ears = neuron("ears")
    CNS([ears])
    with pytest.raises(GraphError, match="'ears'"):
        add(ears)
    assert ears.dendrites == ()


def test_a_decorator_that_was_made_before_compiling_is_refused_after_it() -> None:
    ears = neuron("ears")
    decorate = ears.dendrite(ping)
    CNS([ears])
    with pytest.raises(GraphError, match="'ears'"):
        decorate(lambda payload: None)
    assert ears.dendrites == ()


def test_a_graph_that_did_not_compile_leaves_its_neurons_open() -> None:
    log: list[str] = []
    ears = neuron("ears")
    with pytest.raises(GraphError):
        CNS([ears, ears])
    ears.dendrite(collateral=ping, response=lambda _: log.append("heard"))
    CNS([ears]).stimulate(ping.create_signal(1))
    assert log == ["heard"]


def test_subscribers_are_ordered_by_neuron_in_the_list_then_by_dendrite() -> None:
    log: list[str] = []
    first, second = neuron("first"), neuron("second")
    second.dendrite(collateral=ping, response=lambda _: log.append("second, 0"))
    first.dendrite(collateral=ping, response=lambda _: log.append("first, 0"))
    second.dendrite(collateral=ping, response=lambda _: log.append("second, 1"))
    first.dendrite(collateral=ping, response=lambda _: log.append("first, 1"))
    CNS([second, first]).stimulate(ping.create_signal(1))
    CNS([first, second]).stimulate(ping.create_signal(1))
    assert log[:4] == ["second, 0", "second, 1", "first, 0", "first, 1"]
    assert log[4:] == ["first, 0", "first, 1", "second, 0", "second, 1"]


def test_the_graph_does_not_change_with_the_list_that_it_was_made_of() -> None:
    log: list[str] = []
    neurons = [sink("first", ping, log)]
    cns = CNS(neurons)
    neurons.append(sink("second", ping, log))
    neurons.pop(0)
    cns.stimulate(ping.create_signal(1))
    assert log == ["first"]
    assert [each.name for each in cns.neurons] == ["first"]


def test_a_graph_may_be_empty() -> None:
    assert CNS([]).stimulate(ping.create_signal(1)).outcome == "completed"


@pytest.mark.anyio
async def test_a_neuron_may_be_in_several_cns_and_its_limits_are_per_cns() -> None:
    gates = Gates()
    worker = neuron("worker", concurrency=1)

    @worker.dendrite(ping)
    async def work(payload: int) -> None:
        await gates.wait(f"work {payload}")

    one, two = CNS([worker]), CNS([worker])
    runs = [one.stimulate(ping.create_signal(1)), two.stimulate(ping.create_signal(2))]
    assert set(gates.waiting) == {"work 1", "work 2"}
    runs.append(one.stimulate(ping.create_signal(3)))
    assert "work 3" not in gates.waiting
    await gates.open("work 2")
    assert "work 3" not in gates.waiting
    await gates.open("work 1")
    await gates.open("work 3")
    assert [run.outcome for run in runs] == ["completed"] * 3


def test_a_neuron_may_be_wired_differently_in_each_cns() -> None:
    log: list[str] = []
    pong = collateral("pong", int)
    source = relay("source", ping, log, pong)
    CNS([source, sink("left", pong, log)]).stimulate(ping.create_signal(1))
    CNS([source, sink("right", pong, log)]).stimulate(ping.create_signal(1))
    assert log == ["source", "left", "source", "right"]


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_neuron_concurrency_below_one_is_a_value_error_at_the_call(concurrency: int) -> None:
    with pytest.raises(ValueError, match=r"'ears'.*concurrency"):
        neuron("ears", concurrency=concurrency)


@pytest.mark.parametrize("seconds", [0, -1, 0.0, -0.5, float("nan"), float("inf")])
def test_a_max_duration_of_no_time_is_a_value_error_at_the_call(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"'ears'.*max_duration"):
        neuron("ears", max_duration=seconds)


LIMITS: list[dict[str, Any]] = [
    {"concurrency": 0},
    {"concurrency": -3},
    {"max_hops": 0},
    {"max_hops": -1},
    {"timeout": 0},
    {"timeout": -0.1},
    {"timeout": float("nan")},
    {"timeout": float("inf")},
]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_a_run_limit_below_its_minimum_is_a_value_error_at_the_call(limit: dict[str, Any]) -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    name = next(iter(limit))
    with pytest.raises(ValueError, match=name):
        cns.stimulate(ping.create_signal(1), **limit)
    with pytest.raises(ValueError, match=name):
        cns.activate([cnstra.ActivationTask(cns.neurons[0], ping.create_signal(1))], **limit)
    with pytest.raises(ValueError, match=name):
        cns.run(ping.create_signal(1), **limit)
    with pytest.raises(ValueError, match=name):
        cnstra.StimulationGate(cns, ping.create_signal(1), **limit)
    assert log == []


@pytest.mark.anyio
@pytest.mark.parametrize("limit", LIMITS, ids=str)
async def test_so_is_one_given_to_query_or_stream(limit: dict[str, Any]) -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    name = next(iter(limit))
    with pytest.raises(ValueError, match=name):
        await cns.query(ping.create_signal(1), ping, **limit)
    with pytest.raises(ValueError, match=name):
        cns.stream(ping.create_signal(1), **limit)
    with pytest.raises(ValueError, match="buffer"):
        cns.stream(ping.create_signal(1), buffer=0)
    await settle()
    assert log == []


def test_the_least_limits_are_allowed() -> None:
    log: list[str] = []
    ears = neuron("ears", concurrency=1, max_duration=60.0).dendrite(
        collateral=ping, response=lambda _: log.append("heard")
    )
    run = CNS([ears]).stimulate(ping.create_signal(1), concurrency=1, max_hops=1, timeout=60)
    assert (run.outcome, log) == ("completed", ["heard"])
