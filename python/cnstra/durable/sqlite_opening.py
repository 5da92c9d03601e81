"""From the URL of a SQLite store to a connection, and from what SQLite says is wrong to the errors of the port."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from .errors import StoreBusyError, StoreCorruptError, StoreError, StoreUnavailableError, StoreUrlError
from .sqlite_schema import NEWEST, migrate, version_of

__all__ = ["file_of", "identity_of", "open_beside", "open_database", "problem"]

_PREFIX = "sqlite:///"

# Seconds. The loop does not stand still for longer than that while somebody else writes.
_SHORT: Final = 0.005
# Where there is a thread of its own to wait, or where it happens once: heartbeats, opening.
_LONG: Final = 1.0

# Pages of the write-ahead log (4 KiB each) that are gathered before a commit copies them into the database, which is
# two fsyncs. SQLite's own 1000 is four times as many pauses of the loop.
_CHECKPOINT: Final = 4000
# Bytes of the log that stay on the disk after one transaction that was larger, such as pruning.
_LOG_SIZE: Final = 64 * 1024 * 1024

_UNAVAILABLE = {
    sqlite3.SQLITE_PERM: "there is no permission to use it",
    sqlite3.SQLITE_NOMEM: "there is no memory left for it",
    sqlite3.SQLITE_READONLY: "it is read-only, or its directory is",
    sqlite3.SQLITE_INTERRUPT: "it was stopped in the middle of a statement",
    sqlite3.SQLITE_IOERR: "it cannot be read or written",
    sqlite3.SQLITE_FULL: "its disk is full, or it is as large as it may be",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened, or the files beside it cannot be made",
}
_CORRUPT = {
    # Such as a table that is not there: what has the name of a table of cnstra is none.
    sqlite3.SQLITE_ERROR: "its tables are not those of a store of cnstra",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database",
}


def file_of(url: str) -> Path:
    """The file that a URL names, absolute.

    Raises:
        StoreUrlError: it names none.
    """
    if not url.startswith(_PREFIX):
        raise StoreUrlError(
            f"{url!r} names no file: sqlite:///relative/path.db has three slashes, sqlite:////absolute/path.db four"
        )
    name, question, query = url.removeprefix(_PREFIX).partition("?")
    if question:
        raise StoreUrlError(
            f"{url!r}: a SQLite store takes its options as arguments, like Store.open(url, synchronous='full'), not as "
            f"{query!r}; a question mark that belongs to the name of the file is written %3F"
        )
    try:
        name = unquote(name, errors="strict")
    except UnicodeDecodeError:
        raise StoreUrlError(f"{url!r}: what is written with % in it is no UTF-8") from None
    if not name or name == ":memory:":
        raise StoreUrlError(f"{url!r} names no file; a store that is kept in memory is memory://")
    if "\0" in name:
        raise StoreUrlError(f"{url!r}: the name of a file cannot have a NUL in it")
    # Absolute at once, because the working directory may be another one later; and SQLite takes no such name for a URI.
    return Path(name).absolute()


def open_database(url: str, file: Path, synchronous: str) -> sqlite3.Connection:
    """Open a database for the loop, create it if it is not there, and bring its schema up to date.

    Cost: waits up to a second if somebody else has locked it.

    Raises:
        StoreError: what is wrong with it.
    """
    try:
        if file.is_dir():
            raise StoreUnavailableError(f"{url}: {file} is a directory")
        if not file.parent.is_dir():
            raise StoreUnavailableError(f"{url}: there is no directory {file.parent}")
        if file.exists() and not os.access(file, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise StoreUnavailableError(f"{url}: {file} is read-only")
    except PermissionError as error:
        raise StoreUnavailableError(f"{url}: {error}") from error
    deadline = time.monotonic() + _LONG
    while True:
        try:
            return _opened(url, file, synchronous)
        except sqlite3.Error as error:
            found = problem(url, error)
            # SQLite waits for most locks by itself, but not for what several processes do at once to a new database.
            if not isinstance(found, StoreBusyError) or time.monotonic() > deadline:
                raise found from error
        time.sleep(_SHORT)


def _opened(url: str, file: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_LONG, isolation_level=None, check_same_thread=False)
    try:
        # Before anything is written: what a newer version has made is not touched.
        version = version_of(connection, url)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StoreUnavailableError(f"{url}: {file} cannot have a write-ahead log (it has {mode!r})")
        _settle(connection, synchronous)
        if version < NEWEST:
            migrate(connection, url)
        connection.execute(f"PRAGMA busy_timeout={int(_SHORT * 1000)}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_beside(file: Path) -> sqlite3.Connection:
    """A second connection to a database that is open, for heartbeats, in a thread that may wait for locks.

    Raises:
        sqlite3.Error: it cannot be opened, for one because it is not there any more.
    """
    # Not made anew if somebody has removed it.
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode=rw", uri=True, timeout=_LONG, isolation_level=None, check_same_thread=False
    )
    try:
        # No lease outlives the machine, and the loop must not wait for an fsync that is for one.
        _settle(connection, "normal")
    except BaseException:
        connection.close()
        raise
    return connection


def identity_of(file: Path) -> tuple[int, int] | None:
    """Which file it is that is there now; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _settle(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_SIZE}")


def problem(url: str, error: sqlite3.Error) -> StoreError:
    """The error of the port for one of SQLite."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # The module's own, before SQLite was asked; so far only that the connection is closed.
        return StoreUnavailableError(f"{url}: {error}")
    kind = code & 0xFF
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StoreBusyError(f"{url}: it is locked: another process or connection is writing")
    if kind in _UNAVAILABLE:
        return StoreUnavailableError(f"{url}: {_UNAVAILABLE[kind]} ({error})")
    if kind in _CORRUPT:
        return StoreCorruptError(f"{url}: {_CORRUPT[kind]} ({error})")
    return StoreError(f"{url}: {error}")
