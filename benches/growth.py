"""What grows with what: cost per hop over the size of the graph, the length of a chain and the number of waiting runs;
memory; and the time that the import takes.

    python -m benches.growth [--out DIR] [--quick]

Every point of a curve is measured in turn with plain calls of handlers from a Python loop, which know nothing of graphs
and runs. What a hop costs beside such a call is the figure to look at: it stays the same on a machine that is now
quicker, now slower. With ``--out`` the results are written as JSON, and as a picture where there is matplotlib.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cnstra import Stimulation

from . import graphs
from .environment import environment, environment_line, require_native_release
from .footprint import Figure, figures
from .timing import Pace, Work, in_turn, run_check
from .works import assert_outcome, stimulated

__all__ = ["Curve", "Point", "curves", "main"]

SIZES = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
LENGTHS = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
WAITING = [0, 10, 100, 1_000, 10_000, 100_000]
USUAL = Pace(seconds=1.0, most=15)
QUICK = Pace(measurement=0.01, seconds=0.3, least=3, most=5)
RING = 10


@dataclass(frozen=True, slots=True)
class Point:
    """What a hop costs at one size: nanoseconds, and how many plain calls that are."""

    size: int
    nanoseconds: float
    calls: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost per hop over the size of something.

    Args:
        name: what is run.
        over: what grows.
        points: by size.
        since: the size from which on the curve has to be flat.
    """

    name: str
    over: str
    points: Sequence[Point]
    since: int = 0

    @property
    def steepness(self) -> float:
        """How many times as dear the dearest hop is as the cheapest, where the curve has to be flat."""
        calls = [point.calls for point in self.points if point.size >= self.since]
        return max(calls) / min(calls)


def plain_calls(size: int = 1_000) -> Work:
    """A Python loop over the handlers of a chain."""
    graph = graphs.chain(size)
    steps, signal = list(zip(graph.handlers, graph.axons, strict=True)), graph.signal

    def do() -> Any:
        current: Any = signal
        for handler, axon in steps:
            current = handler(current.payload, axon)
        return current

    def check() -> None:
        assert do().payload == signal.payload

    return Work(do, size, check)


def around(graph: graphs.Graph, spent: list[int], hops: int) -> Work:
    """So many hops around a ring, and the check that the number which goes round has been used up."""
    stimulate, signal = graph.cns.stimulate, graph.collaterals[0].create_signal(hops - 1)

    def do() -> Stimulation:
        return stimulate(signal)

    def check() -> None:
        spent.clear()
        assert_outcome(do())
        assert spent == [0]

    return Work(do, hops, check)


def point(size: int, work: Work, calls: Work, runner: asyncio.Runner, pace: Pace) -> Point:
    run_check(work, runner)
    times, reference = in_turn([work, calls], runner, pace)
    return Point(size, median(times), median(time / call for time, call in zip(times, reference, strict=True)))


def over_graph_size(calls: Work, runner: asyncio.Runner, pace: Pace) -> Iterator[Curve]:
    """Through all neurons of a graph, and round a ring of ten in a graph of that many others."""
    through: list[Point] = []
    within: list[Point] = []
    spent: list[int] = []
    spend = graphs.spender(spent)
    for size in SIZES:
        progress(f"a graph of {size:,} neurons")
        # One graph for both: the largest takes a while to make.
        ring, handlers, collaterals = graphs.row(RING, "ring", lambda _: spend, closed=True)
        chain = graphs.chain(size, beside=ring)
        loop = graphs.Graph(chain.cns, ring, handlers, collaterals, chain.signal)
        through.append(point(size, stimulated(chain), calls, runner, pace))
        within.append(point(size, around(loop, spent, 10_000), calls, runner, pace))
        del chain, loop, ring
        gc.collect()
    yield Curve("a chain through all neurons", "neurons in the graph", through, since=100)
    yield Curve(f"a ring of {RING} neurons beside the others", "neurons in the graph", within)


def over_length(calls: Work, runner: asyncio.Runner, pace: Pace) -> Curve:
    """Round a ring, longer and longer, in one run. A short run has its start and its end to carry with few hops."""
    spent: list[int] = []
    points: list[Point] = []
    graph = graphs.ring(RING, graphs.spender(spent))
    for hops in LENGTHS:
        progress(f"a chain of {hops:,} hops")
        points.append(point(hops, around(graph, spent, hops), calls, runner, pace))
    return Curve(f"round a ring of {RING} neurons", "hops in the run", points, since=1_000)


