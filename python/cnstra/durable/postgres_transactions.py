"""Transactional handlers on PostgreSQL: what they write and the increment of their activation, in one transaction.

A transaction has a connection of its own, which the handler writes through. It may not end the transaction: psycopg's
``commit()`` and ``rollback()`` raise inside. Savepoints (``connection.transaction()``) are the handler's own business.

If the connection breaks while it commits, nobody can tell by that whether it has. But every transaction has a number,
and the server knows what became of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from .errors import DurableError, StoreError, StoreUnavailableError
from .patience import Pauses
from .port import Increment
from .postgres_commit import Commit
from .postgres_connections import BlockingConnections, Connections, ask, ask_blocking
from .postgres_opening import lost, problem

__all__ = ["RESULT", "BlockingTransaction", "Transaction", "blocking_transaction", "transaction"]

# What the statement of a commit gives here: the number of the transaction.
RESULT: Final = "pg_current_xact_id()::text"
# What became of one, NULL while it is in progress: the server goes on with it until it notices that nobody listens.
_OUTCOME: Final = b"SELECT nullif(pg_xact_status($1::text::xid8), 'in progress')"
# SQLSTATEs, or beginnings of them, that are never for what a handler has done: it is read-only, it has no room left, it
# cannot read or write its files.
_SERVER: Final = ("25006", "53", "58")
# Seconds that the server may take to come back and tell.
_PATIENCE: Final = 30.0


@asynccontextmanager
async def transaction(url: str, connections: Connections, commit: Commit) -> AsyncGenerator[Transaction]:
    """See ``Store.transaction``.

    Args:
        url: what messages call the store.
        connections: where to take one.
        commit: makes the statement; its result is ``RESULT``.
    """
    async with connections.one() as connection:
        scope = Transaction(url, connection, connections, commit)
        try:
            await scope.begin()
            yield scope
        except Exception as error:
            _excuse(url, error, connection)
            raise
        finally:
            await scope.leave()


@contextmanager
def blocking_transaction(url: str, connections: BlockingConnections, commit: Commit) -> Generator[BlockingTransaction]:
    """See ``Store.blocking_transaction``."""
    with connections.one() as connection:
        scope = BlockingTransaction(url, connection, connections, commit)
        try:
            scope.begin()
            yield scope
        except Exception as error:
            _excuse(url, error, connection)
            raise
        finally:
            scope.leave()


class Transaction:
    """A transaction of an async handler.

    Attributes:
        connection: what the handler writes through.
    """

    def __init__(
        self, url: str, connection: psycopg.AsyncConnection[Any], connections: Connections, commit: Commit
    ) -> None:
        self.connection = connection
        self._url = url
        self._connections = connections
        self._commit = commit
        self._inner = connection.transaction()
        self._is_open = False

    async def begin(self) -> None:
        """Open it."""
        try:
            await self._inner.__aenter__()
        except psycopg.Error as error:
            raise _problem(self._url, error) from error
        self._is_open = True

    async def commit(self, increment: Increment) -> bool:
        """Write the increment and commit everything, or refuse it (False) and roll back.

        Raises:
            StoreUnavailableError: it is undone; or, if the message says so, nothing tells what became of it.
            psycopg.Error: it cannot be committed for what the handler has done in it, and is undone.
        """
        _check(self.connection)
        try:
            found = await ask(self.connection, *self._commit.of([increment]))
        except psycopg.Error as error:
            raise _problem(self._url, error) from error
        if not found:
            await self.leave()
            return False
        self._is_open = False
        try:
            await self._inner.__aexit__(None, None, None)
        except psycopg.Error as error:
            if not lost(error):
                raise _problem(self._url, error) from error
        else:
            # It is silent about a connection that had gone before.
            if not self.connection.closed:
                return True
        await self.connection.close()
        return await self._outcome(found[0][0])

    async def _outcome(self, number: str) -> bool:
        pauses = Pauses(_PATIENCE)
        while not pauses.is_over:
            try:
                async with self._connections.beside() as other:
                    ((told,),) = await ask(other, _OUTCOME, [number])
            except (psycopg.Error, StoreError) as error:
                told = _told_by(error)
            if told is not None:
                return _verdict(self._url, told)
            await asyncio.sleep(next(pauses))
        raise _unknown(self._url)

    async def leave(self) -> None:
        """Undo it, if it is open. The connection is closed if that goes wrong, so that the server does it."""
        connection = self.connection
        if self._is_open:
            self._is_open = False
            try:
                await self._inner.__aexit__(psycopg.Rollback, psycopg.Rollback(), None)
            except psycopg.Error:
                await connection.close()
            except BaseException:
                await connection.close()
                raise
        # What the handler has set for itself is not for the next one.
        connection.row_factory = tuple_row
        connection.cursor_factory = psycopg.AsyncCursor


class BlockingTransaction:
    """The same of a plain handler, in a worker thread."""

    def __init__(
        self, url: str, connection: psycopg.Connection[Any], connections: BlockingConnections, commit: Commit
    ) -> None:
        self.connection = connection
        self._url = url
        self._connections = connections
        self._commit = commit
        self._inner = connection.transaction()
        self._is_open = False

    def begin(self) -> None:
        """Open it."""
        try:
            self._inner.__enter__()
        except psycopg.Error as error:
            raise _problem(self._url, error) from error
        self._is_open = True

    def commit(self, increment: Increment) -> bool:
        """As of ``Transaction``."""
        _check(self.connection)
        try:
            found = ask_blocking(self.connection, *self._commit.of([increment]))
        except psycopg.Error as error:
            raise _problem(self._url, error) from error
        if not found:
            self.leave()
            return False
        self._is_open = False
        try:
            self._inner.__exit__(None, None, None)
        except psycopg.Error as error:
            if not lost(error):
                raise _problem(self._url, error) from error
        else:
            if not self.connection.closed:
                return True
        self.connection.close()
        return self._outcome(found[0][0])

    def _outcome(self, number: str) -> bool:
        pauses = Pauses(_PATIENCE)
        while not pauses.is_over:
            try:
                with self._connections.beside() as other:
                    ((told,),) = ask_blocking(other, _OUTCOME, [number])
            except (psycopg.Error, StoreError) as error:
                told = _told_by(error)
            if told is not None:
                return _verdict(self._url, told)
            time.sleep(next(pauses))
        raise _unknown(self._url)

    def leave(self) -> None:
        """Undo it, if it is open."""
        connection = self.connection
        if self._is_open:
            self._is_open = False
            try:
                self._inner.__exit__(psycopg.Rollback, psycopg.Rollback(), None)
            except psycopg.Error:
                connection.close()
            except BaseException:
                connection.close()
                raise
        connection.row_factory = tuple_row
        connection.cursor_factory = psycopg.Cursor


def _check(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> None:
    if connection.info.transaction_status == pq.TransactionStatus.IDLE:
        raise psycopg.ProgrammingError(
            "the transaction of a transactional handler was over before the handler: it must not execute COMMIT or "
            "ROLLBACK"
        )


def _excuse(url: str, error: Exception, connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> None:
    """Raise the store's error if it is for the database that a handler has failed, whatever it has made of that."""
    if isinstance(error, DurableError):
        return
    if connection.closed or (isinstance(error, psycopg.Error) and lost(error)):
        raise _undone(url, error) from error
    if isinstance(error, psycopg.Error) and error.sqlstate is not None and error.sqlstate.startswith(_SERVER):
        raise problem(url, error) from error


def _problem(url: str, error: psycopg.Error) -> Exception:
    """The store's error; but what the handler has brought about stays as it is."""
    if lost(error):
        return _undone(url, error)
    # As constraints that are checked in the end, an error that it has caught, a savepoint that it has left open.
    if error.sqlstate is None or isinstance(error, psycopg.IntegrityError | psycopg.errors.InFailedSqlTransaction):
        return error
    return problem(url, error)


def _undone(url: str, error: Exception) -> StoreUnavailableError:
    said = " ".join(str(error).split())
    return StoreUnavailableError(f"{url}: the connection was lost, and the transaction is undone ({said})")


def _told_by(error: psycopg.Error | StoreError) -> str | None:
    """What it means for a transaction if the server answers so, when it is asked about it; None if nothing."""
    # It has never heard of it: it crashed before anything of the transaction was on its disk.
    return "aborted" if isinstance(error, psycopg.DataError) else None


def _verdict(url: str, told: str) -> bool:
    if told == "committed":
        return True
    raise StoreUnavailableError(
        f"{url}: the connection was lost when a transaction was to be committed, and it is undone"
    )


def _unknown(url: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"{url}: the connection was lost when a transaction was to be committed, and nothing tells whether it was: its "
        f"run has to be read from the store again"
    )
