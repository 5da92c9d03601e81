"""The recorders of the eventsourcing package on PostgreSQL, by a URL with all that libpq understands."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from eventsourcing.persistence import PersistenceError
from eventsourcing.postgres import (
    ConnectionPool,
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
)
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from .connecting import first_schema
from .errors import EventStoreUnavailableError, EventStoreUrlError

__all__ = ["open_postgres"]

# Any number that nothing else of a database takes an advisory lock by.
_CREATING = 0x636E_7374_7261


def open_postgres(
    url: str,
    parameters: dict[str, Any],
    tables: tuple[str, str],
    pool_size: int,
    connect_timeout: float,
    lock_timeout: int,
) -> tuple[PostgresDatastore, PostgresApplicationRecorder, PostgresAggregateRecorder]:
    """Recorders of events and snapshots, in the first schema of the connection's search path, made if need be.

    Raises:
        EventStoreUrlError: the package cannot use a schema of that name.
        EventStoreUnavailableError: the server cannot be reached, or lets us not do that.
    """
    try:
        # The package would try ten times before it says that there is no server.
        with psycopg.connect(**parameters, autocommit=True) as connection:
            # Tables and types that two processes make at once would be in each other's way.
            connection.execute("SELECT pg_advisory_lock(%s)", [_CREATING])
            schema = _schema(connection)
            datastore = _datastore(parameters, schema, pool_size, connect_timeout, lock_timeout)
            try:
                events = PostgresApplicationRecorder(datastore, events_table_name=tables[0])
                snapshots = PostgresAggregateRecorder(datastore, events_table_name=tables[1])
                for recorder in (events, snapshots):
                    # To make an index that is there waits for all who write.
                    if _is_there(connection, schema, recorder.events_table_name):
                        datastore.register_type_adapters()
                    else:
                        recorder.create_table()
            except BaseException:
                datastore.close()
                raise
    except (psycopg.Error, PersistenceError) as error:
        words = " ".join(str(error).split())
        raise EventStoreUnavailableError(f"event store {url} cannot be used: {words}") from error
    return datastore, events, snapshots


def _schema(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT current_schema(), current_setting('search_path')").fetchone()
    assert row is not None
    if row[0] is not None:
        _check(str(row[0]))
        return str(row[0])
    first = first_schema(str(row[1]))
    _check(first)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(first)))
    return first


def _check(schema: str) -> None:
    """The package writes the name of a schema without quotes in one place."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", schema):
        raise EventStoreUrlError(
            f"an event store cannot be in schema {schema!r}: its name may have small letters, digits and _ in it"
        )


def _is_there(connection: psycopg.Connection[Any], schema: str, table: str) -> bool:
    return (
        connection.execute(
            "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = %s", [schema, table]
        ).fetchone()
        is not None
    )


def _datastore(
    parameters: dict[str, Any], schema: str, pool_size: int, connect_timeout: float, lock_timeout: int
) -> PostgresDatastore:
    def text(name: str) -> str:
        return str(parameters.get(name) or "")

    datastore = PostgresDatastore(
        text("dbname"),
        text("host"),
        text("port"),
        text("user"),
        text("password"),
        schema=schema,
        lock_timeout=lock_timeout,
        originator_id_type="text",
    )
    # Its own pool knows these five alone. What else the URL says (certificates, several hosts, options) counts as well.
    datastore.pool = ConnectionPool(
        connection_class=psycopg.Connection[DictRow],
        kwargs={**parameters, "row_factory": dict_row},
        min_size=1,
        max_size=pool_size,
        open=False,
        configure=datastore.after_connect_func(),
        timeout=connect_timeout,
    )
    return datastore