def over_waiting_runs(calls: Work, runner: asyncio.Runner, pace: Pace) -> Curve:
    """A chain while other runs wait in an async handler, each for a future of its own."""
    loop = runner.get_loop()
    gates: list[asyncio.Future[None]] = []
    runs: list[Stimulation] = []

    async def wait(payload: int) -> None:
        gates.append(gate := loop.create_future())
        await gate

    waiting, chain = graphs.fan(1, handler=wait), graphs.chain(1_000)

    async def start(count: int) -> None:
        runs.extend(waiting.cns.stimulate(waiting.signal) for _ in range(count - len(runs)))

    async def finish() -> None:
        for gate in gates:
            gate.set_result(None)
        for run in runs:
            await run

    plain = stimulated(chain)
    points: list[Point] = []

    # In the loop in which the others wait.
    async def do() -> None:
        plain.do()

    async def check() -> None:
        plain.check()

    for count in WAITING:
        progress(f"{count:,} waiting runs")
        runner.run(start(count))
        assert {run.outcome for run in runs} <= {"running"}
        points.append(point(count, Work(do, plain.units, check), calls, runner, pace))
    runner.run(finish())
    assert len(gates) == len(runs) == WAITING[-1]
    assert {run.outcome for run in runs} == {"completed"}
    return Curve("a chain of 1,000 neurons", "runs that wait meanwhile", points)


def curves(pace: Pace) -> list[Curve]:
    """Measure them all.

    Raises:
        AssertionError: something did not do its work.
    """
    calls = plain_calls()
    with asyncio.Runner() as runner:
        run_check(calls, runner)
        by_size = list(over_graph_size(calls, runner, pace))
        return [*by_size, over_length(calls, runner, pace), over_waiting_runs(calls, runner, pace)]


def curve_table(curve: Curve) -> str:
    lines = [f"{curve.name}, per hop", f"  {curve.over:>24}   ns per hop   plain calls per hop"]
    lines += [f"  {one.size:>24,} {one.nanoseconds:>12.1f} {one.calls:>21.2f}" for one in curve.points]
    where = f" from {curve.since:,} on" if curve.since else ""
    return "\n".join([*lines, f"  the dearest hop costs {curve.steepness:.2f} × the cheapest{where}"])


def figure_table(rows: Sequence[Figure]) -> str:
    names, texts = [one.name for one in rows], [one.text for one in rows]
    name, text = max(map(len, names)), max(map(len, texts))
    return "\n".join(f"{one.name:<{name}}   {one.text:>{text}}   {one.verdict}".rstrip() for one in rows)


def progress(message: str) -> None:
    print(message, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 whatever was measured; a result that is wrong raises."""
    parser = argparse.ArgumentParser(prog="growth", description="Measure what grows with what.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write growth.json, and growth.png if it can")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter measurements: less exact")
    options = parser.parse_args(arguments)

    require_native_release()
    rows = list(figures(progress))
    found = curves(QUICK if options.quick else USUAL)
    print(environment_line(), *map(curve_table, found), figure_table(rows), sep="\n\n")
    if options.out:
        write(options.out, found, rows)
    return 0


def write(folder: Path, found: Sequence[Curve], rows: Sequence[Figure]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "environment": environment(),
        "curves": [
            {
                "name": curve.name,
                "over": curve.over,
                "steepness": round(curve.steepness, 4),
                "since": curve.since,
                "points": [
                    {"size": one.size, "ns": round(one.nanoseconds, 2), "calls": round(one.calls, 4)}
                    for one in curve.points
                ],
            }
            for curve in found
        ],
        "figures": [
            {"name": one.name, "measured": one.measured, "limit": one.limit, "unit": one.unit, "ok": one.ok}
            for one in rows
        ],
    }
    (folder / "growth.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    try:
        from .growth_picture import draw
    except ImportError:
        progress("no picture: matplotlib is not installed here")
        return
    draw(found, folder / "growth.png")


if __name__ == "__main__":
    sys.exit(main())
