"""The work whose CPU instructions are counted: each piece is done so many times by a process of its own.

    python -m benches.counted NAME TIMES

Each asserts its result first; that costs the same whatever the number.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass

import cnstra
from cnstra import Response

from . import graphs
from .graphs import Graph
from .works import assert_outcome, fanned_out, stimulated

__all__ = ["WORK", "Counted"]

SIZE = 1_000

Repeat = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """A piece of work.

    Args:
        what: what one unit of it is.
        units: how many units it has each time.
        few: how often one process does it,
        many: and how often the other does.
        make: gets it ready, asserts its result, and returns what does it so often.
    """

    what: str
    units: int
    few: int
    many: int
    make: Callable[[], Repeat]


def chain() -> Repeat:
    graph = graphs.chain(SIZE)
    stimulated(graph).check()
    return again(graph)


def fan_out() -> Repeat:
    graph = graphs.fan(SIZE)
    fanned_out(graph).check()
    return again(graph)


def one_run() -> Repeat:
    graph = graphs.fan(1)
    fanned_out(graph).check()
    return again(graph)


def again(graph: Graph) -> Repeat:
    stimulate, signal = graph.cns.stimulate, graph.signal

    def repeat(times: int) -> None:
        for _ in range(times):
            stimulate(signal)

    return repeat


def listener() -> Repeat:
    graph = graphs.chain(SIZE)
    stimulate, signal = graph.cns.stimulate, graph.signal
    heard: list[Response] = []
    assert_outcome(stimulate(signal, on_response=heard.append))
    assert len(heard) == SIZE + 1

    def listen(response: Response) -> None:
        pass

    def repeat(times: int) -> None:
        for _ in range(times):
            stimulate(signal, on_response=listen)

    return repeat


def async_chain() -> Repeat:
    # Here, so that the others are not counted with its import.
    import asyncio

    graph = graphs.async_chain(SIZE)
    stimulate, signal = graph.cns.stimulate, graph.signal

    async def several(times: int) -> None:
        for _ in range(times):
            await stimulate(signal)

    async def check() -> None:
        heard: list[Response] = []
        assert_outcome(stimulate(signal, on_response=heard.append))
        assert len(heard) == SIZE + 1

    asyncio.run(check())
    return lambda times: asyncio.run(several(times))


def create_signal() -> Repeat:
    number = cnstra.collateral("number", int)
    create = number.create_signal
    assert (create(3).collateral, create(3).payload) == (number, 3)

    def repeat(times: int) -> None:
        for _ in range(times):
            create(3)

    return repeat


WORK = {
    "chain": Counted("a hop from one plain handler to the next", SIZE, 20, 120, chain),
    "fan_out": Counted("an activation of a sink, one of many", SIZE, 20, 220, fan_out),
    "one_run": Counted("a run of one sink", 1, 1_000, 51_000, one_run),
    "listener": Counted("a hop with one response listener", SIZE, 20, 70, listener),
    "async_chain": Counted("a hop between coroutines that never suspend", SIZE, 20, 70, async_chain),
    "create_signal": Counted("`create_signal` in a Python loop", 1, 1_000, 101_000, create_signal),
}


def main(name: str, times: str) -> None:
    repeat = WORK[name].make()
    gc.collect()
    gc.freeze()
    repeat(int(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
