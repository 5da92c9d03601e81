"""What is asked of PostgreSQL about runs and what belongs to them, and rows made of the answers.

What has to fit together is read by one statement, so that it is of one moment: an answer of several kinds of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from .port import Frontier, Row, RunRow
from .postgres_schema import NOW

__all__ = ["ATTEMPTS", "FRONTIER_OF", "RUN", "TASKS", "as_frontier", "as_run", "as_tasks", "runs"]

_RUN = f"""
SELECT r.key, r.run_id, r.status, r.root, e.entry, e.options, r.fingerprint, r.scope, r.tags, r.created, r.updated,
    r.due, r.owner, o.lease_until, o.lease_until IS NULL OR o.lease_until <= {NOW}, r.fence, r.attempt, r.hops,
    r.crashes, r.error, r.cancel
FROM cnstra_runs r JOIN cnstra_entries e ON e.run = r.key LEFT JOIN cnstra_owners o ON o.owner = r.owner
"""

RUN: Final = f"{_RUN} WHERE r.run_id = $1"

ATTEMPTS: Final = """
SELECT a.number, a.owner, a.status, a.started, a.ended, CASE WHEN a.ended IS NULL THEN r.hops ELSE a.hops END, a.error
FROM cnstra_attempts a JOIN cnstra_runs r ON r.key = a.run
WHERE a.run = $1::int8 ORDER BY a.number
"""

_COLUMNS = ", ".join(Row._fields)
# Rows that are no tasks: two values, and as many NULLs as make them as long.
_NOTHING = ", NULL" * (len(Row._fields) - 2)


def _tasks_of(seqs: str, columns: str) -> str:
    """The tasks of run $1 with these seqs, each looked up by its key: OFFSET keeps the planner, which may not know yet
    how long the run is, from going through all of it instead."""
    return f"""{seqs} CROSS JOIN LATERAL (
        SELECT {columns} FROM cnstra_tasks t WHERE t.run = $1::int8 AND t.seq = wanted.seq OFFSET 0
    ) t"""


_FOUND = f"""
found AS (
    SELECT 'task' AS kind, {_COLUMNS}, NULL::bytea AS value FROM tasks
    UNION ALL
    SELECT 'outputs', t.seq, NULL::text{_NOTHING}, t.outputs
    FROM {_tasks_of("(SELECT DISTINCT cause AS seq FROM tasks WHERE cause > 0) wanted", "t.seq, t.outputs")}
    WHERE t.outputs IS NOT NULL"""

# By seq. Of a join that is left to do, what it took over is read as well, and so on if that was a join.
FRONTIER_OF: Final = f"""
WITH RECURSIVE needed(seq, joined) AS (
    SELECT seq, joined FROM cnstra_tasks WHERE run = $1::int8 AND status IN ('pending', 'failed', 'aborted')
    UNION
    SELECT t.seq, t.joined FROM needed n CROSS JOIN LATERAL
    {_tasks_of("unnest(string_to_array(n.joined, ',')::int8[]) AS wanted(seq)", "t.seq, t.joined")}
),
tasks AS MATERIALIZED (
    SELECT t.* FROM {_tasks_of("needed wanted", _COLUMNS)}
),{_FOUND}
    UNION ALL
    SELECT 'context', 0, neuron{_NOTHING}, value FROM cnstra_contexts WHERE run = $1::int8
)
SELECT * FROM found ORDER BY seq
"""

TASKS: Final = f"""
WITH tasks AS MATERIALIZED (
    SELECT {_COLUMNS} FROM cnstra_tasks WHERE run = $1::int8 AND seq > $2::int8 ORDER BY seq LIMIT $3::int8
),{_FOUND}
)
SELECT * FROM found ORDER BY seq
"""


def runs(
    status: str | None, scope: str | None, tag: str | None, since: float | None, before: int | None, limit: int
) -> tuple[str, list[Any]]:
    """The statement for a list of runs with what is asked of them, and its parameters."""
    conditions: list[str] = []
    values: list[Any] = []
    for condition, value in (
        ("r.status = ${}", status),
        ("r.scope = ${}", scope),
        ("${} = ANY(r.tags)", tag),
        ("r.created >= ${}::float8", since),
        ("r.key < ${}::int8", before),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{_RUN} {where} ORDER BY r.key DESC LIMIT ${len(values) + 1}::int8", [*values, limit]


def as_run(row: Sequence[Any]) -> RunRow:
    """A run of the answer to RUN or ``runs``."""
    run = RunRow(*row)
    return run._replace(tags=tuple(run.tags))


def as_tasks(rows: Iterable[Sequence[Any]]) -> tuple[list[Row], dict[int, bytes]]:
    """Tasks, and outputs by seq, of the answer to TASKS."""
    found = as_frontier(rows)
    return found.tasks, found.outputs


def as_frontier(rows: Iterable[Sequence[Any]]) -> Frontier:
    """The answer to FRONTIER_OF, sorted by kind."""
    frontier = Frontier([], {}, {})
    for kind, *columns, value in rows:
        if kind == "task":
            frontier.tasks.append(Row(*columns))
        elif kind == "outputs":
            frontier.outputs[columns[0]] = value
        else:
            frontier.contexts[columns[1]] = value
    return frontier
