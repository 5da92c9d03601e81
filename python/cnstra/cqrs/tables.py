"""The tables of a projection: which ones it may have, whether they are there, and the fresh ones of a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Index, MetaData, Table, UniqueConstraint, inspect, select, text
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import CreateTable

from .connecting import first_schema
from .errors import ProjectionTableError, ReadModelError

__all__ = [
    "check_declared",
    "check_live",
    "create_missing",
    "described",
    "drop",
    "is_unique_besides_key",
    "one_at_a_time",
    "shadow_of",
    "swap",
]

_SUFFIX: Final = "__rebuild"
# What PostgreSQL cuts off.
_LONGEST: Final = 63
# Any number that nothing else of a database takes an advisory lock by.
CREATING: Final = 0x636E_7374_7262


def check_declared(projection: str, tables: Sequence[Any]) -> None:
    """Refuse tables that a projection cannot have.

    Raises:
        TypeError: something is no table.
        ProjectionTableError: a table cannot be rebuilt beside itself and swapped, or has no key to write by.
    """
    if not tables:
        raise ProjectionTableError(f"projection {projection!r} has no table to write to")
    seen: set[str] = set()
    for table in tables:
        if not isinstance(table, Table):
            raise TypeError(
                f"projection {projection!r}: a table must be a sqlalchemy.Table, not {type(table).__name__}"
            )
        where = f"projection {projection!r}: table {table.name!r}"
        if table.name in seen:
            raise ProjectionTableError(f"{where} is given twice")
        seen.add(table.name)
        if table.schema is not None:
            raise ProjectionTableError(
                f"{where} names a schema: the URL of the read models does that, ?options=-csearch_path%3Dname"
            )
        if not table.primary_key.columns:
            raise ProjectionTableError(f"{where} has no primary key, by which its rows are written")
        if table.foreign_keys:
            raise ProjectionTableError(
                f"{where} has a foreign key: a read model is written in the order of the log and rebuilt by itself, so "
                f"its tables cannot depend on each other; leave the constraint out"
            )
        if len(table.name.encode()) > _LONGEST - len(_SUFFIX):
            raise ProjectionTableError(f"{where}: the name is too long to have {_SUFFIX!r} added for a rebuild")


def shadow_of(table: Table) -> Table:
    """The table that a rebuild fills: the same, without what has a name that the live one uses."""
    shadow = table.to_metadata(MetaData(), name=f"{table.name}{_SUFFIX}")
    for constraint in shadow.constraints:
        constraint.name = None
    shadow.indexes.clear()
    return shadow


def described(tables: Sequence[Table], connection: Connection) -> str:
    """What tables are declared as, to be compared with what others declare."""
    parts: list[str] = []
    for table in tables:
        try:
            parts.append(" ".join(str(CreateTable(table).compile(dialect=connection.dialect)).split()))
        except CompileError as error:
            raise ProjectionTableError(f"table {table.name!r} cannot be made in this database: {error}") from error
    return "; ".join(parts)


def one_at_a_time(connection: Connection) -> None:
    """Whoever makes tables waits for others who do; on SQLite a transaction that writes does that by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": CREATING})
        schema, path = connection.execute(text("SELECT current_schema(), current_setting('search_path')")).one()
        if schema is None:
            name = connection.dialect.identifier_preparer.quote_identifier(first_schema(str(path)))
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name.replace('%', '%%')}")


def create_missing(connection: Connection, tables: Sequence[Table]) -> None:
    """Make the tables that are not there."""
    for table in tables:
        table.create(connection, checkfirst=True)


def check_live(connection: Connection, projection: str, tables: Sequence[Table], position: int | None) -> None:
    """The tables are there, as they are declared, and hold what the position says.

    Args:
        connection: in a transaction.
        projection: the name.
        tables: as declared.
        position: how far the projection has got; None if it has never begun.

    Raises:
        ReadModelError: they are not.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    for table in tables:
        way_out = "rebuild it: await projection.rebuild(), or cnstra project MODULE:PROJECTION --rebuild"
        if table.name not in there:
            if position:
                raise ReadModelError(
                    f"projection {projection!r} is at position {position}, and its table {table.name!r} is gone; "
                    f"{way_out}"
                )
            continue
        found = {str(column["name"]) for column in inspector.get_columns(table.name)}
        declared = {column.name for column in table.columns}
        if found != declared:
            missing, other = ", ".join(sorted(declared - found)), ", ".join(sorted(found - declared))
            differences = [f"it lacks {missing}" if missing else "", f"it has {other} besides" if other else ""]
            raise ReadModelError(
                f"table {table.name!r} of projection {projection!r} is not as it is declared: "
                f"{' and '.join(filter(None, differences))}; {way_out}"
            )
        if position is None and connection.execute(select(*table.primary_key.columns).limit(1)).first() is not None:
            raise ReadModelError(
                f"table {table.name!r} of projection {projection!r} has rows already, and nothing says up to which "
                f"position of the log; {way_out}"
            )


def drop(connection: Connection, tables: Sequence[Table]) -> None:
    """Drop tables that may be there."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    for table in tables:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(table.name).replace('%', '%%')}")


def swap(connection: Connection, tables: Sequence[Table]) -> None:
    """The tables of a rebuild take the place of the live ones.

    Views on a live table cannot stay on PostgreSQL, nor can what others were granted on it.
    """
    if connection.dialect.name == "sqlite":
        # Views that name the table are left as they are.
        connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")
    try:
        drop(connection, tables)
        quote = connection.dialect.identifier_preparer.quote_identifier
        for table in tables:
            old, new = (quote(name).replace("%", "%%") for name in (f"{table.name}{_SUFFIX}", table.name))
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")
            for index in table.indexes:
                index.create(connection)
    finally:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA legacy_alter_table=OFF")


def is_unique_besides_key(table: Table) -> bool:
    """Whether rows of different keys may be in each other's way."""

    def is_other(item: Any) -> bool:
        return isinstance(item, UniqueConstraint) or (isinstance(item, Index) and bool(item.unique))

    return any(map(is_other, [*table.constraints, *table.indexes]))
