"""S25: joins."""

from __future__ import annotations

from typing import Any

import pytest

from cnstra import CNS, ActivationTask, GraphError, Response, collateral, neuron

from .gates import Gates, ids, names, relay, sink

ping = collateral("ping", int)
a, b, c, d = collateral("a", int), collateral("b", int), collateral("c", int), collateral("d", int)


def total(log: list[Any], *heard: Any, name: str = "total", emitted: Any = None) -> Any:
    joining = neuron(name, {} if emitted is None else {emitted.name: emitted})

    def add(payloads: list[int]) -> Any:
        log.append(payloads)
        return None if emitted is None else emitted.create_signal(sum(payloads))

    return joining.join(collateral=list(heard), response=add)


def slow_relay(gates: Gates, name: str, heard: Any, *emitted: Any) -> Any:
    slow = neuron(name, {each.name: each for each in emitted})

    @slow.dendrite(heard)
    async def wait(payload: int) -> Any:
        await gates.wait(f"{name} {payload}")
        return [each.create_signal(payload) for each in emitted]

    return slow


def test_a_join_gets_all_payloads_as_a_list_once() -> None:
    log: list[Any] = []
    run = CNS([relay("source", ping, [], a), total(log, a)]).stimulate([ping.create_signal(n) for n in (3, 1, 2)])
    assert (run.outcome, log) == ("completed", [[3, 1, 2]])


def test_as_a_decorator_too() -> None:
    log: list[Any] = []
    joining = neuron("total")

    @joining.join(a, b)
    def add(payloads: list[int]) -> None:
        log.append(payloads)

    CNS([joining]).stimulate([b.create_signal(2), a.create_signal(1)])
    assert log == [[2, 1]]
    assert add([1]) is None or True


def test_it_takes_one_to_three_arguments() -> None:
    log: list[Any] = []
    one = neuron("one").join(collateral=ping, response=lambda payloads: log.append(payloads))  # noqa: PLW0108
    two = neuron("two", {"a": a}).join(collateral=ping, response=lambda payloads, axon: log.append((payloads, axon)))
    three = neuron("three").join(
        collateral=ping, response=lambda payloads, axon, ctx: log.append((payloads, ctx.task.id))
    )
    CNS([one, two, three]).stimulate([ping.create_signal(7), ping.create_signal(8)])
    assert log == [[7, 8], ([7, 8], two.axon), ([7, 8], 9)]


def test_the_list_is_in_order_of_emission_over_all_its_collaterals() -> None:
    log: list[Any] = []
    source = neuron("source", {"a": a, "b": b})

    @source.dendrite(ping)
    def emit(payload: int) -> Any:
        return [b.create_signal(payload), a.create_signal(payload + 1), b.create_signal(payload + 2)]

    CNS([source, total(log, a, b)]).stimulate([ping.create_signal(10), ping.create_signal(20)])
    assert log == [[10, 11, 12, 20, 21, 22]]


@pytest.mark.anyio
async def test_it_is_activated_once_nothing_else_unfinished_can_reach_it() -> None:
    gates = Gates()
    log: list[Any] = []
    cns = CNS([slow_relay(gates, "slow", ping, a), slow_relay(gates, "other", b), total(log, a)])
    run = cns.stimulate([ping.create_signal(n) for n in range(3)] + [b.create_signal(9)])
    for n in (2, 0, 1):
        assert log == []
        await gates.open(f"slow {n}")
    assert log == [[2, 0, 1]], "the other neuron cannot reach it, and is not waited for"
    await gates.open("other 9")
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_it_waits_for_what_could_reach_it_even_if_that_emits_nothing() -> None:
    gates = Gates()
    log: list[Any] = []
    quiet = neuron("quiet", {"b": b}).dendrite(collateral=ping, response=lambda n: gates.wait("quiet"))
    run = CNS([quiet, total(log, a, b)]).stimulate([a.create_signal(1), ping.create_signal(2)])
    assert log == []
    await gates.open("quiet")
    assert (log, run.outcome) == ([[1]], "completed")


@pytest.mark.anyio
async def test_it_waits_for_what_reaches_it_over_several_hops() -> None:
    gates = Gates()
    log: list[Any] = []
    neurons = [slow_relay(gates, "one", ping, a), slow_relay(gates, "two", a, b), relay("three", b, [], c)]
    run = CNS([*neurons, total(log, c, d)]).stimulate([d.create_signal(0), ping.create_signal(1)])
    await gates.open("one 1")
    assert log == []
    await gates.open("two 1")
    assert (log, run.outcome) == ([[0, 1]], "completed")


def test_with_none_arrived_it_is_not_activated() -> None:
    log: list[Any] = []
    responses: list[Response] = []
    run = CNS([relay("source", ping, [], b), total(log, a)]).stimulate(
        ping.create_signal(1), on_response=responses.append
    )
    assert (run.outcome, log) == ("completed", [])
    assert [response.neuron and response.neuron.name for response in responses] == [None, "source"]


