"""The statements that write rows: one for each operation, table and set of columns, compiled once and run for many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from .errors import ProjectionTableError
from .tables import is_unique_besides_key

__all__ = ["Goal", "Operation", "Shape", "Values"]

Operation: TypeAlias = Literal["put", "add", "update", "delete"]
Values: TypeAlias = dict[str, Any]

# Of these, values that are equal in Python are one key in a database, and others are not.
_PLAIN_KEYS: Final = (Integer, String, Uuid, LargeBinary)


class Goal:
    """A table that rows are written to: the declared one, or the fresh one of a rebuild.

    Args:
        declared: as the projection has it; errors name that.
        table: where the rows go.
        dialect: of the database.
    """

    def __init__(self, declared: Table, table: Table, dialect: Dialect) -> None:
        self.declared = declared
        self.table = table
        self.dialect = dialect
        self.keys: tuple[str, ...] = tuple(str(column.key) for column in table.primary_key.columns)
        # A single value, or a tuple of them.
        self.key_of: Callable[[Mapping[str, Any]], Any] = itemgetter(*self.keys)
        # Whether rows of different keys have nothing to do with each other, so that their order is of no account.
        self.is_free = not is_unique_besides_key(table) and all(map(_is_plain_key, table.primary_key.columns))
        conditions = [table.c[key] == bindparam(f"k{at}", type_=table.c[key].type) for at, key in enumerate(self.keys)]
        self.selection = select(table).where(*conditions)

    def check_key(self, method: str, names: Collection[str], *, only: bool) -> None:
        """Raise ProjectionTableError unless the names have the whole primary key; and nothing else, if ``only``."""
        unknown = [name for name in names if name not in self.table.c]
        if unknown:
            columns = ", ".join(str(column.key) for column in self.table.columns)
            raise ProjectionTableError(
                f"write.{method}: table {self.declared.name!r} has no column {unknown[0]!r}; it has {columns}"
            )
        if not set(self.keys) <= set(names) or (only and len(names) > len(self.keys)):
            exactly = " and nothing else" if only else ""
            raise ProjectionTableError(
                f"write.{method}: a row of {self.declared.name!r} needs its key: {', '.join(self.keys)}{exactly}"
            )


class Shape:
    """One statement.

    Args:
        goal: the table.
        operation: what it does.
        names: the columns that it is given, in order.

    Raises:
        ProjectionTableError: that cannot be done with these columns.
    """

    def __init__(self, goal: Goal, operation: Operation, names: tuple[str, ...]) -> None:
        goal.check_key(operation, names, only=operation == "delete")
        self.goal = goal
        self.operation = operation
        self.names = names
        self.given = frozenset(names)
        self.key_of = goal.key_of
        self.others = tuple(name for name in names if name not in goal.keys)
        # Of columns that have a default and are not given.
        self._constants: Values = {}
        if operation in ("put", "add"):
            self._constants = dict(_defaults(goal, names))
        if operation == "add":
            _check_amounts(goal, self.others)
        if operation == "update":
            _check_nothing_by_itself(goal, names)
        statement = self._statement((*names, *self._constants))
        compiled = statement.compile(dialect=goal.dialect)
        self.sql = str(compiled)
        by_bind = {f"p{at}": name for at, name in enumerate((*names, *self._constants))}
        # By place, for SQLite; None is by name.
        self._order: list[str] | None = None
        if compiled.positional:
            self._order = [by_bind[bind] for bind in compiled.positiontup or ()]
        self._processors: dict[str, Callable[[Any], Any]] = {}
        for name in by_bind.values():
            processor = goal.table.c[name].type.dialect_impl(goal.dialect).bind_processor(goal.dialect)
            if processor is not None:
                self._processors[name] = processor
        self._by_bind = by_bind

    def run(self, connection: Connection, rows: Iterable[Values]) -> None:
        """Execute it for each of the rows, in order."""
        if self._constants:
            rows = [{**self._constants, **row} for row in rows]
        if self._processors:
            rows = [self._processed(row) for row in rows]
        if self._order is None:
            by_bind = self._by_bind.items()
            named = [{bind: row[name] for bind, name in by_bind} for row in rows]
            connection.exec_driver_sql(self.sql, named)
        elif len(self._order) == 1:
            connection.exec_driver_sql(self.sql, [(row[self._order[0]],) for row in rows])
        else:
            connection.exec_driver_sql(self.sql, list(map(itemgetter(*self._order), rows)))

    def _processed(self, row: Values) -> Values:
        row = dict(row)
        for name, process in self._processors.items():
            row[name] = process(row[name])
        return row

    def _statement(self, names: tuple[str, ...]) -> Any:
        table, keys = self.goal.table, self.goal.keys
        binds = {name: bindparam(f"p{at}", type_=table.c[name].type) for at, name in enumerate(names)}
        conditions = [table.c[key] == binds[key] for key in keys]
        match self.operation:
            case "delete":
                return delete(table).where(*conditions)
            case "update":
                if not self.others:
                    raise ProjectionTableError(f"write.update: {table.name!r} is given no column to change")
                return update(table).where(*conditions).values({table.c[name]: binds[name] for name in self.others})
            case _:
                pass
        make = sqlite.insert if self.goal.dialect.name == "sqlite" else postgresql.insert
        statement: Any = make(table).values({table.c[name]: bind for name, bind in binds.items()})
        changes = {table.c[name]: self._change(table.c[name], statement.excluded[name]) for name in self.others}
        key_columns = [table.c[key] for key in keys]
        if not changes:
            return statement.on_conflict_do_nothing(index_elements=key_columns)
        return statement.on_conflict_do_update(index_elements=key_columns, set_=changes)

    def _change(self, column: Column[Any], new: Any) -> Any:
        if self.operation == "put":
            return new
        return (func.coalesce(column, literal_column("0")) if column.nullable else column) + new


def _is_plain_key(column: Column[Any]) -> bool:
    return isinstance(column.type, _PLAIN_KEYS) and getattr(column.type, "collation", None) is None


def _defaults(goal: Goal, names: Collection[str]) -> Iterable[tuple[str, Any]]:
    """What an insert puts into columns that it is not given, as SQLAlchemy itself would."""
    for column in goal.table.columns:
        if column.default is None or column.key in names:
            continue
        if not column.default.is_scalar:
            raise ProjectionTableError(
                f"column {column.key!r} of {goal.declared.name!r} has a default that is computed, and a rebuild would "
                f"compute another: give it a value"
            )
        yield str(column.key), getattr(column.default, "arg")  # noqa: B009 - only scalar defaults have it


def _check_amounts(goal: Goal, names: Collection[str]) -> None:
    for name in names:
        if not isinstance(goal.table.c[name].type, Integer | Numeric | Float):
            raise ProjectionTableError(
                f"write.add: column {name!r} of {goal.declared.name!r} is no number that could be added to"
            )


def _check_nothing_by_itself(goal: Goal, names: Collection[str]) -> None:
    for column in goal.table.columns:
        if column.onupdate is not None and column.key not in names:
            raise ProjectionTableError(
                f"column {column.key!r} of {goal.declared.name!r} has an onupdate, which a rebuild would compute anew: "
                f"give it a value"
            )
