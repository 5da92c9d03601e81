"""``cnstra demo orders``: the job of ``cnstra.demo`` in a terminal."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

from rich.console import Console

import cnstra
from cnstra.demo.figures import counted, dollars
from cnstra.demo.job import Outcome, place_orders, summarize
from cnstra.demo.orders import build
from cnstra.demo.problems import MalformedLineError, SourceError, StoreError
from cnstra.demo.report import Monitor, print_report
from cnstra.demo.source import OrderFile
from cnstra.demo.stores import Stores

from .interrupts import Interrupts
from .output import Terminal
from .problems import CommandError

__all__ = ["next_step", "packaged_orders", "run_orders"]


def run_orders(orders: Path | None, data: Path | None, *, fresh: bool, strict: bool, batch: int) -> int:
    """Place orders, and report.

    Args:
        orders: a CSV file; None is the one that comes with the package.
        data: the folder of the stores; None is a temporary one.
        fresh: begin with empty stores.
        strict: stop at a malformed line.
        batch: orders per transaction.

    Returns:
        The exit status: 0, or 128 + n if signal n stopped the run.

    Raises:
        CommandError: the file or the stores cannot be used, or the stores differ.
    """
    with ExitStack() as stack:
        source = OrderFile(packaged_orders(stack) if orders is None else orders)
        try:
            total = source.count_lines()
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnstra-orders-")))
            stores = stack.enter_context(Stores(folder, fresh=fresh))
            interrupts = stack.enter_context(Interrupts())
            monitor = Monitor(Console(stderr=True, highlight=False), total, source.path.name)
            return asyncio.run(_run(stores, source, monitor, interrupts, total, data, strict=strict, batch=batch))
        except (SourceError, StoreError) as error:
            raise CommandError(str(error)) from error


async def _run(
    stores: Stores,
    source: OrderFile,
    monitor: Monitor,
    interrupts: Interrupts,
    total: int | None,
    data: Path | None,
    *,
    strict: bool,
    batch: int,
) -> int:
    cns = build(stores)
    try:
        with monitor:
            outcome = await place_orders(
                cns,
                stores,
                source,
                monitor,
                size=batch,
                strict=strict,
                stop=lambda: interrupts.received is not None,
            )
    except MalformedLineError as error:
        mend = "" if data is None else "mend the line and "
        standing = _standing(stores, monitor.line, total)
        raise CommandError(f"{error}; {standing}{next_step(data, mend)}") from error
    except KeyboardInterrupt:
        outcome = Outcome(stopped=True, line=monitor.line)
    if outcome.stopped:
        number = interrupts.received or 2
        sys.stderr.write(f"Interrupted: {_standing(stores, monitor.line, total)}{next_step(data)}.\n")
        return 128 + number
    summary = await summarize(cns, stores)
    print_report(Terminal(highlight=False), summary, outcome, engine=cnstra.engine)
    if not summary.consistent:
        raise CommandError("the stores differ; the read store is made anew if you delete its file")
    return 0


def _standing(stores: Stores, line: int, total: int | None) -> str:
    """How far a run got, from what is on the disk, not from what the run remembers."""
    sums = stores.write.totals()
    of = "" if total is None else f" of {total:,}"
    return f"{line - 1:,}{of} lines done, {counted(sums.orders, 'order')} for {dollars(sums.revenue)} in both stores"


def packaged_orders(stack: ExitStack) -> Path:
    """The file that comes with the package, there until the stack is left."""
    return stack.enter_context(resources.as_file(resources.files("cnstra.demo") / "cdnow_orders.csv.gz"))


def next_step(kept: object, first: str = "") -> str:
    """What to do next, for the end of a message.

    Args:
        kept: where the stores are; None if they are gone with the program.
        first: what has to be done before.
    """
    if kept is None:
        return ", which were temporary (--data DIR keeps them)"
    return f"; {first}run the same command again to go on"
