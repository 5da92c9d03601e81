"""Wrong arguments: each call says what is wrong with them, starts nothing, and leaves the CNS as good as it was."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import cnstra
from cnstra import (
    CNS,
    AbortController,
    ActivationTask,
    Context,
    MemoryContextStore,
    Signal,
    StimulationGate,
    collateral,
    modality,
    neuron,
)

ping: Any = collateral("ping", int)
pong: Any = collateral("pong", int)


class World:
    """A CNS with one neuron, that tells whether it works."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.ears: Any = neuron("ears").dendrite(collateral=ping, response=self.heard.append)
        self.cns: Any = CNS([self.ears])
        self.signal = ping.create_signal(1)
        self.task = ActivationTask(self.ears, self.signal)
        self.run: Any = None

    def works(self) -> bool:
        """Whether nothing was started, and a normal run is normal."""
        before = list(self.heard)
        responses: list[Any] = []
        run = self.cns.stimulate(ping.create_signal(42), on_response=responses.append)
        return bool(before == [] and self.heard == [42] and run.outcome == "completed" and len(responses) == 2)


Call = Callable[[World], Any]

# What is wrong, the call, the error, and what its message must name.
STIMULATE: list[tuple[str, Call, type[Exception], str]] = [
    ("nothing", lambda w: w.cns.stimulate(), TypeError, "signal|argument"),
    ("two signals", lambda w: w.cns.stimulate(w.signal, w.signal), TypeError, "argument"),
    ("None", lambda w: w.cns.stimulate(None), TypeError, "signal.*NoneType"),
    ("a number", lambda w: w.cns.stimulate(3), TypeError, "signal.*int"),
    ("a name", lambda w: w.cns.stimulate("ping"), TypeError, "signal.*str"),
    ("the collateral", lambda w: w.cns.stimulate(ping), TypeError, "signal.*Collateral"),
    ("the class", lambda w: w.cns.stimulate(Signal), TypeError, "signal"),
    ("a task", lambda w: w.cns.stimulate(w.task), TypeError, "signal.*ActivationTask"),
    ("a list of numbers", lambda w: w.cns.stimulate([3]), TypeError, "signal.*int"),
    ("a list with None at its end", lambda w: w.cns.stimulate([w.signal, None]), TypeError, "signal.*NoneType"),
    ("a list of tasks", lambda w: w.cns.stimulate([w.task]), TypeError, "signal.*ActivationTask"),
    ("a list in a list", lambda w: w.cns.stimulate([[w.signal]]), TypeError, "signal.*list"),
    ("a set", lambda w: w.cns.stimulate({w.signal}), TypeError, "signal.*set"),
    ("an iterator", lambda w: w.cns.stimulate(iter([w.signal])), TypeError, "signal.*iterator"),
    ("a dictionary", lambda w: w.cns.stimulate({"ping": w.signal}), TypeError, "signal.*dict"),
    ("a keyword for the signal", lambda w: w.cns.stimulate(signal=w.signal), TypeError, "signal|argument"),
]

ACTIVATE: list[tuple[str, Call, type[Exception], str]] = [
    ("nothing", lambda w: w.cns.activate(), TypeError, "tasks|argument"),
    ("a task that is in no list", lambda w: w.cns.activate(w.task), TypeError, "list of ActivationTask"),
    ("None", lambda w: w.cns.activate(None), TypeError, "NoneType"),
    ("a signal", lambda w: w.cns.activate(w.signal), TypeError, "Signal"),
    ("signals", lambda w: w.cns.activate([w.signal]), TypeError, "Signal"),
    ("None in a list", lambda w: w.cns.activate([w.task, None]), TypeError, "NoneType"),
    ("an iterator", lambda w: w.cns.activate(iter([w.task])), TypeError, "iterator"),
    ("dumped tasks", lambda w: w.cns.activate([w.cns.network.dump(w.task)]), TypeError, "dict"),
    (
        "failures in place of their tasks",
        lambda w: w.cns.activate([cnstra.TaskFailure(w.task, LookupError())]),
        TypeError,
        "ActivationTask, not TaskFailure",
    ),
]

OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"unknown": 1}, TypeError, "unknown"),
    ({"on_respons": print}, TypeError, "on_respons"),
    ({"on_response": 3}, TypeError, "on_response.*int"),
    ({"on_response": [print]}, TypeError, "on_response.*list"),
    ({"on_drain": "print"}, TypeError, "on_drain.*str"),
    ({"abort_signal": 3}, TypeError, "abort_signal.*int"),
    ({"abort_signal": AbortController()}, TypeError, r"abort_signal.*AbortController\(\)\.signal"),
    ({"timeout": "1"}, TypeError, "timeout.*str"),
    ({"timeout": True}, TypeError, "timeout.*bool"),
    ({"timeout": 1j}, TypeError, "timeout.*complex"),
    ({"timeout": Decimal(1)}, TypeError, "timeout.*Decimal"),
    ({"timeout": 0}, ValueError, "timeout.*0"),
    ({"timeout": -1.5}, ValueError, "timeout"),
    ({"timeout": float("nan")}, ValueError, "timeout"),
    ({"timeout": float("inf")}, ValueError, "timeout"),
    ({"timeout": 10**400}, ValueError, "timeout"),
    ({"concurrency": "1"}, TypeError, "concurrency.*str"),
    ({"concurrency": 1.0}, TypeError, "concurrency.*float"),
    ({"concurrency": True}, TypeError, "concurrency.*bool"),
    ({"concurrency": 0}, ValueError, "concurrency.*0"),
    ({"concurrency": -(10**30)}, ValueError, "concurrency"),
    ({"max_hops": "1"}, TypeError, "max_hops.*str"),
    ({"max_hops": 2.0}, TypeError, "max_hops.*float"),
    ({"max_hops": False}, TypeError, "max_hops.*bool"),
    ({"max_hops": 0}, ValueError, "max_hops.*0"),
    ({"context_store": 3}, TypeError, "context_store.*int"),
    ({"context_store": {}}, TypeError, "context_store.*dict.*set"),
    ({"context_store": MemoryContextStore}, TypeError, "context_store"),
    ({"modality": "http"}, TypeError, "modality.*str"),
    ({"afferent_path": "api"}, TypeError, "afferent_path.*str"),
    ({"afferent_path": modality("http")}, TypeError, "afferent_path.*Modality"),
]

GRAPHS: list[tuple[str, Call, type[Exception], str]] = [
    ("nothing", lambda w: CNS(), TypeError, "neurons|argument"),  # type: ignore[call-arg]
    ("None", lambda w: CNS(None), TypeError, "NoneType"),  # type: ignore[arg-type]
    ("a number", lambda w: CNS(3), TypeError, "int"),  # type: ignore[arg-type]
    ("a neuron that is in no list", lambda w: CNS(w.ears), TypeError, "Neuron"),
    ("a name", lambda w: CNS("ears"), TypeError, "str"),  # type: ignore[arg-type]
    ("a list of names", lambda w: CNS(["ears"]), TypeError, "str"),  # type: ignore[list-item]
    ("None in the list", lambda w: CNS([w.ears, None]), TypeError, "NoneType"),  # type: ignore[list-item]
    ("a collateral in the list", lambda w: CNS([ping]), TypeError, "Collateral"),
    ("a handler in the list", lambda w: CNS([print]), TypeError, "builtin_function_or_method"),  # type: ignore[list-item]
    ("the class", lambda w: CNS([cnstra.Neuron]), TypeError, "type"),  # type: ignore[list-item]
    ("an unknown option", lambda w: CNS([], unknown=1), TypeError, "unknown"),  # type: ignore[call-arg]
    ("middleware that is no list", lambda w: CNS([], middleware=3), TypeError, "middleware|iterable"),  # type: ignore[arg-type]
    ("middleware that is no function", lambda w: CNS([], middleware=[3]), TypeError, "middleware.*int"),  # type: ignore[list-item]
    ("two positional arguments", lambda w: CNS([], {}), TypeError, "argument"),  # type: ignore[call-arg]
]

