"""``cnstra demo orders --durable``: the durable job of ``cnstra.demo`` in a terminal."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.console import Console

import cnstra
from cnstra.demo.database import delete_database
from cnstra.demo.figures import counted, dollars
from cnstra.demo.job import Outcome
from cnstra.demo.problems import MalformedLineError, SourceError, StoreError
from cnstra.demo.report import Monitor, print_report
from cnstra.demo.source import OrderFile

from .interrupts import Interrupts
from .orders import next_step, packaged_orders
from .output import Terminal
from .problems import CommandError

if TYPE_CHECKING:
    from cnstra.demo.ledger import Ledger
    from cnstra.durable import Store

__all__ = ["run_durable_orders"]


def run_durable_orders(
    orders: Path | None, data: Path | None, url: str | None, *, fresh: bool, strict: bool, batch: int
) -> int:
    """Place orders, and report.

    Args:
        orders: a CSV file; None is the one that comes with the package.
        data: the folder of the store; None is a temporary one.
        url: of the store, instead of a file in that folder.
        fresh: delete that file first.
        strict: stop at a malformed line.
        batch: orders per run.

    Returns:
        The exit status: 0, or 128 + n if signal n stopped the run.

    Raises:
        CommandError: the file or the store cannot be used, or the sums differ.
    """
    if url is not None and (data is not None or fresh):
        raise CommandError("--store names a store, --data and --fresh are for the file in a folder", status=2)
    try:
        from cnstra.demo.ledger import Ledger
        from cnstra.durable import DurableError, Store
    except ModuleNotFoundError as missing:
        raise CommandError(f"{missing}; durable runs need it: pip install 'cnstra[durable]'") from missing
    with ExitStack() as stack:
        source = OrderFile(packaged_orders(stack) if orders is None else orders)
        try:
            total = source.count_lines()
            place = None if url is None and data is None else "store"
            if url is None:
                folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnstra-orders-")))
                url = _url_in(folder, fresh=fresh)
            store = Store.open(url)
            ledger = Ledger(url, store.url)
            stack.enter_context(_quiet())
            interrupts = stack.enter_context(Interrupts())
            monitor = Monitor(Console(stderr=True, highlight=False), total, source.path.name)
            return _run(store, ledger, source, monitor, interrupts, total, place, strict=strict, batch=batch)
        except (SourceError, StoreError, DurableError, ModuleNotFoundError) as error:
            # The driver of a database that is not installed says how to get it.
            raise CommandError(str(error)) from error


def _url_in(folder: Path, *, fresh: bool) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} cannot be the folder of the store: {error.strerror}") from error
    file = (folder / "runs.db").absolute()
    if fresh:
        delete_database(file)
    return f"sqlite:///{quote(str(file))}"


@contextmanager
def _quiet() -> Generator[None]:
    """What durable runs and their driver log is told here by the error in which it ends, if it does."""
    handler, logs = logging.NullHandler(), [logging.getLogger(name) for name in ("cnstra.durable", "psycopg")]
    for log in logs:
        log.addHandler(handler)
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(handler)


def _run(
    store: Store,
    ledger: Ledger,
    source: OrderFile,
    monitor: Monitor,
    interrupts: Interrupts,
    total: int | None,
    place: object,
    *,
    strict: bool,
    batch: int,
) -> int:
    from cnstra.demo.durable_job import place_durably

    async def work() -> Outcome:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        # Who does not want to wait for the batches that go on cancels them: they are let go of as they stand.
        interrupts.insisted = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await place_durably(
                store,
                ledger,
                source,
                monitor,
                size=batch,
                strict=strict,
                stop=lambda: interrupts.received is not None,
                recover_every=5.0,
            )
        except asyncio.CancelledError:
            return Outcome(stopped=True, line=monitor.line)

    try:
        with monitor:
            outcome = asyncio.run(work())
    except MalformedLineError as error:
        mend = "" if place is None else "mend the line and "
        standing = _standing(ledger, monitor.line, total)
        raise CommandError(f"{error}; {standing}{next_step(place, mend)}") from error
    except KeyboardInterrupt:
        outcome = Outcome(stopped=True, line=monitor.line)
    if outcome.stopped:
        number = interrupts.received or 2
        sys.stderr.write(f"Interrupted: {_standing(ledger, monitor.line, total)}{next_step(place)}.\n")
        return 128 + number
    summary = ledger.summary()
    print_report(
        Terminal(highlight=False),
        summary,
        outcome,
        engine=cnstra.engine,
        title="Orders and read models, side by side",
        source="Orders",
    )
    if not summary.consistent:
        raise CommandError("the sums differ: some orders are not in a read model, or in it twice")
    return 0


def _standing(ledger: Ledger, line: int, total: int | None) -> str:
    """How far a run got, from what is in the store."""
    sums = ledger.summary().written
    of = "" if total is None else f" of {total:,}"
    return f"{line - 1:,}{of} lines done, {counted(sums.orders, 'order')} for {dollars(sums.revenue)} in the store"
