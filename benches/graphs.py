"""The graphs that are measured, with handlers that do as little as handlers can.

Each function takes the ``package`` whose neurons it makes, so that a graph can be made for a second engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cnstra
from cnstra import CNS, Collateral, Neuron, Signal

__all__ = [
    "AnyNeuron",
    "Graph",
    "Handler",
    "async_chain",
    "chain",
    "fan",
    "relay",
    "ring",
    "row",
    "sink",
    "spender",
    "suspending",
]

Handler = Callable[..., Any]
AnyNeuron = Neuron[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """A compiled graph, what its neurons are made of, in the same order, and a signal that starts it.

    ``collaterals`` has the entry first; where neurons own one, each follows after it.
    """

    cns: CNS
    neurons: list[AnyNeuron]
    handlers: list[Handler]
    collaterals: list[Collateral[int]]
    signal: Signal[int]

    @property
    def axons(self) -> list[Any]:
        return [neuron.axon for neuron in self.neurons]


def relay() -> Handler:
    """A handler that passes its payload on; for each neuron one of its own, as in a program."""

    def hop(payload: int, axon: Any) -> Any:
        return axon.out.create_signal(payload)

    return hop


def async_relay(out: Collateral[int]) -> Handler:
    """The same as a coroutine that never suspends, with one argument, so that it can be called without an axon."""

    async def hop(payload: int) -> Signal[int]:
        return out.create_signal(payload)

    return hop


def spender(spent: list[int]) -> Handler:
    """A handler that passes on one less, until there is nothing left: then it notes what it was given."""

    def spend(payload: int, axon: Any) -> Any:
        if payload:
            return axon.out.create_signal(payload - 1)
        return spent.append(payload)

    return spend


def sink(payload: int, axon: Any) -> None:
    """A handler that does nothing."""


def row(
    size: int, name: str, handler: Callable[[Collateral[int]], Handler], *, closed: bool = False, package: Any = cnstra
) -> tuple[list[AnyNeuron], list[Handler], list[Collateral[int]]]:
    """Neurons, each of which hears the one before it; if ``closed``, the first hears the last."""
    collaterals = [package.collateral(f"{name}{number}", int) for number in range(size + (not closed))]
    outs = [*collaterals[1:], collaterals[0]] if closed else collaterals[1:]
    handlers = [handler(out) for out in outs]
    neurons = [
        package.neuron(f"{name}{number}", {"out": outs[number]}).dendrite(
            collateral=collaterals[number], response=handlers[number]
        )
        for number in range(size)
    ]
    return neurons, handlers, collaterals


def chain(size: int, payload: int = 12345, *, package: Any = cnstra, beside: list[AnyNeuron] | None = None) -> Graph:
    """Neurons in a row; what the last one emits nobody hears.

    Args:
        size: how many neurons.
        payload: what passes through them.
        package: whose neurons they are.
        beside: other neurons in the same CNS, after those of the chain.
    """
    neurons, handlers, collaterals = row(size, "hop", lambda _: relay(), package=package)
    cns = package.CNS([*neurons, *(beside or [])])
    return Graph(cns, neurons, handlers, collaterals, collaterals[0].create_signal(payload))


def async_chain(size: int, payload: int = 12345) -> Graph:
    """The same with coroutines that never suspend."""
    neurons, handlers, collaterals = row(size, "hop", async_relay)
    return Graph(CNS(neurons), neurons, handlers, collaterals, collaterals[0].create_signal(payload))


def ring(size: int, handler: Handler) -> Graph:
    """Neurons in a circle, all with one handler."""
    neurons, handlers, collaterals = row(size, "ring", lambda _: handler, closed=True)
    return Graph(CNS(neurons), neurons, handlers, collaterals, collaterals[0].create_signal(size - 1))


def fan(size: int, payload: int = 1, handler: Handler = sink) -> Graph:
    """Neurons that all hear the entry."""
    entry = cnstra.collateral("entry", int)
    neurons: list[AnyNeuron] = [
        cnstra.neuron(f"sink{number}").dendrite(collateral=entry, response=handler) for number in range(size)
    ]
    return Graph(CNS(neurons), neurons, [handler] * size, [entry], entry.create_signal(payload))


def suspending() -> Graph:
    """One neuron, whose handler suspends once."""
    # Here, since the counts of what needs no event loop shall not contain the import of asyncio.
    import asyncio

    async def pause(payload: int) -> None:
        await asyncio.sleep(0)

    return fan(1, handler=pause)
