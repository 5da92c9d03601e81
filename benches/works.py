"""The engine at work on the graphs, with checks of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from cnstra import Stimulation

from . import graphs
from .graphs import Graph
from .timing import Work
from .witness import Witness

__all__ = ["assert_outcome", "assert_passed_on", "fanned_out", "stimulated", "suspending_each_time"]


def stimulated(graph: Graph) -> Work:
    """One run through a chain of plain handlers, without an event loop."""
    stimulate, signal = graph.cns.stimulate, graph.signal

    def run() -> Stimulation:
        return stimulate(signal)

    def check() -> None:
        with Witness(*graph.handlers) as seen:
            assert_outcome(run())
        assert_passed_on(seen, graph)

    return Work(run, len(graph.neurons), check)


def fanned_out(graph: Graph) -> Work:
    """One run through a fan of sinks, without an event loop."""
    stimulate, signal, size = graph.cns.stimulate, graph.signal, len(graph.neurons)

    def run() -> Stimulation:
        return stimulate(signal)

    def check() -> None:
        with Witness(graphs.sink) as seen:
            assert_outcome(run())
        assert sum(seen.payloads) == size * signal.payload

    return Work(run, size, check)


def suspending_each_time(
    do: Callable[[], Coroutine[Any, Any, None]], graph: Graph, times: int
) -> Callable[[], Coroutine[Any, Any, None]]:
    """A check that the handler of the graph is run so often, in two steps each time, and that its runs complete."""

    async def check() -> None:
        with Witness(*graph.handlers) as seen:
            await do()
        assert seen.payloads == [graph.signal.payload] * (2 * times)
        run = graph.cns.stimulate(graph.signal)
        assert_outcome(run, "running")
        await run
        assert_outcome(run)

    return check


def assert_passed_on(seen: Witness, graph: Graph) -> None:
    """Every handler of a chain was called, in order, and the payload went from the first to the last."""
    assert [signal.collateral for signal in seen.results] == graph.collaterals[1:]
    assert {*seen.payloads, seen.results[-1].payload} == {graph.signal.payload}


def assert_outcome(run: Stimulation, outcome: str = "completed") -> None:
    assert run.outcome == outcome, f"{run.outcome}, not {outcome}: {run.failed_tasks}"
