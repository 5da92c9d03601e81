"""S2: everything has a name, routing never uses it, and the activations of a run are numbered."""

from __future__ import annotations

from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Collateral, Response, collateral, neuron

from .gates import Gates, ids, names, relay, sink

ping = collateral("ping", int)


def numbered(response: Response) -> tuple[int | None, int | None, list[int | None]]:
    """The number of the activation that answered, of its cause, and of those it caused."""
    task = response.task
    caused = [each.id for each in response.caused]
    return (None, None, caused) if task is None else (task.id, task.cause, caused)


def test_names_are_mandatory() -> None:
    with pytest.raises(ValueError, match="empty"):
        collateral("")
    with pytest.raises(ValueError, match="empty"):
        neuron("")
    with pytest.raises(TypeError, match="int"):
        collateral(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="NoneType"):
        neuron(None)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="argument"):
        Collateral()  # type: ignore[call-overload]


def test_a_signal_of_another_collateral_of_the_same_name_reaches_nobody() -> None:
    log: list[str] = []
    responses: list[Response] = []
    cns = CNS([sink("ears", ping, log)])
    run = cns.stimulate(collateral("ping", int).create_signal(1), on_response=responses.append)
    assert run.outcome == "completed"
    assert log == []
    assert [response.caused for response in responses] == [()]


def test_names_need_only_be_unique_in_one_cns() -> None:
    log: list[str] = []
    other = collateral("ping", int)
    one, two = CNS([sink("ears", ping, log)]), CNS([sink("ears", other, log)])
    one.stimulate(ping.create_signal(1))
    two.stimulate(other.create_signal(1))
    one.stimulate(other.create_signal(1))
    assert log == ["ears", "ears"]


def test_a_neuron_and_a_collateral_may_have_the_same_name() -> None:
    log: list[str] = []
    CNS([sink("ping", ping, log)]).stimulate(ping.create_signal(1))
    assert log == ["ping"]


def test_activations_are_numbered_as_they_are_reserved_and_know_their_cause() -> None:
    a, b, c = collateral("a", int), collateral("b", int), collateral("c", int)
    log: list[str] = []
    cns = CNS(
        [relay("first", ping, log, a, b), relay("second", ping, log, c), sink("third", a, log), sink("last", c, log)]
    )
    seen: dict[str, Any] = {}

    def note(response: Response) -> None:
        name = "entry" if response.neuron is None else response.neuron.name
        seen.setdefault(name, []).append(numbered(response))

    cns.stimulate(ping.create_signal(1), on_response=note)
    assert seen == {
        "entry": [(None, None, [1, 2])],
        "first": [(1, None, [3]), (1, None, [])],
        "second": [(2, None, [4])],
        "third": [(3, 1, [])],
        "last": [(4, 2, [])],
    }


def test_the_subscribers_of_a_whole_list_are_reserved_before_any_other() -> None:
    a, b = collateral("a", int), collateral("b", int)
    log: list[str] = []
    caused: list[list[int | None]] = []

    def note(response: Response) -> None:
        caused.append([task.id for task in response.caused])

    CNS([sink("a1", a, log), sink("b1", b, log), sink("a2", a, log)]).stimulate(
        [b.create_signal(0), a.create_signal(0)], on_response=note
    )
    assert caused[:2] == [[1], [2, 3]]
    assert log == ["b1", "a1", "a2"]


def test_a_handler_knows_its_own_task() -> None:
    pong = collateral("pong", int)
    tasks: list[ActivationTask] = []
    source = neuron("source", {"pong": pong})
    target = neuron("target")

    @source.dendrite(ping)
    def emit(payload: int, axon: Any, ctx: Any) -> Any:
        tasks.append(ctx.task)
        return pong.create_signal(payload + 1)

    @target.dendrite(pong)
    def take(payload: int, axon: Any, ctx: Any) -> None:
        tasks.append(ctx.task)

    CNS([source, target]).stimulate(ping.create_signal(1))
    assert [(t.neuron.name, t.collateral.name, t.signal.payload, t.dendrite, t.hop, t.id, t.cause) for t in tasks] == [
        ("source", "ping", 1, 0, 1, 1, None),
        ("target", "pong", 2, 0, 2, 2, 1),
    ]


@pytest.mark.anyio
async def test_numbers_go_on_over_the_turns_of_a_run() -> None:
    gates = Gates()
    pong = collateral("pong", int)
    slow = neuron("slow", {"pong": pong})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return pong.create_signal(payload)

    ends: list[str] = []
    cns = CNS([slow, sink("end", pong, ends)])
    responses: list[Any] = []
    run = cns.stimulate(
        [ping.create_signal(1), ping.create_signal(2)], on_response=lambda r: responses.append(numbered(r))
    )
    run.enqueue([ActivationTask(slow, ping.create_signal(3))])
    assert ids(run.activation_tasks) == [1, 2, 3]
    for name in ("slow 3", "slow 1", "slow 2"):
        await gates.open(name)
    await run
    assert responses == [
        (None, None, [1]),
        (None, None, [2]),
        (3, None, [4]),
        (4, 3, []),
        (1, None, [5]),
        (5, 1, []),
        (2, None, [6]),
        (6, 2, []),
    ]


def test_a_resumed_run_numbers_its_activations_anew() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    numbers: list[Any] = []
    task = ActivationTask(cns.neurons[0], ping.create_signal(1), hop=4, id=17, cause=9)
    cns.activate([task, task], on_response=lambda response: numbers.append(numbered(response)))
    assert numbers == [(1, None, []), (2, None, [])]


def test_tasks_and_failures_name_what_they_mean() -> None:
    def fail(payload: int) -> None:
        raise LookupError("lost")

    cns = CNS([neuron("finder").dendrite(collateral=ping, response=fail)])
    run = cns.stimulate(ping.create_signal(1))
    assert names(run.failed_tasks) == ["finder"]
    assert "finder" in repr(run.failed_tasks[0])
    assert "'ping'" in repr(run.failed_tasks[0].task)
