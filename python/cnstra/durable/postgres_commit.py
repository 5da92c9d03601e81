"""The one statement that writes a batch of increments, and what it is given.

It is a chain of data-modifying CTEs. The first, ``fenced``, locks or writes the runs that are still their owner's, and
tells which; all others write for these alone. Rows come as arrays of composite values, one parameter for each kind.
Parts that a batch has nothing for are left out, so there are a few dozen variants, of which a program uses a handful;
each is prepared once on a connection. What most commits are has statements of its own: see ``postgres_usual``.

All parts of such a statement see the database as it was before it, and none may write a row that another one writes.
That matters where a run ends ``aborted``: of its pending tasks, those that are in the increment are turned into aborted
ones before they are sent, and only the others by the statement.

Each part is a lookup by primary key for each row it was given, whatever the planner believes of the tables: it may have
seen them last when they were new, and keeps its plan. So the conditions offer it no other way: ``status IS NOT DISTINCT
FROM`` fits no partial index, ``run + 0`` no search by run alone, and what is asked of ``key`` and ``fence`` lets it
expect few rows. (It takes another way through tables that were analyzed while they were empty, until autovacuum looks
at them again, a minute after there is something in them.)

Doing it again is harmless, and that matters too: if the connection breaks before the answer is there, nobody knows
whether the batch was written. Rows are written by their keys, to the values that the increment gives them. A run that
has ended is fenced off, though, and a second time would look as if somebody else had ended it. ``ENDED`` tells the two
apart: whether a run has ended just so, with that very fence, in the hands of its owner (the attempts of one that others
gave up are ``lost``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from psycopg.types.numeric import Int4, Int8

from .port import Change, Increment, Row
from .postgres_packing import Layout, Rows, words
from .postgres_schema import NOW
from .postgres_usual import usual_text, usual_values

__all__ = ["ENDED", "SESSION", "TYPES", "Commit", "ended"]

R = TypeVar("R", Row, Change)

# How a connection that only commits is set up. Plans are made once, without looking at what is to be written, and look
# everything up by index: they would cost as much as all the rest. No compiling, for which they are too short.
SESSION: Final[dict[str, str]] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "default_transaction_isolation": "read committed",
}

# The types that rows are sent in, with their columns.
_LAYOUTS: Final[dict[str, Layout]] = {
    "cnstra_increment": Layout("int8", "int8", "int4", "int8", "text", "words"),
    "cnstra_added": Layout(
        "int8", "int8", "text", "int8", "int4", "text", "text", "int4", "int4", "int4", "text", "bytea", "bytea",
        "words", "words", "float8", "float8", "text",
    ),
    "cnstra_changed": Layout("int8", "int4", "text", "bytea", "words", "words", "float8", "float8", "int8"),
    "cnstra_removed": Layout("int8", "int8"),
    "cnstra_context": Layout("int8", "text", "bytea"),
}  # fmt: skip
TYPES: Final = tuple(_LAYOUTS)

_COLUMNS: Final = Row._fields
_CHANGING: Final = ("attempt", "status", "outputs", "error", "traceback", "started", "duration")

_LOOKED = "(SELECT $1::int8 AS key, $2::int8 AS fence)"
_ONE = "(SELECT $1::int8 AS key, $2::int8 AS fence, $3::int4 AS hops, $4::int8 AS last_seq)"
_ONE_END = _ONE.replace(")", ", $5::text AS status, $6::text AS error)")
# What is done with the row of the run. To look at it is to lock it: nobody takes the run over meanwhile.
_LOOK = """
fenced AS MATERIALIZED (
    SELECT r.key FROM cnstra_runs r, {source} i
    WHERE r.key = i.key AND r.fence = i.fence AND r.status IS NOT DISTINCT FROM 'running' AND i.key > 0 AND i.fence > 0
    FOR NO KEY UPDATE OF r
)"""
_ADVANCE = f"""
fenced AS (
    UPDATE cnstra_runs r
    SET updated = {NOW}, crashes = 0, hops = greatest(r.hops, i.hops),
        last_seq = greatest(r.last_seq, i.last_seq){{end}}
    FROM {{source}} i
    WHERE r.key = i.key AND r.fence = i.fence AND r.status IS NOT DISTINCT FROM 'running' AND i.key > 0 AND i.fence > 0
    RETURNING r.key{{more}}
)"""
_END = """,
        status = coalesce(i.status, r.status), error = CASE WHEN i.status IS NULL THEN r.error ELSE i.error END,
        owner = CASE WHEN i.status IS NULL THEN r.owner END"""
_END_MORE = ", r.attempt, r.hops, i.status, i.error"

_FENCED: Final = {
    "look": _LOOK,
    "advance": _ADVANCE.format(source="{source}", end="", more=""),
    "end": _ADVANCE.format(source="{source}", end=_END, more=_END_MORE),
}

# The parts that are given rows, with a place for the number of their parameter; ``aborted`` is given what others write.
_PARTS: Final[dict[str, str]] = {
    "added": f"""
