"""Small files of orders, and what their sums must be, computed apart from the code under test."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from cnstra.demo.model import OrderRejected
from cnstra.demo.source import Malformed
from cnstra.demo.stores import Stores

HEADER = "customer_id,date,quantity,amount\n"


@dataclass
class Expected:
    """What the stores must hold after all rows of a file, by the plainest possible computation."""

    orders: int = 0
    quantity: int = 0
    cents: int = 0
    customers: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    months: dict[str, tuple[int, int]] = field(default_factory=dict)


def expected(text: str) -> Expected:
    sums = Expected()
    orders: Counter[int] = Counter()
    quantities: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    month_orders: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        cents = int(Decimal(row["amount"]) * 100)
        customer, month = int(row["customer_id"]), row["date"][:7]
        sums.orders += 1
        sums.quantity += int(row["quantity"])
        sums.cents += cents
        orders[customer] += 1
        quantities[customer] += int(row["quantity"])
        spent[customer] += cents
        month_orders[month] += 1
        revenue[month] += cents
    sums.customers = {key: (orders[key], quantities[key], spent[key]) for key in orders}
    sums.months = {key: (month_orders[key], revenue[key]) for key in month_orders}
    return sums


def assert_holds(stores: Stores, wanted: Expected) -> None:
    """Both stores hold exactly these orders."""
    written, by_customer, by_month = stores.write.totals(), stores.view.customer_sums(), stores.view.month_sums()
    assert (written.orders, written.quantity, written.revenue) == (wanted.orders, wanted.quantity, wanted.cents)
    assert by_customer == written
    assert (by_month.orders, by_month.quantity, by_month.revenue) == (wanted.orders, wanted.quantity, wanted.cents)
    found = stores.view.best_customers(1_000_000)
    assert {c.customer_id: (c.orders, c.quantity, c.spent) for c in found} == wanted.customers
    assert {m.month: (m.orders, m.revenue) for m in stores.view.months()} == wanted.months


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.catch_ups: list[int] = []
        self.resumptions: list[int] = []
        self.skipped: list[Malformed] = []
        self.rejections: list[OrderRejected] = []
        self.lines: list[int] = []

    def caught_up(self, orders: int) -> None:
        self.catch_ups.append(orders)

    def resumed(self, line: int) -> None:
        self.resumptions.append(line)

    def malformed(self, problem: Malformed) -> None:
        self.skipped.append(problem)

    def rejected(self, event: OrderRejected) -> None:
        self.rejections.append(event)

    def committed(self, line: int) -> None:
        self.lines.append(line)


def some_orders(count: int, seed: int = 0) -> str:
    """A file of orders, drawn at random but always the same."""
    draw = random.Random(seed)
    rows = sorted(f"199{draw.randint(7, 8)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}" for _ in range(count))
    return HEADER + "".join(
        f"{draw.randint(1, max(2, count // 3))},{day},{draw.randint(1, 9)},{draw.randint(0, 9999) / 100:.2f}\n"
        for day in rows
    )
