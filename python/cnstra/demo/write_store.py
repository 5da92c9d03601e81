"""The source of truth: every order that was placed, in sequence; written by the command side alone."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path

from .database import Database
from .model import Bookmark, OrderPlaced, PlaceOrder, Totals

__all__ = ["WriteStore"]

_SCHEMA = (
    "CREATE TABLE store (id TEXT NOT NULL)",
    # The position is the row id, so the table is sorted by it and catching up is a scan of its end. It is not the
    # order's own number: that one is chosen by who sends the command, comes in any order, and has gaps.
    """CREATE TABLE orders (
        position INTEGER PRIMARY KEY,
        order_id INTEGER NOT NULL UNIQUE,
        customer_id INTEGER NOT NULL,
        placed_on TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        amount INTEGER NOT NULL
    )""",
    "CREATE TABLE rejections (order_id INTEGER PRIMARY KEY, reason TEXT NOT NULL)",
    """CREATE TABLE bookmark (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        line INTEGER NOT NULL,
        digest TEXT NOT NULL,
        malformed INTEGER NOT NULL
    )""",
)

_PRAGMAS = (
    # One writer and no reader but it: the lock is held from the first access to the end, so a second run on this
    # folder is refused at once instead of interleaving its positions with ours.
    "locking_mode=EXCLUSIVE",
    # Every commit waits for the disk. The read store has to stay behind this one even when the power fails: a read
    # model may lack an order, but must never know one that was lost. One wait per batch is cheap, one per order is not.
    "synchronous=FULL",
)

_INSERT = """INSERT INTO orders (position, order_id, customer_id, placed_on, quantity, amount)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING"""


class WriteStore:
    """Orders in a SQLite file. Nothing is kept before ``commit``.

    Args:
        path: the file; made if there is none.

    Raises:
        StoreError: see ``Database``.
    """

    def __init__(self, path: Path) -> None:
        self.database = Database(path, _SCHEMA, 1, _PRAGMAS, remedy="use another folder, or --fresh to begin anew")
        row = self.database.one("SELECT id FROM store")
        if row is None:
            row = (uuid.uuid4().hex,)
            self.database.write("INSERT INTO store VALUES (?)", row)
            self.database.commit()
        self.id: str = row[0]
        self._position = self._last_position()

    def _last_position(self) -> int:
        position: int = self.database.one("SELECT coalesce(max(position), 0) FROM orders")[0]
        return position

    @property
    def position(self) -> int:
        """The position of the last order."""
        return self._position

    def place(self, command: PlaceOrder) -> int | None:
        """Write an order.

        Returns:
            Its position; None if there is an order with this id already, which then stays as it is.
        """
        position = self._position + 1
        cursor = self.database.write(
            _INSERT,
            (
                position,
                command.order_id,
                command.customer_id,
                command.placed_on.isoformat(),
                command.quantity,
                command.amount,
            ),
        )
        if not cursor.rowcount:
            return None
        self._position = position
        return position

    def reject(self, order_id: int, reason: str) -> None:
        """Keep that an order was refused, and why."""
        self.database.write("INSERT OR REPLACE INTO rejections VALUES (?, ?)", (order_id, reason))

    def keep(self, bookmark: Bookmark) -> None:
        """Keep the place in the source."""
        values = (bookmark.line, bookmark.digest, bookmark.malformed)
        self.database.write("INSERT OR REPLACE INTO bookmark VALUES (1, ?, ?, ?)", values)

    @property
    def bookmark(self) -> Bookmark | None:
        """The place in the source; None before the first batch."""
        row = self.database.one("SELECT line, digest, malformed FROM bookmark")
        return None if row is None else Bookmark(*row)

    @property
    def rejected(self) -> int:
        """How many orders were refused."""
        count: int = self.database.one("SELECT count(*) FROM rejections")[0]
        return count

    def orders_after(self, position: int, limit: int) -> list[OrderPlaced]:
        """The orders that follow a position, in sequence, at most ``limit`` of them."""
        rows = self.database.read(
            """SELECT position, order_id, customer_id, placed_on, quantity, amount FROM orders
            WHERE position > ? ORDER BY position LIMIT ?""",
            (position, limit),
        )
        return [OrderPlaced(p, o, c, date.fromisoformat(day), q, a) for p, o, c, day, q, a in rows]

    def totals(self) -> Totals:
        """The sums of all orders; a scan of the table."""
        return Totals(
            *self.database.one(
                """SELECT count(*), count(DISTINCT customer_id), coalesce(sum(quantity), 0), coalesce(sum(amount), 0)
                FROM orders"""
            )
        )

    def commit(self) -> None:
        """Make what was written since the last commit last, on the disk."""
        self.database.commit()

    def rollback(self) -> None:
        """Undo what was written since the last commit."""
        self.database.rollback()
        self._position = self._last_position()

    def close(self) -> None:
        """Close the file; what is not committed is gone."""
        self.database.close()
