"""``cnstra runs show``: one run, its attempts, and the waterfall of its tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from cnstra.durable import Attempt, Record, Run, Task

from .runs_json import as_json, write_json
from .runs_tables import attempts_table, run_details
from .showing import STYLES, arrow, open_terminal, visible
from .stores import connected, finish, open_record
from .waterfall import counts, task_name, waterfalls

__all__ = ["Seen", "overview", "read_run", "show_run", "tree"]

_PAGE = 10_000


class Seen(NamedTuple):
    """A run as a store has it at a moment."""

    run: Run
    attempts: tuple[Attempt, ...]
    tasks: tuple[Task, ...]
    # Of the page of tasks that follows, None if there is none.
    cursor: str | None


def show_run(
    run_id: str, url: str | None, app: str | None, *, limit: int, traceback: bool, payloads: bool, as_document: bool
) -> None:
    """Print a run.

    Args:
        run_id: the run.
        url, app: where it is, and what shows its payloads.
        limit: of tasks.
        traceback: with those of failed tasks.
        payloads: with inputs and outputs.
        as_document: as JSON.

    Raises:
        CommandError: there is no such run, or no such store.
    """
    store, record = open_record(url, app)

    async def read() -> Seen:
        async with connected(store):
            return await read_run(record, run_id, limit)

    seen = finish(read)
    if as_document:
        write_json(
            {
                "run": as_json(seen.run, payloads=payloads),
                "attempts": [as_json(attempt) for attempt in seen.attempts],
                "tasks": [as_json(task, payloads=payloads) for task in seen.tasks],
                "more": seen.cursor is not None,
            }
        )
        return
    console = open_terminal()
    for part in (*overview(seen, console, time.time()), *_details(seen, console, traceback, payloads)):
        console.print(part)


async def read_run(record: Record, run_id: str, limit: int, cursor: str | None = None) -> Seen:
    """A run, its attempts and some of its tasks.

    Args:
        record: of a store that is connected.
        run_id: the run.
        limit: of tasks.
        cursor: where these begin; None is the first one.

    Raises:
        UnknownRunError, StoreError: as of ``Record.run``.
    """
    run = await record.run(run_id)
    attempts = await record.attempts(run_id)
    tasks: list[Task] = []
    while True:
        page = await record.tasks(run_id, cursor=cursor, limit=min(limit - len(tasks), _PAGE))
        tasks += page.items
        cursor = page.cursor
        if cursor is None or len(tasks) >= limit:
            return Seen(run, attempts, tuple(tasks), cursor)


def overview(seen: Seen, console: Console, now: float) -> Iterator[RenderableType]:
    """What there is to see of a run at once: its details, attempts and tasks."""
    yield run_details(seen.run, console, now)
    if seen.attempts:
        yield ""
        yield attempts_table(seen.attempts, console, now, known=seen.run.error)
    yield from tree(seen, console, now)


def tree(seen: Seen, console: Console, now: float) -> Iterator[RenderableType]:
    """The tasks of a run, and how many there are."""
    if not seen.tasks:
        return
    run = seen.run
    is_alive = run.status == "running" and run.lease_until is not None and run.lease_until > now
    for title, lines in waterfalls(seen.tasks, seen.attempts, console, now if is_alive else None):
        yield ""
        if title:
            yield title
        yield Group(*lines)
    yield ""
    total = counts(seen.tasks, console)
    if seen.cursor is not None:
        total = Text(f"{len(seen.tasks):,} of its tasks, and there are more: ").append(total)
    yield total


def _details(seen: Seen, console: Console, traceback: bool, payloads: bool) -> Iterator[RenderableType]:
    for task in seen.tasks:
        if task.error is None:
            continue
        yield ""
        yield _heading(task, console).append(": ").append(visible(task.error, console), style=STYLES["failed"])
        if traceback and task.traceback is not None:
            yield Padding(Text(visible(task.traceback.rstrip(), console, lines=True), style="dim"), (0, 0, 0, 2))
    if not payloads:
        return
    yield ""
    for signal in seen.run.entry:
        yield _signal("entry", arrow(console, out=True), signal, console)
    for task in seen.tasks:
        yield _signal(f"#{task.seq}", arrow(console), {"collateral": task.collateral, "payload": task.input}, console)
        for signal in task.outputs:
            yield _signal(f"#{task.seq}", arrow(console, out=True), signal, console)


def _heading(task: Task, console: Console) -> Text:
    return Text().append(f"#{task.seq} ", style="bold").append(task_name(task, console))


def _signal(whose: str, direction: str, signal: dict[str, Any], console: Console) -> Text:
    payload = json.dumps(signal["payload"], ensure_ascii=False)
    line = Text().append(f"{whose} ", style="bold")
    line.append(f"{direction} {visible(signal['collateral'], console)} ", style="dim")
    return line.append(visible(payload, console))
