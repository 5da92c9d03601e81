"""The read models: what queries ask for, kept ready by projections; everything in here can be made anew."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from .database import Database
from .model import CustomerTotals, MonthlyRevenue, OrderPlaced, Totals
from .problems import StoreError

__all__ = ["ProjectionGapError", "ReadStore", "ReadView"]

Projection = Literal["customer_totals", "monthly_revenue"]
PROJECTIONS: Final[tuple[Projection, ...]] = ("customer_totals", "monthly_revenue")

_SCHEMA = (
    "CREATE TABLE origin (store TEXT NOT NULL)",
    # How far each projection has got. Each has its own row, so that one more can be added later and catch up alone.
    "CREATE TABLE projections (name TEXT PRIMARY KEY, position INTEGER NOT NULL)",
    """CREATE TABLE customer_totals (
        customer_id INTEGER PRIMARY KEY,
        orders INTEGER NOT NULL,
        quantity INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        first_order TEXT NOT NULL,
        last_order TEXT NOT NULL
    )""",
    """CREATE TABLE monthly_revenue (
        month TEXT PRIMARY KEY,
        orders INTEGER NOT NULL,
        quantity INTEGER NOT NULL,
        revenue INTEGER NOT NULL
    ) WITHOUT ROWID""",
)

# Commits do not wait for the disk. If the power fails the last of them may be gone, whole: the position goes with its
# rows, and the orders after it are still in the write store.
_PRAGMAS = ("synchronous=NORMAL",)

_ADD_TO_CUSTOMER = """INSERT INTO customer_totals VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (customer_id) DO UPDATE SET
    orders = orders + 1, quantity = quantity + excluded.quantity, spent = spent + excluded.spent,
    first_order = min(first_order, excluded.first_order), last_order = max(last_order, excluded.last_order)"""

_ADD_TO_MONTH = """INSERT INTO monthly_revenue VALUES (?, 1, ?, ?) ON CONFLICT (month) DO UPDATE SET
    orders = orders + 1, quantity = quantity + excluded.quantity, revenue = revenue + excluded.revenue"""

_CUSTOMER = "SELECT customer_id, orders, quantity, spent, first_order, last_order FROM customer_totals"


class ProjectionGapError(RuntimeError):
    """An order came before one that precedes it: adding it would lose the other for good."""


class ReadStore:
    """The projections' own connection. It sees what they have written before it is committed.

    Args:
        path: the file; made if there is none.

    Raises:
        StoreError: see ``Database``.
    """

    def __init__(self, path: Path) -> None:
        self.database = Database(
            path, _SCHEMA, 1, _PRAGMAS, remedy="delete it, and it is made anew from the write store"
        )
        self._positions = self._committed_positions()

    def _committed_positions(self) -> dict[Projection, int]:
        kept = dict(self.database.read("SELECT name, position FROM projections").fetchall())
        return {name: kept.get(name, 0) for name in PROJECTIONS}

    @property
    def position(self) -> int:
        """The position of the last order that every projection has applied."""
        return min(self._positions.values())

    def belongs_to(self, store: str, position: int) -> bool:
        """Whether this was made from that write store, which has got to that position.

        A new file does not, nor one whose write store somebody has deleted, replaced or put back from a backup.
        """
        row = self.database.one("SELECT store FROM origin")
        return row == (store,) and max(self._positions.values()) <= position

    def reset(self, store: str) -> None:
        """Empty every read model, and say which write store it will be made from."""
        for table in ("origin", "projections", *PROJECTIONS):
            self.database.write(f"DELETE FROM {table}")
        self.database.write("INSERT INTO origin VALUES (?)", (store,))
        self.database.commit()
        self._positions = self._committed_positions()

    def add_to_customer(self, order: OrderPlaced) -> bool:
        """Add an order to its customer's totals.

        Returns:
            Whether that was news: an order that is in them already changes nothing.

        Raises:
            ProjectionGapError: an earlier order has not been added.
        """
        if not self._is_next("customer_totals", order.position):
            return False
        day = order.placed_on.isoformat()
        self.database.write(_ADD_TO_CUSTOMER, (order.customer_id, order.quantity, order.amount, day, day))
        self._positions["customer_totals"] = order.position
        return True

    def add_to_month(self, order: OrderPlaced) -> str | None:
        """Add an order to the revenue of its month.

        Returns:
            The month; None if the order is in it already.

        Raises:
            ProjectionGapError: an earlier order has not been added.
        """
        if not self._is_next("monthly_revenue", order.position):
            return None
        month = order.placed_on.isoformat()[:7]
        self.database.write(_ADD_TO_MONTH, (month, order.quantity, order.amount))
        self._positions["monthly_revenue"] = order.position
        return month

    def _is_next(self, projection: Projection, position: int) -> bool:
        done = self._positions[projection]
        if position > done + 1:
            raise ProjectionGapError(
                f"{projection} is at order {done} and was given order {position}: catch up from the write store first"
            )
        return position == done + 1

    def customer(self, customer_id: int) -> CustomerTotals | None:
        """A customer's totals as they are now, the batch that is going on included; None for an unknown customer."""
        return customer_from(self.database.one(f"{_CUSTOMER} WHERE customer_id = ?", (customer_id,)))

    def commit(self) -> None:
        """Make the rows, and with them the positions up to which they count, last."""
        if not self.database.dirty:
            return
        for name, position in self._positions.items():
            self.database.write("INSERT OR REPLACE INTO projections VALUES (?, ?)", (name, position))
        self.database.commit()

    def rollback(self) -> None:
        """Undo what was written since the last commit."""
        self.database.rollback()
        self._positions = self._committed_positions()

    def close(self) -> None:
        """Close the file; what is not committed is gone."""
        self.database.close()


