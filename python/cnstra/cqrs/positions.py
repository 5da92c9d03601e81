"""How far projections have got, in the database of their read models: what commits together with what they write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

__all__ = [
    "LIVE",
    "REBUILD",
    "Parked",
    "Standing",
    "Target",
    "add_parked",
    "halt",
    "insert_standing",
    "lock_standing",
    "metadata",
    "move",
    "parked_rows",
    "read_standing",
    "remove",
    "remove_parked",
    "take_over",
]

Target = Literal["live", "rebuild"]
LIVE: Final = "live"
REBUILD: Final = "rebuild"

metadata = MetaData()

_standings = Table(
    "cnstra_projections",
    metadata,
    Column("name", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    # Of the event that cannot be digested.
    Column("failed_position", BigInteger),
    Column("error", Text),
    # What a rebuild makes its tables of: one that was begun with others cannot go on.
    Column("tables", Text, nullable=False),
    # Seconds since the epoch.
    Column("changed_at", Float(53), nullable=False),
)

_parked = Table(
    "cnstra_parked",
    metadata,
    Column("name", String, primary_key=True),
    Column("target", String, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("aggregate", String, nullable=False),
    Column("id", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("error", Text, nullable=False),
    Column("parked_at", Float(53), nullable=False),
)

# Of an error, what is worth keeping.
_ERROR_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a projection has got.

    Attributes:
        position: all events up to there are in the read model, or parked.
        status: ``running``, or ``halted``.
        failed_position, error: of the event for which it is halted.
        tables: what its tables were declared as.
    """

    position: int
    status: str
    failed_position: int | None
    error: str | None
    tables: str

    @property
    def is_halted(self) -> bool:
        """Whether it waits to be resumed."""
        return self.status == "halted"


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that a projection could not digest, and went on without.

    Attributes:
        position: of the event in the log.
        aggregate, id: which aggregate it is of.
        topic: the name that it is stored under.
        error: what went wrong.
        parked_at: when, in seconds since the epoch.
    """

    position: int
    aggregate: str
    id: str
    topic: str
    error: str
    parked_at: float


def _is(table: Table, name: str, target: Target) -> Any:
    return (table.c.name == name) & (table.c.target == target)


_COLUMNS: Final = tuple(_standings.c[name] for name in ("position", "status", "failed_position", "error", "tables"))


def read_standing(connection: Connection, name: str, target: Target) -> Standing | None:
    """How far it has got; None if it never began."""
    row = connection.execute(select(*_COLUMNS).where(_is(_standings, name, target))).one_or_none()
    return None if row is None else Standing(*row)


def lock_standing(connection: Connection, name: str, target: Target, *, wait: bool = True) -> Standing | None:
    """The same, for whoever moves it: others wait until this transaction ends.

    Args:
        connection: in a transaction; on SQLite that is a lock already.
        name, target: of the projection.
        wait: for others; without it the answer is None while one of them has it.
    """
    query = select(*_COLUMNS).where(_is(_standings, name, target)).with_for_update(skip_locked=not wait)
    row = connection.execute(query).one_or_none()
    return None if row is None else Standing(*row)


def insert_standing(connection: Connection, name: str, target: Target, tables: str) -> None:
    """It begins."""
    connection.execute(
        insert(_standings),
        {
            "name": name,
            "target": target,
            "position": 0,
            "status": "running",
            "tables": tables,
            "changed_at": time.time(),
        },
    )


def move(connection: Connection, name: str, target: Target, position: int) -> None:
    """It has got that far, and runs."""
    _change(
        connection, name, target, {"position": position, "status": "running", "failed_position": None, "error": None}
    )


def halt(connection: Connection, name: str, target: Target, failed_position: int, error: str) -> None:
    """It has everything before that event, and stops."""
    _change(
        connection,
        name,
        target,
        {
            "position": failed_position - 1,
            "status": "halted",
            "failed_position": failed_position,
            "error": error[:_ERROR_LENGTH],
        },
    )


def _change(connection: Connection, name: str, target: Target, values: dict[str, Any]) -> None:
    connection.execute(update(_standings).where(_is(_standings, name, target)), {**values, "changed_at": time.time()})


def remove(connection: Connection, name: str, target: Target) -> None:
    """Forget how far it has got, and what it has parked."""
    for table in (_standings, _parked):
        connection.execute(delete(table).where(_is(table, name, target)))


def take_over(connection: Connection, name: str, position: int, tables: str) -> None:
    """What was rebuilt up to that position is the live one now."""
    connection.execute(delete(_parked).where(_is(_parked, name, LIVE)))
    connection.execute(update(_parked).where(_is(_parked, name, REBUILD)), {"target": LIVE})
    connection.execute(delete(_standings).where(_is(_standings, name, REBUILD)))
    move(connection, name, LIVE, position)
    _change(connection, name, LIVE, {"tables": tables})


def add_parked(connection: Connection, name: str, target: Target, parked: Parked) -> None:
    """The projection goes on without that event. If it is parked already, its error is the new one."""
    remove_parked(connection, name, target, [parked.position])
    connection.execute(
        insert(_parked),
        {
            "name": name,
            "target": target,
            "position": parked.position,
            "aggregate": parked.aggregate,
            "id": parked.id,
            "topic": parked.topic,
            "error": parked.error[:_ERROR_LENGTH],
            "parked_at": parked.parked_at,
        },
    )


def remove_parked(connection: Connection, name: str, target: Target, positions: Sequence[int]) -> None:
    """They are digested."""
    connection.execute(delete(_parked).where(_is(_parked, name, target), _parked.c.position.in_(positions)))


def parked_rows(connection: Connection, name: str, target: Target) -> list[Parked]:
    """What is parked, in the order of the log."""
    columns = [_parked.c[name] for name in ("position", "aggregate", "id", "topic", "error", "parked_at")]
    query = select(*columns).where(_is(_parked, name, target)).order_by(_parked.c.position)
    return [Parked(*row) for row in connection.execute(query)]