added AS (
    INSERT INTO cnstra_tasks (run, {", ".join(_COLUMNS)})
    SELECT i.run, {", ".join(f"i.{name}" for name in _COLUMNS)}
    FROM fenced f, unnest(${{}}::cnstra_added[]) i WHERE i.run = f.key
    ON CONFLICT (run, seq) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS[1:])}
)""",
    "changed": f"""
changed AS (
    UPDATE cnstra_tasks t SET {", ".join(f"{name} = i.{name}" for name in _CHANGING)}
    FROM fenced f, unnest(${{}}::cnstra_changed[]) i WHERE i.run + 0 = f.key AND t.run = i.run AND t.seq = i.seq
)""",
    "removed": """
removed AS (
    DELETE FROM cnstra_tasks t
    USING fenced f, unnest(${}::cnstra_removed[]) i WHERE i.run + 0 = f.key AND t.run = i.run AND t.seq = i.seq
)""",
    "contexts": """
contexts AS (
    INSERT INTO cnstra_contexts (run, neuron, value)
    SELECT i.run, i.neuron, i.value FROM fenced f, unnest(${}::cnstra_context[]) i WHERE i.run = f.key
    ON CONFLICT (run, neuron) DO UPDATE SET value = EXCLUDED.value
)""",
    "forgotten": """
forgotten AS (
    DELETE FROM cnstra_contexts c
    USING fenced f, unnest(${}::cnstra_context[]) i WHERE i.run + 0 = f.key AND c.run = i.run AND c.neuron = i.neuron
)""",
    "aborted": """
