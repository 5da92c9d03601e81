"""``cnstra runs cancel`` and ``prune``: what can be done to runs without their graph."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from cnstra.durable import Record, Store
from cnstra.durable.patience import patiently

from .problems import CommandError
from .runs_json import write_json
from .runs_tables import is_over
from .showing import open_terminal, short_owner, visible
from .stores import connected, finish, open_store
from .times import read_length

__all__ = ["cancel_run", "prune_runs"]


def cancel_run(run_id: str, url: str | None, reason: str, *, as_document: bool) -> None:
    """Ask for the end of a run, and print what has become of that.

    Raises:
        CommandError: there is no such run, or no such store.
    """
    store = open_store(url)

    async def cancel() -> tuple[str, str | None]:
        async with connected(store):
            record = Record(store)
            before = await record.run(run_id)
            if is_over(before):
                return "had ended", None
            await patiently(lambda: store.request_cancel(run_id, reason))
            after = await record.run(run_id)
            if not is_over(after):
                return "asked", after.owner
            # It may have ended by itself in between.
            return ("ended" if after.status == "aborted" else "had ended"), None

    outcome, owner = finish(cancel)
    if as_document:
        write_json({"id": run_id, "outcome": outcome, "owner": owner})
        return
    console = open_terminal()
    name = visible(run_id, console)
    said = {
        "ended": f"{name} is cancelled: no process had it",
        "had ended": f"{name} had ended already",
        "asked": f"{name} is to be cancelled by {visible(short_owner(owner or 'nobody'), console)}, which has it",
    }
    console.print(Text(said[outcome]), soft_wrap=True)


def prune_runs(
    url: str | None, older_than: str | None, keep_last: int | None, *, is_confirmed: bool, as_document: bool
) -> None:
    """Remove ended runs, and print how many.

    Args:
        url: of the store.
        older_than: a length of time since they ended, as text.
        keep_last: how many stay in any case.
        is_confirmed: nobody needs to be asked.
        as_document: as JSON.

    Raises:
        CommandError: somebody says no, or nobody is there to be asked; or there is no such store.
    """
    if older_than is None and keep_last is None:
        raise CommandError("which ones? give --older-than 30d, or --keep-last 1000, or both", status=2)
    seconds = None if older_than is None else read_length(older_than, "--older-than")
    store = open_store(url)
    if not is_confirmed:
        _confirm(store, older_than, keep_last)

    async def prune() -> int:
        async with connected(store):
            return await patiently(lambda: store.prune(older_than=seconds, keep_last=keep_last))

    removed = finish(prune)
    if as_document:
        write_json({"removed": removed})
    else:
        open_terminal().print(f"{removed:,} {'run' if removed == 1 else 'runs'} removed.")


def _confirm(store: Store, older_than: str | None, keep_last: int | None) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError("nobody is there to be asked whether runs are to be removed: give --yes", status=2)
    which = "all runs that have ended"
    if older_than is not None:
        which += f", and did so more than {older_than.strip()} ago"
    if keep_last is not None:
        which += f", but for the newest {keep_last:,}"
    # Not on standard output, which may be a file.
    console = Console(stderr=True, highlight=False)
    try:
        is_wanted = Confirm.ask(
            Text(f"Remove from {visible(store.url, console)} {which}?"), console=console, default=False
        )
    except EOFError:
        is_wanted = False
    if not is_wanted:
        raise CommandError("nothing was removed")
