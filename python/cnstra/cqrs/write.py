"""What a projection writes with: rows are gathered, and written many at a time before anybody looks at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard, cast, final

from sqlalchemy import ClauseElement, CursorResult, Executable, Row, Table, TextClause
from sqlalchemy.engine import Connection
from sqlalchemy.sql import visitors

from .errors import ProjectionTableError
from .statements import Goal, Operation, Shape, Values

__all__ = ["Write", "WriteTables"]

# Rows that are kept at most before they are written.
_MOST: Final = 10_000


class WriteTables:
    """The tables that a projection was given, where they are now, and the statements for them that were needed so far.

    Args:
        goals: by declared table.
    """

    def __init__(self, projection: str, goals: Mapping[Table, Goal]) -> None:
        self.projection = projection
        self.goals = dict(goals)
        # By operation; the keys have the table and the names of the columns.
        self.shapes: dict[Operation, dict[tuple[Any, ...], Shape]] = {"put": {}, "add": {}, "update": {}, "delete": {}}

    def goal(self, table: object) -> Goal:
        """Where a table is.

        Raises:
            TypeError: it is none.
            ProjectionTableError: the projection was not given it.
        """
        if not _is_table(table):
            raise TypeError(f"projection {self.projection!r}: a table must be a sqlalchemy.Table, not {table!r}")
        found = self.goals.get(table)
        if found is None:
            raise ProjectionTableError(
                f"projection {self.projection!r} was not given table {table.name!r}; it has "
                f"{', '.join(repr(one.name) for one in self.goals)}"
            )
        return found

    def shape(self, operation: Operation, table: Table, names: tuple[str, ...]) -> Shape:
        """The statement, compiled when it is first needed."""
        found = self.shapes[operation].get((table, *names))
        if found is None:
            found = self.shapes[operation][(table, *names)] = Shape(self.goal(table), operation, names)
        return found

    def check(self, statement: object) -> None:
        """Raise unless a statement is on nothing but the tables as they are now.

        Raises:
            TypeError: it is text, in which nobody sees its tables.
            ProjectionTableError: it is on another table.
        """
        if not isinstance(statement, Executable) or isinstance(statement, TextClause):
            raise TypeError(
                "write.execute takes statements that SQLAlchemy builds, such as update(write.table(orders)): a rebuild "
                f"has to know their tables; not {statement!r}"
            )
        current = {goal.table for goal in self.goals.values()}
        for part in visitors.iterate(cast("ClauseElement", statement)):
            if not _is_table(part) or part in current:
                continue
            name = self.goal(part).declared.name
            raise ProjectionTableError(
                f"a statement is on table {name!r} itself, which is being rebuilt beside: in a projection it has to be "
                f"on write.table(...)"
            )


def _is_table(found: object) -> TypeGuard[Table[Any]]:
    return isinstance(found, Table)


@final
class Write:
    """Writes of a projection, in the transaction that its position is committed in.

    A handler is given one. ``put``, ``add``, ``update`` and ``delete`` address one row by its primary key. They are
    gathered, and written together at the end of the batch, or before ``get`` and ``execute`` look at the table; what
    the database says against one of them comes up then, and the event that it belongs to is found.

    Names of columns are their ``key`` in the table, which is the name unless it was declared otherwise.

    Example:
        >>> from sqlalchemy import BigInteger, Column, MetaData, String, Table
        >>> from cnstra.cqrs import Write
        >>> totals = Table(
        ...     "totals",
        ...     MetaData(),
        ...     Column("customer", String, primary_key=True),
        ...     Column("cents", BigInteger, nullable=False),
        ... )
        >>> def total(event: tuple[str, int], write: Write) -> None:
        ...     write.add(totals, customer=event[0], cents=event[1])
    """

    __slots__ = ("_adds", "_connection", "_deletes", "_pending", "_puts", "_room", "_tables", "_updates")

    def __init__(self, connection: Connection, tables: WriteTables) -> None:
        self._connection = connection
        self._tables = tables
        self._puts = tables.shapes["put"]
        self._adds = tables.shapes["add"]
        self._updates = tables.shapes["update"]
        self._deletes = tables.shapes["delete"]
        # Rows by key, by statement, by table. A key is in at most one of a table's statements.
        self._pending: dict[Goal, dict[Shape, dict[Any, Values]]] = {}
        self._room = _MOST

    # -- one row by its key

    def put(self, table: Table, /, **values: Any) -> None:
        """Write a row: a new one, or into the one that has this key; there, columns that are not named stay.

        Args:
            table: as the projection was given it.
            values: the whole key, and every other column that is to be written; those that may not be NULL and have
                no default are always needed.

        Raises:
            ProjectionTableError: the table is not the projection's, or the columns are not.
        """
        shape = self._puts.get((table, *values)) or self._tables.shape("put", table, tuple(values))
        goal = shape.goal
        pending = self._pending.get(goal)
        # What is most often so, without the questions that _queue has to ask.
        if pending is not None and len(pending) == 1 and goal.is_free and self._room > 0:
            rows = pending.get(shape)
            if rows is not None:
                key = shape.key_of(values)
                # It goes to the end: its turn is now.
                rows.pop(key, None)
                rows[key] = values
                self._room -= 1
                return
        self._queue(shape, values)

    def add(self, table: Table, /, **values: Any) -> None:
        """Add amounts to the columns of a row; if there is none of this key, these amounts are its first.

        Args:
            table: as the projection was given it.
            values: the whole key, and amounts for columns of numbers.

        Raises:
            ProjectionTableError: the table is not the projection's, or the columns are not, or one is no number.
        """
        shape = self._adds.get((table, *values)) or self._tables.shape("add", table, tuple(values))
        goal = shape.goal
        pending = self._pending.get(goal)
        if pending is not None and goal.is_free:
            rows = pending.get(shape)
            if rows is not None:
                key = shape.key_of(values)
                row = rows.get(key)
                if row is not None:
                    if _have_added(shape, row, values):
                        return
                elif len(pending) == 1 and self._room > 0:
                    rows[key] = values
                    self._room -= 1
                    return
        self._queue(shape, values)

    def update(self, table: Table, /, **values: Any) -> None:
        """Change columns of a row, if there is one of this key; others stay.

        Args:
            table: as the projection was given it.
            values: the whole key, and the columns to change.

        Raises:
            ProjectionTableError: the table is not the projection's, or the columns are not.
        """
        self._queue(self._updates.get((table, *values)) or self._tables.shape("update", table, tuple(values)), values)

    def delete(self, table: Table, /, **key: Any) -> None:
        """Delete a row, if there is one.

        Args:
            table: as the projection was given it.
            key: the whole primary key, and nothing else.

        Raises:
            ProjectionTableError: the table is not the projection's, or that is not its key.
        """
        self._queue(self._deletes.get((table, *key)) or self._tables.shape("delete", table, tuple(key)), key)

    def get(self, table: Table, /, **key: Any) -> Row[Any] | None:
        """The row of a key as it is now, with what was written before; None if there is none.

        Cost: a statement, and one for what was gathered for the table. ``add`` does without.

        Args:
            table: as the projection was given it.
            key: the whole primary key, and nothing else.

        Raises:
            ProjectionTableError: the table is not the projection's, or that is not its key.
        """
        goal = self._tables.goal(table)
        goal.check_key("get", key, only=True)
        self._flush(goal)
        parameters = {f"k{at}": key[name] for at, name in enumerate(goal.keys)}
        return self._connection.execute(goal.selection, parameters).one_or_none()

    # -- anything else

    def table(self, table: Table, /) -> Table:
        """Where a table of the projection is now, for statements: the table itself, or the fresh one of a rebuild.

        Raises:
            ProjectionTableError: the table is not the projection's.
        """
        return self._tables.goal(table).table

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement, after what was gathered.

        Cost: a statement of its own, and what was gathered so far is no longer written with what comes.

        Args:
            statement: built by SQLAlchemy on tables that ``table`` gives.
            parameters: as SQLAlchemy takes them; a sequence executes it for each.

        Raises:
            TypeError: it is text.
            ProjectionTableError: it is on a table that the projection does not have, or while that is rebuilt.
        """
        self._tables.check(statement)
        self.flush()
        return cast("CursorResult[Any]", self._connection.execute(statement, parameters))

    # -- gathering

    def flush(self) -> None:
        """Write what was gathered. It happens by itself.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refuses it.
        """
        while self._pending:
            self._flush(next(iter(self._pending)))

    def _flush(self, goal: Goal) -> None:
        self._room = _MOST
        for shape, rows in self._pending.pop(goal, {}).items():
            if rows:
                shape.run(self._connection, rows.values())

    def _queue(self, shape: Shape, values: Values) -> None:
        goal = shape.goal
        if self._room <= 0:
            self.flush()
        self._room -= 1
        pending = self._pending.get(goal)
        if pending is None:
            pending = self._pending[goal] = {}
        if not goal.is_free:
            # In the order in which it came, one by one.
            if pending and shape not in pending:
                self._flush(goal)
                pending = self._pending[goal] = {}
            rows = pending.setdefault(shape, {})
            rows[len(rows)] = values
            return
        key = shape.key_of(values)
        for other, rows in pending.items():
            if key in rows:
                if _replaces(shape, other):
                    del rows[key]
                elif _have_merged(other, rows[key], shape, values):
                    return
                else:
                    self._flush(goal)
                    pending = self._pending[goal] = {}
                break
        pending.setdefault(shape, {})[key] = values


def _replaces(shape: Shape, other: Shape) -> bool:
    """Whether nothing is left of what was gathered for a row, once this is written to it."""
    return shape.operation == "delete" or (
        shape.operation == "put" and other.operation != "delete" and other.given <= shape.given
    )


def _have_merged(other: Shape, row: Values, shape: Shape, values: Values) -> bool:
    """What was gathered for a row takes in what is written to it now, if one statement can do both."""
    if shape.operation == "add":
        return other.operation in ("put", "add") and _have_added(shape, row, values)
    takes = other.operation == "put" or (other.operation == "update" and shape.operation == "update")
    if takes and shape.given <= other.given:
        row.update(values)
        return True
    return False


def _have_added(shape: Shape, row: Values, values: Values) -> bool:
    """Sum up what is added to one row, where the sum is exact in any order."""
    for name in shape.others:
        # Its type, not its kind: True is no amount.
        if type(values[name]) is not int or type(row.get(name)) is not int:
            return False
    for name in shape.others:
        row[name] += values[name]
    return True
