"""S4, S5, S22: a million activations at once, from one signal, from one list, or held for a join."""

from __future__ import annotations

from typing import Any

from cnstra import CNS, Response, Signal, collateral, neuron

from .sizes import size

go = collateral("go", int)
item = collateral("item", int)


def test_a_million_signals_in_one_stimulation() -> None:
    count = size(1_000_000, 200_000)
    seen: list[int] = []
    cns = CNS([neuron("sink").dendrite(collateral=item, response=seen.append)])
    assert cns.stimulate([item.create_signal(i) for i in range(count)]).outcome == "completed"
    assert seen == list(range(count))


def test_a_million_signals_in_the_list_of_a_handler() -> None:
    count = size(1_000_000, 200_000)
    seen: list[int] = []

    def spread(payload: int, axon: Any) -> list[Signal[int]]:
        return [axon.item.create_signal(i) for i in range(payload)]

    source = neuron("source", {"item": item}).dendrite(collateral=go, response=spread)
    sink = neuron("sink").dendrite(collateral=item, response=seen.append)
    assert CNS([source, sink]).stimulate(go.create_signal(count)).outcome == "completed"
    assert seen == list(range(count))


def test_a_signal_with_many_subscribers() -> None:
    """A thousand signals to a thousand neurons: each neuron's handlers run in the order of the signals."""
    neurons, signals = size(1_000, 400), size(1_000, 400)
    seen: list[list[int]] = [[] for _ in range(neurons)]
    cns = CNS([neuron(f"n{i}").dendrite(collateral=item, response=seen[i].append) for i in range(neurons)])
    assert cns.stimulate([item.create_signal(i) for i in range(signals)]).outcome == "completed"
    assert seen == [list(range(signals))] * neurons


def test_the_counters_of_a_large_fan_out() -> None:
    count = size(200_000, 50_000)
    lengths: list[int] = []
    final: list[bool] = []

    def hear(response: Response) -> None:
        lengths.append(response.queue_length)
        final.append(response.final)

    cns = CNS([neuron("sink").dendrite(collateral=item, response=lambda payload: None)])
    assert cns.stimulate([item.create_signal(i) for i in range(count)], on_response=hear).outcome == "completed"
    # Everything is reserved from the first response on; then it goes down one by one.
    assert lengths == [count] * count + list(range(count - 1, -1, -1))
    assert final == [False] * (2 * count - 1) + [True]


def test_a_join_of_a_million_signals() -> None:
    count = size(1_000_000, 200_000)
    seen: list[list[int]] = []
    cns = CNS([neuron("total").join(collateral=item, response=seen.append)])
    assert cns.stimulate([item.create_signal(i) for i in range(count)]).outcome == "completed"
    assert seen == [list(range(count))]


def test_many_failures_are_one_group() -> None:
    count = size(100_000, 30_000)

    def refuse(payload: int) -> None:
        raise ValueError(payload)

    cns = CNS([neuron("sink").dendrite(collateral=item, response=refuse)])
    run = cns.stimulate([item.create_signal(i) for i in range(count)])
    assert run.outcome == "failed"
    error = run.exception()
    assert isinstance(error, ExceptionGroup)
    assert len(error.exceptions) == count
    assert [failure.task.id for failure in run.failed_tasks] == list(range(1, count + 1))
    again = cns.activate(run.outstanding_tasks)
    assert len(again.failed_tasks) == count


def test_what_an_abort_leaves_of_a_large_fan_out() -> None:
    count = size(200_000, 50_000)
    done: list[int] = []

    def work(payload: int, axon: Any, ctx: Any) -> None:
        done.append(payload)
        if payload == count // 2:
            ctx.stimulation.abort("enough")

    cns = CNS([neuron("worker").dendrite(collateral=item, response=work)])
    run = cns.stimulate([item.create_signal(i) for i in range(count)])
    assert run.outcome == "aborted"
    left = run.outstanding_tasks
    assert [task.signal.payload for task in left] == list(range(count // 2 + 1, count))
    assert cns.activate(left).outcome == "completed"
    assert done == list(range(count))


def test_large_payloads_are_let_go_as_the_run_goes_on() -> None:
    """A chain that hands on a megabyte a hop needs a few megabytes, not one a hop."""
    import tracemalloc

    def grow(left: bytes, axon: Any) -> Signal[bytes] | None:
        return axon.blob.create_signal(bytes(2**20 + len(left) - 2**20 - 1)) if len(left) > 2**20 - 500 else None

    blob = collateral("blob", bytes)
    cns = CNS([neuron("relay", {"blob": blob}).dendrite(collateral=blob, response=grow)])
    tracemalloc.start()
    try:
        run = cns.stimulate(blob.create_signal(bytes(2**20)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert run.outcome == "completed"
    assert peak < 10 * 2**20