OTHERS: list[tuple[str, Call, type[Exception], str]] = [
    ("listener None", lambda w: w.cns.add_response_listener(None), TypeError, "callable.*NoneType"),
    ("listener 3", lambda w: w.cns.add_response_listener(3), TypeError, "callable.*int"),
    ("no listener", lambda w: w.cns.add_response_listener(), TypeError, "argument"),
    ("drain listener None", lambda w: w.cns.add_drain_listener(None), TypeError, "callable.*NoneType"),
    ("drain listener text", lambda w: w.cns.add_drain_listener("x"), TypeError, "callable.*str"),
    ("a CNS attribute", lambda w: setattr(w.cns, "neurons", []), AttributeError, "neurons|attribute"),
    ("a new CNS attribute", lambda w: setattr(w.cns, "mine", []), AttributeError, "mine"),
    ("a neuron's name", lambda w: setattr(w.ears, "name", "x"), AttributeError, "name|attribute"),
    ("a collateral's name", lambda w: setattr(ping, "name", "x"), AttributeError, "name|attribute|writable"),
    ("run of nothing", lambda w: w.cns.run(), TypeError, "argument"),
    ("run of a number", lambda w: w.cns.run(3), TypeError, "signal.*int"),
    ("run with an unknown option", lambda w: w.cns.run(w.signal, unknown=1), TypeError, "unknown"),
    ("run_query without reply", lambda w: w.cns.run_query(w.signal), TypeError, "reply|argument"),
    ("run_query for a name", lambda w: w.cns.run_query(w.signal, "ping"), TypeError, "Collateral.*str"),
    ("run_query of a number", lambda w: w.cns.run_query(3, ping), TypeError, "signal.*int"),
    ("a gate without a CNS", lambda w: StimulationGate(None, w.signal), TypeError, "CNS.*NoneType"),  # type: ignore[arg-type]
    ("a gate of a number", lambda w: StimulationGate(w.cns, 3), TypeError, "signal.*int"),  # type: ignore[arg-type]
    ("a gate's unknown option", lambda w: StimulationGate(w.cns, w.signal, unknown=1), TypeError, "unknown"),
    ("a signal without payload", lambda w: ping.create_signal(), TypeError, "'ping'.*int.*payload"),
    ("a signal with two", lambda w: ping.create_signal(1, 2), TypeError, "argument"),
    ("match of a number", lambda w: ping.match(3), TypeError, "Signal.*int"),
    ("a task without a neuron", lambda w: ActivationTask("ears", w.signal), TypeError, "neuron.*str"),  # type: ignore[arg-type]
    ("a task without a signal", lambda w: ActivationTask(w.ears, 3), TypeError, "signal.*int"),  # type: ignore[arg-type]
    ("a task's dendrite", lambda w: ActivationTask(w.ears, w.signal, dendrite=-1), ValueError, "dendrite.*-1"),
    ("a task's hop", lambda w: ActivationTask(w.ears, w.signal, hop=0), ValueError, "hop.*0"),
    ("a task's hop as text", lambda w: ActivationTask(w.ears, w.signal, hop="1"), TypeError, "hop.*str"),  # type: ignore[arg-type]
    ("a task's id", lambda w: ActivationTask(w.ears, w.signal, id="1"), TypeError, "id.*str"),  # type: ignore[arg-type]
    ("a task's cause", lambda w: ActivationTask(w.ears, w.signal, cause=1.5), TypeError, "cause.*float"),  # type: ignore[arg-type]
    ("a task's parts", lambda w: ActivationTask(w.ears, w.signal, joined=(3,)), TypeError, "joined"),  # type: ignore[arg-type]
    ("a task's parts as a number", lambda w: ActivationTask(w.ears, w.signal, joined=3), TypeError, "joined|iterable"),  # type: ignore[arg-type]
    ("a collateral's name", lambda w: collateral(b"x"), TypeError, "str.*bytes"),  # type: ignore[call-overload]
    ("two names", lambda w: neuron("a", "b"), TypeError, "'a'.*str"),  # type: ignore[call-overload]
]


def identified(cases: list[Any]) -> Any:
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.mark.parametrize(("call", "error", "named"), identified(STIMULATE + ACTIVATE + GRAPHS + OTHERS))
def test_wrong_arguments_are_told_at_the_call(call: Call, error: type[Exception], named: str) -> None:
    world = World()
    with pytest.raises(error, match=f"(?s){named}"):
        call(world)
    assert world.works()


@pytest.mark.anyio
@pytest.mark.parametrize(("call", "error", "named"), identified(STIMULATE + ACTIVATE))
async def test_so_they_are_in_a_loop(call: Call, error: type[Exception], named: str) -> None:
    world = World()
    with pytest.raises(error, match=f"(?s){named}"):
        call(world)
    assert world.works()


STARTERS: dict[str, Callable[[World, dict[str, Any]], Any]] = {
    "stimulate": lambda w, options: w.cns.stimulate(w.signal, **options),
    "activate": lambda w, options: w.cns.activate([w.task], **options),
    "run": lambda w, options: w.cns.run(w.signal, **options),
    "run_query": lambda w, options: w.cns.run_query(w.signal, ping, **options),
    "gate": lambda w, options: StimulationGate(w.cns, w.signal, **options),
}


@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize(("options", "error", "named"), OPTIONS, ids=lambda value: repr(value)[:40])
def test_wrong_options_are_told_at_the_call(
    starter: str, options: dict[str, Any], error: type[Exception], named: str
) -> None:
    world = World()
    with pytest.raises(error, match=f"(?s){named}"):
        STARTERS[starter](world, options)
    assert world.works()


