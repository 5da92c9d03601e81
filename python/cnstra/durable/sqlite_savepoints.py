"""Transactional handlers on SQLite: each in a savepoint of one transaction, which the next commit of the store ends.

What must never happen is that something a handler wrote is committed without the increment that tells of it. So while
such a transaction is open nothing else of the store writes, handlers cannot end it, and one that the database has
rolled back by itself is lost as a whole: see ``Savepoints.is_lost``.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from .errors import LeaseLostError, StoreBusyError, StoreError, StoreUnavailableError
from .sqlite_opening import problem

__all__ = ["BEGIN", "COMMIT", "ROLLBACK", "Savepoint", "Savepoints", "Transaction"]

# sqlite3 keeps compiled statements by their text, and SQLite asks whether one is allowed when it compiles it. Nobody
# else writes them like this, so a handler's own COMMIT is compiled, asked about and refused.
BEGIN = "BEGIN IMMEDIATE -- cnstra"
COMMIT = "COMMIT -- cnstra"
ROLLBACK = "ROLLBACK -- cnstra"
_SAVEPOINT = "SAVEPOINT cnstra -- cnstra"
_UNDO = "ROLLBACK TO cnstra -- cnstra"
_RELEASE = "RELEASE cnstra -- cnstra"

# Within the write lock, so that what it finds holds until the commit: that cannot be refused any more.
_FENCE = "SELECT 1 FROM cnstra_runs WHERE key = ? AND fence = ? AND status = 'running'"

# What is never for what a handler has done.
_STORE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}

_CONTROL = {
    sqlite3.SQLITE_TRANSACTION: "begin, commit or roll back",
    sqlite3.SQLITE_SAVEPOINT: "make or release savepoints",
    sqlite3.SQLITE_PRAGMA: "use PRAGMA",
    sqlite3.SQLITE_ATTACH: "attach databases",
    sqlite3.SQLITE_DETACH: "detach databases",
}
# Which of the arguments of the authorizer is the table, by what is to be done with it.
_WRITES = {
    sqlite3.SQLITE_INSERT: 0,
    sqlite3.SQLITE_UPDATE: 0,
    sqlite3.SQLITE_DELETE: 0,
    sqlite3.SQLITE_CREATE_TABLE: 0,
    sqlite3.SQLITE_CREATE_VIEW: 0,
    sqlite3.SQLITE_DROP_TABLE: 0,
    sqlite3.SQLITE_ALTER_TABLE: 1,
    sqlite3.SQLITE_CREATE_INDEX: 1,
    sqlite3.SQLITE_DROP_INDEX: 1,
    sqlite3.SQLITE_CREATE_TRIGGER: 1,
    sqlite3.SQLITE_CREATE_TEMP_TABLE: 0,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER: 1,
    sqlite3.SQLITE_CREATE_TEMP_VIEW: 0,
}


class Transaction:
    """What ``current_transaction()`` is on SQLite: the store's own connection, without control of the transaction.

    Everything that ``sqlite3`` raises gets out as it is. Usable in the handler that it was made for, on its thread,
    until that has returned; then its cursors are closed too.
    """

    __slots__ = ("__weakref__", "_cursors", "_savepoints", "_thread")

    def __init__(self, savepoints: Savepoints) -> None:
        self._savepoints: Savepoints | None = savepoints
        self._thread = threading.get_ident()
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement, as ``sqlite3.Connection.execute`` does.

        Raises:
            sqlite3.ProgrammingError: the handler is over, or the statement is one that it may not make: one that would
                end the transaction, and whatever writes the tables of cnstra.
        """
        cursor = self._cursor()
        try:
            return cursor.execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from None

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute one statement for each set of parameters, as ``sqlite3.Connection.executemany`` does.

        Raises:
            sqlite3.ProgrammingError: see ``execute``.
        """
        cursor = self._cursor()
        try:
            return cursor.executemany(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from None

    def __repr__(self) -> str:
        return f"<Transaction: {'over' if self._savepoints is None else 'open'}>"

    def _cursor(self) -> sqlite3.Cursor:
        savepoints = self._savepoints
        if savepoints is None:
            raise sqlite3.ProgrammingError("the handler that this transaction was for is over")
        if threading.get_ident() != self._thread:
            raise sqlite3.ProgrammingError("a transaction is used on the thread of its handler")
        if not savepoints.connection.in_transaction:
            # Otherwise it would be committed at once, by itself.
            raise sqlite3.ProgrammingError("the database has rolled the transaction back, because of an earlier error")
        cursor = savepoints.connection.cursor()
        self._cursors.add(cursor)
        return cursor

    def _explained(self, error: sqlite3.DatabaseError) -> sqlite3.DatabaseError:
        savepoints = self._savepoints
        if savepoints is None or getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_AUTH:
            return error
        return sqlite3.ProgrammingError(f"a transactional handler cannot {savepoints.refusal}: its run commits for it")

    def end(self) -> None:
        """Nothing goes through it any more."""
        self._savepoints = None
        # A statement that is not read to its end would keep the transaction from being committed.
        for cursor in list(self._cursors):
            cursor.close()


class Savepoints:
    """The transaction that savepoints have opened on a connection, if they have.

    Attributes:
        connection: the loop's.
        cursor: one for what is executed often.
        keys: of the runs that have written in it.
        depth: how many handlers are in their savepoints now.
        is_lost: whether what ``keys`` have written is gone, because the database rolled back. Their increments would
            tell of what is not there: nothing is committed before the transaction has been given up.
        refusal: what a handler was last kept from doing.
    """

    def __init__(self, connection: sqlite3.Connection, url: str) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.url = url
        self.keys: set[int] = set()
        self.depth = 0
        self.is_lost = False
        self.refusal = ""
        # It holds this weakly: a connection that nobody has any more is to be closed at once.
        self_reference = weakref.ref(self)

        def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
            this = self_reference()
            return sqlite3.SQLITE_OK if this is None else this._authorize(action, first, second)

        connection.set_authorizer(authorize)

    @property
    def is_open(self) -> bool:
        """Whether there is a transaction that only ``Store.commit`` may end."""
        return self.depth > 0 or bool(self.keys)

    def check(self, batch: Iterable[int]) -> None:
        """Whether a commit of these runs may end the transaction.

        Raises:
            StoreError: it may not; see there.
        """
        if self.is_lost:
            raise StoreUnavailableError(f"{self.url}: the database has rolled back what transactional handlers wrote")
        if self.depth:
            raise StoreBusyError(f"{self.url}: a transactional handler is writing")
        untold = self.keys.difference(batch)
        if untold:
            raise StoreError(
                f"{self.url}: nothing tells of what handlers of the runs {sorted(untold)} wrote; not committed"
            )

    def lose(self) -> None:
        """The transaction has been rolled back, and not because the runs wanted it."""
        self.is_lost = bool(self.keys)

    def forget(self) -> None:
        """The transaction is over as it should be."""
        self.keys.clear()
        self.is_lost = False

    def roll_back(self) -> None:
        """Roll back whatever is open on the connection."""
        # SQLite has done so by itself after some errors.
        if self.connection.in_transaction:
            self.connection.execute(ROLLBACK)

    def _authorize(self, action: int, first: str | None, second: str | None) -> int:
        if not self.depth:
            return sqlite3.SQLITE_OK
        if action in _CONTROL:
            self.refusal = _CONTROL[action]
            return sqlite3.SQLITE_DENY
        if action in _WRITES:
            table = (first, second)[_WRITES[action]]
            if table is not None and table.lower().startswith("cnstra_"):
                self.refusal = f"write to {table}"
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class Savepoint:
    """The savepoint of one handler; see ``Store.savepoint``."""

    __slots__ = ("_fence", "_given", "_key", "_savepoints")

    def __init__(self, savepoints: Savepoints, key: int, fence: int) -> None:
        self._savepoints = savepoints
        self._key = key
        self._fence = fence
        self._given: Transaction | None = None

    def __enter__(self) -> Transaction:
        savepoints = self._savepoints
        connection = savepoints.connection
        if savepoints.is_lost:
            raise StoreUnavailableError(
                f"{savepoints.url}: the database has rolled back what transactional handlers wrote"
            )
        try:
            if not savepoints.is_open:
                connection.execute(BEGIN)
            if connection.execute(_FENCE, (self._key, self._fence)).fetchone() is None:
                raise LeaseLostError(f"{savepoints.url}: another process has taken over run number {self._key}")
            connection.execute(_SAVEPOINT)
        except BaseException as error:
            if not savepoints.is_open:
                savepoints.roll_back()
            elif not connection.in_transaction:
                savepoints.lose()
            if isinstance(error, sqlite3.Error):
                raise problem(savepoints.url, error) from error
            raise
        savepoints.depth += 1
        self._given = Transaction(savepoints)
        return self._given

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        savepoints = self._savepoints
        connection = savepoints.connection
        assert self._given is not None
        self._given.end()
        savepoints.depth -= 1
        try:
            if not connection.in_transaction:
                savepoints.lose()
                if kind is None:
                    raise StoreUnavailableError(
                        f"{savepoints.url}: the database has rolled back what a transactional handler wrote"
                    )
            elif kind is None:
                connection.execute(_RELEASE)
                savepoints.keys.add(self._key)
            else:
                connection.execute(_UNDO)
                connection.execute(_RELEASE)
                if not savepoints.is_open:
                    # Nobody else has written: others need not wait for a commit that has nothing of it.
                    connection.execute(ROLLBACK)
        except sqlite3.Error as failure:
            savepoints.roll_back()
            savepoints.lose()
            raise problem(savepoints.url, failure) from failure
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _STORE:
            # It is for the database that the handler has failed.
            raise problem(savepoints.url, error) from error
