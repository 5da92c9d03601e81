"""The compiled graph: neurons, dendrites and collaterals as numbers, and who hears whom.

It knows no names and no handlers; whoever compiles turns numbers back into names for messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .components import components

__all__ = ["DendriteSpec", "Graph", "JoinReachesItself", "NeuronSpec", "OwnedTwice"]


class DendriteSpec(NamedTuple):
    """What a neuron hears: a collateral, and the join that collects it, if any (joins are numbered per graph)."""

    collateral: int
    join: int | None = None


class NeuronSpec(NamedTuple):
    """What a neuron emits and hears, as collateral numbers."""

    emits: Sequence[int]
    dendrites: Sequence[DendriteSpec]


class OwnedTwice(Exception):
    """A collateral is on two axons."""

    def __init__(self, collateral: int, first: int, second: int) -> None:
        super().__init__(collateral, first, second)
        self.collateral, self.first, self.second = collateral, first, second


class JoinReachesItself(Exception):
    """Signals of a join's neuron could come back to it, so that it could never be sure of having them all (S25)."""

    def __init__(self, neuron: int, cycle: list[int]) -> None:
        super().__init__(neuron, cycle)
        self.neuron, self.cycle = neuron, cycle


class Graph:
    """An immutable graph; built once in time linear in neurons, dendrites and emissions."""

    __slots__ = (
        "dendrite_join",
        "dendrite_neuron",
        "emits",
        "first_dendrite",
        "join_neuron",
        "owner",
        "reach",
        "subscribers",
    )

    def __init__(self, neurons: Sequence[NeuronSpec], collaterals: int) -> None:
        # Dendrites are numbered by neuron, then by place in it, which is the order of a collateral's subscribers (S1).
        self.dendrite_neuron: list[int] = []
        self.dendrite_join: list[int | None] = []
        self.first_dendrite: list[int] = []
        self.subscribers: list[list[int]] = [[] for _ in range(collaterals)]
        self.owner: list[int | None] = [None] * collaterals
        self.emits: list[Sequence[int]] = []
        joins: dict[int, int] = {}
        for number, neuron in enumerate(neurons):
            self.first_dendrite.append(len(self.dendrite_neuron))
            self.emits.append(neuron.emits)
            for collateral in neuron.emits:
                owner = self.owner[collateral]
                if owner is not None:
                    raise OwnedTwice(collateral, owner, number)
                self.owner[collateral] = number
            for spec in neuron.dendrites:
                self.subscribers[spec.collateral].append(len(self.dendrite_neuron))
                self.dendrite_neuron.append(number)
                self.dendrite_join.append(spec.join)
                if spec.join is not None:
                    joins[spec.join] = number
        self.join_neuron: list[int] = [joins[join] for join in range(len(joins))]
        # reach[n]: the joins whose neuron an activation of neuron n could still cause to be reached.
        self.reach: list[tuple[int, ...]] = self._reach() if joins else []

    def successors(self, neuron: int) -> list[int]:
        """The neurons that hear what this one may emit, each once, ascending."""
        heard = {self.dendrite_neuron[d] for c in self.emits[neuron] for d in self.subscribers[c]}
        return sorted(heard)

    def components(self) -> list[list[int]]:
        """The strongly connected components, those that emit last first (reverse topological order)."""
        return components([self.successors(n) for n in range(len(self.emits))])

    def _reach(self) -> list[tuple[int, ...]]:
        edges = [self.successors(n) for n in range(len(self.emits))]
        at: dict[int, list[int]] = {}
        for join, neuron in enumerate(self.join_neuron):
            at.setdefault(neuron, []).append(join)
        reach: list[tuple[int, ...]] = [()] * len(edges)
        # Successors come before their predecessors, so one pass over the components is enough.
        for component in components(edges):
            if len(component) > 1 or component[0] in edges[component[0]]:
                for neuron in component:
                    if neuron in at:
                        raise JoinReachesItself(neuron, sorted(component))
            found: set[int] = set()
            for neuron in component:
                for after in edges[neuron]:
                    found.update(reach[after])
                    found.update(at.get(after, ()))
            joins = tuple(sorted(found))
            for neuron in component:
                reach[neuron] = joins
        return reach
