"""The results as a page of Markdown: a table, how it came about, and what to think of when reading it."""

from __future__ import annotations

import os
import platform
import sqlite3
import textwrap
from collections.abc import Mapping, Sequence
from statistics import median, quantiles

import cnstra

from .contender import STEPS, Contender

__all__ = ["Times", "environment", "markdown"]

# Seconds per step, by round.
Times = Mapping[Contender, Sequence[float]]

PAGE = """\
# Durable steps beside its peers

{what}

| store | contender | how it is set up | per step | × cnstra |
| --- | --- | --- | ---: | ---: |
{rows}

{disk}

{method}

## What the numbers leave out

Steps here do next to nothing, so all that is seen is what it costs to make them durable, a disk included. What the
contenders do for that differs:

{fairness}
"""

WHAT = """\
`make bench-durable-peers`: a run of {steps} steps, one after the other. Each returns a small dict, and none begins
before what the one before it returned is committed. So if the process dies, at most the step that was running is run
again. {environment}
"""

DISK = """\
On SQLite each is set up as it is by default. With `synchronous=NORMAL` a commit outlives the process, and the last ones
may be lost if the machine dies; with `FULL` it waits for the disk. Where both do, {theirs} takes {ratio} as long as
cnstra.
"""

METHOD = """\
× is the ratio to cnstra on the same store, as it is set up by default: above 1 is slower than cnstra. Each contender
did the work once, and what it had stored was looked at. Then, in each of {rounds} rounds, all of them did it in turn,
in one process, with the garbage collector on, beginning with another one each time. A time is that of a whole run, from
its start to its end, divided by its steps; the medians over the rounds are shown. A ratio is taken within each round;
the median of these is shown, and in brackets between what half of them lie. The times are those of one machine and its
disk; the ratios are what carries over, roughly.
"""


def markdown(times: Times, pair: tuple[Contender, Contender], rounds: int, server: str) -> str:
    """The whole page.

    Args:
        times: of all contenders; the first of each store is what the others of it are compared with.
        pair: another one and cnstra, who both wait for the disk.
        rounds: how many there were.
        server: the version of PostgreSQL.
    """
    rows: list[str] = []
    for contender, taken in times.items():
        reference = next(one for one in times if one.store == contender.store)
        ratio = "1 ×" if contender is reference else ratio_of(taken, times[reference])
        rows.append(
            f"| {contender.store} | {contender.name} | {contender.settings} | {time_of(median(taken))} | {ratio} |"
        )
    theirs, ours = pair
    told = {one.name: one.fairness for one in times if one.fairness}
    return PAGE.format(
        what=paragraph(WHAT.format(steps=STEPS, environment=environment(times, server))),
        rows="\n".join(rows),
        disk=paragraph(DISK.format(theirs=theirs.name, ratio=ratio_of(times[theirs], times[ours]))),
        method=paragraph(METHOD.format(rounds=rounds)),
        fairness="\n".join(item("- ", f"**{name}**: {text}") for name, text in told.items()),
    )


def environment(times: Times, server: str) -> str:
    """What it ran on, in words that name no machine."""
    build = cnstra.build_info()
    versions = dict.fromkeys(version for one in times for version in one.versions)
    return (
        f"cnstra {build['version']} ({build['engine']} engine, {build['profile']} build), {', '.join(versions)}, on "
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version} and "
        f"PostgreSQL {server} on the same machine, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs."
    )


def time_of(seconds: float) -> str:
    """Two significant digits: more would be of this run alone."""
    microseconds = float(f"{seconds * 1e6:.2g}")
    return f"{microseconds:,.0f} µs" if microseconds < 1_000 else f"{microseconds / 1e3:g} ms"


def ratio_of(taken: Sequence[float], reference: Sequence[float]) -> str:
    """The median of the ratios by round, and between what half of them lie."""
    low, middle, high = quantiles((one / other for one, other in zip(taken, reference, strict=True)), n=4)
    return f"{middle:.2g} × ({low:.2g}–{high:.2g})"


def paragraph(text: str) -> str:
    return textwrap.fill(text, 120)


def item(mark: str, text: str) -> str:
    return textwrap.fill(mark + text, 120, subsequent_indent=" " * len(mark), break_on_hyphens=False)
