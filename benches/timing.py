"""Times pieces of work in turn, round by round, so that what else the machine does hits all of them alike.

The garbage collector stays on. What there is before the first round is frozen, as a program may do after its start:
else the collections that one piece of work triggers would walk through the graphs of all.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Pace", "Work", "frozen", "in_turn", "run_check"]


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is done again and again, and timed.

    Args:
        do: does it once; a plain function or a coroutine function.
        units: how many units (hops, runs) that are.
        check: does it and asserts the result; what ``do`` is, a function or a coroutine function.
        prepare: makes what ``do`` uses up; it is not timed, and the work is then done once for each measurement.
    """

    do: Callable[[], object]
    units: int
    check: Callable[[], object]
    prepare: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure.

    Args:
        measurement: seconds that one measurement should take, at least.
        seconds: how long to go on beginning new rounds.
        least: how many rounds there are all the same.
        most: when it is enough.
    """

    measurement: float = 0.04
    seconds: float = 4.0
    least: int = 5
    most: int = 31


@contextmanager
def frozen() -> Generator[None]:
    """What there is at this moment is none of the garbage collector's business inside the block."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def run_check(work: Work, runner: asyncio.Runner) -> None:
    """Let the work show that it does what it should.

    Raises:
        AssertionError: it does not.
    """
    if work.prepare:
        work.prepare()
    done: Any = work.check()
    if inspect.iscoroutine(done):
        runner.run(done)


def in_turn(works: Sequence[Work], runner: asyncio.Runner, pace: Pace) -> list[list[float]]:
    """Time each, round by round, each round in the opposite order of the one before.

    Args:
        works: what to time; all of it was checked.
        runner: whose event loop the coroutine functions run in; plain functions run outside it.
        pace: how long.

    Returns:
        For each its nanoseconds per unit, by round.
    """
    times: list[list[float]] = [[] for _ in works]
    with frozen():
        # What takes longer is interrupted more often: so all measurements last as long as the longest.
        seconds = max(pace.measurement, *(elapsed(work, 1, runner) / 1e9 for work in works))
        repeats = [calibrate(work, runner, seconds) for work in works]
        started = perf_counter()
        for number in range(pace.most):
            if number >= pace.least and perf_counter() - started > pace.seconds:
                break
            for index in range(len(works))[:: -1 if number % 2 else 1]:
                taken = elapsed(works[index], repeats[index], runner)
                times[index].append(taken / (repeats[index] * works[index].units))
    return times


def calibrate(work: Work, runner: asyncio.Runner, seconds: float) -> int:
    """How often to do the work in one measurement. It is warm after this."""
    repeats = 1
    taken = elapsed(work, repeats, runner) / 1e9
    if work.prepare:
        return 1
    while taken < seconds / 4:
        repeats *= 2
        taken = elapsed(work, repeats, runner) / 1e9
    return max(1, round(repeats * seconds / taken))


def elapsed(work: Work, repeats: int, runner: asyncio.Runner) -> int:
    """Nanoseconds that it takes to do the work so often."""
    if work.prepare:
        work.prepare()
    # What was left behind by what came before is not this one's to clear away.
    gc.collect()
    if inspect.iscoroutinefunction(work.do):
        return runner.run(elapsed_async(work.do, repeats))
    do = work.do
    if repeats == 1:
        started = perf_counter_ns()
        # Kept until the time was taken: what is made is thrown away by somebody else, later.
        made = do()
        taken = perf_counter_ns() - started
        del made
        return taken
    started = perf_counter_ns()
    for _ in range(repeats):
        do()
    return perf_counter_ns() - started


async def elapsed_async(do: Callable[[], Any], repeats: int) -> int:
    started = perf_counter_ns()
    for _ in range(repeats):
        await do()
    return perf_counter_ns() - started
