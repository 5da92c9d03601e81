"""What a SQLite store writes, as functions of a connection on which a transaction is open; they translate no error."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from .port import Change, Claim, Increment, NewRun, Row, RunEnd, RunRow, Takeover
from .sqlite_reading import IS_OPEN, find_run, standing_of
from .sqlite_schema import NOW

__all__ = [
    "cancel_run",
    "cancels_for",
    "claim_run",
    "create_run",
    "end_run",
    "enter_owner",
    "forget_owner",
    "forget_stale_owners",
    "remove_runs",
    "reopen_run",
    "write_increments",
]

# Seconds that an owner who is gone, and has left nothing behind, stays entered.
_STALE = 86_400

_ENTER_OWNER = f"""
INSERT INTO cnstra_owners (owner, lease_until) VALUES (?, {NOW} + ?)
ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until
"""
_OWNED = "SELECT key FROM cnstra_runs WHERE status = 'running' AND owner = ?"

_NEW_RUN = f"""
INSERT INTO cnstra_runs (run_id, status, owner, fence, attempt, hops, crashes, last_seq, created, updated, due, scope,
                         tags, root, fingerprint)
VALUES (?, ?, ?, ?, ?, 0, 0, 0, {NOW}, {NOW}, ?, ?, ?, ?, ?)
ON CONFLICT (run_id) DO NOTHING
"""
_NEW_ATTEMPT = f"""
INSERT INTO cnstra_attempts (run, number, owner, status, started, hops) VALUES (?, ?, ?, 'running', {NOW}, 0)
"""
_END_ATTEMPT = f"""
UPDATE cnstra_attempts
SET status = ?, error = ?, ended = {NOW}, hops = (SELECT hops FROM cnstra_runs WHERE key = run)
WHERE run = ? AND ended IS NULL
"""

_TAKE = f"""
UPDATE cnstra_runs
SET status = 'running', owner = ?, fence = fence + 1, attempt = attempt + 1, crashes = ?, fingerprint = ?,
    updated = {NOW}
WHERE key = ?
"""
_CLAIM = """
SELECT r.key, r.run_id, r.fence, r.attempt, r.root, e.entry, e.options,
    max(r.last_seq, coalesce((SELECT max(seq) FROM cnstra_tasks WHERE run = r.key), 0)), r.hops
