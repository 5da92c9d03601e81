"""``cnstra runs list``: the newest runs, or those that filters leave."""

from __future__ import annotations

import time

from rich.text import Text

from cnstra.durable import Page, Record, Run

from .filters import Filters
from .problems import CommandError
from .runs_json import as_json, write_json
from .runs_tables import runs_table
from .showing import open_terminal
from .stores import connected, finish, open_store

__all__ = ["list_runs"]


def list_runs(url: str | None, filters: Filters, cursor: str | None, *, as_document: bool) -> None:
    """Print runs, the newest first.

    Args:
        url: of the store.
        filters: which.
        cursor: of the page before.
        as_document: as JSON.

    Raises:
        CommandError: there is no such store, or an option is wrong.
    """
    now = time.time()
    filters.earliest(now)
    if cursor is not None and not cursor.isdecimal():
        raise CommandError(f"--cursor {cursor!r} is none: give what the page before had", status=2)
    store = open_store(url)

    async def read() -> Page[Run]:
        async with connected(store):
            return await filters.page(Record(store), now, cursor)

    page = finish(read)
    if as_document:
        write_json({"runs": [as_json(run) for run in page.items], "cursor": page.cursor})
        return
    console = open_terminal()
    if not page.items:
        console.print("No runs.")
        return
    console.print(runs_table(page.items, console, now))
    if page.cursor is not None:
        console.print(Text(f"\nOlder ones: --cursor {page.cursor}", style="dim"))
