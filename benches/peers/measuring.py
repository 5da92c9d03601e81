"""Times the contenders of each workload in turn, round by round, and takes medians.

Each round goes through all contenders, beginning with another one each time, so that what else the machine does hits
all of them alike; and a ratio is taken within a round, between measurements that lie a second or so apart.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any, cast

from contenders import REFERENCE, Case, Contender
from workloads import ALL, Workload

__all__ = ["Entry", "Results", "measure"]


@dataclass(slots=True)
class Entry:
    """A contender at a workload.

    ``times`` has the microseconds per unit of each round, ``ratios`` what they are to those of cnstra in that round.
    """

    contender: Contender
    workload: Workload
    case: Case
    repeats: int = 1
    times: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def time(self) -> float:
        return median(self.times)

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def ratio_quartiles(self) -> tuple[float, float]:
        low, _, high = quantiles(self.ratios, n=4)
        return low, high

    @property
    def spread(self) -> float:
        """How far the quartiles of the ratios lie from their median, as a fraction of it."""
        low, high = self.ratio_quartiles
        return max(1 - low / self.ratio, high / self.ratio - 1)


@dataclass(frozen=True, slots=True)
class Results:
    """All entries, and how they were measured."""

    contenders: Sequence[Contender]
    entries: Sequence[Entry]
    rounds: int
    seconds: float

    @property
    def spread(self) -> float:
        """The median of the spreads of all entries but those of cnstra, which have none."""
        return median(entry.spread for entry in self.entries if entry.contender is not REFERENCE)

    def of(self, workload: Workload) -> list[Entry]:
        return [entry for entry in self.entries if entry.workload is workload]

    def entry(self, contender: Contender, workload: Workload) -> Entry | None:
        return next((entry for entry in self.of(workload) if entry.contender is contender), None)


def measure(contenders: Sequence[Contender], rounds: int, seconds: float, progress: Callable[[str], None]) -> Results:
    """Build and check every case, then time them all in rounds.

    Args:
        contenders: who takes part, cnstra among them.
        rounds: how many measurements of each case there will be.
        seconds: about how long one of them should take.
        progress: is told what goes on.

    Raises:
        AssertionError: a case did not do its work.
    """
    with asyncio.Runner() as runner:
        entries = list(prepare(contenders, runner))
        for entry in entries:
            calibrate(entry, runner, seconds)
        # The heap holds a dozen libraries. In a program that uses one of them, the garbage collector would not walk
        # through the others while it is on, as it is here.
        gc.collect()
        gc.freeze()
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}")
            for workload in ALL:
                one_round([entry for entry in entries if entry.workload is workload], number, runner)
        for entry in entries:
            check(entry, runner)
    return Results(contenders, entries, rounds, seconds)


def prepare(contenders: Sequence[Contender], runner: asyncio.Runner) -> Iterator[Entry]:
    """Build the cases, inside the event loop because some start workers in it, and check that each does its work."""
    for contender in contenders:
        for workload, build in contender.cases.items():
            entry = Entry(contender, workload, runner.run(call(build)))
            check(entry, runner)
            yield entry


async def call(build: Callable[[], Case]) -> Case:
    return build()


def check(entry: Entry, runner: asyncio.Runner) -> None:
    """Do the work once and look at the result."""
    result = entry.case()
    seen = runner.run(result) if inspect.iscoroutine(result) else result
    if seen != entry.workload.expected:
        raise AssertionError(
            f"{entry.contender.name} at {entry.workload.name}: saw {seen}, expected {entry.workload.expected}"
        )


def calibrate(entry: Entry, runner: asyncio.Runner, seconds: float) -> None:
    """Find how often to do the work in one measurement, warming up on the way."""
    while (taken := elapsed(entry, runner) / 1e9) < seconds / 4:
        entry.repeats *= 2
    entry.repeats = max(1, round(entry.repeats * seconds / taken))


def one_round(entries: list[Entry], number: int, runner: asyncio.Runner) -> None:
    """Time all contenders of one workload once."""
    start = number % len(entries)
    for entry in entries[start:] + entries[:start]:
        # What the one before has left is not this one's to clear away.
        gc.collect()
        units = entry.repeats * entry.workload.expected
        entry.times.append(elapsed(entry, runner) / units / 1e3)
    reference = next(entry for entry in entries if entry.contender is REFERENCE)
    for entry in entries:
        entry.ratios.append(entry.times[-1] / reference.times[-1])


def elapsed(entry: Entry, runner: asyncio.Runner) -> int:
    """Nanoseconds that it takes to do the work ``entry.repeats`` times."""
    if inspect.iscoroutinefunction(entry.case):
        return runner.run(elapsed_async(entry.case, entry.repeats))
    case = cast("Callable[[], int]", entry.case)
    started = perf_counter_ns()
    for _ in range(entry.repeats):
        case()
    return perf_counter_ns() - started


async def elapsed_async(case: Callable[[], Coroutine[Any, Any, int]], repeats: int) -> int:
    started = perf_counter_ns()
    for _ in range(repeats):
        await case()
    return perf_counter_ns() - started
