"""Tables of runs and of their attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cnstra.durable import Attempt, Run

from .showing import STYLES, clip, plain_table, short_error, short_owner, visible
from .times import as_age, as_length, as_moment

__all__ = ["attempts_table", "is_over", "run_details", "runs_table", "standing"]

# From this many columns on, owners and errors have columns of their own.
_WIDE = 100
# What owners and errors get at least, the gap before them included, and ids: other columns give way to them.
_NOTE = 16
_SHORT_ID = 16
_GAP = 2


def is_over(run: Run) -> bool:
    """Whether it has ended."""
    return run.status not in ("scheduled", "running")


class _Column(NamedTuple):
    title: str
    cells: list[Text]
    justify: JustifyMethod = "left"

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells))


def runs_table(runs: Sequence[Run], console: Console, now: float) -> Table:
    """Runs, one a line, in the width of the console.

    Args:
        runs: at least one.
        console: where they go.
        now: seconds since the epoch.
    """

    def column(title: str, cell: Callable[[Run], Text | str], justify: JustifyMethod = "left") -> _Column:
        return _Column(title, [Text("").append(cell(run)) for run in runs], justify)

    ids = column("run", lambda run: visible(run.id, console))
    columns = [
        column("status", lambda run: Text(run.status, style=STYLES[run.status])),
        column("try", lambda run: str(run.attempt), "right"),
        column("hops", lambda run: f"{run.hops:,}", "right"),
        column("age", lambda run: as_age(now - run.created), "right"),
        column("took", lambda run: _took(run, now), "right"),
    ]
    owners = column("owner", lambda run: _owner(run, console, now))
    # Of those that go on there are no errors, but notes of other kinds.
    title = "error" if all(map(is_over, runs)) else "note"
    notes = column(title, lambda run: _note(run, console, now))
    if any(owners.cells) and console.width >= _WIDE:
        columns.append(owners)
    elif any(owners.cells):
        notes = column(title, lambda run: standing(run, console, now))
    wanted = min(notes.width + _GAP, _NOTE) if any(notes.cells) else 0
    # An id is there to be copied: it is never cut, and continued on the next line only where it must be.
    if sum(one.width + _GAP for one in columns) + ids.width + wanted > console.width:
        columns = [one for one in columns if one.title != "hops"]
    for title in ("took", "try", "age"):
        if sum(one.width + _GAP for one in columns) + min(ids.width, _SHORT_ID) > console.width:
            columns = [one for one in columns if one.title != title]
    left = console.width - sum(one.width + _GAP for one in columns)
    id_width = min(ids.width, max(left - wanted, _SHORT_ID))
    room = left - id_width - _GAP
    if wanted and room >= len(notes.title):
        columns.append(_Column(notes.title, [clip(cell, room, console) for cell in notes.cells]))
    table = plain_table()
    table.add_column("run", overflow="fold", min_width=id_width, max_width=id_width)
    for one in columns:
        table.add_column(one.title, justify=one.justify, no_wrap=True)
    for row, name in enumerate(ids.cells):
        table.add_row(name, *(one.cells[row] for one in columns))
    return table


def standing(run: Run, console: Console, now: float) -> Text:
    """Who has it, and what is wrong with it."""
    return Text(", ").join(filter(None, (_owner(run, console, now), _note(run, console, now))))


def run_details(run: Run, console: Console, now: float) -> Table:
    """All of a run but the payloads that it began with."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")

    def add(name: str, value: Text | str) -> None:
        if value:
            # What is no Text, a table takes for markup.
            table.add_row(name, Text().append(value))

    def moment(at: float) -> str:
        ago = now - at
        return f"{as_moment(at)}, {f'{as_length(ago)} ago' if ago >= 0 else f'in {as_length(-ago)}'}"

    add("run", Text(visible(run.id, console), style="bold"))
    add("status", Text(run.status, style=STYLES[run.status]))
    add("error", Text(visible(run.error or "", console), style=STYLES[run.status]))
    add("scope", visible(run.scope or "", console))
    add("tags", visible(", ".join(run.tags), console))
    add("entry", visible(", ".join(signal["collateral"] for signal in run.entry), console))
    add("created", moment(run.created))
    if run.due is not None:
        add("due", moment(run.due))
    if is_over(run):
        add("ended", moment(run.updated))
        add("took", as_length(run.updated - run.created))
    else:
        add("updated", moment(run.updated))
    if run.owner is not None:
        add("owner", visible(run.owner, console))
        if run.lease_until is not None:
            add("lease", Text(moment(run.lease_until), style="red" if run.lease_until < now else ""))
    elif run.status == "running":
        add("owner", _owner(run, console, now))
    if run.cancel_requested is not None:
        add("cancel", f"asked for: {visible(run.cancel_requested, console) or 'no reason given'}")
    add("hops", f"{run.hops:,}")
    add("graph", visible(run.fingerprint, console))
    return table


def attempts_table(attempts: Sequence[Attempt], console: Console, now: float, *, known: str | None = None) -> Table:
    """The attempts at a run, one a line.

    Args:
        attempts: of one run.
        console: where they go.
        now: seconds since the epoch.
        known: an error that is told already.
    """
    titles = ["try", "status", "started", "took", "hops", "owner"]
    if any(attempt.error is not None and attempt.error != known for attempt in attempts):
        titles.append("error")
    for title, width in (("owner", 64), ("started", 48)):
        if console.width < width:
            titles.remove(title)
    table = plain_table()
    for title in titles:
        justify: JustifyMethod = "right" if title in ("try", "took", "hops") else "left"
        table.add_column(title, justify=justify, no_wrap=title != "error", overflow="fold")
    for attempt in attempts:
        cells: dict[str, Text | str] = {
            "try": str(attempt.number),
            "status": Text(attempt.status, style=STYLES[attempt.status]),
            "started": as_moment(attempt.started).removesuffix(" UTC"),
            "took": as_length((now if attempt.ended is None else attempt.ended) - attempt.started),
            "hops": f"{attempt.hops:,}",
            "owner": visible(short_owner(attempt.owner), console),
            "error": Text(visible(short_error(attempt.error or ""), console), style=STYLES[attempt.status]),
        }
        table.add_row(*(Text().append(cells[title]) for title in titles))
    return table


def _took(run: Run, now: float) -> str:
    if run.status == "scheduled":
        return ""
    return as_length((run.updated if is_over(run) else now) - run.created)


def _owner(run: Run, console: Console, now: float) -> Text:
    if run.status != "running":
        return Text()
    if run.owner is None:
        return Text("nobody", style="yellow")
    owner = Text().append(visible(short_owner(run.owner), console), style="dim")
    if run.lease_until is not None and run.lease_until < now:
        owner.append(" (gone)", style="yellow")
    return owner


def _note(run: Run, console: Console, now: float) -> Text:
    if run.status == "scheduled" and run.due is not None:
        wait = run.due - now
        return Text(f"due in {as_length(wait)}" if wait > 0 else f"due for {as_length(-wait)}", style="dim")
    if run.cancel_requested is not None and not is_over(run):
        return Text(f"to be cancelled: {visible(run.cancel_requested, console)}", style="yellow")
    return Text(visible(short_error(run.error or ""), console), style=STYLES[run.status])
