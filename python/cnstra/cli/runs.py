"""The commands for durable runs, their options and their help."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter, validators

from .filters import Filters, Status

__all__ = ["runs"]

runs = App(name="runs", help="Look at durable runs in a store, and continue, cancel or remove them.")

_PAGE = validators.Number(gte=1, lte=10_000)

RunId = Annotated[str, Parameter(name="RUN_ID", help="The id of the run.")]
StoreUrl = Annotated[
    str | None,
    Parameter(
        name="--store",
        negative="",
        help="The URL of the store, like sqlite:///runs.db or postgresql://user@host/database; by default that of the "
        "environment variable CNSTRA_STORE.",
    ),
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for programs.")]
Graph = Annotated[
    str,
    Parameter(
        name="--app",
        negative="",
        help="The graph that runs go on with, as MODULE:NAME: of a CNS, of a Durable, which is used with the store and "
        "the settings that it has, or of a function without arguments that returns either.",
    ),
]
StatusFilter = Annotated[Status | None, Parameter(name="--status", negative="", help="Only those of this status.")]
ScopeFilter = Annotated[
    str | None, Parameter(name="--scope", negative="", help="Only those that were filed under this.")
]
TagFilter = Annotated[str | None, Parameter(name="--tag", negative="", help="Only those that have this tag.")]
SinceFilter = Annotated[
    str | None,
    Parameter(
        name="--since",
        negative="",
        help="Only those recorded then or later: 2h for two hours ago, 2026-11-25, or ISO 8601; UTC by default.",
    ),
]
Limit = Annotated[int, Parameter(name="--limit", validator=_PAGE, help="How many, 1 to 10,000.")]
Seconds = Annotated[float, Parameter(validator=validators.Number(gt=0))]


@runs.command(name="list")
def list_(
    *,
    store: StoreUrl = None,
    status: StatusFilter = None,
    scope: ScopeFilter = None,
    tag: TagFilter = None,
    since: SinceFilter = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Parameter(name="--cursor", negative="")] = None,
    json: Json = False,
) -> int:
    """List runs, the newest first.

    Parameters
    ----------
    cursor
        Where the page before ended: it says so itself.
    """
    from .runs_list import list_runs

    list_runs(store, Filters(status, scope, tag, since, limit), cursor, as_document=json)
    return 0


@runs.command
def show(
    run_id: RunId,
    /,
    *,
    store: StoreUrl = None,
    app: Annotated[str | None, Parameter(name="--app", negative="")] = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 100,
    traceback: Annotated[bool, Parameter(negative="")] = False,
    payloads: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Show a run: what is known of it, its attempts, and what its tasks caused and took.

    Parameters
    ----------
    app
        The graph, as MODULE:NAME: payloads are shown by its types, and without it as they are stored.
    limit
        How many tasks.
    traceback
        The tracebacks of failed tasks too.
    payloads
        What the run began with, and what each task was given and emitted.
    """
    from .runs_show import show_run

    show_run(run_id, store, app, limit=limit, traceback=traceback, payloads=payloads, as_document=json)
    return 0


@runs.command
def retry(run_id: RunId, /, *, app: Graph, store: StoreUrl = None, json: Json = False) -> int:
    """Continue a run that has failed or was aborted, and wait for its end.

    Ctrl-C lets go of it: what has been done is kept, and recover continues it. So it is with clone and recover.
    """
    from .runs_going import retry_run

    return retry_run(run_id, store, app, as_document=json)


@runs.command
def clone(
    run_id: RunId,
    new_id: Annotated[str | None, Parameter(name="NEW_ID")] = None,
    /,
    *,
    app: Graph,
    store: StoreUrl = None,
    json: Json = False,
) -> int:
    """Start a run anew under another id, with what it began with, and wait for its end.

    Parameters
    ----------
    new_id
        The id of the new run; by default one is made up.
    """
    from .runs_going import clone_run

    return clone_run(run_id, new_id, store, app, as_document=json)


@runs.command
def cancel(
    run_id: RunId,
    /,
    *,
    store: StoreUrl = None,
    reason: Annotated[str, Parameter(negative="")] = "cancelled",
    json: Json = False,
) -> int:
    """Cancel a run: at once if no process has it, else by the process that does, a second later at most.

    Parameters
    ----------
    reason
        Becomes the error of the run.
    """
    from .runs_changing import cancel_run

    cancel_run(run_id, store, reason, as_document=json)
    return 0


@runs.command
def recover(
    *,
    app: Graph,
    store: StoreUrl = None,
    every: Annotated[Seconds | None, Parameter(name="--every", negative="")] = None,
    json: Json = False,
) -> int:
    """Continue every run whose process is gone, start scheduled ones that are due, and wait for their ends.

    Parameters
    ----------
    every
        Stay, and do so again every so many seconds, until a signal comes.
    """
    from .runs_going import recover_again, recover_runs

    if every is None:
        return recover_runs(store, app, as_document=json)
    return recover_again(store, app, every, as_document=json)


@runs.command
def prune(
    *,
    store: StoreUrl = None,
    older_than: Annotated[str | None, Parameter(name="--older-than", negative="")] = None,
    keep_last: Annotated[
        int | None, Parameter(name="--keep-last", negative="", validator=validators.Number(gte=0))
    ] = None,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="")] = False,
    json: Json = False,
) -> int:
    """Remove runs that have ended, with all that belongs to them.

    Parameters
    ----------
    older_than
        Only those that ended longer ago: 90s, 15m, 2h, 30d or 1w.
    keep_last
        How many of the newest stay in any case.
    yes
        Do not ask. Where nobody can be asked, it is needed.
    """
    from .runs_changing import prune_runs

    prune_runs(store, older_than, keep_last, is_confirmed=yes, as_document=json)
    return 0


@runs.command
def watch(
    run_id: Annotated[str | None, Parameter(name="RUN_ID")] = None,
    /,
    *,
    store: StoreUrl = None,
    status: StatusFilter = None,
    scope: ScopeFilter = None,
    tag: TagFilter = None,
    since: SinceFilter = None,
    limit: Limit = 100,
    interval: Annotated[Seconds, Parameter(name="--interval", negative="")] = 1.0,
    json: Json = False,
) -> int:
    """Follow runs as they change: a list of them until Ctrl-C, or one run until it has ended.

    Where there is no terminal, each change is a line.

    Parameters
    ----------
    run_id
        The run to follow; by default the newest ones, or those that filters leave.
    interval
        Seconds between two looks.
    """
    from .problems import CommandError
    from .runs_watch import watch_run, watch_runs

    if run_id is None:
        return watch_runs(store, Filters(status, scope, tag, since, limit), interval, as_document=json)
    if (status, scope, tag, since) != (None, None, None, None):
        raise CommandError("filters are for lists: give RUN_ID or filters, not both", status=2)
    return watch_run(run_id, store, interval, as_document=json)
