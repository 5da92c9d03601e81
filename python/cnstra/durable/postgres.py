"""Durable runs in PostgreSQL: for any number of machines.

postgres_schema        the tables
postgres_opening       URLs, connections, and what PostgreSQL's errors mean
postgres_connections   connections that are kept
postgres_packing       rows in PostgreSQL's binary format
postgres_commit        the statement that writes a batch
postgres_usual         that of the most usual batch
postgres_owning        who owns runs
postgres_reading       what is read
postgres_transactions  transactional handlers
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

# First, because it tells what to install if there is no psycopg.
from . import postgres_opening as opening  # isort: skip

import psycopg
from psycopg import sql

from . import postgres_owning as owning
from . import postgres_reading as reading
from .errors import StoreUnavailableError
from .port import Beat, Candidate, Claim, Frontier, Increment, NewRun, Row, RunEnd, RunRow, Store, Takeover
from .postgres_commit import ENDED, SESSION, TYPES, Commit, ended
from .postgres_connections import BlockingConnections, Connections, ask, ask_again, ask_blocking, asking
from .postgres_packing import words
from .postgres_schema import migrate
from .postgres_transactions import (
    RESULT,
    BlockingTransaction,
    Transaction,
    blocking_transaction,
    transaction,
)
from .records import Attempt, RunStatus

__all__ = ["PostgresStore"]

# The first that numbers transactions for good.
_OLDEST = 13_00_00
# Seconds that an owner who is gone, and has left nothing behind, stays entered.
_STALE = 86_400.0
# How many runs one transaction removes.
_PRUNED_AT_ONCE = 1_000
# Compiling takes longer than any statement of the store, and the planner expects too much of some.
_OWN_SESSION = {"jit": "off"}
# Seconds that a heartbeat waits for a connection, milliseconds that it waits for a lock and for an answer.
_BEAT_PARAMETERS = {"connect_timeout": 5, "tcp_user_timeout": 5_000}
_BEAT_SESSION = {"lock_timeout": "1000", "statement_timeout": "5000", **_OWN_SESSION}


@dataclass(slots=True)
class _Open:
    """What there is while the store is open."""

    own: Connections
    handlers: Connections
    threads: BlockingConnections
    writer: psycopg.AsyncConnection[Any]
    cursor: psycopg.AsyncRawCursor[tuple[Any, ...]]
    writer_lock: asyncio.Lock
    commit: Commit
    in_transaction: Commit


class PostgresStore(Store):
    """Runs in a PostgreSQL database, version 13 or newer; made by ``Store.open``.

    It may be the database that the application has its own tables in; then transactional neurons write these, on
    psycopg connections. A connection that was lost is replaced by the next call. A pooler between the two must give it
    sessions of its own.

    Args:
        url: ``postgresql://user:password@host:port/database``, with the parameters of libpq after a question mark; what
            it does not say is taken from the environment (``PGHOST`` and so on), as psql does.
        schema: in which its tables are; it is made if there is none.
        pool_size: how many connections transactional neurons may have at once, and as many more those that run in
            threads, and the store's own reads. They are opened when they are needed. Two more are always open: one
            writes, one renews the lease.

    Raises:
        StoreUrlError: the URL cannot be read.
        TypeError, ValueError: an option is of the wrong type or out of range.
        ModuleNotFoundError: psycopg is not installed.
    """

    inline: ClassVar[bool] = False
    transactions: ClassVar[Literal["savepoint", "connection"] | None] = "connection"

    def __init__(self, url: str, *, schema: str = "public", pool_size: int = 10) -> None:
        if not isinstance(schema, str):
            raise TypeError(f"schema must be a str, not {type(schema).__name__}")
        if not schema or "\0" in schema:
            raise ValueError(f"schema must be the name of a schema, not {schema!r}")
        if len(schema.encode()) > 63:
            raise ValueError(f"schema must have at most 63 bytes, as all names in PostgreSQL: {schema!r}")
        if isinstance(pool_size, bool) or not isinstance(pool_size, int):
            raise TypeError(f"pool_size must be an int, not {type(pool_size).__name__}")
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size}")
        self._parameters = opening.parse(url)
        self._url = opening.shown(self._parameters)
        self._schema = schema
        self._pool_size = pool_size
        self._open: _Open | None = None
        # The connection of the heartbeats, and who may have it in hand.
        self._beside: psycopg.Connection[Any] | None = None
        self._beating = threading.Lock()
        self._prefix = f"{sql.Identifier(schema).as_string()}.cnstra_"
        self._qualified: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return self._url

    # -- life

    async def connect(self) -> None:
        """See ``Store.connect``. Waits for another process that brings the schema up to date at the same time."""
        if self._open is not None:
            return
        own = Connections(self._url, self._parameters, self._pool_size, _OWN_SESSION)
        try:
            # It is kept: the first call does not have to wait for one.
            async with own.one() as connection:
                if connection.info.server_version < _OLDEST:
                    raise StoreUnavailableError(f"{self._url}: its server is older than PostgreSQL 13")
                await migrate(connection, self._schema, self._url)
            writer, oids = await self._new_writer()
        except BaseException as error:
            await own.close()
            if isinstance(error, psycopg.Error):
                raise opening.problem(self._url, error) from error
            raise
        self._open = _Open(
            own=own,
            handlers=Connections(self._url, self._parameters, self._pool_size, {}),
            threads=BlockingConnections(self._url, self._parameters, self._pool_size),
            writer=writer,
            cursor=asking(writer),
            writer_lock=asyncio.Lock(),
            commit=Commit(self._qualify, oids),
            in_transaction=Commit(self._qualify, oids, RESULT),
        )

    async def _new_writer(self) -> tuple[psycopg.AsyncConnection[Any], list[int]]:
        """A connection for commits, and the numbers that the types of their rows have in this database."""
        writer = await opening.connect(self._url, self._parameters, SESSION)
        names = [self._qualify(name).decode() for name in TYPES]
        try:
            found = await ask(writer, b"SELECT unnest($1::text[])::regtype::oid::int8", [names])
        except BaseException:
            await writer.close()
            raise
        return writer, [oid for (oid,) in found]

    async def close(self) -> None:
        """See ``Store.close``. Connections of handlers that are still at work are closed when these have ended."""
        opened, self._open = self._open, None
        self._end_beats()
        if opened is not None:
            opened.threads.close()
            await opened.own.close()
            await opened.handlers.close()
            await opened.writer.close()

    def _opened(self) -> _Open:
        if self._open is None:
            raise StoreUnavailableError(f"{self._url}: it is not open")
        return self._open

    def _qualify(self, text: str) -> bytes:
        # Every table and type of a store begins with this, and nothing else in a statement does.
        found = self._qualified.get(text)
        if found is None:
            found = self._qualified[text] = text.replace("cnstra_", self._prefix).encode()
        return found

    async def _ask(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement in a transaction of its own."""
        async with self._opened().own.one() as connection:
            try:
                return await ask(connection, self._qualify(text), values)
            except psycopg.Error as error:
                if opening.lost(error):
                    await connection.close()
                raise opening.problem(self._url, error) from error

    # -- owners

    async def register(self, owner: str, lease: float) -> None:
        await self._ask(owning.REGISTER, owner, lease)

    def beat(self, owner: str, lease: float) -> Beat:
        """See ``Store.beat``. Waits a second for a lock, and five for an answer."""
        try:
            with self._beating:
                return self._beat(owner, lease)
        finally:
            if self._open is None:
                self._end_beats()

    def _beat(self, owner: str, lease: float) -> Beat:
        self._opened()
        beside, self._beside = self._beside, None
        try:
            if beside is None or opening.has_gone(beside):
                if beside is not None:
                    beside.close()
                beside = opening.connect_blocking(self._url, {**self._parameters, **_BEAT_PARAMETERS}, _BEAT_SESSION)
            found = ask_blocking(beside, self._qualify(owning.BEAT), [owner, lease])
        except psycopg.Error as error:
            if beside is not None:
                beside.close()
            raise opening.problem(self._url, error) from error
        self._beside = beside
        return Beat(dict(found))

    def _end_beats(self) -> None:
        # A heartbeat that is under way does it itself, when it is over.
        if self._beating.acquire(blocking=False):
            try:
                beside, self._beside = self._beside, None
                if beside is not None:
                    beside.close()
            finally:
                self._beating.release()

    async def unregister(self, owner: str) -> None:
        await self._ask(owning.UNREGISTER, owner)

    async def owners(self) -> list[str]:
        return [owner for (owner,) in await self._ask(owning.OWNERS)]

    # -- runs

    async def create(self, owner: str, runs: Sequence[NewRun]) -> list[Claim | None]:
        async with self._opened().own.one() as connection:
            try:
                if len(runs) == 1:
                    return [await self._create(connection, owner, runs[0])]
                async with connection.transaction():
                    return [await self._create(connection, owner, run) for run in runs]
            except psycopg.Error as error:
                if opening.lost(error):
                    await connection.close()
                raise opening.problem(self._url, error) from error

    async def _create(self, connection: psycopg.AsyncConnection[Any], owner: str, run: NewRun) -> Claim | None:
        due = None if run.due is None else float(run.due)
        values = (run.run_id, owner, due, run.scope, list(run.tags), run.root, run.fingerprint, run.entry, run.options)
        made = await ask(connection, self._qualify(owning.CREATE), values)
        if not made:
            return None
        ((key, fence, attempt),) = made
        return Claim(key, run.run_id, fence, attempt, run.root, run.entry, run.options, False, 0, 0)

    async def candidates(
        self, owner: str, live: Collection[int], dead: Collection[str], *, run_id: str | None = None, limit: int = 1000
    ) -> list[Candidate]:
        text, last = (owning.CANDIDATES, limit) if run_id is None else (owning.CANDIDATE_NAMED, run_id)
        return [Candidate(*row) for row in await self._ask(text, owner, list(live), list(dead), last)]

    async def claim(
        self, owner: str, takeovers: Sequence[Takeover], live: Collection[int], dead: Collection[str]
    ) -> list[Claim]:
        wanted = [list(column) for column in zip(*takeovers, strict=True)] or [[], [], []]
        return [Claim(*row) for row in await self._ask(owning.CLAIM, owner, list(live), list(dead), *wanted)]

    async def give_up(self, takeovers: Sequence[Takeover], end: RunEnd) -> int:
        keys, fences = [one.key for one in takeovers], [one.fence for one in takeovers]
        error = None if end.error is None else words(end.error)
        ((count,),) = await self._ask(owning.GIVE_UP, keys, fences, end.status, error)
        return int(count)

    async def reopen(self, owner: str, run_id: str, fingerprint: str) -> Claim | None:
        found = await self._ask(owning.REOPEN, owner, run_id, fingerprint)
        return Claim(*found[0]) if found else None

    async def request_cancel(self, run_id: str, reason: str) -> RunRow | None:
        await self._ask(owning.CANCEL, run_id, words(reason))
        return await self.find(run_id)

    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        """See ``Store.commit``. Cost: one round trip, one more if a run is refused that was to end."""
        opened = self._opened()
        if not batch:
            return frozenset()
        async with opened.writer_lock:
            writer = opened.writer
            try:
                writer = await self._writer(opened)
                written = await ask_again(opened.cursor, *opened.commit.of(batch))
                if len(written) == len(batch):
                    return frozenset()
                known = {key for (key,) in written}
                missing = [one for one in batch if one.key not in known]
                if any(one.end is not None for one in missing):
                    # It may have been written by a commit whose answer was lost, and which is made again.
                    known |= {key for (key,) in await ask_again(opened.cursor, self._qualify(ENDED), ended(missing))}
            except psycopg.Error as error:
                # A server that is read-only by now may not be the first any more: the next connection may find that.
                if opening.lost(error) or isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                    await writer.close()
                raise opening.problem(self._url, error) from error
        return frozenset(one.key for one in missing if one.key not in known)

    async def _writer(self, opened: _Open) -> psycopg.AsyncConnection[Any]:
        """The connection of the commits, which is another one if the last was lost."""
        if not opening.has_gone(opened.writer):
            return opened.writer
        await opened.writer.close()
        writer, oids = await self._new_writer()
        opened.writer, opened.cursor = writer, asking(writer)
        opened.commit, opened.in_transaction = Commit(self._qualify, oids), Commit(self._qualify, oids, RESULT)
        return writer

    async def frontier(self, key: int) -> Frontier:
        return reading.as_frontier(await self._ask(reading.FRONTIER_OF, key))

    # -- the record

    async def find(self, run_id: str) -> RunRow | None:
        found = await self._ask(reading.RUN, run_id)
        return reading.as_run(found[0]) if found else None

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
        text, values = reading.runs(status, scope, tag, since, before, limit)
        return [reading.as_run(row) for row in await self._ask(text, *values)]

    async def list_attempts(self, key: int) -> list[Attempt]:
        return [Attempt(*row) for row in await self._ask(reading.ATTEMPTS, key)]

    async def list_tasks(self, key: int, *, after: int = 0, limit: int = 100) -> tuple[list[Row], dict[int, bytes]]:
        return reading.as_tasks(await self._ask(reading.TASKS, key, after, limit))

    async def prune(self, *, older_than: float | None, keep_last: int | None) -> int:
        """See ``Store.prune``. Removes a thousand runs in each transaction."""
        total = 0
        while True:
            ((count,),) = await self._ask(owning.PRUNE, older_than, keep_last, _PRUNED_AT_ONCE)
            total += int(count)
            if count < _PRUNED_AT_ONCE:
                await self._ask(owning.PRUNE_OWNERS, _STALE)
                return total

    # -- transactions

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """See ``Store.transaction``; ``connection`` is a ``psycopg.AsyncConnection``. Waits while ``pool_size`` others
        are open."""
        opened = self._opened()
        return transaction(self._url, opened.handlers, opened.in_transaction)

    def blocking_transaction(self) -> AbstractContextManager[BlockingTransaction]:
        """See ``Store.blocking_transaction``; ``connection`` is a ``psycopg.Connection``."""
        opened = self._opened()
        return blocking_transaction(self._url, opened.threads, opened.in_transaction)