def test_a_failed_branch_is_no_reason_to_wait() -> None:
    log: list[Any] = []

    def fail(payload: int) -> Any:
        if payload == 2:
            raise LookupError
        return a.create_signal(payload)

    cns = CNS([neuron("source", {"a": a}).dendrite(collateral=ping, response=fail), total(log, a)])
    run = cns.stimulate([ping.create_signal(n) for n in (1, 2, 3)])
    assert log == [[1, 3]]
    assert names(run.failed_tasks) == ["source"]


def test_its_own_activation_is_a_new_one_that_took_the_held_ones_over() -> None:
    tasks: list[ActivationTask] = []
    responses: list[Response] = []
    joining = neuron("total", {"d": d})

    @joining.join(a, b)
    def add(payloads: list[int], axon: Any, ctx: Any) -> Any:
        tasks.append(ctx.task)
        return axon.d.create_signal(sum(payloads))

    cns = CNS([relay("source", ping, [], a), joining, sink("end", d, [])])
    cns.stimulate([b.create_signal(5), ping.create_signal(1)], on_response=responses.append)
    (task,) = tasks
    assert [part.id for part in task.joined] == [1, 3]
    assert [part.signal.payload for part in task.joined] == [5, 1]
    assert (task.id, task.hop, task.cause, task.collateral, task.signal.payload) == (4, 2, 2, a, 1)
    last = responses[-2]
    assert (last.neuron, last.hops, last.output_signal) == (joining, 2, d.create_signal(6))
    assert last.task == task
    assert [each.id for each in last.caused] == [5]
    assert [response.final for response in responses] == [False] * 4 + [True]


def test_held_signals_are_in_the_frontier_one_activation_each_until_it_takes_them_over() -> None:
    seen: list[tuple[str, list[int], int]] = []

    def on_response(response: Response) -> None:
        name = "entry" if response.neuron is None else response.neuron.name
        seen.append((name, ids(response.stimulation.outstanding_tasks), response.pending_activations))

    CNS([relay("source", ping, [], a, a), total([], a)]).stimulate(ping.create_signal(1), on_response=on_response)
    assert seen == [("entry", [1], 1), ("source", [2, 3], 2), ("source", [2, 3], 2), ("total", [], 0)]


@pytest.mark.anyio
async def test_signals_that_arrive_after_it_was_activated_activate_it_again() -> None:
    gates = Gates()
    log: list[Any] = []
    joining = total(log, a)
    waiting = neuron("waiting").dendrite(collateral=b, response=lambda n: gates.wait("waiting"))
    run = CNS([waiting, joining]).stimulate([a.create_signal(1), b.create_signal(0)])
    assert log == [[1]]
    run.enqueue([ActivationTask(joining, a.create_signal(n)) for n in (2, 3)])
    assert log == [[1], [2, 3]]
    await gates.open("waiting")
    assert run.outcome == "completed"


def test_several_joins_of_one_neuron_are_independent() -> None:
    log: list[Any] = []
    joining = neuron("both")
    joining.join(collateral=a, response=lambda payloads: log.append(("a", payloads)))
    joining.join(collateral=[a, b], response=lambda payloads: log.append(("a and b", payloads)))
    joining.dendrite(collateral=a, response=lambda payload: log.append(("plain", payload)))
    CNS([joining]).stimulate([a.create_signal(1), b.create_signal(2), a.create_signal(3)])
    assert log == [("plain", 1), ("plain", 3), ("a", [1, 3]), ("a and b", [1, 2, 3])]


def test_joins_may_follow_each_other() -> None:
    log: list[Any] = []
    cns = CNS([relay("source", ping, [], a), total(log, a, emitted=b), total(log, b, c, name="grand total")])
    run = cns.stimulate([c.create_signal(100), ping.create_signal(1), ping.create_signal(2)])
    assert (run.outcome, log) == ("completed", [[1, 2], [100, 3]])


def test_an_aborted_run_leaves_the_held_ones_undone_and_resumes_with_them() -> None:
    log: list[Any] = []
    cns = CNS([relay("source", ping, [], a), total(log, a)])

    def stop(response: Response) -> None:
        if response.neuron is not None and response.input_signal == ping.create_signal(2):
            response.stimulation.abort()

    run = cns.stimulate([ping.create_signal(n) for n in (1, 2, 3)], on_response=stop)
    assert (run.outcome, log) == ("aborted", [])
    assert names(run.outstanding_tasks) == ["source", "total", "total"]
    again = cns.activate(run.outstanding_tasks)
    assert again.outcome == "completed"
    assert [sorted(payloads) for payloads in log] == [[1, 2, 3]]


