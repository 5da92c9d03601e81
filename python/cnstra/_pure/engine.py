"""The engine: compiles neurons to a graph, starts runs on it and keeps the listeners that hear them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from .. import aio, faults
from ..blocking import Blocking
from .announce import announce_entry
from .graph import DendriteSpec, Graph, JoinReachesItself, NeuronSpec, OwnedTwice
from .handler import Handler, as_list
from .listeners import Listeners
from .options import Options
from .run import UNKNOWN
from .signal import Collateral, Signal
from .slots import Slots
from .stimulation import Stimulation

__all__ = ["Engine"]


class Engine:
    """What a CNS is made of."""

    __slots__ = (
        "__weakref__", "_auto_cleanup", "_collaterals", "_drain_listeners", "_enforce_ownership", "_graph", "_handlers",
        "_neuron_numbers", "_neurons", "_numbers", "_places", "_response_listeners", "_shared",
    )  # fmt: skip

    _auto_cleanup: bool
    _collaterals: list[Collateral]
    _drain_listeners: Listeners
    _enforce_ownership: bool
    _graph: Graph
    _handlers: list[Handler]
    _neuron_numbers: dict[str, int]
    _neurons: tuple[Any, ...]
    _numbers: dict[int, int]
    _places: dict[tuple[int, int], list[int]]  # of a neuron on a collateral: where a task's ``dendrite`` leads to
    _response_listeners: Listeners
    _shared: Any

    def __new__(
        cls,
        neurons: Iterable[Any],
        *,
        shared: Any = None,
        auto_cleanup_contexts: bool = False,
        enforce_ownership: bool = True,
        middleware: Sequence[Callable[[Any, Any], Any]] = (),
        _inner: Engine | None = None,
    ) -> Self:
        self = object.__new__(cls)
        if _inner is not None:  # of with_middleware: all else is taken from it
            self._wrap(_inner, _check_middleware(middleware))
            return self
        self._neurons = _check_neurons(neurons)
        self._shared = shared
        self._auto_cleanup = bool(auto_cleanup_contexts)
        self._enforce_ownership = bool(enforce_ownership)
        middleware = _check_middleware(middleware)
        self._collaterals, self._numbers = _number_collaterals(self._neurons)
        self._graph = self._compile()
        self._handlers = []
        self._places = {}
        for neuron in self._neurons:
            slots: Slots[Any] | None = None if neuron._concurrency is None else Slots(neuron._concurrency)
            for dendrite in neuron._dendrites:
                key = id(neuron), id(dendrite._collateral)
                self._places.setdefault(key, []).append(len(self._handlers))
                self._handlers.append(Handler(dendrite, slots).inside(middleware))
        self._neuron_numbers = {neuron._name: number for number, neuron in enumerate(self._neurons)}
        self._response_listeners = Listeners()
        self._drain_listeners = Listeners()
        for neuron in self._neurons:
            neuron._frozen = True
        return self

    def _compile(self) -> Graph:
        joins: dict[int, int] = {}
        specs: list[NeuronSpec] = []
        for neuron in self._neurons:
            dendrites: list[DendriteSpec] = []
            for dendrite in neuron._dendrites:
                join = None if dendrite._join is None else joins.setdefault(id(dendrite._join), len(joins))
                dendrites.append(DendriteSpec(self._numbers[id(dendrite._collateral)], join))
            specs.append(NeuronSpec([self._numbers[id(c)] for c in neuron._emits], dendrites))
        try:
            return Graph(specs, len(self._collaterals))
        except OwnedTwice as error:
            names = (self._collaterals[error.collateral]._name, *(self._neurons[n]._name for n in error.args[1:]))
            raise faults.owned_twice(*names) from None
        except JoinReachesItself as error:
            cycle = [self._neurons[n]._name for n in error.cycle]
            raise faults.join_reaches_itself(self._neurons[error.neuron]._name, cycle) from None

    def _wrap(self, inner: Engine, middleware: tuple[Any, ...]) -> None:
        """Become the same graph with more middleware around its handlers. Slots and listeners are shared."""
        for name in Engine.__slots__:
            if name != "__weakref__":
                setattr(self, name, getattr(inner, name))
        self._handlers = [handler.inside(middleware) for handler in inner._handlers]

    @property
    def neurons(self) -> tuple[Any, ...]:
        return self._neurons

    @property
    def shared(self) -> Any:
        return self._shared

    @property
    def enforce_ownership(self) -> bool:
        return self._enforce_ownership

    # -- runs

    def stimulate(self, signal: Any, /, **options: Any) -> Stimulation:
        stim = self._make_run(signal, None, options)
        stim._begin()
        return stim

    def activate(self, tasks: Any, /, **options: Any) -> Stimulation:
        tasks = self._check_tasks(tasks)

        def entry(stim: Stimulation) -> None:
            with stim._lock:
                stim._append(tasks)

        stim = Stimulation._make(self, aio.current() or Blocking(), Options("activate", options), entry, None)
        stim._begin()
        return stim

    def _prepare(self, signal: Any, /, *, _tap: Any = None, **options: Any) -> Stimulation:
        """A run that has not begun; ``_begin`` drives its first turn."""
        return self._make_run(signal, _tap, options)

    def _make_run(self, signal: Any, tap: Any, options: dict[str, Any]) -> Stimulation:
        signals = [signal] if type(signal) is Signal else _check_signals(signal)
        checked = Options("stimulate", options)
        host = aio.current() or Blocking()
        return Stimulation._make(self, host, checked, lambda stim: announce_entry(stim, signals), tap)

    # -- listeners

    def add_response_listener(self, listener: Callable[[Any], Any], /) -> Callable[[], None]:
        return self._response_listeners.add(listener)

    def add_drain_listener(self, listener: Callable[[Any], Any], /) -> Callable[[], None]:
        return self._drain_listeners.add(listener)

    # -- numbers for objects

    def _number_of(self, signal: Signal) -> int | None:
        """None for a collateral that no neuron of this graph hears or owns."""
        return self._numbers.get(id(signal._collateral))

    def _find(self, task: Any) -> int:
        """The dendrite that a task means, UNKNOWN if this graph has none (S17)."""
        index: int = task.dendrite
        places = self._places.get((id(task.neuron), id(task.signal._collateral)))
        if places is None or index >= len(places):
            return UNKNOWN
        dendrite = places[index]
        if task.joined and not (
            self._handlers[dendrite].is_join and all(self._find(part) != UNKNOWN for part in task.joined)
        ):
            return UNKNOWN
        return dendrite

    def _place_of(self, dendrite: int) -> int:
        handler = self._handlers[dendrite]
        return self._places[id(handler.neuron), id(handler.collateral)].index(dendrite)

    def _check_tasks(self, tasks: Any) -> list[Any]:
        from ..stimulation import ActivationTask

        given = as_list(tasks)
        if given is None:
            raise faults.not_a_task(tasks)
        for task in given:
            if type(task) is not ActivationTask:
                raise faults.not_a_task(task)
        return given

    def _unreachable(self, dendrites: Iterable[int], names: Iterable[str]) -> list[str]:
        """Those of the neurons named that no activation of these dendrites can reach (S15)."""
        wanted = {self._neuron_numbers[name]: name for name in names if name in self._neuron_numbers}
        seen = {self._graph.dendrite_neuron[dendrite] for dendrite in dendrites}
        stack = list(seen)
        for neuron in seen:
            wanted.pop(neuron, None)
        while stack and wanted:
            for after in self._graph.successors(stack.pop()):
                if after not in seen:
                    seen.add(after)
                    stack.append(after)
                    wanted.pop(after, None)
        return list(wanted.values())


def _check_neurons(neurons: Iterable[Any]) -> tuple[Any, ...]:
    from ..graph import Neuron

    if not isinstance(neurons, Iterable):
        raise faults.not_a_neuron(neurons)
    found: dict[str, Any] = {}
    given: Any
    for count, given in enumerate(neurons):
        if type(given) is not Neuron:
            raise faults.not_a_neuron(given)
        known = found.setdefault(given._name, given)
        if known is not given:
            raise faults.duplicate_neuron_name(given._name)
        if len(found) == count:
            raise faults.duplicate_neuron(given._name)
    return tuple(found.values())


def _check_middleware(given: Iterable[Any]) -> tuple[Any, ...]:
    middleware = tuple(given)
    for wrapper in middleware:
        faults.check_callable("middleware", wrapper)
    return middleware


def _number_collaterals(neurons: Sequence[Any]) -> tuple[list[Collateral], dict[int, int]]:
    """Number every collateral that is owned or heard; they are held, so that no other object can have their id."""
    collaterals: list[Collateral] = []
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}  # of collaterals, to the neuron where they were first seen
    for neuron in neurons:
        for collateral in (*neuron._emits, *(dendrite._collateral for dendrite in neuron._dendrites)):
            if id(collateral) in numbers:
                continue
            first = names.setdefault(collateral._name, neuron._name)
            if collateral._name in names and len(names) == len(collaterals):
                raise faults.duplicate_collateral_name(collateral._name, first, neuron._name)
            numbers[id(collateral)] = len(collaterals)
            collaterals.append(collateral)
    return collaterals, numbers


def _check_signals(signals: Any) -> list[Signal]:
    given = as_list(signals)
    if given is None:
        raise faults.not_a_signal(signals)
    for signal in given:
        if type(signal) is not Signal:
            raise faults.not_a_signal(signal)
    return given
