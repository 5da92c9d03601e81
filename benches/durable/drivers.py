"""What a commit costs by each driver that a store could use, and how much of that the stores' own commits add.

Each round trip is a transaction of its own, which waits for the disk as the database is set up to. psycopg and asyncpg
execute the same prepared statements with the same values, on the same event loop:

    one row             an INSERT of a task, of 18 columns and some 300 bytes
    rows as arrays      three data-modifying CTEs that update a run, add a task and change one; a column is an array

Below them is what the stores do in a commit of an increment with one change and one added task, beside the INSERT of
one row of the same bytes: that ratio is what was promised to be no more than 1.5 for PostgreSQL. ``and its run`` is a
commit that brings the row of the run up to date as well, as one in a second does.

Usage: python -m benches.durable.drivers [--url postgresql://…] (with asyncpg, if it is installed)
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sqlite3
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from cnstra.durable import Store
from cnstra.durable.port import Change, Increment, NewRun, Row

from ..environment import environment_line
from ..timing import Pace, Work, in_turn, run_check

__all__ = ["main"]

SCHEMA = "cnstra_bench_drivers"
RUNS = 50
PAYLOAD = bytes(range(200))
COLUMNS = {
    "run": "int8", "seq": "int8", "id": "text", "cause": "int8", "place": "int4", "neuron": "text",
    "collateral": "text", "dendrite": "int4", "hop": "int4", "attempt": "int4", "status": "text", "input": "bytea",
    "outputs": "bytea", "error": "text", "traceback": "text", "started": "float8", "duration": "float8",
    "joined": "text",
}  # fmt: skip
CHANGED = ("attempt", "status", "outputs", "started", "duration")
TABLES = f"""
    CREATE TABLE tasks ({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())}, PRIMARY KEY (run, seq));
    CREATE TABLE runs (key int8 PRIMARY KEY, fence int8, updated float8);
    INSERT INTO runs SELECT key, 1, 0 FROM generate_series(1, {RUNS}) AS key
"""

ONE_ROW = f"""
INSERT INTO {SCHEMA}.tasks VALUES ({", ".join(f"${n}::{kind}" for n, kind in enumerate(COLUMNS.values(), 1))})
"""


def arrays(first: int, names: dict[str, str]) -> str:
    """Rows out of arrays, one parameter for each column."""
    parameters = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(names.values(), first))
    return f"unnest({parameters}) AS i({', '.join(names)})"


AS_ARRAYS = f"""
WITH fenced AS (
    UPDATE {SCHEMA}.runs r SET updated = date_part('epoch', clock_timestamp())
    FROM {arrays(1, {"key": "int8", "fence": "int8"})} WHERE r.key = i.key AND r.fence = i.fence RETURNING r.key
),
added AS (INSERT INTO {SCHEMA}.tasks SELECT i.* FROM {arrays(3, COLUMNS)} JOIN fenced f ON f.key = i.run),
changed AS (
    UPDATE {SCHEMA}.tasks t SET {", ".join(f"{name} = i.{name}" for name in CHANGED)}
    FROM {arrays(3 + len(COLUMNS), {name: COLUMNS[name] for name in ("run", "seq", *CHANGED)})}
    JOIN fenced f ON f.key = i.run WHERE t.run = i.run AND t.seq = i.seq
)
SELECT key FROM fenced
"""

Execute = Callable[[str, list[Any]], Awaitable[list[Any]]]


def task(seq: int) -> Row:
    """A task that is pending."""
    return Row(
        seq, "0123456789abcdef0123456789abcdef", seq - 1, 0, "billing", "order_placed", 0, 3, 1, "pending", None, None,
        None, None, None, None, None,
    )  # fmt: skip


def change(seq: int) -> Change:
    """That it has finished."""
    return Change(1, "finished", PAYLOAD, None, None, 1_700_000_000.25, 0.001, seq)


def one_row(execute: Execute, seqs: Iterator[int]) -> Work:
    """A row with the payload in it."""

    async def do() -> None:
        row = task(next(seqs))._replace(outputs=PAYLOAD, started=1_700_000_000.25, duration=0.001)
        await execute(ONE_ROW, [0, *row])

    return Work(do, 1, do)


def as_arrays(execute: Execute, seqs: Iterator[int]) -> Work:
    """Each run in turn is given a task, and its last one changed."""
    last: dict[int, int] = {}

    async def do() -> list[Any]:
        seq = next(seqs)
        key = seq % RUNS + 1
        before, last[key] = last.get(key, 0), seq
        changed = [key, before, 1, "finished", PAYLOAD, 1_700_000_000.25, 0.001]
        return await execute(AS_ARRAYS, [[value] for value in (key, 1, key, *task(seq), *changed)])

    async def check() -> None:
        # Every run has a task to change from here on.
        for _ in range(RUNS):
            assert len(await do()) == 1

    return Work(do, 1, check)


async def by_psycopg(url: str) -> tuple[Execute, Callable[[], Awaitable[Any]]]:
    """How psycopg executes a statement, and how its connection is closed."""
    import psycopg

    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)

    async def execute(statement: str, values: list[Any]) -> list[Any]:
        cursor = psycopg.AsyncRawCursor(connection)
        await cursor.execute(statement.encode(), values, prepare=True, binary=True)
        return await cursor.fetchall() if cursor.description else []

    return execute, connection.close


async def by_asyncpg(url: str) -> tuple[Execute, Callable[[], Awaitable[Any]]]:
    """The same of asyncpg."""
    asyncpg: Any = importlib.import_module("asyncpg")
    connection: Any = await asyncpg.connect(url)
    prepared = {statement: await connection.prepare(statement) for statement in (ONE_ROW, AS_ARRAYS)}

    async def execute(statement: str, values: list[Any]) -> list[Any]:
        found: list[Any] = await prepared[statement].fetch(*values)
        return found

    return execute, connection.close


def in_sqlite(file: Path, synchronous: str) -> tuple[Work, Callable[[], None]]:
    """The same row in SQLite, by the standard library; and how it is closed."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(f"CREATE TABLE tasks ({', '.join(COLUMNS)}, PRIMARY KEY (run, seq)) WITHOUT ROWID")
    statement = f"INSERT INTO tasks VALUES ({', '.join('?' * len(COLUMNS))})"
    seqs = count(1)

    def do() -> int:
        row = task(next(seqs))._replace(outputs=PAYLOAD, started=1_700_000_000.25, duration=0.001)
        return connection.execute(statement, (0, *row)).rowcount

    def check() -> None:
        assert do() == 1

    return Work(do, 1, check), connection.close


