"""The tables of a SQLite store, as numbered migrations, and what brings a database up to the newest of them.

A migration that has been released is never changed; what is to be different is another one with the next number.
"""

from __future__ import annotations

import sqlite3

from .errors import SchemaTooNewError

__all__ = ["MIGRATIONS", "NEWEST", "NOW", "migrate", "version_of"]

# Seconds since the epoch by the clock of the database, to the millisecond. `unixepoch('subsec')` came with SQLite 3.42.
NOW = "((julianday('now') - 2440587.5) * 86400.0)"

MIGRATIONS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        1,
        (
            """
            CREATE TABLE cnstra_owners (
                owner TEXT PRIMARY KEY,
                lease_until REAL NOT NULL
            ) WITHOUT ROWID
            """,
            # AUTOINCREMENT, so that a key is never given twice: the increments of a process that was away for very long
            # must not fit a later run. `last_seq` outlives the tasks that are removed.
            """
            CREATE TABLE cnstra_runs (
                key INTEGER PRIMARY KEY AUTOINCREMENT,
                run_id TEXT NOT NULL UNIQUE,
                status TEXT NOT NULL,
                owner TEXT,
                fence INTEGER NOT NULL,
                attempt INTEGER NOT NULL,
                hops INTEGER NOT NULL,
                crashes INTEGER NOT NULL,
                last_seq INTEGER NOT NULL,
                created REAL NOT NULL,
                updated REAL NOT NULL,
                due REAL,
                scope TEXT,
                tags TEXT NOT NULL,
                root TEXT NOT NULL,
                fingerprint TEXT NOT NULL,
                cancel TEXT,
                error TEXT
            )
            """,
            # Every commit writes the row of its run anew. What may be large and never changes is not in it.
            """
            CREATE TABLE cnstra_entries (
                run INTEGER PRIMARY KEY,
                entry BLOB NOT NULL,
                options BLOB NOT NULL
            )
            """,
            """
            CREATE TABLE cnstra_attempts (
                run INTEGER NOT NULL,
                number INTEGER NOT NULL,
                owner TEXT NOT NULL,
                status TEXT NOT NULL,
                started REAL NOT NULL,
                ended REAL,
                hops INTEGER NOT NULL,
                error TEXT,
                PRIMARY KEY (run, number)
            ) WITHOUT ROWID
            """,
            # No index on what is left to do: it would make every commit a third dearer, and spare a takeover 0.2 s for
            # a million tasks of the run. What is read in such a scan comes first, what may be large last.
            # With a rowid: without one a row lies in an index, which moves what is longer than a quarter of a page to
            # pages of its own, and each commit would write these too.
            """
            CREATE TABLE cnstra_tasks (
                run INTEGER NOT NULL,
                seq INTEGER NOT NULL,
                status TEXT NOT NULL,
                id TEXT NOT NULL,
                cause INTEGER,
                place INTEGER NOT NULL,
                neuron TEXT NOT NULL,
                collateral TEXT NOT NULL,
                dendrite INTEGER NOT NULL,
                hop INTEGER NOT NULL,
                attempt INTEGER NOT NULL,
                started REAL,
                duration REAL,
                joined TEXT,
                error TEXT,
                input BLOB,
                outputs BLOB,
                traceback TEXT,
                PRIMARY KEY (run, seq)
            )
            """,
            """
            CREATE TABLE cnstra_contexts (
                run INTEGER NOT NULL,
                neuron TEXT NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (run, neuron)
            ) WITHOUT ROWID
            """,
            # For takeovers, for lists of one status and for pruning. No commit changes either before the run ends.
            "CREATE INDEX cnstra_runs_by_status ON cnstra_runs (status, owner)",
            "CREATE INDEX cnstra_runs_by_due ON cnstra_runs (due) WHERE status = 'scheduled'",
            "CREATE INDEX cnstra_runs_by_scope ON cnstra_runs (scope) WHERE scope IS NOT NULL",
            # For heartbeats: there are few of these.
            "CREATE INDEX cnstra_runs_to_cancel ON cnstra_runs (owner) WHERE cancel IS NOT NULL",
        ),
    ),
)

NEWEST = MIGRATIONS[-1][0]


def version_of(connection: sqlite3.Connection, url: str) -> int:
    """The number of the last migration that a database has had; 0 if it has no tables of cnstra.

    Raises:
        SchemaTooNewError: this version of cnstra does not know that migration.
        sqlite3.Error: the database cannot be read.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cnstra_schema'").fetchone() is None:
        return 0
    (version,) = connection.execute("SELECT coalesce(max(number), 0) FROM cnstra_schema").fetchone()
    if version > NEWEST:
        raise SchemaTooNewError(
            f"{url}: a newer cnstra has written it: its schema has the number {version}, and this version knows those "
            f"up to {NEWEST}"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, url: str) -> None:
    """Bring a database up to the newest schema, in one transaction; processes that do so at once wait for each other.

    Raises:
        SchemaTooNewError: see ``version_of``.
        sqlite3.Error: it cannot be written, or somebody else has it locked for longer than the connection waits.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Under the lock: another process may have done it while this one waited.
        version = version_of(connection, url)
        if version == 0:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS cnstra_schema (number INTEGER PRIMARY KEY, applied REAL NOT NULL)"
            )
        for number, statements in MIGRATIONS:
            if number > version:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"INSERT INTO cnstra_schema VALUES (?, {NOW})", (number,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
