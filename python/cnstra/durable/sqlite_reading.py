"""What a SQLite store reads, as functions of a connection; they begin no transaction and translate no error."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from .port import FRONTIER, Candidate, Frontier, Row, RunRow
from .records import Attempt, RunStatus
from .sqlite_schema import NOW

__all__ = [
    "ENDED",
    "IS_OPEN",
    "Standing",
    "attempts_of",
    "candidate_named",
    "candidates_for",
    "find_run",
    "frontier_of",
    "runs_to_prune",
    "select_runs",
    "standing_of",
    "tasks_of",
]

# Statuses as SQL has them.
ENDED = "('completed', 'failed', 'aborted')"
IS_OPEN = "status IN ('scheduled', 'running')"
_FRONTIER = f"status IN {FRONTIER!r}"

# Whether nobody has a run of `r`, with `o` the row of its owner, as far as the leases tell.
_EXPIRED = f"(r.owner IS NULL OR o.lease_until IS NULL OR o.lease_until <= {NOW})"

_RUNS = f"""
SELECT r.key, r.run_id, r.status, r.root, e.entry, e.options, r.fingerprint, r.scope, r.tags, r.created, r.updated,
       r.due, r.owner, o.lease_until, {_EXPIRED}, r.fence, r.attempt, r.hops, r.crashes, r.error, r.cancel
FROM cnstra_runs r JOIN cnstra_entries e ON e.run = r.key LEFT JOIN cnstra_owners o ON o.owner = r.owner
"""
_RUN = f"{_RUNS} WHERE r.run_id = ?"

# Who may be taken over, as `Standing.may_be_taken` has it; both halves go by an index alone.
_MAY_BE_TAKEN = f"""
SELECT r.key FROM cnstra_runs r LEFT JOIN cnstra_owners o ON o.owner = r.owner
WHERE r.status = 'running' AND CASE WHEN r.owner = :owner THEN r.key NOT IN (SELECT value FROM json_each(:live))
                                    ELSE {_EXPIRED} OR r.owner IN (SELECT value FROM json_each(:dead)) END