async def in_store(store: Store, advance: bool) -> Work:
    """The commit of a store that is connected; it writes the row of its run if it is to ``advance``."""
    await store.register("bench", 3_600)
    new = [NewRun(f"run {n} {advance}", "root", PAYLOAD, b"", "graph", None, (), None) for n in range(RUNS)]
    claims = [claim for claim in await store.create("bench", new) if claim is not None]
    seqs = count(1)

    async def do() -> frozenset[int]:
        seq = next(seqs)
        claim, place = claims[seq % RUNS], seq // RUNS + 1
        changed = [change(place - 1)] if place > 1 else []
        return await store.commit(
            [Increment(claim.key, claim.fence, [task(place)], changed, hops=place, advance=advance)]
        )

    async def check() -> None:
        for _ in range(RUNS):
            assert await do() == frozenset()
        assert len((await store.list_tasks(claims[0].key))[0]) == 1

    return Work(do, 1, check)


async def prepare(url: str) -> None:
    """Make the tables anew."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET client_min_messages = warning")
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}".encode())
        await connection.execute(f"SET search_path TO {SCHEMA}; {TABLES}".encode())


async def clear(url: str) -> None:
    """Leave nothing behind."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET client_min_messages = warning")
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())


def measure(url: str, folder: Path, runner: asyncio.Runner, pace: Pace) -> list[tuple[str, float, float]]:
    """Name, microseconds and ratio to psycopg's one row, for each way."""
    works: dict[str, Work] = {}
    closing: list[Callable[[], Awaitable[Any]]] = []
    runner.run(prepare(url))
    # No two ways write the same rows.
    numbers = count(1)
    drivers = {"psycopg": by_psycopg, "asyncpg": by_asyncpg}
    try:
        importlib.import_module("asyncpg")
    except ModuleNotFoundError:
        print("asyncpg is not installed: it is left out")
        del drivers["asyncpg"]
    try:
        for name, connect in drivers.items():
            execute, close = runner.run(connect(url))
            closing.append(close)
            works[f"{name}: one row"] = one_row(execute, numbers)
            works[f"{name}: rows as arrays"] = as_arrays(execute, numbers)
        store = Store.open(url, schema=SCHEMA)
        runner.run(store.connect())
        closing.append(store.close)
        works["PostgreSQL store: a commit"] = runner.run(in_store(store, False))
        works["PostgreSQL store: and its run"] = runner.run(in_store(store, True))
        for synchronous in ("normal", "full"):
            work, end = in_sqlite(folder / f"{synchronous}.db", synchronous)
            closing.append(_later(end))
            works[f"sqlite3, {synchronous}: one row"] = work
        file_store = Store.open(f"sqlite:///{folder}/store.db")
        runner.run(file_store.connect())
        closing.append(file_store.close)
        works["SQLite store, normal: a commit"] = runner.run(in_store(file_store, False))
        for work in works.values():
            run_check(work, runner)
        times = dict(zip(works, in_turn(list(works.values()), runner, pace), strict=True))
    finally:
        for close in closing:
            runner.run(_closed(close))
        runner.run(clear(url))
    rows: list[tuple[str, float, float]] = []
    for name, found in times.items():
        rival = "sqlite3, normal: one row" if name.startswith(("sqlite", "SQLite")) else "psycopg: one row"
        ratio = statistics.median(one / other for one, other in zip(found, times[rival], strict=True))
        rows.append((name, statistics.median(found) / 1_000, ratio))
    return rows


def _later(close: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def closing() -> None:
        close()

    return closing


async def _closed(close: Callable[[], Awaitable[Any]]) -> None:
    await close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What a commit costs by each driver.")
    parser.add_argument("--url", default="postgresql://postgres@127.0.0.1:5432/test", help="of a PostgreSQL database")
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    given = parser.parse_args()
    pace = Pace(measurement=0.02, seconds=2) if given.quick else Pace(measurement=0.2, seconds=60, most=31)
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        rows = measure(given.url, Path(folder), runner, pace)
    print(environment_line())
    for name, microseconds, ratio in rows:
        print(f"{name:<32} {microseconds:8.0f} µs {ratio:6.2f} x")


if __name__ == "__main__":
    main()