@pytest.mark.anyio
@pytest.mark.parametrize(("options", "error", "named"), OPTIONS, ids=lambda value: repr(value)[:40])
async def test_so_they_are_by_query_and_stream(options: dict[str, Any], error: type[Exception], named: str) -> None:
    world = World()
    with pytest.raises(error, match=f"(?s){named}"):
        await world.cns.query(world.signal, ping, **options)
    with pytest.raises(error, match=f"(?s){named}"):
        world.cns.stream(world.signal, **options)
    with pytest.raises(error, match=f"(?s){named}"):
        world.cns.check_options(**options)
    assert world.works()


@pytest.mark.anyio
@pytest.mark.parametrize("reply", [None, 3, "ping", ping.create_signal(1), cnstra.Collateral])
async def test_query_waits_for_a_collateral(reply: Any) -> None:
    world = World()
    with pytest.raises(TypeError, match=r"(?s)Collateral"):
        await world.cns.query(world.signal, reply)
    assert world.works()


@pytest.mark.anyio
@pytest.mark.parametrize(("buffer", "error"), [("1", TypeError), (True, TypeError), (1.5, TypeError), (0, ValueError)])
async def test_a_stream_has_room_for_something(buffer: Any, error: type[Exception]) -> None:
    world = World()
    with pytest.raises(error, match="buffer"):
        world.cns.stream(world.signal, buffer=buffer)
    assert world.works()


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 1e300},
        {"timeout": 10**9},
        {"concurrency": 10**30},
        {"max_hops": 10**30},
        {"timeout": None, "concurrency": None, "max_hops": None, "abort_signal": None, "context_store": None},
        {"on_response": None, "on_drain": None, "modality": None, "afferent_path": None},
    ],
    ids=str,
)
def test_what_is_merely_large_or_none_is_no_error(options: dict[str, Any]) -> None:
    world = World()
    assert world.cns.stimulate(world.signal, **options).outcome == "completed"
    world.cns.run(world.signal, **options)
    assert len(world.heard) == 2


def test_a_long_timeout_of_a_run_that_waits_is_no_error_either() -> None:
    heavy = neuron("heavy", offload=True, max_duration=1e300, concurrency=10**30)
    heavy.dendrite(collateral=ping, response=lambda _: None)
    for timeout in (1e300, 10**9):
        assert CNS([heavy]).stimulate(ping.create_signal(1), timeout=timeout).outcome == "completed"
        CNS([heavy]).run(ping.create_signal(1), timeout=timeout)


@pytest.mark.parametrize("arguments", [(), (1, 2)])
def test_the_methods_of_a_context_check_their_arguments(arguments: tuple[int, ...]) -> None:
    seen: list[str] = []

    def handle(payload: int, axon: None, ctx: Context[Any, Any]) -> None:
        bad: Any = ctx
        for method in (bad.set, lambda *given: bad.get(*given, 3, 4), lambda *given: bad.delete(*given, 3)):
            with pytest.raises(TypeError, match="argument"):
                method(*arguments)
            seen.append("told")
        with pytest.raises(AttributeError):
            bad.shared = 3

    run = CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    run.raise_for_failure()
    assert len(seen) == 3


def test_enqueue_takes_what_activate_takes() -> None:
    told: list[str] = []
    world = World()
    wrong: list[Any] = [None, 3, world.task, [3], [world.signal], [world.task, None], iter([world.task])]

    def handle(payload: int, axon: None, ctx: Any) -> None:
        for tasks in wrong:
            with pytest.raises(TypeError, match="ActivationTask"):
                ctx.stimulation.enqueue(tasks)
            told.append("told")
        with pytest.raises(TypeError, match="argument"):
            ctx.stimulation.enqueue()
        assert len(ctx.stimulation.activation_tasks) == 1

    run = CNS([neuron("one").dendrite(collateral=pong, response=handle)]).stimulate(pong.create_signal(1))
    run.raise_for_failure()
    assert len(told) == len(wrong)
    assert world.works()


def test_a_listener_that_takes_no_argument_fails_its_run_and_no_other() -> None:
    world = World()
    bad: Any = lambda: None  # noqa: E731
    for options in ({"on_response": bad}, {"on_drain": bad}):
        run = world.cns.stimulate(world.signal, **options)
        assert run.outcome == "failed"
        assert isinstance(run.exception().exceptions[0], TypeError)
    world.heard.clear()
    assert world.works()
