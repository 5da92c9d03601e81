"""Where durable runs are kept here: new SQLite files, and a schema of its own on a PostgreSQL server if there is one;
and beside each the raw ``INSERT`` that a turn is compared with."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self, cast

from cnstra.durable import Durable, Store
from cnstra.durable.port import Increment
from cnstra.durable.sqlite import SqliteStore

from .rounds import Measure, timed

__all__ = [
    "Written",
    "assert_recorded",
    "fresh_schema",
    "postgres_url",
    "raw_postgres",
    "raw_sqlite",
    "sqlite_store",
]

_LOCAL = "postgresql://postgres@127.0.0.1:5432/test"
# By which it finds the row of its run.
_KEY_AND_FENCE = 2 * 8


def sqlite_store(folder: Path, name: str) -> Store:
    """A store on a file that is not there yet; it is synchronous=NORMAL, the default."""
    return Store.open(f"sqlite:///{folder}/{name}.db")


def postgres_url() -> str | None:
    """Where a server is: CNSTRA_TEST_POSTGRES, or on this machine; None if there is none, or no psycopg."""
    try:
        import psycopg
    except ImportError:
        return None
    url = os.environ.get("CNSTRA_TEST_POSTGRES") or _LOCAL
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return None
    return url


@contextmanager
def fresh_schema(url: str) -> Generator[str]:
    """The name of a schema that does not exist; what is made of it is dropped."""
    import psycopg
    from psycopg import sql

    name = f"cnstra_bench_{secrets.token_hex(6)}"
    try:
        yield name
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


class Written:
    """What the commits of a store were given to write while this was entered: ``bytes`` of values, in ``commits``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bytes = 0
        self.commits = 0

    def __enter__(self) -> Self:
        commit = self._store.commit

        async def noted(batch: Sequence[Increment]) -> frozenset[int]:
            self.bytes += sum(map(_size_of, batch))
            self.commits += 1
            return await commit(batch)

        # On the object, before the method of its class.
        vars(self._store)["commit"] = noted
        return self

    def __exit__(self, *_: object) -> None:
        del vars(self._store)["commit"]


def _size_of(increment: Increment) -> int:
    values: list[Any] = [value for row in (*increment.added, *increment.changed) for value in row]
    for name, value in increment.contexts.items():
        values += [name, value]
    return _KEY_AND_FENCE + sum(map(_size, values)) + 8 * len(increment.removed)


def _size(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, bytes) else 8


async def assert_recorded(durable: Durable, runs: Sequence[Awaitable[Any]], turns: int) -> None:
    """The store has every activation of the runs, finished, with what it emitted, and the runs as completed."""
    for run in runs:
        run_id = cast("Any", run).id
        assert (await durable.run(run_id)).status == "completed"
        page = await durable.tasks(run_id, limit=10_000)
        assert page.cursor is None
        assert [task.seq for task in page.items] == list(range(1, turns + 1))
        assert {task.status for task in page.items} == {"finished"}
        left = [output["payload"]["left"] for task in page.items for output in task.outputs]
        assert left == list(range(turns - 2, -1, -1))


@asynccontextmanager
async def raw_sqlite(folder: Path, size: int, rows: int, store: Store) -> AsyncGenerator[Measure]:
    """So many times ``INSERT`` and commit, of so many bytes, on a database that is set up as that of the store is."""
    connection = sqlite3.connect(folder / "raw.db")
    try:
        # The store's own connection is asked, so that this one cannot be set up otherwise.
        theirs = cast("Any", cast("SqliteStore", store))._savepoints.connection
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "cache_size", "mmap_size", "temp_store"):
            (value,) = theirs.execute(f"PRAGMA {name}").fetchone()
            connection.execute(f"PRAGMA {name} = {value}")
            assert connection.execute(f"PRAGMA {name}").fetchone() == (value,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        connection.execute("CREATE TABLE raw (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        data = b"x" * size

        async def write() -> None:
            execute, commit = connection.execute, connection.commit
            for _ in range(rows):
                execute("INSERT INTO raw (data) VALUES (?)", (data,))
                commit()

        async def measure() -> float:
            return await timed(write, rows)

        await write()
        assert connection.execute("SELECT count(*), sum(length(data)) FROM raw").fetchone() == (rows, rows * size)
        yield measure
    finally:
        connection.close()


@asynccontextmanager
async def raw_postgres(url: str, schema: str, size: int, rows: int) -> AsyncGenerator[Measure]:
    """So many times one prepared ``INSERT`` that commits by itself, of so many bytes."""
    import psycopg
    from psycopg import sql

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        table = sql.Identifier(schema, "raw")
        await connection.execute(
            sql.SQL("CREATE TABLE {} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data bytea NOT NULL)").format(
                table
            )
        )
        data = b"x" * size
        statement = sql.SQL("INSERT INTO {} (data) VALUES ($1)").format(table).as_bytes(connection)
        cursor = psycopg.AsyncRawCursor(connection)

        async def write() -> None:
            execute = cursor.execute
            for _ in range(rows):
                await execute(statement, (data,), prepare=True, binary=True)

        async def measure() -> float:
            return await timed(write, rows)

        await write()
        counts = sql.SQL("SELECT count(*), sum(length(data)) FROM {}").format(table)
        assert await (await connection.execute(counts)).fetchone() == (rows, rows * size)
        yield measure