class ReadView:
    """The queries' connection: it cannot write, and sees the last commit, not the batch that is going on.

    Args:
        path: a file that a ``ReadStore`` has made.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be read: {error}") from error

    def customer(self, customer_id: int) -> CustomerTotals | None:
        """A customer's totals; None for an unknown customer."""
        return customer_from(self._connection.execute(f"{_CUSTOMER} WHERE customer_id = ?", (customer_id,)).fetchone())

    def best_customers(self, limit: int) -> tuple[CustomerTotals, ...]:
        """Those who spent most. It sorts all of them: an index would cost every order more than this costs once."""
        rows = self._connection.execute(f"{_CUSTOMER} ORDER BY spent DESC, customer_id LIMIT ?", (limit,))
        return tuple(found for row in rows if (found := customer_from(row)))

    def months(self) -> tuple[MonthlyRevenue, ...]:
        """Every month that had an order, in order of time."""
        rows = self._connection.execute("SELECT month, orders, quantity, revenue FROM monthly_revenue ORDER BY month")
        return tuple(MonthlyRevenue(*row) for row in rows)

    def customer_sums(self) -> Totals:
        """The sums over all customers."""
        return Totals(
            *self._connection.execute(
                """SELECT coalesce(sum(orders), 0), count(*), coalesce(sum(quantity), 0), coalesce(sum(spent), 0)
                FROM customer_totals"""
            ).fetchone()
        )

    def month_sums(self) -> Totals:
        """The sums over all months, which know nothing of customers."""
        return Totals(
            *self._connection.execute(
                """SELECT coalesce(sum(orders), 0), NULL, coalesce(sum(quantity), 0), coalesce(sum(revenue), 0)
                FROM monthly_revenue"""
            ).fetchone()
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def customer_from(row: Any) -> CustomerTotals | None:
    """What a row of ``customer_totals`` says."""
    if row is None:
        return None
    customer_id, orders, quantity, spent, first_order, last_order = row
    return CustomerTotals(
        customer_id, orders, quantity, spent, date.fromisoformat(first_order), date.fromisoformat(last_order)
    )
