"""The run: bring the read store up to date, then place one batch of orders after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cnstra import CNS, Response, Signal, StimulationFailed

from .model import BestCustomers, CustomerTotals, GetBestCustomers, GetRevenue, OrderRejected, RevenueByMonth, Totals
from .orders import (
    best_customers_found,
    customer_totals_updated,
    get_best_customers,
    get_revenue,
    keep_bookmark,
    order_placed,
    order_rejected,
    place_order,
    revenue_found,
)
from .problems import StoreError
from .source import Malformed, OrderFile
from .stores import Stores

__all__ = ["Observer", "Outcome", "Summary", "catch_up", "place_orders", "summarize"]

# Cents. Who passes it is a gold customer, and is told so at once: a side effect that needs the fresh total.
GOLD = 100_000


class Observer(Protocol):
    """Who wants to see the run while it goes on."""

    def caught_up(self, orders: int) -> None:
        """The read store lacked this many orders that the write store had; now it has them."""

    def resumed(self, line: int) -> None:
        """The source was read up to this line by an earlier run."""

    def malformed(self, problem: Malformed) -> None:
        """A line was skipped."""

    def rejected(self, event: OrderRejected) -> None:
        """An order was refused. Its number is the line of its row."""

    def committed(self, line: int) -> None:
        """Everything up to this line is in both stores."""


@dataclass(slots=True)
class Outcome:
    """What a run did, this one alone.

    Args:
        placed, rejected, malformed: numbers of orders, orders and lines.
        line: the last line whose order is in both stores; 1, the header, if there is none.
        seconds: that the placing took.
        stopped: it was asked to stop before the end.
        gold: customers whose total passed ``GOLD``, in the order in which they did, as they were then.
    """

    placed: int = 0
    rejected: int = 0
    malformed: int = 0
    line: int = 1
    seconds: float = 0.0
    stopped: bool = False
    gold: list[CustomerTotals] = field(default_factory=list[CustomerTotals])


async def run_batch(
    cns: CNS, stores: Stores, signals: Sequence[Signal[Any]], on_response: Callable[[Response], None] | None = None
) -> None:
    """Run signals as one transaction: after it all of them count, or none does and the error says why.

    Raises:
        StoreError: a store could not be written.
        StimulationFailed, StimulationAborted: what the run ended with, if it was anything else.
    """
    try:
        await cns.stimulate(signals, on_drain=stores.commit_at_drain, on_response=on_response)
    except StimulationFailed as failure:
        stores.rollback()
        # A full disk fails a thousand activations in a thousand equal ways: one is enough to say it.
        problems, _ = failure.split(StoreError)
        if problems is not None:
            raise StoreError(str(problems.exceptions[0])) from failure
        raise
    except BaseException:
        # An interrupt or a cancellation may come anywhere, between the two commits too: what the write store has
        # committed stays, and the next start catches up.
        stores.rollback()
        raise


async def catch_up(cns: CNS, stores: Stores, *, size: int = 1000, stop: Callable[[], bool] = lambda: False) -> int:
    """Give the projections the orders that the write store has and the read store lacks.

    They are stimulated with the events themselves, so the code that follows live events is the code that replays them.

    Args:
        size: how many orders are applied, and committed, at a time.

        stop: is asked before each of these whether to stop there.

    Returns:
        The number of orders.

    Raises:
        StoreError, StimulationFailed: see ``run_batch``.
    """
    replayed = 0
    while not stop() and (events := stores.write.orders_after(stores.read.position, size)):
        await run_batch(cns, stores, [order_placed.create_signal(event) for event in events])
        replayed += len(events)
    return replayed


async def place_orders(
    cns: CNS,
    stores: Stores,
    source: OrderFile,
    observer: Observer,
    *,
    size: int = 1000,
    strict: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Catch up, then place the orders of a file, from where an earlier run on these stores stopped.

    Args:
        cns: made by ``orders.build(stores)``.
        stores: where the orders go. Their bookmark tells where to begin.
        source: the file.
        observer: is told what happens.
        size: orders per batch, which is a transaction.
        strict: stop at a malformed line, with everything before it placed.
        stop: is asked before each batch whether to stop there.

    Returns:
        What was done.

    Raises:
        SourceError: the file cannot be read, or is not the one that an earlier run read.
        MalformedLineError: ``strict``; a run on the mended file goes on with that line.
        StoreError: a store could not be written.
    """
    if replayed := await catch_up(cns, stores, size=size, stop=stop):
        observer.caught_up(replayed)
    outcome = Outcome()
    bookmark = stores.write.bookmark
    if stores.read.position < stores.write.position:
        # It was stopped while it caught up; an order placed now would leave a gap.
        outcome.stopped = True
        return outcome

    def watch(response: Response) -> None:
        if updated := customer_totals_updated.match(response.output_signal):
            # The projection has run, so its own connection knows the new total, long before the batch is committed.
            customer = stores.read.customer(updated.payload.customer_id)
            order = order_placed.match(response.input_signal)
            if (
                customer is not None
                and order is not None
                and customer.spent >= GOLD > customer.spent - order.payload.amount
            ):
                outcome.gold.append(customer)
        elif rejected := order_rejected.match(response.output_signal):
            rejections.append(rejected.payload)

    rejections: list[OrderRejected] = []
    with source.open(after=bookmark) as reading:
        if bookmark is not None:
            outcome.line = bookmark.line
            observer.resumed(bookmark.line)
        started = time.perf_counter()
        for batch in reading.batches(size, strict=strict):
            if stop():
                outcome.stopped = True
                break
            rejections.clear()
            signals: list[Signal[Any]] = [place_order.create_signal(command) for command in batch.commands]
            signals.append(keep_bookmark.create_signal(batch.bookmark))
            await run_batch(cns, stores, signals, watch)
            outcome.placed += len(batch.commands) - len(rejections)
            outcome.rejected += len(rejections)
            outcome.malformed += len(batch.malformed)
            outcome.line = batch.bookmark.line
            _tell(observer, batch.malformed, rejections)
            observer.committed(outcome.line)
        outcome.seconds = time.perf_counter() - started
    return outcome


