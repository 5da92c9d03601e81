"""``cnstra project``: a process that follows the log for a projection."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnstra import CnstraError

from .finding import find, in_words, one_line, suggestion
from .output import guests_elsewhere, write
from .problems import CommandError
from .showing import open_terminal
from .stopping import Stop, Stopped, stoppable

if TYPE_CHECKING:
    from cnstra.cqrs import Projection

__all__ = ["project"]


def project(
    target: Annotated[str, Parameter(name="MODULE:PROJECTION")],
    /,
    *,
    store: str | None = None,
    models: str | None = None,
    once: Annotated[bool, Parameter(negative="")] = False,
    rebuild: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Follow the log for a projection, until Ctrl-C or SIGTERM.

    Any number of these may follow for one projection: each batch is applied by one of them, the others stand by.

    Parameters
    ----------
    target
        Where it is: a module, and a name in it.
    store
        The URL of the event store, instead of the one that the module has for it.
    models
        The URL of the read models, likewise.
    once
        Apply what there is, and end.
    rebuild
        Replay the log from its start into fresh tables beside the live ones, swap them, and end. One that was stopped
        is continued.
    """
    if once and rebuild:
        raise CommandError("--once and --rebuild are two things: give one of them", status=2)
    with _told(), guests_elsewhere():
        projection = _find(target)
        if store is not None:
            projection.store.connect(store)
        if models is not None:
            projection.models.connect(models)
        try:
            return asyncio.run(_work(projection, once=once, rebuild=rebuild))
        finally:
            projection.models.close()
            projection.store.close()


def _find(target: str) -> Projection:
    from cnstra.cqrs import Projection

    def is_one(value: Any) -> bool:
        return isinstance(value, Projection)

    found = find(target, "a projection", is_one, "MODULE:PROJECTION, like shop.models:totals")
    if isinstance(found, Projection):
        return found
    module = sys.modules[target.partition(":")[0]]
    raise CommandError(f"{target} is {in_words(found)}, not a Projection{suggestion(module, is_one)}")


@contextmanager
def _told() -> Generator[None]:
    """What goes wrong in the kit is said in one line."""
    try:
        yield
    except CommandError:
        raise
    except CnstraError as error:
        raise CommandError(one_line(error)) from error


async def _work(projection: Projection, *, once: bool, rebuild: bool) -> int:
    name = projection.name
    with stoppable() as stop:
        try:
            if rebuild:
                position = await _rebuild(stop, projection)
                write(f"{name}: rebuilt through position {position:,}.\n")
            elif once:
                position = await stop.during(projection.catch_up())
                write(f"{name}: at position {position:,}, the end of the log.\n")
            else:
                write(f"{name}: following from position {await projection.position():,}; Ctrl-C ends it.\n")
                await stop.during(projection.follow(on_trouble=_complain(name)))
        except Stopped as stopped:
            if rebuild:
                sys.stderr.write(f"Interrupted: cnstra project --rebuild goes on with it; {name} is as it was.\n")
                return 128 + stopped.number
            # To be stopped is how following ends.
            write(f"{name}: stopped at position {await projection.position():,}.\n")
    return 0


async def _rebuild(stop: Stop, projection: Projection) -> int:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = open_terminal()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(projection.name, total=None)
        return await stop.during(
            projection.rebuild(progress=lambda done: shown.update(task, total=done.end, completed=done.position))
        )


def _complain(name: str) -> Callable[[BaseException], None]:
    """Tells of each trouble once, as long as it is the same."""
    told = ""

    def tell(error: BaseException) -> None:
        nonlocal told
        words = one_line(error)
        if words != told:
            told = words
            sys.stderr.write(f"{name}: {words}; trying again\n")

    return tell
