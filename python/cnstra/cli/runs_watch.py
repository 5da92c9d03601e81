"""``cnstra runs watch``: runs as they change, until a signal comes or the run has ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from cnstra.durable import Record, Run, UnknownRunError

from .filters import Filters
from .output import Terminal
from .runs_json import as_json, write_json_line
from .runs_show import overview, read_run, tree
from .runs_tables import is_over, runs_table, standing
from .showing import STYLES, open_terminal, visible
from .stopping import Stop, Stopped, stoppable
from .stores import connected, finish, open_store
from .times import as_length, as_moment

__all__ = ["watch_run", "watch_runs"]

# Tasks of a run that are read at each look.
_TASKS = 1000


def watch_run(run_id: str, url: str | None, interval: float, *, as_document: bool) -> int:
    """Follow one run until it has ended.

    Args:
        run_id: the run.
        url: of the store.
        interval: seconds between two looks.
        as_document: as JSON, a line for each change.

    Returns:
        The exit status.

    Raises:
        CommandError: there is no such run, or no such store.
    """
    console = open_terminal()

    async def tell(record: Record, stop: Stop) -> None:
        changes = _Changes(console, as_document)
        while True:
            run = await record.run(run_id)
            changes.tell([run])
            if is_over(run):
                return
            await stop.sleep(interval)

    async def show(record: Record, stop: Stop) -> None:
        cursor: str | None = None
        with _Screen(console) as screen:
            while True:
                seen = await read_run(record, run_id, _TASKS, cursor)
                if is_over(seen.run):
                    screen.clear()
                    break
                now = time.time()
                screen.show([runs_table([seen.run], console, now), *tree(seen, console, now)], interval)
                if seen.cursor is not None and all(task.status != "pending" for task in seen.tasks):
                    cursor = seen.cursor
                else:
                    await stop.sleep(interval)
                stop.check()
        for part in overview(await read_run(record, run_id, _TASKS), console, time.time()):
            console.print(part)

    return _until_stopped(url, tell if as_document or not console.is_terminal else show)


def watch_runs(url: str | None, filters: Filters, interval: float, *, as_document: bool) -> int:
    """Follow the newest runs until a signal comes.

    Args:
        url: of the store.
        filters: which.
        interval: seconds between two looks.
        as_document: as JSON, a line for each change.

    Returns:
        The exit status.

    Raises:
        CommandError: there is no such store, or an option is wrong.
    """
    filters.earliest(time.time())
    console = open_terminal()

    async def tell(record: Record, stop: Stop) -> None:
        changes = _Changes(console, as_document)
        while True:
            page = await filters.page(record, time.time())
            changes.tell(reversed(page.items))
            shown = {run.id for run in page.items}
            # What has become of those that the filters let through before.
            for run_id in changes.forget_all_but(shown):
                try:
                    changes.tell([await record.run(run_id)])
                except UnknownRunError:
                    changes.forget(run_id)
            await stop.sleep(interval)

    async def show(record: Record, stop: Stop) -> None:
        with _Screen(console) as screen:
            while True:
                now = time.time()
                page = await filters.page(record, now)
                screen.show([runs_table(page.items, console, now) if page.items else "No runs."], interval)
                await stop.sleep(interval)

    return _until_stopped(url, tell if as_document or not console.is_terminal else show)


def _until_stopped(url: str | None, follow: Callable[[Record, Stop], Awaitable[None]]) -> int:
    store = open_store(url)

    async def work() -> None:
        with stoppable() as stop:
            async with connected(store):
                await follow(Record(store), stop)

    try:
        finish(work)
    except Stopped as stopped:
        # Whoever has seen enough needs no message.
        return 128 + stopped.number
    return 0


class _Changes:
    """Prints runs that are not as they were, a line each."""

    def __init__(self, console: Terminal, as_document: bool) -> None:
        self._console = console
        self._as_document = as_document
        self._known: dict[str, Run] = {}

    def forget_all_but(self, run_ids: set[str]) -> list[str]:
        """Remember these, and others that had not ended when they were seen last, which it returns."""
        others = {run_id: run for run_id, run in self._known.items() if run_id not in run_ids}
        going = [run_id for run_id, run in others.items() if not is_over(run)]
        for run_id in others.keys() - going:
            del self._known[run_id]
        return going

    def forget(self, run_id: str) -> None:
        """It is not there any more."""
        del self._known[run_id]

    def tell(self, runs: Iterable[Run]) -> None:
        for run in runs:
            # A lease is renewed all the time.
            seen = replace(run, lease_until=None)
            if self._known.get(run.id) == seen:
                continue
            self._known[run.id] = seen
            if self._as_document:
                write_json_line(as_json(run))
                continue
            now = time.time()
            line = Text().append(f"{as_moment(now)} ", style="dim").append(visible(run.id, self._console), style="bold")
            line.append(" ").append(run.status, style=STYLES[run.status])
            line.append(f" try {run.attempt}, hops {run.hops:,}, {as_length(run.updated - run.created)}")
            note = standing(run, self._console, now)
            self._console.print(line.append(": ").append(note) if note else line, soft_wrap=True)


class _Screen:
    """A part of the terminal that is written again and again."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def clear(self) -> None:
        """Leave nothing of it behind."""
        self._live.transient = True

    def show(self, parts: Iterable[RenderableType], interval: float) -> None:
        """Show this from now on."""
        footer = Text(f"{as_moment(time.time())}, every {as_length(interval)}; Ctrl-C ends", style="dim")
        self._live.update(_Fitting(Group(*parts), footer), refresh=True)


class _Fitting:
    """As much as there is room for: the first lines, which say what it is, the last ones, and a footer."""

    # Of a table: its head and its first row.
    _TOP = 3

    def __init__(self, body: RenderableType, footer: RenderableType) -> None:
        self._body = body
        self._footer = footer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._body, options.update(height=None), pad=False)
        # One for the footer, one for the cursor below it.
        room = console.height - 2
        if len(lines) > room:
            left_out = len(lines) - room + 1
            yield from _joined(lines[: self._TOP])
            yield Text(f"({left_out} lines more)", style="dim")
            lines = lines[self._TOP + left_out :]
        yield from _joined(lines)
        yield self._footer


def _joined(lines: Iterable[list[Segment]]) -> RenderResult:
    for line in lines:
        yield from line
        yield Segment.line()
