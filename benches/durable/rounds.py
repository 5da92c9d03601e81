"""Measures sides that are compared, round by round, in one event loop; and what is compared with what.

As in ``benches.timing``, whose pieces of work are repeated until a measurement is long enough. One of a store is long
enough by itself, and has a beginning that is not to be timed: so a side times itself, and tells what a unit took.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, perf_counter_ns

from ..case import Claim
from ..ratios import Result
from ..timing import frozen

__all__ = [
    "FULL",
    "NO_LIMIT",
    "QUICK",
    "TINY",
    "Comparison",
    "Measure",
    "Measured",
    "Side",
    "Sizes",
    "in_rounds",
    "timed",
]

# Does its work once, and returns the nanoseconds that a unit of it took.
Measure = Callable[[], Awaitable[float]]

# For what is shown beside what has a limit.
NO_LIMIT = float("inf")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done in a measurement, and how often.

    Args:
        turns: of one run on SQLite, and raw statements beside it.
        waited: the same where a server is waited for.
        runs: that go on at once.
        turns_each: turns of each of these.
        frontier: activations that are pending, the fewest first.
        stretch: turns beside these.
        least, most, seconds: rounds, and the time after which no more are begun.
    """

    turns: int = 3_000
    waited: int = 400
    runs: int = 100
    turns_each: int = 30
    frontier: Sequence[int] = (10, 100, 1_000, 10_000, 100_000)
    stretch: int = 400
    least: int = 7
    most: int = 21
    seconds: float = 20.0


FULL = Sizes()
QUICK = Sizes(
    turns=1_000, waited=100, turns_each=10, frontier=(10, 1_000, 20_000), stretch=100, least=3, most=5, seconds=3.0
)
TINY = Sizes(turns=7, waited=5, runs=3, turns_each=4, frontier=(1, 30), stretch=6, least=1, most=1, seconds=0.0)


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared with the rival.

    Args:
        key: its name, by which it is found in the results.
        claim: what it is to show.
        measure: does it once, on a store.
        engine: does the same once without one.
        turns_per_commit: how many turns shared a commit when it was checked.
    """

    key: str
    claim: Claim
    measure: Measure
    engine: Measure
    turns_per_commit: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides that have a rival in common; all of them have shown their results.

    Args:
        rival: what they are compared with, which does its work once.
        sides: these.
    """

    rival: Measure
    sides: Sequence[Side]


@dataclass(frozen=True, slots=True)
class Measured:
    """A side's nanoseconds per unit by round, those of the rival, and what of its own is the engine's."""

    side: Side
    subject: list[float]
    rival: list[float]
    engine: list[float]

    @property
    def result(self) -> Result:
        return Result(self.side.key, self.side.claim, self.subject, self.rival)

    @property
    def engine_part(self) -> float:
        return median(self.engine)


async def timed(work: Callable[[], Awaitable[object]], units: int) -> float:
    """Nanoseconds per unit of something that is awaited once."""
    # What was left behind by what came before is not this one's to clear away.
    gc.collect()
    started = perf_counter_ns()
    await work()
    return (perf_counter_ns() - started) / units


async def in_rounds(comparison: Comparison, sizes: Sizes) -> list[Measured]:
    """Measure all sides and the rival in turn, each round in the opposite order of the one before."""
    rivals: list[float] = []
    measured = [Measured(side, [], rivals, []) for side in comparison.sides]
    steps: list[tuple[Measure, list[float]]] = [(comparison.rival, rivals)]
    for one in measured:
        steps += [(one.side.measure, one.subject), (one.side.engine, one.engine)]
    with frozen():
        started = perf_counter()
        for number in range(sizes.most):
            if number >= sizes.least and perf_counter() - started > sizes.seconds:
                break
            for measure, times in steps[:: -1 if number % 2 else 1]:
                times.append(await measure())
    return measured
