"""The compiled graph as data: who hears whom, cycles, orphans, and names for signals and tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Never, Self

from ._engine import Collateral, Signal, components
from .dendrite import Dendrite
from .errors import GraphError
from .modalities import AfferentPath, Modality, Router
from .neurons import Neuron
from .stimulation import ActivationTask

__all__ = ["Network", "Orphans"]

_SIGNAL_KEYS = ("collateral", "payload")
_TASK_KEYS = ("neuron", "collateral", "payload")
_MORE_TASK_KEYS = ("dendrite", "hop", "id", "cause", "joined")
# What a notebook's Mermaid draws at most; a longer picture would be an error message there.
_DRAWN_EDGES = 500


class Orphans(NamedTuple):
    """The collaterals with one end only."""

    unheard: tuple[Collateral[Any], ...]
    """Owned by a neuron, and nobody listens."""
    unemitted: tuple[Collateral[Any], ...]
    """Listened to, and on no axon: the entries of the graph, and what was forgotten."""


class Network:
    """What a CNS is made of; ``cns.network``. It is a view of the graph and has no part in running it.

    Args:
        neurons: the neurons of the CNS, in its order.

    Cost: linear in neurons, dendrites and collaterals, once, when it is first asked for.

    Example:
        >>> from cnstra import CNS, collateral, neuron
        >>> tick, tock = collateral("tick"), collateral("tock")
        >>> clock = neuron("clock", {"tock": tock}).dendrite(
        ...     collateral=tick, response=lambda payload, axon: axon.tock.create_signal()
        ... )
        >>> network = CNS([clock]).network
        >>> network.get_subscribers(tick)
        (<Dendrite of 'clock' on 'tick'>,)
        >>> network.get_orphans().unheard
        (<Collateral 'tock'>,)
    """

    def __init__(self, neurons: Iterable[Neuron[Any, Any, Any, Any]]) -> None:
        self._neurons = tuple(neurons)
        self._by_name = {neuron.name: neuron for neuron in self._neurons}
        self._owners: dict[Collateral[Any], Neuron[Any, Any, Any, Any]] = {}
        # Every collateral, in the order in which the neurons name them: first what one emits, then what it hears.
        self._subscribers: dict[Collateral[Any], list[Dendrite[Any]]] = {}
        for neuron in self._neurons:
            for channel in neuron._emits:
                self._owners[channel] = neuron
                self._subscribers.setdefault(channel, [])
            for dendrite in neuron._dendrites:
                self._subscribers.setdefault(dendrite.collateral, []).append(dendrite)

    @property
    def neurons(self) -> tuple[Neuron[Any, Any, Any, Any], ...]:
        """The neurons, in the order of the CNS."""
        return self._neurons

    def get_subscribers(self, collateral: Collateral[Any], /) -> tuple[Dendrite[Any], ...]:
        """The dendrites that hear a collateral, in the order in which a signal reaches them (S1).

        Args:
            collateral: any; one that the graph does not know has no subscribers.

        Raises:
            TypeError: it is no collateral.
        """
        return tuple(self._subscribers.get(_checked(collateral), ()))

    def get_collaterals(self) -> tuple[Collateral[Any], ...]:
        """Every collateral that is on an axon or heard, in the order of the neurons that name them first."""
        return tuple(self._subscribers)

    def get_dendrites(self) -> tuple[Dendrite[Any], ...]:
        """Every dendrite, by neuron, then in the order in which they were added."""
        return tuple(dendrite for neuron in self._neurons for dendrite in neuron._dendrites)

    def get_parent_neuron(self, collateral: Collateral[Any], /) -> Neuron[Any, Any, Any, Any] | None:
        """The neuron that owns a collateral, None if nobody does.

        Raises:
            TypeError: it is no collateral.
        """
        return self._owners.get(_checked(collateral))

    def get_orphans(self) -> Orphans:
        """The collaterals that are emitted and unheard, and those that are heard and never emitted.

        The second are the ways in; one that is meant to be emitted by a neuron has been forgotten on its axon.
        """
        return Orphans(
            unheard=tuple(channel for channel, heard_by in self._subscribers.items() if not heard_by),
            unemitted=tuple(channel for channel in self._subscribers if channel not in self._owners),
        )

    def get_modalities(self) -> dict[Modality, tuple[AfferentPath, ...]]:
        """The modalities that the graph's modality dendrites know, each with its paths, those above them included."""
        found: dict[Modality, dict[AfferentPath, None]] = {}
        for dendrite in self.get_dendrites():
            if isinstance(dendrite.handler, Router):
                for kind, paths in dendrite.handler.known.items():
                    found.setdefault(kind, {}).update(dict.fromkeys(paths))
        return {kind: tuple(paths) for kind, paths in found.items()}

    @cached_property
    def strongly_connected_components(self) -> tuple[tuple[Neuron[Any, Any, Any, Any], ...], ...]:
        """The groups of neurons that can all reach each other, each group after all groups that it can reach.

        A neuron in no cycle is a group of its own. Linear, without recursion, and computed once.
        """
        numbers = {neuron: number for number, neuron in enumerate(self._neurons)}
        edges: list[list[int]] = []
        for neuron in self._neurons:
            reached = {numbers[d.neuron]: None for channel in neuron._emits for d in self._subscribers[channel]}
            edges.append(list(reached))
        return tuple(tuple(self._neurons[number] for number in group) for group in components(edges))

    # -- by name

    def dump(self, what: Signal[Any] | ActivationTask, /) -> dict[str, Any]:
        """A signal or a task as a dictionary of names, numbers and the payload itself, for storing it.

        Args:
            what: a signal on a collateral of this graph, or a task of a neuron of it.

        Returns:
            ``{"collateral", "payload"}`` of a signal; of a task also ``neuron``, ``dendrite``, ``hop``, ``id``,
            ``cause`` and ``joined`` (a list of tasks in this form). Payloads are carried as they are: turning them
            into bytes is up to the store.

        Raises:
            GraphError: the graph does not have that collateral or neuron, so that it could not be loaded.
            TypeError: it is neither a signal nor a task.

        Example:
            >>> from cnstra import CNS, collateral, neuron
            >>> tick = collateral("tick", int)
            >>> network = CNS([neuron("clock").dendrite(collateral=tick, response=print)]).network
            >>> network.dump(tick.create_signal(3))
            {'collateral': 'tick', 'payload': 3}
            >>> network.load({"collateral": "tick", "payload": 3})
            <Signal 'tick' 3>
        """
        if isinstance(what, Signal):
            if what.collateral not in self._subscribers:
                raise GraphError(f"this graph does not have {what.collateral!r}: was the signal made for another one?")
            return {"collateral": what.collateral_name, "payload": what.payload}
        if not isinstance(what, ActivationTask):
            raise TypeError(f"dump takes a signal or an ActivationTask, not {type(what).__name__}")
        if self._by_name.get(what.neuron.name) is not what.neuron:
            raise GraphError(f"this graph does not have {what.neuron!r}: was the task made for another one?")
        return {
            "neuron": what.neuron.name,
            **self.dump(what.signal),
            "dendrite": what.dendrite,
            "hop": what.hop,
            "id": what.id,
            "cause": what.cause,
            "joined": [self.dump(part) for part in what.joined],
        }

    def load(self, dumped: Mapping[str, Any], /) -> Any:
        """The signal or task that ``dump`` made a dictionary of, in this graph or in another process with an equal one.

        Args:
            dumped: what ``dump`` returned. Of a task only ``neuron``, ``collateral`` and ``payload`` must be there.

        Returns:
            An ``ActivationTask`` if it names a neuron, else a ``Signal``.

        Raises:
            GraphError: the graph has no such neuron, collateral or dendrite; the message names it.
            TypeError: it is no mapping, or something in it is of the wrong type.
            ValueError: a key is missing or unknown, or a number out of range.
        """
        if not isinstance(dumped, Mapping):
            raise TypeError(f"load takes a mapping as dump returns it, not {type(dumped).__name__}")
        if "neuron" not in dumped:
            _check_keys(dumped, _SIGNAL_KEYS, ())
            return self._collateral(dumped["collateral"]).create_signal(dumped["payload"])
        _check_keys(dumped, _TASK_KEYS, _MORE_TASK_KEYS)
        neuron, channel = self._neuron(dumped["neuron"]), self._collateral(dumped["collateral"])
        joined: Any = dumped.get("joined", ())
        if type(joined) not in (list, tuple):
            raise TypeError(f"a dumped task's joined must be a list, not {type(joined).__name__}")
        task = ActivationTask(
            neuron,
            channel.create_signal(dumped["payload"]),
            dumped.get("dendrite", 0),
            dumped.get("hop", 1),
            dumped.get("id"),
            dumped.get("cause"),
            tuple(self.load(part) for part in joined),
        )
        count = sum(dendrite.collateral is channel for dendrite in neuron._dendrites)
        if task.dendrite >= count:
            raise GraphError(
                f"neuron {neuron.name!r} has {count} dendrites on {channel.name!r}, so none {task.dendrite}"
            )
        return task

    def _neuron(self, name: Any) -> Neuron[Any, Any, Any, Any]:
        if not isinstance(name, str):
            raise TypeError(f"a dumped task's neuron must be a name, not {type(name).__name__}")
        try:
            return self._by_name[name]
        except KeyError:
            raise GraphError(f"this graph has no neuron named {name!r}: was it renamed?") from None

    def _collateral(self, name: Any) -> Collateral[Any]:
        if not isinstance(name, str):
            raise TypeError(f"a dumped signal's collateral must be a name, not {type(name).__name__}")
        try:
            return self._collaterals_by_name[name]
        except KeyError:
            raise GraphError(f"this graph has no collateral named {name!r}: was it renamed?") from None

    @cached_property
    def _collaterals_by_name(self) -> dict[str, Collateral[Any]]:
        return {channel.name: channel for channel in self._subscribers}

    # -- pictures

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart: boxes are neurons, rounded ones entries, diamonds joins, dashes unheard."""
        from .pictures import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """The graph in the language of Graphviz, drawn as by ``to_mermaid``."""
        from .pictures import dot

        return dot(self)

    def to_json(self) -> str:
        """The graph as JSON: collaterals with owner and subscribers, neurons with limits and dendrites, components."""
        from .pictures import json_text

        return json_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the Mermaid picture, unless the graph is too large to be drawn."""
        bundle = {"text/plain": repr(self)}
        if len(self.get_dendrites()) <= _DRAWN_EDGES:
            picture = self.to_mermaid()
            bundle["text/vnd.mermaid"] = picture
            bundle["text/markdown"] = f"```mermaid\n{picture}```\n"
        return {
            kind: text
            for kind, text in bundle.items()
            if (not include or kind in include) and not (exclude and kind in exclude)
        }

    def __repr__(self) -> str:
        return f"<Network of {_count(self._neurons, 'neuron')} and {_count(self._subscribers, 'collateral')}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: build it again, and carry signals and tasks by dump and load")


def _checked(collateral: Any) -> Any:
    if not _is_collateral(collateral):
        raise TypeError(f"a Collateral is needed here, not {type(collateral).__name__}")
    return collateral


def _is_collateral(value: Any) -> bool:
    return isinstance(value, Collateral)


def _check_keys(dumped: Mapping[str, Any], needed: tuple[str, ...], more: tuple[str, ...]) -> None:
    missing = [key for key in needed if key not in dumped]
    unknown = [key for key in dumped if key not in needed and key not in more]
    if missing or unknown:
        problems = [
            f"{what} {', '.join(map(repr, keys))}" for what, keys in (("lacks", missing), ("has", unknown)) if keys
        ]
        raise ValueError(
            f"what load was given {' and '.join(problems)}: a signal has {', '.join(_SIGNAL_KEYS)}, a task "
            f"{', '.join(_TASK_KEYS)} and maybe {', '.join(_MORE_TASK_KEYS)}"
        )


def _count(things: Any, what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"
