"""``cnstra runs retry``, ``clone`` and ``recover``: runs that go on in this process, to their end or to a signal."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.text import Text

from cnstra import StimulationAborted, StimulationFailed
from cnstra.durable import Durable, DurableError, DurableRun, GraphChangedError, Run, StoreError

from .output import guests_elsewhere
from .problems import CommandError
from .runs_json import as_json, write_json, write_json_line
from .runs_tables import is_over
from .showing import STYLES, open_terminal, visible
from .stopping import Stop, Stopped, stoppable
from .stores import durable_for, finish
from .times import as_length, as_moment

__all__ = ["clone_run", "recover_again", "recover_runs", "retry_run"]

_LET_GO = "the runs that had not ended are let go of; cnstra runs recover continues them"


def retry_run(run_id: str, url: str | None, app: str, *, as_document: bool) -> int:
    """Continue a failed or aborted run, to its end.

    Returns:
        The exit status.

    Raises:
        CommandError: it cannot be retried, or did not complete.
    """
    durable = durable_for(url, app)
    return _see_through(durable, lambda: durable.retry(run_id), as_document)


def clone_run(run_id: str, new_id: str | None, url: str | None, app: str, *, as_document: bool) -> int:
    """Run what another run began with, to its end.

    Returns:
        The exit status.

    Raises:
        CommandError: it cannot be cloned, or did not complete.
    """
    durable = durable_for(url, app)
    return _see_through(durable, lambda: durable.clone(run_id, new_id), as_document)


def recover_runs(url: str | None, app: str, *, as_document: bool) -> int:
    """Continue the runs that nobody has, to their ends.

    Returns:
        The exit status.

    Raises:
        CommandError: one cannot be continued, or did not complete.
    """
    durable = durable_for(url, app)
    reporter = _Reporter(durable, as_document, dated=False)

    async def work() -> str:
        with stoppable() as stop:
            async with durable:
                handles, problem = await _recover(durable)
                await stop.during(asyncio.gather(*map(reporter.follow, handles)))
                return problem

    with guests_elsewhere():
        try:
            problem = finish(work)
        except Stopped as stopped:
            return _interrupted(stopped, _LET_GO)
    if as_document:
        write_json({"runs": [as_json(run) for run in reporter.ended]})
    elif not reporter.ended and not problem:
        open_terminal().print("Nothing to recover.")
    if problem:
        raise CommandError(problem)
    failed = sum(run.status != "completed" for run in reporter.ended)
    if failed:
        raise CommandError(f"{failed} of {len(reporter.ended)} recovered runs did not complete")
    return 0


def recover_again(url: str | None, app: str, every: float, *, as_document: bool) -> int:
    """Continue the runs that nobody has, and again every so many seconds, until a signal comes.

    Returns:
        The exit status.

    Raises:
        CommandError: the store cannot be opened.
    """
    durable = durable_for(url, app)
    reporter = _Reporter(durable, as_document, dated=True)

    async def work() -> None:
        with stoppable() as stop:
            async with durable:
                try:
                    await _recover_until(stop, durable, reporter, every)
                finally:
                    # Leaving lets go of the runs, which is no end that there is to report.
                    reporter.stop()

    with guests_elsewhere():
        try:
            finish(work)
        except Stopped as stopped:
            return _interrupted(stopped, _LET_GO)
    return 0


async def _recover_until(stop: Stop, durable: Durable, reporter: _Reporter, every: float) -> None:
    told = ""
    while True:
        try:
            handles, problem = await _recover(durable)
        except StoreError as error:
            # It may be back in a while; what went on here is told by its own handles.
            handles, problem = [], str(error)
        if problem and problem != told:
            _complain(problem)
        told = problem
        for handle in handles:
            reporter.begin(handle)
        await stop.sleep(every)
        reporter.check()


async def _recover(durable: Durable) -> tuple[list[DurableRun], str]:
    """The runs that go on here from now on, and why others do not."""
    try:
        return await durable.recover(), ""
    except GraphChangedError as error:
        return list(error.recovered), str(error)


class _Reporter:
    """Tells of each run how it ended.

    Args:
        durable: that they go on in.
        as_document: not in words.
        dated: at once and with the time; as JSON a line each.
    """

    def __init__(self, durable: Durable, as_document: bool, *, dated: bool) -> None:
        self.ended: list[Run] = []
        self._durable = durable
        self._as_document = as_document
        self._dated = dated
        self._following: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []

    def begin(self, handle: DurableRun) -> None:
        """Follow a run, while other things are done."""
        task = asyncio.ensure_future(self.follow(handle))
        self._following.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DurableError):
            # The store did not say how it ended.
            _complain(str(error))
        elif error is not None:
            self._failed.append(error)

    def check(self) -> None:
        """Raise what has kept this from telling: nobody may read standard output any more."""
        if self._failed:
            raise self._failed[0]

    def stop(self) -> None:
        """Follow none any more."""
        for task in self._following:
            task.cancel()

    async def follow(self, handle: DurableRun) -> None:
        """Wait for the end of a run, and tell of it."""
        run = await _end_of(self._durable, handle)
        self.ended.append(run)
        if self._as_document:
            if self._dated:
                write_json_line(as_json(run))
            return
        console = open_terminal()
        line = Text().append(f"{as_moment(time.time())} " if self._dated else "", style="dim")
        line.append(visible(run.id, console), style="bold").append(" ")
        line.append(_said(run, console), style=STYLES[run.status])
        console.print(line, soft_wrap=True)


def _see_through(durable: Durable, begin: Callable[[], Awaitable[DurableRun]], as_document: bool) -> int:
    begun = ""

    async def work() -> Run:
        nonlocal begun
        with stoppable() as stop:
            async with durable:
                handle = await begin()
                begun = handle.id
                return await stop.during(_end_of(durable, handle))

    with guests_elsewhere():
        try:
            run = finish(work)
        except Stopped as stopped:
            return _interrupted(stopped, f"run {begun!r} is let go of; cnstra runs recover continues it")
    if as_document:
        write_json({"run": as_json(run)})
    console = open_terminal()
    if run.status != "completed":
        raise CommandError(f"run {run.id!r} {_said(run, console)}")
    if not as_document:
        line = Text().append(visible(run.id, console), style="bold").append(" ")
        console.print(line.append(_said(run, console), style=STYLES[run.status]), soft_wrap=True)
    return 0


async def _end_of(durable: Durable, handle: DurableRun) -> Run:
    try:
        await handle
    except (StimulationFailed, StimulationAborted):
        pass
    return await durable.run(handle.id)


def _said(run: Run, console: Console) -> str:
    """How it ended, in words."""
    if not is_over(run):
        return "was stopped here and has not ended: cnstra runs recover continues it"
    said = f"{run.status} in attempt {run.attempt}, {as_length(run.updated - run.created)} after it was recorded"
    return f"{said}: {visible(run.error, console)}" if run.error else said


def _complain(problem: str) -> None:
    sys.stderr.write(f"{as_moment(time.time())} {' '.join(problem.split())}\n")


def _interrupted(stopped: Stopped, what: str) -> int:
    sys.stderr.write(f"Interrupted: {what}.\n")
    return 128 + stopped.number
