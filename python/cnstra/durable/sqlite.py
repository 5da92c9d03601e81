"""Durable runs in one SQLite file: for one machine, with any number of processes on it.

Everything but heartbeats happens on the thread of the event loop, on one connection: a commit takes some fifty
microseconds, which is less than a thread costs. Heartbeats have a thread, and so a connection of their own.

    sqlite_schema       the tables
    sqlite_opening      URLs, connections, and what SQLite's errors mean
    sqlite_reading      what is read
    sqlite_writing      what is written
    sqlite_savepoints   transactional handlers
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

from . import sqlite_reading as reading
from . import sqlite_writing as writing
from .errors import StoreBusyError, StoreUnavailableError
from .port import Beat, Candidate, Claim, Frontier, Increment, NewRun, Row, RunEnd, RunRow, Store, Takeover
from .records import Attempt, RunStatus
from .sqlite_opening import file_of, identity_of, open_beside, open_database, problem
from .sqlite_savepoints import BEGIN, COMMIT, Savepoint, Savepoints

__all__ = ["SqliteStore"]


# Seconds that a heartbeat waits for a commit that renews its lease.
_PATIENCE = 0.1


class _Overdue:
    """A lease that is to be renewed."""

    def __init__(self, owner: str, lease: float) -> None:
        self.owner = owner
        self.lease = lease
        self.is_done = threading.Event()


class SqliteStore(Store):
    """Runs in a SQLite file; made by ``Store.open``.

    It may be a file that the application has its own tables in; then transactional neurons write these. The file gets a
    write-ahead log (``-wal`` and ``-shm`` beside it), which needs a local file system. While a transaction of a
    transactional handler is open, everything else that would write raises ``StoreBusyError``: see ``Store.savepoint``.

    Args:
        url: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, with ``%`` and two digits for what no URL has.
        synchronous: ``"normal"``: what is committed survives the death of the process, and if the machine dies the last
            moments may be lost, no more; ``"full"``: survives both, for an fsync in every commit.

    Raises:
        StoreUrlError: the URL names no file.
        ValueError: ``synchronous`` is neither of the two.
    """

    inline: ClassVar[bool] = True
    transactions: ClassVar[Literal["savepoint", "connection"] | None] = "savepoint"

    def __init__(self, url: str, *, synchronous: Literal["normal", "full"] = "normal") -> None:
        if synchronous not in ("normal", "full"):
            raise ValueError(f"synchronous must be 'normal' or 'full', not {synchronous!r}")
        self._url = url
        self._file = file_of(url)
        self._synchronous = synchronous
        # The loop's connection is that of the savepoints.
        self._savepoints: Savepoints | None = None
        # That of the heartbeats, and who may have it in hand.
        self._beside: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = threading.Lock()
        # What the heartbeat wants of the next commit.
        self._overdue: _Overdue | None = None

    @property
    def url(self) -> str:
        return self._url

    # -- life

    async def connect(self) -> None:
        """See ``Store.connect``. It waits up to a second while another process, which opens it too, has it locked."""
        if self._savepoints is None:
            connection = open_database(self._url, self._file, self._synchronous)
            with self._lock:
                self._savepoints = Savepoints(connection, self._url)
                self._identity = identity_of(self._file)

    async def close(self) -> None:
        """See ``Store.close``. It waits for a heartbeat that is under way."""
        with self._lock:
            savepoints, self._savepoints = self._savepoints, None
            beside, self._beside = self._beside, None
        for connection in (beside, None if savepoints is None else savepoints.connection):
            if connection is not None:
                try:
                    # Rolls back what is open.
                    connection.close()
                except sqlite3.Error as error:
                    raise problem(self._url, error) from error

    def _opened(self) -> Savepoints:
        if self._savepoints is None:
            raise StoreUnavailableError(f"{self._url}: it is not open")
        return self._savepoints

    @contextmanager
    def _read(self) -> Generator[sqlite3.Connection]:
        """Everything read in it is of one moment; in a transaction that savepoints have opened, it is that."""
        connection = self._opened().connection
        try:
            if connection.in_transaction:
                yield connection
                return
            try:
                connection.execute("BEGIN -- cnstra")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute(COMMIT)
        except sqlite3.Error as error:
            raise problem(self._url, error) from error

    @contextmanager
    def _write(self) -> Generator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        savepoints = self._opened()
        if savepoints.is_open:
            # It would be committed with what handlers have written, and without what tells of that.
            raise StoreBusyError(
                f"{self._url}: transactional handlers have written, and the next commit has to come first"
            )
        connection = savepoints.connection
        try:
            connection.execute(BEGIN)
            yield connection
            connection.execute(COMMIT)
        except BaseException as error:
            savepoints.roll_back()
            if isinstance(error, sqlite3.Error):
                raise problem(self._url, error) from error
            raise

    # -- owners

    async def register(self, owner: str, lease: float) -> None:
        with self._write() as connection:
            writing.enter_owner(connection, owner, lease)

    def beat(self, owner: str, lease: float) -> Beat:
        with self._lock:
            self._opened()
            if self._identity != identity_of(self._file):
                # SQLite would go on writing what nobody will ever find.
                raise StoreUnavailableError(f"{self._url}: {self._file} was moved or removed while it was open")
            try:
                if self._beside is None:
                    self._beside = open_beside(self._file)
                self._renew(self._beside, owner, lease)
                return Beat(writing.cancels_for(self._beside, owner))
            except sqlite3.Error as error:
                beside, self._beside = self._beside, None
                if beside is not None:
                    beside.close()
                raise problem(self._url, error) from error

    def _renew(self, beside: sqlite3.Connection, owner: str, lease: float) -> None:
        """Have a lease renewed by the next commit, or do it if none comes.

        While transactional handlers write, one transaction follows the other, and whoever tries again and again may
        find the database locked each time. Nobody can take runs over before that commit: it would have to write, too.
        """
        self._overdue = overdue = _Overdue(owner, lease)
        if overdue.is_done.wait(_PATIENCE):
            return
        try:
            writing.enter_owner(beside, owner, lease)
        except sqlite3.Error:
            if not overdue.is_done.is_set():
                raise
        else:
            self._overdue = None

    async def unregister(self, owner: str) -> None:
        self._overdue = None
        with self._write() as connection:
            writing.forget_owner(connection, owner)

    async def owners(self) -> list[str]:
        with self._read() as connection:
            return [owner for (owner,) in connection.execute("SELECT owner FROM cnstra_owners")]

    # -- runs

    async def create(self, owner: str, runs: Sequence[NewRun]) -> list[Claim | None]:
        with self._write() as connection:
            return [writing.create_run(connection, owner, run) for run in runs]

    async def candidates(
        self, owner: str, live: Collection[int], dead: Collection[str], *, run_id: str | None = None, limit: int = 1000
    ) -> list[Candidate]:
        with self._read() as connection:
            if run_id is not None:
                return reading.candidate_named(connection, owner, live, dead, run_id)
            return reading.candidates_for(connection, owner, live, dead, limit)

    async def claim(
        self, owner: str, takeovers: Sequence[Takeover], live: Collection[int], dead: Collection[str]
    ) -> list[Claim]:
        with self._write() as connection:
            claims = (writing.claim_run(connection, owner, takeover, live, dead) for takeover in takeovers)
            return [claim for claim in claims if claim is not None]

    async def give_up(self, takeovers: Sequence[Takeover], end: RunEnd) -> int:
        with self._write() as connection:
            return sum(writing.end_run(connection, takeover.key, takeover.fence, end) for takeover in takeovers)

    async def reopen(self, owner: str, run_id: str, fingerprint: str) -> Claim | None:
        with self._write() as connection:
            return writing.reopen_run(connection, owner, run_id, fingerprint)

    async def request_cancel(self, run_id: str, reason: str) -> RunRow | None:
        with self._write() as connection:
            return writing.cancel_run(connection, run_id, reason)

    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        # Written out, because it is what every turn of every run waits for.
        savepoints = self._opened()
        cursor = savepoints.cursor
        is_open = savepoints.is_open
        if is_open:
            # The runs that have written in it passed their fences when they entered, under the lock that this
            # transaction has held since: none of them can be refused now.
            savepoints.check([increment.key for increment in batch])
        try:
            if not is_open:
                cursor.execute(BEGIN)
            refused = writing.write_increments(cursor, batch)
            overdue = self._overdue
            if overdue is not None:
                writing.enter_owner(savepoints.connection, overdue.owner, overdue.lease)
            cursor.execute(COMMIT)
        except BaseException as error:
            savepoints.roll_back()
            savepoints.lose()
            if isinstance(error, sqlite3.Error):
                raise problem(self._url, error) from error
            raise
        savepoints.forget()
        if overdue is not None:
            self._overdue = None
            overdue.is_done.set()
        return refused

    async def frontier(self, key: int) -> Frontier:
        with self._read() as connection:
            return reading.frontier_of(connection, key)

    # -- the record

    async def find(self, run_id: str) -> RunRow | None:
        with self._read() as connection:
            return reading.find_run(connection, run_id)

    async def list_runs(
        self,
        *,
        status: RunStatus | None = None,
        scope: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[RunRow]:
        with self._read() as connection:
            return reading.select_runs(
                connection, status=status, scope=scope, tag=tag, since=since, before=before, limit=limit
            )

    async def list_attempts(self, key: int) -> list[Attempt]:
        with self._read() as connection:
            return reading.attempts_of(connection, key)

    async def list_tasks(self, key: int, *, after: int = 0, limit: int = 100) -> tuple[list[Row], dict[int, bytes]]:
        with self._read() as connection:
            return reading.tasks_of(connection, key, after, limit)

    async def prune(self, *, older_than: float | None, keep_last: int | None) -> int:
        with self._write() as connection:
            doomed = reading.runs_to_prune(connection, older_than, keep_last)
            writing.remove_runs(connection, doomed)
            writing.forget_stale_owners(connection)
            return len(doomed)

    # -- transactions

    def savepoint(self, key: int, fence: int) -> Savepoint:
        return Savepoint(self._opened(), key, fence)

    def abandon(self) -> None:
        """See ``Store.abandon``. What handlers have written since the last commit is undone."""
        savepoints = self._savepoints
        if savepoints is not None:
            try:
                savepoints.roll_back()
            except sqlite3.Error as error:
                raise problem(self._url, error) from error
            finally:
                savepoints.forget()
