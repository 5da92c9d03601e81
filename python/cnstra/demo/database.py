"""A SQLite file with one writer, whose transaction opens with the first write and ends at a batch boundary."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from .problems import StoreError

__all__ = ["Database", "delete_database"]

# "cnst": tells our files from other programs' databases.
APPLICATION_ID = 0x636E7374
_SUFFIXES = ("", "-wal", "-shm", "-journal")


class Database:
    """One connection that writes. ``sqlite3`` prepares each statement once: a write is a bind and a step.

    Both files use a write-ahead log: a commit appends to it, and a process that is killed leaves either all of a
    transaction or nothing in it.

    Args:
        path: the file; made if there is none.
        schema: statements that make the tables of a new file.
        version: of the schema. A file with another one is refused.
        pragmas: settings of this connection, before the first access.
        remedy: what to do about a file that cannot be used, for the message that says so.

    Raises:
        StoreError: the file is locked by another process, is no database, or one of another program or version, or
            cannot be made.
    """

    def __init__(self, path: Path, schema: Iterable[str], version: int, pragmas: Iterable[str], *, remedy: str) -> None:
        self.path = path
        self._remedy = remedy
        self._dirty = False
        # SQLite calls a file that may not be written an I/O error, a riddle to most. Opening it to find out would be no
        # way: closing it again would drop the locks that this process may hold on it.
        if path.exists() and not os.access(
            path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids
        ):
            raise StoreError(f"{path} cannot be written: permission denied")
        try:
            # The module's own transactions would begin one per statement kind; ours begin and end where we say. No wait
            # for locks: the only other one who could hold one is another run, and that one will not end soon.
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=0, cached_statements=64)
        except sqlite3.Error as error:
            raise self.problem(error) from error
        try:
            for pragma in (*pragmas, "journal_mode=WAL"):
                self._connection.execute(f"PRAGMA {pragma}").close()
            self._prepare(schema, version)
        except sqlite3.Error as error:
            self._connection.close()
            raise self.problem(error) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, schema: Iterable[str], version: int) -> None:
        # Immediate: whoever gets past this line is the only one who writes, at least until its end.
        self._connection.execute("BEGIN IMMEDIATE")
        application = self.one("PRAGMA application_id")[0]
        found = self.one("PRAGMA user_version")[0]
        empty = self.one("SELECT count(*) FROM sqlite_master")[0] == 0
        if empty:
            for statement in schema:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version={version}")
        elif application != APPLICATION_ID or found != version:
            raise StoreError(f"{self.path} is the database of another program or version: {self._remedy}")
        self._connection.execute("COMMIT")

    def write(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Execute a statement inside the transaction, which the first one opens.

        Raises:
            StoreError: the database cannot do it; the transaction is to be rolled back.
        """
        try:
            if not self._dirty:
                self._connection.execute("BEGIN IMMEDIATE")
                self._dirty = True
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self.problem(error) from error

    def read(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Execute a query. It sees what this connection has written, committed or not."""
        return self._connection.execute(statement, values)

    def one(self, statement: str, values: tuple[object, ...] = ()) -> Any:
        """The first row of a query, or None."""
        cursor = self._connection.execute(statement, values)
        row = cursor.fetchone()
        # A cursor that is left half read keeps its snapshot open, and the log from being folded back into the file.
        cursor.close()
        return row

    @property
    def dirty(self) -> bool:
        """Something has been written since the last commit."""
        return self._dirty

    def commit(self) -> None:
        """End the transaction, if there is one; what it wrote stays.

        Raises:
            StoreError: the database cannot do it; nothing of the transaction stays.
        """
        if self._dirty:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self.rollback()
                raise self.problem(error) from error
            self._dirty = False

    def rollback(self) -> None:
        """End the transaction, if there is one; nothing of it stays."""
        self._dirty = False
        # A full disk makes SQLite roll back by itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Forget what is not committed, and close the file. The log is folded into it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def problem(self, error: sqlite3.Error) -> StoreError:
        """What a database error means for the person at the terminal."""
        return StoreError(_explain(self.path, error, self._remedy))


def _explain(path: Path, error: sqlite3.Error, remedy: str) -> str:
    code: int = getattr(error, "sqlite_errorcode", -1) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"{path} is in use by another run: wait for its end, or use another folder"
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return f"{path} is not a database, or damaged: {remedy}"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return f"{path} cannot be written: {error}"
        case sqlite3.SQLITE_FULL:
            return f"{path} cannot be written: the disk is full"
        case sqlite3.SQLITE_IOERR:
            return f"{path} cannot be read or written: {error}"
        case _:
            return f"{path}: {error}"


def delete_database(path: Path) -> None:
    """Delete a database file and its log.

    Raises:
        StoreError: another process is using it, or it cannot be deleted.
    """
    if not path.exists():
        return
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            connection.close()
    except sqlite3.Error as error:
        # What is no database, or cannot be read as one, is nobody's and may go; what is locked is somebody's.
        if getattr(error, "sqlite_errorcode", -1) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(_explain(path, error, "")) from error
    for suffix in _SUFFIXES:
        try:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be deleted: {error.strerror}") from error