aborted AS (
    UPDATE cnstra_tasks t SET status = 'aborted'
    FROM fenced f WHERE f.status = 'aborted' AND t.run = f.key AND t.status = 'pending'
    AND (t.run, t.seq) NOT IN (SELECT i.run, i.seq FROM unnest(${}::cnstra_removed[]) i)
)""",
}
_TYPE_OF: Final = {
    "added": "cnstra_added",
    "changed": "cnstra_changed",
    "removed": "cnstra_removed",
    "contexts": "cnstra_context",
    "forgotten": "cnstra_context",
    "aborted": "cnstra_removed",
}
_ENDED = f"""
ended AS (
    UPDATE cnstra_attempts a SET status = f.status, ended = {NOW}, hops = f.hops, error = f.error
    FROM fenced f WHERE f.status IS NOT NULL AND a.run = f.key AND a.number = f.attempt
)"""

# Which of the runs in four arrays have ended as these say.
ENDED: Final = """
SELECT r.key FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[]) AS i(key, fence, status, error)
JOIN cnstra_runs r ON r.key = i.key AND r.fence = i.fence
JOIN cnstra_attempts a ON a.run = r.key AND a.number = r.attempt
WHERE r.status = i.status AND r.error IS NOT DISTINCT FROM i.error AND a.status = i.status
"""


class Commit:
    """Makes the statements, and their parameters.

    Args:
        qualify: puts the schema before the names in a statement.
        oids: of ``TYPES``, in that order.
        result: what the statement gives for each run that it has written.
    """

    def __init__(self, qualify: Callable[[str], bytes], oids: Sequence[int], result: str = "key") -> None:
        self._qualify = qualify
        self._oids = dict(zip(TYPES, oids, strict=True))
        self._result = result
        # By whether it is for one run, what is done with the rows of the runs, and its parts.
        self._texts: dict[tuple[bool, str, tuple[str, ...]], bytes] = {}
        self._look = qualify(usual_text(_FENCED["look"].format(source=_LOOKED), 2, result))
        self._advance = qualify(usual_text(_FENCED["advance"].format(source=_ONE), 4, result))

    def of(self, batch: Sequence[Increment]) -> tuple[bytes, list[Any]]:
        """The statement for a batch, and its parameters."""
        if len(batch) == 1:
            one = batch[0]
            usual = usual_values(one)
            if usual is not None:
                # Of these types for good: psycopg would take the smallest that a number fits in, and prepare each anew.
                whose = [Int8(one.key), Int8(one.fence)]
                if not one.advance:
                    return self._look, [*whose, *usual]
                return self._advance, [*whose, Int4(one.hops), Int8(one.added[0].seq), *usual]
        rows = _rows(batch)
        ends = any(one.end is not None for one in batch)
        deed = "end" if ends else "advance" if any(one.advance for one in batch) else "look"
        parameters: list[Any]
        if len(batch) == 1:
            key, fence, hops, last_seq, status, error = _head(batch[0])
            parameters = [Int8(key), Int8(fence), Int4(hops), Int8(last_seq)]
            if ends:
                parameters += [status, None if error is None else words(error)]
        else:
            parameters = [self._pack("cnstra_increment", map(_head, batch))]
        parameters += [self._pack(_TYPE_OF[name], given) for name, given in rows.items()]
        shape = (len(batch) == 1, deed, tuple(rows))
        text = self._texts.get(shape)
        if text is None:
            text = self._texts[shape] = self._qualify(self._text(*shape))
        return text, parameters

    def _pack(self, name: str, rows: Iterable[Sequence[Any]]) -> Rows:
        return _LAYOUTS[name].pack(self._oids[name], rows)

    def _text(self, is_one: bool, deed: str, parts: tuple[str, ...]) -> str:
        ends = deed == "end"
        first = (6 if ends else 4) if is_one else 1
        source = (_ONE_END if ends else _ONE) if is_one else "unnest($1::cnstra_increment[])"
        made = [_FENCED[deed].format(source=source)]
        made += [_PARTS[name].format(first + place) for place, name in enumerate(parts, 1)]
        if ends:
            made.append(_ENDED)
        return f"WITH {','.join(made)}\nSELECT {self._result} FROM fenced"


def _head(one: Increment) -> tuple[int, int, int, int, str | None, str | None]:
    status, error = one.end or (None, None)
    return one.key, one.fence, one.hops, max([row.seq for row in one.added], default=0), status, error


def _rows(batch: Sequence[Increment]) -> dict[str, list[tuple[Any, ...]]]:
    """What a batch has for each part, parts for which it has nothing left out."""
    added: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    removed: list[tuple[Any, ...]] = []
    contexts: list[tuple[Any, ...]] = []
    forgotten: list[tuple[Any, ...]] = []
    written: list[tuple[Any, ...]] = []
    aborts = False
    for one in batch:
        key, aborts_tasks = one.key, one.end is not None and one.end.status == "aborted"
        rows, changes = _apart(one) if one.changed or one.removed else (one.added, one.changed)
        if aborts_tasks:
            aborts = True
            written += [(key, row.seq) for row in rows]
            written += [(key, change.seq) for change in changes]
            written += [(key, seq) for seq in one.removed]
            rows, changes = _aborted(rows), _aborted(changes)
        added += [(key, *row) for row in rows]
        changed += [(key, *change) for change in changes]
        removed += [(key, seq) for seq in one.removed]
        for neuron, value in one.contexts.items():
            (forgotten if value is None else contexts).append((key, neuron, value))
    parts = {
        "added": added, "changed": changed, "removed": removed, "contexts": contexts, "forgotten": forgotten,
    }  # fmt: skip
    found = {name: given for name, given in parts.items() if given}
    if aborts:
        found["aborted"] = written
    return found


def _apart(one: Increment) -> tuple[Sequence[Row], Sequence[Change]]:
    """What it adds and changes, so that no two parts write the same task: what is changed after it was added is added
    as changed, and what is removed in the end is neither."""
    added = {row.seq: row for row in one.added}
    changed = {change.seq: change for change in one.changed}
    for seq in added.keys() & changed.keys():
        added[seq] = added[seq]._replace(**changed.pop(seq)._asdict())
    for seq in one.removed:
        added.pop(seq, None)
        changed.pop(seq, None)
    return list(added.values()), list(changed.values())


def _aborted(rows: Sequence[R]) -> Sequence[R]:
    return [row._replace(status="aborted") if row.status == "pending" else row for row in rows]


def ended(batch: Iterable[Increment]) -> list[list[Any]]:
    """The parameters of ``ENDED`` for those increments that end their run."""
    ends = [(one.key, one.fence, one.end.status, one.end.error) for one in batch if one.end is not None]
    return [
        [key for key, _, _, _ in ends],
        [fence for _, fence, _, _ in ends],
        [status for _, _, status, _ in ends],
        [None if error is None else words(error) for _, _, _, error in ends],
    ]
