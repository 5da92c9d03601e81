"""S22: a graph of a million neurons is built, run and analysed, on a stack that does not grow."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnstra import CNS, ActivationTask, Collateral, Neuron, Signal, collateral, neuron

from .sizes import size

AnyNeuron = Neuron[Any, Any, Any, Any]


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's collector looks at all objects again and again while millions are made that all stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def relay(left: int, axon: Any) -> Signal[int] | None:
    return axon.out.create_signal(left - 1) if left else None


def links(count: int) -> list[Collateral[int]]:
    return [collateral(f"c{i}", int) for i in range(count)]


def chain(between: list[Collateral[int]]) -> list[AnyNeuron]:
    """Neurons that each hear one of the collaterals and emit the next; the last hears the last and emits nothing."""
    neurons: list[AnyNeuron] = [
        neuron(f"n{i}", {"out": between[i + 1]}).dendrite(collateral=between[i], response=relay)
        for i in range(len(between) - 1)
    ]
    end = neuron("end").dendrite(collateral=between[-1], response=lambda left, axon, ctx: ctx.set(left))
    return [*neurons, end]


def test_a_chain_of_a_million_neurons() -> None:
    count = size(1_000_000, 100_000)
    with no_collection():
        between = links(count)
        neurons = chain(between)
        cns = CNS(neurons)
        run = cns.stimulate(between[0].create_signal(count))
        assert run.outcome == "completed"
        assert run.context.get_all() == {"end": 1}
        components = cns.network.strongly_connected_components
        assert len(components) == count
        assert components[0] == (neurons[-1],)
        assert components[-1] == (neurons[0],)
        del neurons, between, cns, run, components
    gc.collect()


def test_a_cycle_of_many_neurons() -> None:
    count = size(150_000, 50_000)
    with no_collection():
        between = links(count)
        neurons = [
            neuron(f"n{i}", {"out": between[(i + 1) % count]}).dendrite(collateral=between[i], response=relay)
            for i in range(count)
        ]
        cns = CNS(neurons)
        assert cns.stimulate(between[0].create_signal(2 * count)).outcome == "completed"
        assert [len(component) for component in cns.network.strongly_connected_components] == [count]


def test_context_cleanup_looks_through_a_long_chain() -> None:
    """What can still be reached is looked for at the end of a turn, iteratively."""
    count = size(100_000, 30_000)
    with no_collection():
        between = links(count)
        cns = CNS(chain(between), auto_cleanup_contexts=True)
        run = cns.stimulate(between[0].create_signal(count))
        assert run.outcome == "completed"
        assert run.context.get_all() == {}


def test_a_join_behind_a_long_chain() -> None:
    """Whether a join can still be reached is looked for when the graph is compiled, iteratively."""
    count = size(100_000, 30_000)
    seen: list[list[int]] = []
    with no_collection():
        between = links(count)
        neurons = chain(between)[:-1]
        total = neuron("total").join(collateral=[between[0], between[-1]], response=seen.append)
        cns = CNS([*neurons, total])
        assert cns.stimulate(between[0].create_signal(count)).outcome == "completed"
    assert seen == [[count, 1]]


def test_a_large_graph_as_json() -> None:
    count = size(30_000, 20_000)
    with no_collection():
        between = links(count)
        network = CNS(chain(between)).network
        graph = json.loads(network.to_json())
        assert len(graph["neurons"]) == count
        assert len(graph["components"]) == count
        assert network.to_mermaid().count("\n") > count
        assert network.to_dot().count("\n") > count


def test_tasks_of_a_large_graph_are_found_by_name() -> None:
    count = size(50_000, 20_000)
    with no_collection():
        between = links(count)
        neurons = chain(between)
        cns = CNS(neurons)
        task = ActivationTask(neurons[count // 2], between[count // 2].create_signal(10))
        again = cns.network.load(json.loads(json.dumps(cns.network.dump(task))))
        assert again == task
        run = cns.activate([again])
        assert run.outcome == "completed"