FROM cnstra_runs r JOIN cnstra_entries e ON e.run = r.key WHERE r.key = ?
"""
_REOPEN = "UPDATE cnstra_runs SET error = NULL, cancel = NULL WHERE key = ?"
_RETRY = """
UPDATE cnstra_tasks SET status = 'pending', error = NULL, traceback = NULL, started = NULL, duration = NULL
WHERE run = ? AND status IN ('failed', 'aborted')
"""

_END = f"""
UPDATE cnstra_runs SET status = ?, error = ?, owner = NULL, updated = {NOW} WHERE key = ? AND fence = ? AND {IS_OPEN}
"""
_ABORT_TASKS = "UPDATE cnstra_tasks SET status = 'aborted' WHERE run = ? AND status = 'pending'"
_CANCEL = f"UPDATE cnstra_runs SET cancel = coalesce(cancel, ?), updated = {NOW} WHERE key = ?"

# Only the owner of a run that goes on may write it. The row of the run lies on a page of its own: to write it instead
# of looking at it makes a small commit a third dearer.
_IS_HELD = "SELECT 1 FROM cnstra_runs WHERE key = ? AND fence = ? AND status = 'running'"
_ADVANCE = f"""
UPDATE cnstra_runs SET updated = {NOW}, hops = max(hops, ?), last_seq = max(last_seq, ?), crashes = 0
WHERE key = ? AND fence = ? AND status = 'running'
"""
_ADD = f"""
INSERT INTO cnstra_tasks ({", ".join(Row._fields)}, run) VALUES ({", ".join("?" * (len(Row._fields) + 1))})
"""
# Most tasks are added before anything is known of them but what they are to be: half as much to bind.
_CAUSED = Row._fields.index("input")
_NOTHING = (None,) * (len(Row._fields) - _CAUSED)
_ADD_CAUSED = f"""
INSERT INTO cnstra_tasks ({", ".join(Row._fields[:_CAUSED])}, run) VALUES ({", ".join("?" * (_CAUSED + 1))})
"""
_CHANGE = f"""
UPDATE cnstra_tasks SET {", ".join(f"{name} = ?" for name in Change._fields[:-1])} WHERE seq = ? AND run = ?
"""
# The same, if the run is its owner's: most commits change something, and need not look before. It changes nothing where
# the task is not there, either: only that it has changed one tells anything.
_CHANGE_HELD = f"""{_CHANGE.rstrip()}
AND EXISTS (SELECT 1 FROM cnstra_runs WHERE key = run AND fence = ? AND status = 'running')
"""
_REMOVE = "DELETE FROM cnstra_tasks WHERE seq = ? AND run = ?"
_SET_CONTEXT = """
INSERT INTO cnstra_contexts (run, neuron, value) VALUES (?, ?, ?)
ON CONFLICT (run, neuron) DO UPDATE SET value = excluded.value
"""
_FORGET_CONTEXT = "DELETE FROM cnstra_contexts WHERE run = ? AND neuron = ?"


# -- owners


def enter_owner(connection: sqlite3.Connection, owner: str, lease: float) -> None:
    """See ``Store.register``."""
    connection.execute(_ENTER_OWNER, (owner, lease))


def cancels_for(connection: sqlite3.Connection, owner: str) -> dict[int, str]:
    """The runs of an owner that somebody wants cancelled, with the reasons."""
    return dict(
        connection.execute(
            "SELECT key, cancel FROM cnstra_runs WHERE owner = ? AND cancel IS NOT NULL", (owner,)
        ).fetchall()
    )


def forget_owner(connection: sqlite3.Connection, owner: str) -> None:
    """See ``Store.unregister``."""
    for (key,) in connection.execute(_OWNED, (owner,)).fetchall():
        connection.execute(_END_ATTEMPT, ("released", None, key))
        connection.execute("UPDATE cnstra_runs SET owner = NULL WHERE key = ?", (key,))
    connection.execute("DELETE FROM cnstra_owners WHERE owner = ?", (owner,))


def forget_stale_owners(connection: sqlite3.Connection) -> None:
    """Forget the owners whose leases ran out long ago and who own nothing."""
    connection.execute(
        f"""
        DELETE FROM cnstra_owners WHERE lease_until < {NOW} - ?
        AND owner NOT IN (SELECT owner FROM cnstra_runs WHERE status = 'running' AND owner IS NOT NULL)
        """,
        (_STALE,),
    )


# -- runs


def create_run(connection: sqlite3.Connection, owner: str, run: NewRun) -> Claim | None:
    """Record a run; None if its id is taken."""
    begins = run.due is None
    number = int(begins)
    done = connection.execute(
        _NEW_RUN,
        (
            run.run_id,
            "running" if begins else "scheduled",
            owner if begins else None,
            number,
            number,
            run.due,
            run.scope,
            json.dumps(run.tags, ensure_ascii=False),
            run.root,
            run.fingerprint,
        ),
    )
    if not done.rowcount:
        return None
    key = done.lastrowid
    assert key is not None
    connection.execute(
        "INSERT INTO cnstra_entries (run, entry, options) VALUES (?, ?, ?)", (key, run.entry, run.options)
    )
    if begins:
        connection.execute(_NEW_ATTEMPT, (key, 1, owner))
    return Claim(
        key=key,
        run_id=run.run_id,
        fence=number,
        attempt=number,
        root=run.root,
        entry=run.entry,
        options=run.options,
        entered=False,
        last_seq=0,
        hops=0,
    )


def claim_run(
    connection: sqlite3.Connection, owner: str, takeover: Takeover, live: Collection[int], dead: Collection[str]
) -> Claim | None:
    """Take a run over; None if that may not be, or not any more."""
    standing = standing_of(connection, takeover.key)
    if standing is None or standing.fence != takeover.fence or not standing.may_be_taken(owner, live, dead):
        return None
    # Nobody's: it was released, or never begun. Its own: the store was away, and the process was not.
    crashes = standing.crashes + (standing.owner not in (None, owner))
    connection.execute(_END_ATTEMPT, ("lost", None, takeover.key))
    return _take(connection, owner, takeover.key, crashes, takeover.fingerprint)


def _take(connection: sqlite3.Connection, owner: str, key: int, crashes: int, fingerprint: str) -> Claim:
    connection.execute(_TAKE, (owner, crashes, fingerprint, key))
    key, run_id, fence, attempt, root, entry, options, last_seq, hops = connection.execute(_CLAIM, (key,)).fetchone()
    connection.execute(_NEW_ATTEMPT, (key, attempt, owner))
    return Claim(key, run_id, fence, attempt, root, entry, options, last_seq > 0, last_seq, hops)


def reopen_run(connection: sqlite3.Connection, owner: str, run_id: str, fingerprint: str) -> Claim | None:
    """See ``Store.reopen``."""
    found = connection.execute(
        "SELECT key FROM cnstra_runs WHERE run_id = ? AND status IN ('failed', 'aborted')", (run_id,)
    ).fetchone()
    if found is None:
        return None
    connection.execute(_REOPEN, found)
    connection.execute(_RETRY, found)
    return _take(connection, owner, found[0], 0, fingerprint)


def end_run(connection: sqlite3.Connection, key: int, fence: int, end: RunEnd) -> bool:
    """End a run whose owner is gone; whether it could be."""
    if not connection.execute(_END, (end.status, end.error, key, fence)).rowcount:
        return False
    connection.execute(_END_ATTEMPT, ("lost", None, key))
    if end.status == "aborted":
        connection.execute(_ABORT_TASKS, (key,))
    return True


def cancel_run(connection: sqlite3.Connection, run_id: str, reason: str) -> RunRow | None:
    """See ``Store.request_cancel``."""
    found = find_run(connection, run_id)
    if found is None or found.status not in ("scheduled", "running"):
        return found
    connection.execute(_CANCEL, (reason, found.key))
    if found.status == "scheduled" or found.expired:
        end_run(connection, found.key, found.fence, RunEnd("aborted", reason))
    return find_run(connection, run_id)


def write_increments(cursor: sqlite3.Cursor, batch: Sequence[Increment]) -> frozenset[int]:
    """See ``Store.commit``; nothing is executed that an increment does not need."""
    execute, executemany = cursor.execute, cursor.executemany
    refused: list[int] = []
    for increment in batch:
        key, fence, added, changed = increment.key, increment.fence, increment.added, increment.changed
        # Under the write lock what is found here holds until the commit.
        if increment.advance:
            last_seq = max([row.seq for row in added]) if added else 0
            is_held = execute(_ADVANCE, (increment.hops, last_seq, key, fence)).rowcount
        elif changed and execute(_CHANGE_HELD, (*changed[0], key, fence)).rowcount:
            is_held, changed = True, changed[1:]
        else:
            is_held = execute(_IS_HELD, (key, fence)).fetchone()
        if not is_held:
            refused.append(key)
            continue
        # What is changed grows by what it has emitted. That is cheapest while it is the last row of the table: so this
        # comes before what is added, and again if that was among it.
        if changed and executemany(_CHANGE, [(*change, key) for change in changed]).rowcount == len(changed):
            changed = ()
        if added:
            _add(cursor, key, added)
        if changed:
            executemany(_CHANGE, [(*change, key) for change in changed])
        if increment.removed:
            executemany(_REMOVE, [(seq, key) for seq in increment.removed])
        if increment.contexts:
            _write_contexts(cursor, key, increment.contexts)
        if increment.end is not None:
            _end_own(cursor, key, increment.fence, increment.end)
    return frozenset(refused)


def _add(cursor: sqlite3.Cursor, key: int, added: Sequence[Row]) -> None:
    caused = [(*row[:_CAUSED], key) for row in added if row[_CAUSED:] == _NOTHING]
    if caused:
        cursor.executemany(_ADD_CAUSED, caused)
    if len(caused) < len(added):
        cursor.executemany(_ADD, [(*row, key) for row in added if row[_CAUSED:] != _NOTHING])


def _write_contexts(cursor: sqlite3.Cursor, key: int, contexts: Mapping[str, bytes | None]) -> None:
    cursor.executemany(_SET_CONTEXT, [(key, name, value) for name, value in contexts.items() if value is not None])
    cursor.executemany(_FORGET_CONTEXT, [(key, name) for name, value in contexts.items() if value is None])


def _end_own(cursor: sqlite3.Cursor, key: int, fence: int, end: RunEnd) -> None:
    cursor.execute(_END, (end.status, end.error, key, fence))
    cursor.execute(_END_ATTEMPT, (end.status, end.error, key))
    if end.status == "aborted":
        cursor.execute(_ABORT_TASKS, (key,))


def remove_runs(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Remove runs and all that is theirs."""
    doomed = [(key,) for key in keys]
    for table, column in (
        ("cnstra_tasks", "run"),
        ("cnstra_contexts", "run"),
        ("cnstra_attempts", "run"),
        ("cnstra_entries", "run"),
        ("cnstra_runs", "key"),
    ):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", doomed)