def _tell(observer: Observer, malformed: Sequence[Malformed], rejections: Sequence[OrderRejected]) -> None:
    """Report what went wrong in a batch, in the order of the file."""
    problems: list[tuple[int, Malformed | OrderRejected]] = [(problem.line, problem) for problem in malformed]
    problems += [(event.order_id, event) for event in rejections]
    for _, problem in sorted(problems, key=lambda pair: pair[0]):
        if isinstance(problem, Malformed):
            observer.malformed(problem)
        else:
            observer.rejected(problem)


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in the stores, for the report.

    Args:
        written: the sums of the write store.
        by_customer, by_month: the sums of the two read models.
        best: the customers who spent most.
        months: the revenue of every month.
        rejected: orders that were refused, in this run and before.
        malformed: lines that were skipped, in this run and before.
    """

    written: Totals
    by_customer: Totals
    by_month: Totals
    best: BestCustomers
    months: RevenueByMonth
    rejected: int
    malformed: int

    @property
    def consistent(self) -> bool:
        """Whether both read models add up to what the write store holds."""
        written = self.written
        return self.by_customer == written and self.by_month == replace(written, customers=None)


async def summarize(cns: CNS, stores: Stores, *, best: int = 5) -> Summary:
    """Ask for what the report shows: the read models through the graph, the sums of the stores themselves.

    Args:
        cns: made by ``orders.build(stores)``.
        stores: with nothing uncommitted in them.
        best: how many customers.
    """
    bookmark = stores.write.bookmark
    return Summary(
        written=stores.write.totals(),
        by_customer=stores.view.customer_sums(),
        by_month=stores.view.month_sums(),
        best=await cns.query(get_best_customers.create_signal(GetBestCustomers(best)), best_customers_found),
        months=await cns.query(get_revenue.create_signal(GetRevenue()), revenue_found),
        rejected=stores.write.rejected,
        malformed=0 if bookmark is None else bookmark.malformed,
    )
