"""Connections that are kept for the next who wants one: of an event loop, and of worker threads.

Not psycopg-pool. When the server was away, that gives out what it has kept, one dead connection after the other; then
it makes its callers wait for their whole timeout, without a word of why; and it goes on doing so for seconds when the
server is back. Here a connection is looked at before it is given out, which costs a microsecond, and made by whoever
wants it, who so learns at once what is wrong. Nothing runs in the background.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from .postgres_opening import Parameters, connect, connect_blocking, has_gone

__all__ = ["BlockingConnections", "Connections", "ask", "ask_again", "ask_blocking", "asking"]

Rows = list[tuple[Any, ...]]


async def ask(connection: psycopg.AsyncConnection[Any], statement: bytes, values: Sequence[Any]) -> Rows:
    """Execute a statement with ``$1`` in it, and return what it gives; psycopg's errors get out.

    Cost: a round trip. Prepared once on each connection.
    """
    return await ask_again(asking(connection), statement, values)


def asking(connection: psycopg.AsyncConnection[Any]) -> psycopg.AsyncRawCursor[tuple[Any, ...]]:
    """What ``ask_again`` asks with."""
    return psycopg.AsyncRawCursor(connection, row_factory=tuple_row)


async def ask_again(cursor: psycopg.AsyncRawCursor[tuple[Any, ...]], statement: bytes, values: Sequence[Any]) -> Rows:
    """The same with a cursor that is kept, for what is asked often: to make one takes 3 µs."""
    await cursor.execute(statement, values, prepare=True, binary=True)
    return await cursor.fetchall()


def ask_blocking(connection: psycopg.Connection[Any], statement: bytes, values: Sequence[Any]) -> Rows:
    """The same, in a thread that may wait."""
    cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
    cursor.execute(statement, values, prepare=True, binary=True)
    return cursor.fetchall()


class Connections:
    """Connections of one event loop.

    Args:
        url: what messages call the store.
        parameters: of a connection.
        limit: how many there are at most; who wants one more waits.
        settings: of their sessions.
    """

    def __init__(self, url: str, parameters: Parameters, limit: int, settings: Mapping[str, str]) -> None:
        self._url = url
        self._parameters = parameters
        self._settings = settings
        self._free = asyncio.Semaphore(limit)
        # The one that was used last comes first: it has the most statements prepared.
        self._kept: list[psycopg.AsyncConnection[Any]] = []
        self._is_closed = False

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        """A connection, which must be outside a transaction in the end, or is closed.

        Raises:
            StoreError: there is none to be had.
        """
        async with self._free:
            connection = await self._taken()
            try:
                yield connection
            finally:
                if self._is_closed or not _is_fit(connection):
                    await connection.close()
                else:
                    self._kept.append(connection)

    async def _taken(self) -> psycopg.AsyncConnection[Any]:
        while self._kept:
            connection = self._kept.pop()
            if not has_gone(connection):
                return connection
            await connection.close()
        return await connect(self._url, self._parameters, self._settings)

    @asynccontextmanager
    async def beside(self) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        """One more, for once."""
        connection = await connect(self._url, self._parameters)
        try:
            yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close those that nobody uses, and the others when they are given back."""
        self._is_closed = True
        while self._kept:
            await self._kept.pop().close()


class BlockingConnections:
    """The same for threads."""

    def __init__(self, url: str, parameters: Parameters, limit: int) -> None:
        self._url = url
        self._parameters = parameters
        self._free = threading.Semaphore(limit)
        self._kept: list[psycopg.Connection[Any]] = []
        self._is_closed = False

    @contextmanager
    def one(self) -> Generator[psycopg.Connection[Any]]:
        """A connection, as of ``Connections.one``."""
        with self._free:
            connection = self._taken()
            try:
                yield connection
            finally:
                if _is_fit(connection):
                    self._kept.append(connection)
                else:
                    connection.close()
                if self._is_closed:
                    self.close()

    def _taken(self) -> psycopg.Connection[Any]:
        while True:
            try:
                # Threads may do so at once.
                connection = self._kept.pop()
            except IndexError:
                return connect_blocking(self._url, self._parameters)
            if not has_gone(connection):
                return connection
            connection.close()

    @contextmanager
    def beside(self) -> Generator[psycopg.Connection[Any]]:
        """One more, for once."""
        connection = connect_blocking(self._url, self._parameters)
        try:
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        """Close those that nobody uses, and the others when they are given back."""
        self._is_closed = True
        while True:
            try:
                self._kept.pop().close()
            except IndexError:
                return


def _is_fit(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    return not connection.closed and connection.info.transaction_status == pq.TransactionStatus.IDLE
