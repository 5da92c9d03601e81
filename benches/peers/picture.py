"""The results as a picture: one panel per workload, a dot per contender on a logarithmic scale.

Dots and not bars, because a bar has no honest beginning on a scale without a zero. The two colours differ in lightness
as well, for those who see no red or green.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from contenders import REFERENCE
from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measuring import Entry, Results
from table import environment, figure
from workloads import ALL, Workload

__all__ = ["draw"]

OURS, THEIRS, LINES, QUIET, TEXT = "#D55E00", "#4A5560", "#DDE1E5", "#6B7680", "#22272C"

# In pixels. A place of the grid has, from left to right: names, dots, times, ratios; and from top to bottom: a title,
# one line for each contender, the scale.
DPI = 100
COLUMNS = 3
NAMES, DOTS, TIMES, RATIOS, GAP = 166, 128, 46, 54, 6
PLACE = NAMES + DOTS + TIMES + RATIOS + GAP
TITLE, LINE, SCALE = 60, 26, 36

READING = """\
The microseconds that one unit of work takes, on a logarithmic scale: further left is quicker.

× cnstra is that time divided by the time of cnstra: below 1 is quicker than cnstra, above 1 is slower.

Handlers do next to nothing, so this is what it costs to get to them. What the contenders give and track meanwhile
differs widely: the page that belongs to this picture tells it. Who is missing from a panel does not express that work
naturally.

{environment}

{versions}.
"""


def draw(results: Results, path: Path) -> None:
    """Write the picture."""
    places: list[Workload | None] = [*ALL, None]
    rows = [places[start : start + COLUMNS] for start in range(0, len(places), COLUMNS)]
    # Panels that stand side by side have the same number of lines, so the same distance between them.
    lines = [max(len(results.of(workload)) for workload in row if workload) for row in rows]
    width, height = COLUMNS * PLACE, sum(TITLE + LINE * count + SCALE for count in lines)
    # Not through pyplot, which would look for a screen and keep the figure.
    drawing = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    top = height
    for row, count in zip(rows, lines, strict=True):
        bottom = top - TITLE - LINE * count
        for column, workload in enumerate(row):
            left = column * PLACE + NAMES
            panel = drawing.add_axes((left / width, bottom / height, DOTS / width, LINE * count / height))
            if workload:
                draw_panel(panel, workload, sorted(results.of(workload), key=lambda entry: entry.time), count)
            else:
                explain(panel, results)
        top = bottom - SCALE
    FigureCanvasAgg(drawing).print_png(path)


def draw_panel(panel: Any, workload: Workload, entries: list[Entry], lines: int) -> None:
    times = [entry.time for entry in entries]
    ours = next(entry for entry in entries if entry.contender is REFERENCE)
    panel.set_xscale("log")
    panel.set_xlim(min(times) / 2, max(times) * 2)
    panel.set_ylim(lines - 0.5, -0.5)
    panel.xaxis.set_major_locator(ticker.LogLocator(numticks=4))
    panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    panel.grid(axis="x", color=LINES, linewidth=1)
    panel.axvline(ours.time, color=OURS, linewidth=1, alpha=0.5)
    panel.set_axisbelow(True)
    panel.tick_params(axis="both", length=0, labelsize=9, labelcolor=QUIET)
    panel.spines[:].set_visible(False)
    panel.set_yticks(range(len(entries)), [entry.contender.name for entry in entries])
    head(panel, f"{workload.name}, per {workload.unit}")
    numbers(panel, -0.85, "µs", "× cnstra", color=QUIET, fontsize=8)
    for line, (entry, label) in enumerate(zip(entries, panel.get_yticklabels(), strict=True)):
        dot, size, text, weight = (OURS, 64, OURS, "bold") if entry is ours else (THEIRS, 40, TEXT, "normal")
        style = {"color": text, "fontweight": weight}
        label.set(**style)
        panel.scatter(entry.time, line, color=dot, s=size, zorder=3)
        numbers(panel, line, figure(entry.time), figure(entry.ratio), fontsize=9, **style)


def head(panel: Any, text: str) -> None:
    """A title that begins where the names begin."""
    panel.annotate(
        text,
        (0, 1),
        xytext=(pixels(12 - NAMES), pixels(32)),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=11,
        fontweight="bold",
        color=TEXT,
    )


def numbers(panel: Any, line: float, time: str, ratio: str, **style: Any) -> None:
    """The two columns to the right of the dots, aligned at their right ends."""
    for text, width in ((time, TIMES), (ratio, TIMES + RATIOS)):
        end = 1 + width / DOTS
        panel.text(end, line, text, transform=panel.get_yaxis_transform(), ha="right", va="center", **style)


def explain(panel: Any, results: Results) -> None:
    """The last place of the grid says how to read the others."""
    panel.axis("off")
    head(panel, "How to read it")
    versions = ", ".join(contender.title for contender in results.contenders if contender.version)
    text = READING.format(environment=environment(), versions=versions)
    panel.annotate(
        "\n\n".join(textwrap.fill(paragraph, 56, break_on_hyphens=False) for paragraph in text.split("\n\n")),
        (0, 1),
        xytext=(pixels(12 - NAMES), pixels(20)),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        color=TEXT,
        va="top",
        linespacing=1.35,
    )


def pixels(count: float) -> float:
    """As points, in which offsets are given."""
    return count * 72 / DPI