UNION ALL
SELECT key FROM cnstra_runs INDEXED BY cnstra_runs_by_due WHERE status = 'scheduled' AND due <= {NOW}
"""
_CANDIDATE = """
SELECT r.key, r.run_id, r.fence, r.fingerprint, e.entry, r.owner, r.crashes, r.status = 'scheduled', r.cancel
FROM cnstra_runs r JOIN cnstra_entries e ON e.run = r.key
"""
_CANDIDATES = f"{_CANDIDATE} WHERE r.key IN ({_MAY_BE_TAKEN}) ORDER BY r.key LIMIT :limit"
_CANDIDATE_NAMED = f"{_CANDIDATE} WHERE r.run_id = ?"

_TASKS = f"SELECT {', '.join(Row._fields)} FROM cnstra_tasks WHERE run = ?"
_LEFT = f"{_TASKS} AND {_FRONTIER} ORDER BY seq"
_THESE = f"{_TASKS} AND seq IN (SELECT value FROM json_each(?))"
_PAGE = f"{_TASKS} AND seq > ? ORDER BY seq LIMIT ?"
_OUTPUTS = """
SELECT seq, outputs FROM cnstra_tasks
WHERE run = ? AND seq IN (SELECT value FROM json_each(?)) AND outputs IS NOT NULL
"""

# The hops of an attempt that goes on are those of its run.
_ATTEMPTS = """
SELECT a.number, a.owner, a.status, a.started, a.ended, CASE WHEN a.ended IS NULL THEN r.hops ELSE a.hops END, a.error
FROM cnstra_attempts a JOIN cnstra_runs r ON r.key = a.run WHERE a.run = ? ORDER BY a.number
"""


class Standing(NamedTuple):
    """Who has a run, as a takeover needs to know."""

    key: int
    fence: int
    attempt: int
    hops: int
    crashes: int
    last_seq: int
    owner: str | None
    status: RunStatus
    is_expired: int
    is_due: int | None

    def may_be_taken(self, owner: str, live: Collection[int], dead: Collection[str]) -> bool:
        """Whether it may be taken over, by the rules of ``Store.candidates``."""
        if self.status == "scheduled":
            return bool(self.is_due)
        if self.status != "running":
            return False
        if self.owner == owner:
            return self.key not in live
        return bool(self.is_expired) or self.owner in dead


_STANDING = f"""
SELECT r.key, r.fence, r.attempt, r.hops, r.crashes, r.last_seq, r.owner, r.status, {_EXPIRED}, r.due <= {NOW}
FROM cnstra_runs r LEFT JOIN cnstra_owners o ON o.owner = r.owner WHERE r.key = ?
"""


def standing_of(connection: sqlite3.Connection, key: int) -> Standing | None:
    """Who has a run; None if there is none."""
    values = connection.execute(_STANDING, (key,)).fetchone()
    return None if values is None else Standing._make(values)


def candidates_for(
    connection: sqlite3.Connection, owner: str, live: Collection[int], dead: Collection[str], limit: int
) -> list[Candidate]:
    """See ``Store.candidates``. Cost: linear in the runs that are running and in the scheduled ones that are due."""
    parameters = {"owner": owner, "live": json.dumps(list(live)), "dead": json.dumps(list(dead)), "limit": limit}
    return [_candidate(values) for values in connection.execute(_CANDIDATES, parameters)]


def candidate_named(
    connection: sqlite3.Connection, owner: str, live: Collection[int], dead: Collection[str], run_id: str
) -> list[Candidate]:
    """The run of that id, if it may be taken over; see ``Store.candidates``."""
    found = [_candidate(values) for values in connection.execute(_CANDIDATE_NAMED, (run_id,))]
    standings = [standing_of(connection, candidate.key) for candidate in found]
    return found if all(one is not None and one.may_be_taken(owner, live, dead) for one in standings) else []


def _candidate(values: tuple[Any, ...]) -> Candidate:
    return Candidate._make((*values[:7], bool(values[7]), values[8]))


def find_run(connection: sqlite3.Connection, run_id: str) -> RunRow | None:
    """See ``Store.find``."""
    values = connection.execute(_RUN, (run_id,)).fetchone()
    return None if values is None else _run_row(values)


def _run_row(values: tuple[Any, ...]) -> RunRow:
    return RunRow._make((*values[:8], tuple(json.loads(values[8])), *values[9:14], bool(values[14]), *values[15:]))


def select_runs(
    connection: sqlite3.Connection,
    *,
    status: RunStatus | None,
    scope: str | None,
    tag: str | None,
    since: float | None,
    before: int | None,
    limit: int,
) -> list[RunRow]:
    """See ``Store.list_runs``. Cost: status and scope have an index; by anything else the runs are looked through, from
    the newest on, until there are enough."""
    where: list[str] = []
    values: list[Any] = []
    if status is not None:
        where.append("r.status = ?")
        values.append(status)
        if status != "running":
            # Always so, and with it the index has the rest in order of the key.
            where.append("r.owner IS NULL")
    if scope is not None:
        where.append("r.scope = ?")
        values.append(scope)
    if tag is not None:
        where.append("EXISTS (SELECT 1 FROM json_each(r.tags) WHERE value = ?)")
        values.append(tag)
    if since is not None:
        where.append("r.created >= ?")
        values.append(since)
    if before is not None:
        where.append("r.key < ?")
        values.append(before)
    conditions = f"WHERE {' AND '.join(where)}" if where else ""
    found = connection.execute(f"{_RUNS} {conditions} ORDER BY r.key DESC LIMIT ?", (*values, limit))
    return [_run_row(one) for one in found]


def attempts_of(connection: sqlite3.Connection, key: int) -> list[Attempt]:
    """See ``Store.list_attempts``."""
    return [Attempt(*values) for values in connection.execute(_ATTEMPTS, (key,))]


def frontier_of(connection: sqlite3.Connection, key: int) -> Frontier:
    """See ``Store.frontier``. Cost: linear in all tasks of the run that are stored, about 0.2 s for a million."""
    tasks = [Row._make(values) for values in connection.execute(_LEFT, (key,))]
    found = {task.seq: task for task in tasks}
    while tasks:
        missing = {int(seq) for task in tasks if task.joined for seq in task.joined.split(",")} - found.keys()
        tasks = [Row._make(values) for values in connection.execute(_THESE, (key, json.dumps(list(missing))))]
        found |= {task.seq: task for task in tasks}
    rows = sorted(found.values())
    contexts = connection.execute("SELECT neuron, value FROM cnstra_contexts WHERE run = ?", (key,))
    return Frontier(rows, _outputs(connection, key, rows), dict(contexts.fetchall()))


def tasks_of(connection: sqlite3.Connection, key: int, after: int, limit: int) -> tuple[list[Row], dict[int, bytes]]:
    """See ``Store.list_tasks``."""
    rows = [Row._make(values) for values in connection.execute(_PAGE, (key, after, limit))]
    return rows, _outputs(connection, key, rows)


def _outputs(connection: sqlite3.Connection, key: int, rows: Iterable[Row]) -> dict[int, bytes]:
    """The outputs of what caused these."""
    causes = {row.cause for row in rows if row.cause}
    return dict(connection.execute(_OUTPUTS, (key, json.dumps(list(causes)))).fetchall())


def runs_to_prune(connection: sqlite3.Connection, older_than: float | None, keep_last: int | None) -> list[int]:
    """The keys of the runs that ``Store.prune`` removes. Cost: linear in the runs that have ended."""
    where = [f"status IN {ENDED}"]
    values: list[float | int] = []
    if older_than is not None:
        where.append(f"updated < {NOW} - ?")
        values.append(older_than)
    if keep_last is not None:
        where.append(
            f"key NOT IN (SELECT key FROM cnstra_runs WHERE status IN {ENDED} ORDER BY key DESC LIMIT max(0, ?))"
        )
        values.append(keep_last)
    found = connection.execute(f"SELECT key FROM cnstra_runs WHERE {' AND '.join(where)}", values)
    return [key for (key,) in found]
