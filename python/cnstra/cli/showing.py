"""What tables of runs have in common: colours and marks of statuses, and text of others that cannot do any harm."""

from __future__ import annotations

import os
import re

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .output import Terminal, standard_output

__all__ = [
    "MARKS",
    "STYLES",
    "arrow",
    "clip",
    "is_ascii",
    "mark",
    "open_terminal",
    "plain_table",
    "short_error",
    "short_owner",
    "visible",
]

# What a table is given that nobody sees the width of: a file, or another program, which should not get half of an id.
_UNSEEN = 160

# What runs that have failed, or were aborted, all say before they say why.
_PREFIX = re.compile(r"StimulationAborted: |StimulationFailed: .*?\(\d+ sub-exceptions?\): ")

STYLES = {
    "scheduled": "blue",
    "running": "cyan",
    "pending": "cyan",
    "completed": "green",
    "finished": "green",
    "failed": "red",
    "lost": "red",
    "aborted": "yellow",
    "released": "yellow",
    "joined": "dim",
}
"""Of runs, attempts and tasks."""

MARKS = {"finished": "✓+", "failed": "✗x", "aborted": "■-", "joined": "»>", "pending": "○o"}
"""Of tasks, each followed by what stands for it where there is ASCII alone."""


def open_terminal() -> Terminal:
    """Standard output."""
    # Ids, errors and payloads are text, whatever is in it.
    console = Terminal(file=standard_output(), highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNSEEN
    return console


def is_ascii(console: Console) -> bool:
    """Whether its encoding may have nothing but ASCII; what ``console.options`` says, which asks the terminal first."""
    return not console.encoding.startswith("utf")


def visible(text: str, console: Console, *, lines: bool = False) -> str:
    """Text that somebody else wrote, as a terminal may show it: an error may have escape sequences in it.

    Args:
        text: any.
        console: where it goes; what its encoding may not have is escaped too.
        lines: keep the lines apart; otherwise it becomes one.
    """
    text = text.expandtabs(4) if lines else " ".join(text.split())
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown.encode("ascii", "backslashreplace").decode("ascii") if is_ascii(console) else shown


def clip(text: Text, width: int, console: Console) -> Text:
    """Text that is no wider than that; where something was left out it says so."""
    if text.cell_len > width:
        dots = "..." if is_ascii(console) else "…"
        text = text.copy()
        text.truncate(max(width - len(dots), 0))
        text.append(dots)
    return text


def mark(status: str, console: Console) -> Text:
    """The mark of a task's status."""
    return Text(MARKS[status][is_ascii(console)], style=STYLES[status])


def arrow(console: Console, *, out: bool = False) -> str:
    """From what a task answers to its neuron, or from there to what it emits."""
    if is_ascii(console):
        return "->" if out else "<-"
    return "→" if out else "←"


def short_owner(owner: str) -> str:
    """The process that has a run: its machine and its number. In full it has what tells it from all that ever were."""
    parts = owner.split("/")
    return f"{parts[0]}/{parts[3]}" if len(parts) == 6 else owner


def short_error(error: str) -> str:
    """What a run ended with, where there is little room."""
    return error.removeprefix(match[0]) if (match := _PREFIX.match(error)) else error


def plain_table() -> Table:
    """A table without edges, two columns between its columns."""
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
