"""The most usual commit on PostgreSQL, of one run in which one activation is done and has caused another.

Its values are sent one by one. For the client and the server that is less work than an array of one composite value,
and columns that are empty are left out. What differs from it in anything is sent as ``postgres_commit`` does it.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg.types.numeric import Int4, Int8

from .port import Increment, Row

__all__ = ["usual_text", "usual_values"]

# The columns of a task of which no more is known than what it is to be.
_ADDED: Final = {
    "seq": "int8", "id": "text", "cause": "int8", "place": "int4", "neuron": "text", "collateral": "text",
    "dendrite": "int4", "hop": "int4", "attempt": "int4", "status": "text",
}  # fmt: skip
_NOTHING: Final = (None,) * (len(Row._fields) - len(_ADDED))
# Those of a success that are not empty.
_CHANGED: Final = {"attempt": "int4", "status": "text", "outputs": "bytea", "started": "float8", "duration": "float8"}


def usual_text(fenced: str, first: int, result: str) -> str:
    """The statement.

    Args:
        fenced: its first part, which tells whether the run is its owner's; ``$1`` is the key.
        first: how many parameters that has.
        result: what it gives if it is.
    """
    numbers = iter(range(first + 1, first + len(_ADDED) + len(_CHANGED) + 2))
    added = ", ".join(f"${next(numbers)}::{kind}" for kind in _ADDED.values())
    changed = ", ".join(f"{name} = ${next(numbers)}::{kind}" for name, kind in _CHANGED.items())
    # The key as a parameter, in what is changed: then the planner has nothing to look it up by but the primary key.
    return f"""WITH {fenced},
added AS (
    INSERT INTO cnstra_tasks (run, {", ".join(_ADDED)}) SELECT f.key, {added} FROM fenced f
    ON CONFLICT (run, seq) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in Row._fields[1:])}
),
changed AS (
    UPDATE cnstra_tasks t SET {changed}, error = NULL, traceback = NULL
    FROM fenced f WHERE t.run = $1::int8 AND t.seq = ${next(numbers)}::int8
)
SELECT {result} FROM fenced"""


def usual_values(one: Increment) -> list[Any] | None:
    """What comes after the values of ``fenced``; None if it is no such increment."""
    if len(one.added) != 1 or len(one.changed) != 1 or one.removed or one.contexts or one.end is not None:
        return None
    (row,), (change,) = one.added, one.changed
    known: tuple[Any, ...] = row[: len(_ADDED)]
    seq, id_, cause, place, neuron, collateral, dendrite, hop, attempt, status = known
    if cause is None or row[len(_ADDED) :] != _NOTHING or change.seq == seq:
        return None
    if change.error is not None or change.traceback is not None:
        return None
    done = change.outputs, change.started, change.duration
    # The type of None is none, and the statement would be prepared anew for each place where there may be one.
    if None in done:
        return None
    return [
        Int8(seq), id_, Int8(cause), Int4(place), neuron, collateral, Int4(dendrite), Int4(hop), Int4(attempt), status,
        Int4(change.attempt), change.status, *done, Int8(change.seq),
    ]  # fmt: skip
