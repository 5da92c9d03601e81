"""The tables of a PostgreSQL store, as numbered migrations, and what brings a schema up to the newest of them.

The columns are those of the SQLite store. A migration that has been released is never changed; what is to be different
is another one with the next number. Nor is a type that a commit sends its rows in: a process of an older version may
still be using it.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from .errors import SchemaTooNewError

__all__ = ["MIGRATIONS", "NEWEST", "NOW", "migrate"]

# Seconds since the epoch by the clock of the database.
NOW: Final = "date_part('epoch', clock_timestamp())"

MIGRATIONS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        1,
        (
            """
            CREATE TABLE cnstra_owners (
                owner text PRIMARY KEY,
                lease_until double precision NOT NULL
            )
            """,
            # Every commit writes the row of its run anew, beside the old one if there is room on the page: then no
            # index hears of it. `last_seq` outlives the tasks that are removed.
            """
            CREATE TABLE cnstra_runs (
                key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                run_id text NOT NULL UNIQUE,
                status text NOT NULL,
                owner text,
                fence bigint NOT NULL,
                attempt integer NOT NULL,
                hops integer NOT NULL,
                crashes integer NOT NULL,
                last_seq bigint NOT NULL,
                created double precision NOT NULL,
                updated double precision NOT NULL,
                due double precision,
                scope text,
                tags text[] NOT NULL,
                root text NOT NULL,
                fingerprint text NOT NULL,
                cancel text,
                error text
            ) WITH (fillfactor = 70)
            """,
            # What may be large and never changes.
            """
            CREATE TABLE cnstra_entries (
                run bigint PRIMARY KEY,
                entry bytea NOT NULL,
                options bytea NOT NULL
            )
            """,
            """
            CREATE TABLE cnstra_attempts (
                run bigint NOT NULL,
                number integer NOT NULL,
                owner text NOT NULL,
                status text NOT NULL,
                started double precision NOT NULL,
                ended double precision,
                hops integer NOT NULL,
                error text,
                PRIMARY KEY (run, number)
            )
            """,
            # No index on what is left to do: it would make a commit some 5 % slower and its log a fifth longer, and
            # keep tasks that finish from being written beside what they were. A takeover would be 0.1 s faster where
            # a run has 300,000 tasks.
            """
            CREATE TABLE cnstra_tasks (
                run bigint NOT NULL,
                seq bigint NOT NULL,
                status text NOT NULL,
                id text NOT NULL,
                cause bigint,
                place integer NOT NULL,
                neuron text NOT NULL,
                collateral text NOT NULL,
                dendrite integer NOT NULL,
                hop integer NOT NULL,
                attempt integer NOT NULL,
                started double precision,
                duration double precision,
                joined text,
                error text,
                input bytea,
                outputs bytea,
                traceback text,
                PRIMARY KEY (run, seq)
            ) WITH (fillfactor = 75)
            """,
            """
            CREATE TABLE cnstra_contexts (
                run bigint NOT NULL,
                neuron text NOT NULL,
                value bytea NOT NULL,
                PRIMARY KEY (run, neuron)
            )
            """,
            # No foreign keys: each would look up and lock the run for every row of a commit that has locked it.
            #
            # For takeovers, for lists by status or scope and for pruning. No commit changes what is in one of these
            # before the run ends, and each is as small as what it is for.
            "CREATE INDEX cnstra_runs_running ON cnstra_runs (owner, key) WHERE status = 'running'",
            "CREATE INDEX cnstra_runs_scheduled ON cnstra_runs (due) WHERE status = 'scheduled'",
            """
            CREATE INDEX cnstra_runs_ended ON cnstra_runs (status, key)
            WHERE status IN ('completed', 'failed', 'aborted')
            """,
            "CREATE INDEX cnstra_runs_by_scope ON cnstra_runs (scope, key) WHERE scope IS NOT NULL",
            # For heartbeats.
            "CREATE INDEX cnstra_runs_to_cancel ON cnstra_runs (owner) WHERE cancel IS NOT NULL AND status = 'running'",
            # What a commit sends: see postgres_commit.py.
            """
            CREATE TYPE cnstra_increment AS (
                key bigint, fence bigint, hops integer, last_seq bigint, status text, error text
            )
            """,
            """
            CREATE TYPE cnstra_added AS (
                run bigint, seq bigint, id text, cause bigint, place integer, neuron text, collateral text,
                dendrite integer, hop integer, attempt integer, status text, input bytea, outputs bytea, error text,
                traceback text, started double precision, duration double precision, joined text
            )
            """,
            """
            CREATE TYPE cnstra_changed AS (
                run bigint, attempt integer, status text, outputs bytea, error text, traceback text,
                started double precision, duration double precision, seq bigint
            )
            """,
            "CREATE TYPE cnstra_removed AS (run bigint, seq bigint)",
            "CREATE TYPE cnstra_context AS (run bigint, neuron text, value bytea)",
        ),
    ),
)

NEWEST = MIGRATIONS[-1][0]


async def migrate(connection: psycopg.AsyncConnection[Any], schema: str, url: str) -> None:
    """Bring a schema up to the newest migration, in one transaction; processes that do so at once wait for each other.

    The schema is made if there is none. Nothing is written, and no right to do so needed, where nothing is missing.

    Raises:
        SchemaTooNewError: a newer version of cnstra has written it.
        psycopg.Error: it cannot be read or written.
    """
    if await _version(connection, schema, url) == NEWEST:
        return
    name = sql.Identifier(schema)
    async with connection.transaction():
        # For all of cnstra in this database. Another process may have done it while this one waited.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('cnstra: migrations', 0))")
        version = await _version(connection, schema, url)
        if version == NEWEST:
            return
        found = await connection.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", [schema])
        if await found.fetchone() is None:
            await connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
        if version == 0:
            await connection.execute(
                "CREATE TABLE cnstra_schema (number integer PRIMARY KEY, applied double precision NOT NULL)"
            )
        for number, statements in MIGRATIONS:
            if number > version:
                for statement in statements:
                    await connection.execute(statement.encode())
                await connection.execute(f"INSERT INTO cnstra_schema VALUES ({number}, {NOW})".encode())


async def _version(connection: psycopg.AsyncConnection[Any], schema: str, url: str) -> int:
    """The number of the last migration that a schema has had; 0 if it has no tables of cnstra."""
    # Not to_regclass(), which within a transaction may not know yet what another process has made meanwhile.
    found = await connection.execute(
        "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'cnstra_schema'",
        [schema],
    )
    if await found.fetchone() is None:
        return 0
    table = sql.Identifier(schema, "cnstra_schema")
    found = await connection.execute(sql.SQL("SELECT coalesce(max(number), 0) FROM {}").format(table))
    row = await found.fetchone()
    version = 0 if row is None else int(row[0])
    if version > NEWEST:
        raise SchemaTooNewError(
            f"{url}: its schema has the number {version}, and this version of cnstra knows those up to {NEWEST}: a "
            f"newer cnstra has written it"
        )
    return version
