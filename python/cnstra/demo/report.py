"""What a person sees of the job: a progress bar while it runs, tables and a chart at its end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .figures import counted, dollars
from .job import GOLD, Outcome, Summary
from .model import MonthlyRevenue, OrderRejected, Totals
from .source import Malformed

__all__ = ["Monitor", "bar", "print_report"]

# Below this many columns the wide tables would have to cut their numbers, so they give way to narrow ones.
NARROW = 72

# A file may be wrong in every line; the first few are enough to see how.
SHOWN_PROBLEMS = 20

# Eighths of a column, so that a chart of a few columns still tells months apart.
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Monitor:
    """Follows a run: the bar where somebody watches, and every problem on a line of its own.

    Args:
        console: where; of no terminal, it gets the problems and no bar.
        total: how many lines there are, None if nobody knows.
        name: of the source, for messages.
    """

    def __init__(self, console: Console, total: int | None, name: str) -> None:
        self.line = 1
        self._console = console
        self._name = name
        self._problems = 0
        columns: list[ProgressColumn] = [MofNCompleteColumn()]
        if console.width >= NARROW // 3:
            columns.insert(0, BarColumn(bar_width=None))
        if console.width >= NARROW // 2:
            columns.insert(0, TextColumn("{task.description}"))
        if console.width >= NARROW:
            columns += [TextColumn("[dim]{task.fields[rate]}"), TimeRemainingColumn()]
        self._progress = Progress(*columns, console=console, expand=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("Placing orders", total=total, rate="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._progress.stop()
        if self._problems > SHOWN_PROBLEMS:
            self._say(f"… and {counted(self._problems - SHOWN_PROBLEMS, 'more line')}")

    def _say(self, text: str) -> None:
        # A piece of the user's file is no markup, and a message that is one line stays one line in a narrow terminal.
        if self._console.options.ascii_only:
            text = text.replace("…", "...")
        self._console.print(Text(text), soft_wrap=True)

    def _problem(self, line: int, text: str) -> None:
        self._problems += 1
        if self._problems <= SHOWN_PROBLEMS:
            self._say(f"{self._name}:{line}: {text}")

    def caught_up(self, orders: int) -> None:
        """The read store has been brought up to date."""
        self._say(f"The read store lacked {counted(orders, 'order')} of the write store, and has caught up.")

    def recovered(self, batches: int) -> None:
        """Durable batches that an earlier process had begun are finished."""
        which = "1 batch" if batches == 1 else f"{batches:,} batches"
        self._say(f"Recovered {which} that an earlier run had begun.")

    def resumed(self, line: int) -> None:
        """An earlier run had got to this line."""
        self.line = line
        self._say(f"Going on after line {line:,}, where an earlier run stopped.")
        self._progress.update(self._task, completed=line - 1)

    def malformed(self, problem: Malformed) -> None:
        """A line was skipped."""
        self._problem(problem.line, f"skipped: {problem.reason}")

    def rejected(self, event: OrderRejected) -> None:
        """An order was refused."""
        self._problem(event.order_id, f"rejected: {event.reason}")

    def committed(self, line: int) -> None:
        """Everything up to this line is in both stores."""
        self.line = line
        speed = self._progress.tasks[0].speed
        rate = "" if speed is None else f"{speed:,.0f}/s"
        self._progress.update(self._task, completed=line - 1, rate=rate)


def print_report(
    console: Console,
    summary: Summary,
    outcome: Outcome,
    *,
    engine: str,
    title: str = "Both stores, side by side",
    source: str = "Write store",
) -> None:
    """Print what the stores hold, and what the run did.

    Args:
        console: where. Tables fit themselves to its width, and to what its encoding can show.
        summary: of the stores.
        outcome: of the run.
        engine: the name of the engine that did it.
        title: of the table that compares what was written with the read models.
        source: what the read models are made of.
    """
    narrow = console.width < NARROW
    if summary.best.customers:
        count = len(summary.best.customers)
        _title(console, "The best customer" if count == 1 else f"The {_word(count)} best customers")
        console.print(_best(summary, narrow))
    if summary.months.months:
        _title(console, "Revenue by month")
        console.print(_chart(console, summary.months.months))
        console.print()
    _title(console, title)
    for table in _totals(summary, source, narrow):
        console.print(table)
    if summary.rejected or summary.malformed:
        rejected, malformed = counted(summary.rejected, "order"), counted(summary.malformed, "malformed line")
        console.print(f"{rejected} rejected, {malformed} skipped, in this run and before.", soft_wrap=True)
    if outcome.gold:
        gold = counted(len(outcome.gold), "customer")
        console.print(f"{gold} passed {dollars(GOLD)} in this run.", soft_wrap=True)
    console.print(_speed(outcome, engine), soft_wrap=True, highlight=False)


def _title(console: Console, text: str) -> None:
    console.print(Text(text, style="bold"))


def _word(count: int) -> str:
    return {2: "two", 3: "three", 4: "four", 5: "five"}.get(count, str(count))


def _table(narrow: bool) -> Table:
    box, padding = (None, (0, 1, 0, 0)) if narrow else (SIMPLE_HEAD, (0, 1))
    return Table(box=box, show_edge=False, pad_edge=False, padding=padding)


def _best(summary: Summary, narrow: bool) -> Table:
    table = _table(narrow)
    table.add_column("Customer", justify="right", no_wrap=True)
    if not narrow:
        for name in ("Orders", "CDs"):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Spent", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("First order", no_wrap=True)
        table.add_column("Last order", no_wrap=True)
    for customer in summary.best.customers:
        cells = [str(customer.customer_id), dollars(customer.spent)]
        if not narrow:
            cells[1:1] = [f"{customer.orders:,}", f"{customer.quantity:,}"]
            cells += [customer.first_order.isoformat(), customer.last_order.isoformat()]
        table.add_row(*cells)
    return table


def bar(value: int, largest: int, width: int, *, ascii_only: bool = False) -> str:
    """A bar of a chart, in characters.

    Args:
        value: not negative.
        largest: the value that fills ``width``.
        width: columns.
        ascii_only: draw with number signs, to the nearest column, instead of blocks, to the nearest eighth.

    Example:
        >>> bar(5, 10, 4), bar(3, 16, 4), bar(1, 2, 4, ascii_only=True)
        ('██', '▊', '##')
    """
    if largest <= 0:
        return ""
    if ascii_only:
        return "#" * ((2 * value * width + largest) // (2 * largest))
    full, part = divmod((2 * value * width * 8 + largest) // (2 * largest), 8)
    return "█" * full + _EIGHTHS[part].strip()


def _chart(console: Console, months: tuple[MonthlyRevenue, ...]) -> Table:
    amounts = [dollars(month.revenue) for month in months]
    largest = max(month.revenue for month in months)
    # What is left of the width after the month, the amount and a space on either side of the bar.
    width = min(60, console.width - len("YYYY-MM") - max(map(len, amounts)) - 2)
    chart = Table.grid(padding=(0, 1, 0, 0))
    chart.add_column(no_wrap=True)
    if width >= 3:
        chart.add_column(no_wrap=True, style="cyan", width=width)
    chart.add_column(justify="right", no_wrap=True)
    for month, amount in zip(months, amounts, strict=True):
        cells = [month.month, amount]
        if width >= 3:
            cells.insert(1, bar(month.revenue, largest, width, ascii_only=console.options.ascii_only))
        chart.add_row(*cells)
    return chart


def _totals(summary: Summary, source: str, narrow: bool) -> list[Table]:
    stores = {
        source: summary.written,
        "Customer totals": summary.by_customer,
        "Monthly revenue": summary.by_month,
    }
    if narrow:
        tables: list[Table] = []
        for measure, cells in _measures(list(stores.values())):
            table = _table(narrow)
            # In a very narrow terminal it is the names that wrap, not the numbers.
            table.add_column(measure, overflow="fold")
            table.add_column("", justify="right", no_wrap=True)
            for store, cell in zip(stores, cells, strict=True):
                table.add_row(store, cell)
            tables.append(table)
        return tables
    table = _table(narrow)
    table.add_column("", no_wrap=True)
    for store in stores:
        table.add_column(store, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for measure, cells in _measures(list(stores.values())):
        equal = len({cell for cell in cells if cell}) == 1
        table.add_row(measure, *cells, "" if equal else Text("differ", style="bold red"))
    return [table]


def _measures(totals: list[Totals]) -> list[tuple[str, list[str]]]:
    return [
        ("Orders", [f"{sums.orders:,}" for sums in totals]),
        ("Customers", ["" if sums.customers is None else f"{sums.customers:,}" for sums in totals]),
        ("CDs", [f"{sums.quantity:,}" for sums in totals]),
        ("Revenue", [dollars(sums.revenue) for sums in totals]),
    ]


def _speed(outcome: Outcome, engine: str) -> str:
    done = outcome.placed + outcome.rejected
    if not done:
        return "No order was left to place."
    rate = done / outcome.seconds
    return (
        f"{counted(outcome.placed, 'order')} placed in {outcome.seconds:.2f} s: "
        f"{rate:,.0f} orders per second, {engine} engine."
    )
