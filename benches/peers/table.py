"""The results as a page of Markdown: a table, how it came about, and what to think of when reading it."""

from __future__ import annotations

import os
import platform
import textwrap

from contenders import Contender
from measuring import Results
from workloads import ALL, Workload

import cnstra

__all__ = ["environment", "figure", "markdown"]

PAGE = """\
# cnstra beside its peers

{environment}

{workloads}

{table}

The times are microseconds per unit; × is the ratio to cnstra: above 1 is slower than cnstra, below 1 is quicker.
Numbers in brackets are notes below; a dash is work that the contender does not express naturally.

{method}

## Notes

{notes}

## What the numbers leave out

Handlers here do next to nothing, so all that is seen is what it costs to get to them. What else the contenders do, and
what of it is in their numbers:

{fairness}
"""

METHOD = """\
Each case did its work once, and its result was checked. Then, in each of {rounds} rounds, the contenders of a
workload were timed one after the other, for about {seconds:g} s each, in one process, with the garbage collector on.
The times are medians over the rounds; a ratio is taken within each round, and the median of these is shown. Graphs,
subscriptions and applications were built beforehand. Every number contains the call of the case itself, which is most
of what *plain calls* take for a *run*. The times are those of one machine; the ratios are what carries over, roughly:
half of the rounds of a case gave a ratio within {spread:.0%} or so of the one that is shown.
"""


def markdown(results: Results) -> str:
    """The whole page."""
    notes: list[str] = []
    rows = [
        [contender.title, contender.what, *(cell(results, contender, workload, notes) for workload in ALL)]
        for contender in results.contenders
    ]
    header = ["contender", "what it is", *(f"{workload.name}, per {workload.unit}" for workload in ALL)]
    alignment = ["---", "---", *("---:" for _ in ALL)]
    return PAGE.format(
        environment=environment(),
        workloads="\n".join(item("- ", f"*{workload.name}*: {workload.what}") for workload in ALL),
        table="\n".join("| " + " | ".join(row) + " |" for row in [header, alignment, *rows]),
        method=paragraph(METHOD.format(rounds=results.rounds, seconds=results.seconds, spread=results.spread)),
        notes="\n".join(item(f"{number}. ", note) for number, note in enumerate(notes, 1)),
        fairness="\n".join(item("- ", f"**{one.name}**: {one.fairness}") for one in results.contenders),
    )


def cell(results: Results, contender: Contender, workload: Workload, notes: list[str]) -> str:
    """Time and ratio, or a dash, with the number of its note; new notes are added to ``notes``."""
    entry = results.entry(contender, workload)
    text = f"{figure(entry.time)} µs, {figure(entry.ratio)} ×" if entry else "–"
    remark = contender.remarks.get(workload)
    if remark is None:
        return text
    if remark not in notes:
        notes.append(remark)
    return f"{text} ({notes.index(remark) + 1})"


def environment() -> str:
    """What it ran on, in one line that names no machine."""
    build = cnstra.build_info()
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs; "
        f"cnstra's engine: {build['engine']}, {build['profile']} build."
    )


def figure(value: float) -> str:
    """Two significant digits: more would be of this run alone."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:#.2g}"


def paragraph(text: str) -> str:
    return textwrap.fill(text, 120)


def item(mark: str, text: str) -> str:
    return textwrap.fill(mark + text, 120, subsequent_indent=" " * len(mark), break_on_hyphens=False)