def test_a_failed_join_is_one_task_that_runs_again_with_the_same_list() -> None:
    log: list[Any] = []
    broken = [True]
    joining = neuron("total")

    @joining.join(a)
    def add(payloads: list[int]) -> None:
        if broken[0]:
            raise LookupError
        log.append(payloads)

    cns = CNS([joining])
    run = cns.stimulate([a.create_signal(1), a.create_signal(2)])
    (task,) = run.outstanding_tasks
    assert [failure.task for failure in run.failed_tasks] == [task]
    assert [part.signal.payload for part in task.joined] == [1, 2]
    broken[0] = False
    # Others that arrive meanwhile are a list of their own.
    again = cns.activate([task, ActivationTask(joining, a.create_signal(3))])
    assert again.outcome == "completed"
    assert log == [[1, 2], [3]]


def test_a_task_for_a_join_that_took_nothing_over_is_held_like_a_signal() -> None:
    log: list[Any] = []
    joining = total(log, a, b)
    CNS([joining]).activate([ActivationTask(joining, b.create_signal(2)), ActivationTask(joining, a.create_signal(1))])
    assert log == [[2, 1]]


CYCLES: dict[str, Any] = {
    "itself": lambda: [total([], a, name="circle", emitted=a)],
    "over one": lambda: [total([], a, name="circle", emitted=b), relay("back", b, [], a)],
    "over two": lambda: [total([], a, name="circle", emitted=b), relay("one", b, [], c), relay("two", c, [], a)],
    "by another dendrite": lambda: [
        neuron("circle", {"b": b}).join(collateral=a, response=print).dendrite(collateral=b, response=print)
    ],
}


@pytest.mark.parametrize("cycle", CYCLES)
def test_a_join_that_could_reach_itself_is_a_graph_error_that_names_the_way(cycle: str) -> None:
    neurons = CYCLES[cycle]()
    with pytest.raises(GraphError, match="'circle'") as caught:
        CNS(neurons)
    assert all(repr(each.name) in str(caught.value) for each in neurons)


def test_a_cycle_beside_it_is_none_of_its_business() -> None:
    log: list[Any] = []
    circle = neuron("circle", {"a": a, "ping": ping})

    @circle.dendrite(ping)
    def down(payload: int) -> Any:
        return [a.create_signal(payload), *([ping.create_signal(payload - 1)] if payload else [])]

    CNS([circle, total(log, a)]).stimulate(ping.create_signal(3))
    assert log == [[3, 2, 1, 0]]


@pytest.mark.anyio
async def test_what_a_listener_holds_back_is_waited_for() -> None:
    gates = Gates()
    log: list[Any] = []
    cns = CNS([relay("source", ping, [], a), total(log, a)])
    run = cns.stimulate(
        [ping.create_signal(1), ping.create_signal(2)],
        on_response=lambda r: gates.wait("checkpoint") if r.output_signal == a.create_signal(1) else None,
    )
    assert log == []
    await gates.open("checkpoint")
    assert (log, run.outcome) == ([[1, 2]], "completed")


@pytest.mark.anyio
async def test_a_join_may_wait_for_a_slot_and_be_asynchronous() -> None:
    gates = Gates()
    joining = neuron("total", concurrency=1)
    joining.join(collateral=a, response=lambda payloads: gates.wait(str(payloads)))
    cns = CNS([joining])
    runs = [cns.stimulate([a.create_signal(n), a.create_signal(n)]) for n in range(2)]
    assert list(gates.waiting) == ["[0, 0]"]
    await gates.open("[0, 0]")
    await gates.open("[1, 1]")
    assert [run.outcome for run in runs] == ["completed"] * 2


@pytest.mark.anyio
async def test_its_hop_is_that_of_the_longest_way_whichever_arrived_last() -> None:
    gates = Gates()
    hops: list[int] = []
    chain = [relay("one", ping, [], a), relay("two", a, [], b), slow_relay(gates, "slow", d, c)]
    joining = neuron("total").join(collateral=[b, c], response=lambda payloads, axon, ctx: hops.append(ctx.task.hop))
    run = CNS([*chain, joining]).stimulate([ping.create_signal(1), d.create_signal(2)])
    await gates.open("slow 2")
    assert (run.outcome, hops) == ("completed", [3])


def test_max_hops_counts_the_longest_way_to_it() -> None:
    log: list[Any] = []
    cns = CNS([relay("source", ping, [], a), total(log, a, b)])
    signals = [b.create_signal(1), ping.create_signal(2)]
    assert cns.stimulate(signals, max_hops=2).outcome == "completed"
    run = cns.stimulate(signals, max_hops=1)
    assert log == [[1, 2]]
    (task,) = run.outstanding_tasks
    assert (task.hop, len(task.joined)) == (2, 2)
    assert run.failed_tasks
