"""What the durable demo keeps in the database of its runs: its tables, what its handlers write, and the sums of it all.

The statements are the same for both kinds of database but for what stands in place of a value. No handler locks more
than one row that another one may want, and that one last, so handlers that run at once cannot wait for each other in a
circle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote

from .job import Summary
from .model import BestCustomers, CustomerTotals, MonthlyRevenue, PlaceOrder, RevenueByMonth, Totals
from .problems import StoreError

__all__ = ["POSTGRES", "SQLITE", "Ledger", "Statements", "customer_values", "month_values", "order_values"]

# Amounts and sums of them are cents, in 64 bits on either kind of database. What is in demo_effects has been done; of
# an activation that were done twice the key would be there already.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS demo_orders (
        order_id INTEGER PRIMARY KEY,
        customer_id INTEGER NOT NULL,
        placed_on TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        amount BIGINT NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS demo_rejections (order_id INTEGER NOT NULL, reason TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS demo_customer_totals (
        customer_id INTEGER PRIMARY KEY,
        orders BIGINT NOT NULL,
        quantity BIGINT NOT NULL,
        spent BIGINT NOT NULL,
        first_order TEXT NOT NULL,
        last_order TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS demo_monthly_revenue (
        month TEXT PRIMARY KEY,
        orders BIGINT NOT NULL,
        quantity BIGINT NOT NULL,
        revenue BIGINT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS demo_bookmarks (
        line INTEGER PRIMARY KEY,
        digest TEXT NOT NULL,
        malformed INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS demo_effects (activation TEXT PRIMARY KEY)",
)

_EFFECT = "INSERT INTO demo_effects (activation) VALUES (?)"
_ORDER = """INSERT INTO demo_orders (order_id, customer_id, placed_on, quantity, amount)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING"""
_REJECTION = "INSERT INTO demo_rejections (order_id, reason) VALUES (?, ?)"
_BOOKMARK = "INSERT INTO demo_bookmarks (line, digest, malformed) VALUES (?, ?, ?)"
_CUSTOMER = """INSERT INTO demo_customer_totals AS kept (customer_id, orders, quantity, spent, first_order, last_order)
    VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (customer_id) DO UPDATE SET
    orders = kept.orders + 1, quantity = kept.quantity + excluded.quantity, spent = kept.spent + excluded.spent,
    first_order = CASE WHEN excluded.first_order < kept.first_order THEN excluded.first_order ELSE kept.first_order END,
    last_order = CASE WHEN excluded.last_order > kept.last_order THEN excluded.last_order ELSE kept.last_order END"""
_MONTH = """INSERT INTO demo_monthly_revenue AS kept (month, orders, quantity, revenue)
    VALUES (?, 1, ?, ?) ON CONFLICT (month) DO UPDATE SET
    orders = kept.orders + 1, quantity = kept.quantity + excluded.quantity, revenue = kept.revenue + excluded.revenue"""


@dataclass(frozen=True, slots=True)
class Statements:
    """What handlers execute on one kind of database; ``effect`` first of all."""

    effect: str
    order: str
    rejection: str
    bookmark: str
    customer: str
    month: str

    @classmethod
    def marked(cls, mark: str) -> Statements:
        """The statements with that mark for values."""
        all_of_them = (_EFFECT, _ORDER, _REJECTION, _BOOKMARK, _CUSTOMER, _MONTH)
        return cls(*(statement.replace("?", mark) for statement in all_of_them))


SQLITE = Statements.marked("?")
POSTGRES = Statements.marked("%s")


def order_values(order: PlaceOrder) -> tuple[object, ...]:
    """The values of ``Statements.order``."""
    return order.order_id, order.customer_id, order.placed_on.isoformat(), order.quantity, order.amount


def customer_values(order: PlaceOrder) -> tuple[object, ...]:
    """The values of ``Statements.customer``."""
    day = order.placed_on.isoformat()
    return order.customer_id, order.quantity, order.amount, day, day


def month_values(order: PlaceOrder) -> tuple[object, ...]:
    """The values of ``Statements.month``."""
    return order.placed_on.isoformat()[:7], order.quantity, order.amount


_BY_ORDER = """SELECT count(*), count(DISTINCT customer_id), CAST(coalesce(sum(quantity), 0) AS BIGINT),
    CAST(coalesce(sum(amount), 0) AS BIGINT) FROM demo_orders"""
_BY_CUSTOMER = """SELECT CAST(coalesce(sum(orders), 0) AS BIGINT), count(*), CAST(coalesce(sum(quantity), 0) AS BIGINT),
    CAST(coalesce(sum(spent), 0) AS BIGINT) FROM demo_customer_totals"""
_BY_MONTH = """SELECT CAST(coalesce(sum(orders), 0) AS BIGINT), NULL, CAST(coalesce(sum(quantity), 0) AS BIGINT),
    CAST(coalesce(sum(revenue), 0) AS BIGINT) FROM demo_monthly_revenue"""
_BEST = """SELECT customer_id, orders, quantity, spent, first_order, last_order FROM demo_customer_totals
    ORDER BY spent DESC, customer_id LIMIT 5"""
_MONTHS = "SELECT month, orders, quantity, revenue FROM demo_monthly_revenue ORDER BY month"
_REJECTED = "SELECT count(*) FROM demo_rejections"
_MALFORMED = "SELECT coalesce(max(malformed), 0) FROM demo_bookmarks"


def _customer(who: int, orders: int, quantity: int, spent: int, first: str, last: str) -> CustomerTotals:
    return CustomerTotals(who, orders, quantity, spent, date.fromisoformat(first), date.fromisoformat(last))


class Ledger:
    """The tables from outside of the runs, on a connection that is there only while it is used.

    Args:
        url: of the store, as ``Store.open`` takes it.
        shown: what messages call it, which has no password.

    Raises:
        StoreError: by every method, when the database cannot be used.
    """

    def __init__(self, url: str, shown: str) -> None:
        self._url = url
        self._shown = shown
        self._is_sqlite = url.startswith("sqlite:")

    def prepare(self) -> None:
        """Make the tables that are not there."""
        with self._connected() as connection:
            # Processes that begin at once wait for each other here: to make a table twice would be an error.
            connection.execute(
                "BEGIN IMMEDIATE" if self._is_sqlite else "SELECT pg_advisory_xact_lock(hashtext('cnstra: demo'))"
            )
            for statement in _TABLES:
                connection.execute(statement)

    def summary(self) -> Summary:
        """What stands in the tables at one moment."""
        with self._connected() as connection:
            connection.execute("BEGIN" if self._is_sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            written, by_customer, by_month = (
                Totals(*connection.execute(query).fetchone()) for query in (_BY_ORDER, _BY_CUSTOMER, _BY_MONTH)
            )
            (rejected,), (malformed,) = (connection.execute(query).fetchone() for query in (_REJECTED, _MALFORMED))
            return Summary(
                written,
                by_customer,
                by_month,
                BestCustomers(tuple(_customer(*row) for row in connection.execute(_BEST).fetchall())),
                RevenueByMonth(tuple(MonthlyRevenue(*row) for row in connection.execute(_MONTHS).fetchall())),
                rejected,
                malformed,
            )

    @contextmanager
    def _connected(self) -> Generator[Any]:
        """Something with ``execute``; what is done in it is committed if no error gets out."""
        if self._is_sqlite:
            file = unquote(self._url.removeprefix("sqlite:///"))
            try:
                with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
                    yield connection
                    connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"{self._shown}: {error}") from error
            return
        import psycopg

        try:
            with psycopg.connect(self._url, connect_timeout=10) as there:
                yield there
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error)
            raise StoreError(f"{self._shown}: {' '.join(said.split())}") from error
