"""Durable runs in dictionaries: the port in its plainest form, for tests and for what need not outlive the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import ClassVar, Literal

from .errors import StoreError, StoreUrlError
from .memory_runs import MemoryAttempt, MemoryRun
from .port import (
    FRONTIER,
    Beat,
    Candidate,
    Claim,
    Frontier,
    Increment,
    NewRun,
    Row,
    RunEnd,
    RunRow,
    Store,
    Takeover,
)
from .records import Attempt, RunStatus

__all__ = ["MemoryStore"]

# Seconds that an owner who is gone, and has left nothing behind, stays entered.
_STALE = 86_400


class MemoryStore(Store):
    """Runs in memory; made by ``Store.open("memory://")``.

    What it has lives as long as the object. Several ``Durable`` of one process may have the same one, as if they were
    processes on one database: connecting and closing do nothing. It has no transactional handlers.

    Args:
        url: ``memory://``.

    Attributes:
        clock: what tells it the time, in seconds since the epoch; tests may set another.

    Raises:
        StoreUrlError: the URL goes on after that.
    """

    inline: ClassVar[bool] = True
    transactions: ClassVar[Literal["savepoint", "connection"] | None] = None

    def __init__(self, url: str = "memory://") -> None:
        if url != "memory://":
            raise StoreUrlError(f"{url!r}: a store in memory has no name and no options: memory://")
        self.clock: Callable[[], float] = time.time
        self._lock = Lock()
        self._owners: dict[str, float] = {}
        self._runs: dict[int, MemoryRun] = {}
        self._keys: dict[str, int] = {}
        self._last_key = 0

    @property
    def url(self) -> str:
        return "memory://"

    # -- life

    async def connect(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be closed: others may have the store too."""

    @contextmanager
    def _now(self) -> Generator[float]:
        """Alone with the data, at one point in time."""
        # Heartbeats come from a thread of their own.
        with self._lock:
            yield self.clock()

    # -- owners

    async def register(self, owner: str, lease: float) -> None:
        with self._now() as now:
            self._owners[owner] = now + lease

    def beat(self, owner: str, lease: float) -> Beat:
        with self._now() as now:
            self._owners[owner] = now + lease
            return Beat(
                {run.key: run.cancel for run in self._runs.values() if run.owner == owner and run.cancel is not None}
            )

    async def unregister(self, owner: str) -> None:
        with self._now() as now:
            for run in self._runs.values():
                if run.owner == owner:
                    run.owner = None
                    run.end_attempt("released", None, now)
            self._owners.pop(owner, None)

    async def owners(self) -> list[str]:
        with self._now():
            return list(self._owners)

    def _is_expired(self, run: MemoryRun, now: float) -> bool:
        return run.owner is None or self._owners.get(run.owner, now) <= now

    # -- runs

    async def create(self, owner: str, runs: Sequence[NewRun]) -> list[Claim | None]:
        with self._now() as now:
            return [self._create(owner, new, now) for new in runs]

    def _create(self, owner: str, new: NewRun, now: float) -> Claim | None:
        if new.run_id in self._keys:
            return None
        self._last_key += 1
        run = MemoryRun(self._last_key, new, "scheduled", None, new.fingerprint, now, now)
        self._runs[run.key], self._keys[new.run_id] = run, run.key
        if new.due is None:
            return self._take(run, owner, new.fingerprint, now)
        return self._claim_of(run)

    async def candidates(
        self, owner: str, live: Collection[int], dead: Collection[str], *, run_id: str | None = None, limit: int = 1000
    ) -> list[Candidate]:
        with self._now() as now:
            found = [
                Candidate(
                    key=run.key,
                    run_id=run.new.run_id,
                    fence=run.fence,
                    fingerprint=run.fingerprint,
                    entry=run.new.entry,
                    owner=run.owner,
                    crashes=run.crashes,
                    scheduled=run.status == "scheduled",
                    cancel=run.cancel,
                )
                for run in self._runs.values()
                if (run_id is None or run.new.run_id == run_id) and self._may_be_taken(run, owner, live, dead, now)
            ]
            return found[:limit]

    def _may_be_taken(
        self, run: MemoryRun, owner: str, live: Collection[int], dead: Collection[str], now: float
    ) -> bool:
        if run.status == "scheduled":
            return run.new.due is not None and run.new.due <= now
        if run.status != "running":
            return False
        if run.owner == owner:
            return run.key not in live
        return self._is_expired(run, now) or run.owner in dead

    async def claim(
        self, owner: str, takeovers: Sequence[Takeover], live: Collection[int], dead: Collection[str]
    ) -> list[Claim]:
        with self._now() as now:
            claims: list[Claim] = []
            for key, fence, fingerprint in takeovers:
                run = self._runs.get(key)
                if run is None or run.fence != fence or not self._may_be_taken(run, owner, live, dead, now):
                    continue
                # Nobody's: it was released, or never begun. Its own: the store was away, and the process was not.
                run.crashes += run.owner not in (None, owner)
                run.end_attempt("lost", None, now)
                claims.append(self._take(run, owner, fingerprint, now))
            return claims

    def _take(self, run: MemoryRun, owner: str, fingerprint: str, now: float) -> Claim:
        run.status, run.owner, run.fingerprint, run.updated = "running", owner, fingerprint, now
        run.fence += 1
        run.attempts.append(MemoryAttempt(len(run.attempts) + 1, owner, now))
        return self._claim_of(run)

    def _claim_of(self, run: MemoryRun) -> Claim:
        return Claim(
            key=run.key,
            run_id=run.new.run_id,
            fence=run.fence,
            attempt=len(run.attempts),
            root=run.new.root,
            entry=run.new.entry,
            options=run.new.options,
            entered=run.last_seq > 0,
            last_seq=run.last_seq,
            hops=run.hops,
        )

    async def give_up(self, takeovers: Sequence[Takeover], end: RunEnd) -> int:
        with self._now() as now:
            ended = 0
            for key, fence, _ in takeovers:
                run = self._runs.get(key)
                if run is not None and run.fence == fence and run.is_open:
                    run.end_attempt("lost", None, now)
                    run.end(end, now)
                    ended += 1
            return ended

    async def reopen(self, owner: str, run_id: str, fingerprint: str) -> Claim | None:
        with self._now() as now:
            run = self._find(run_id)
            if run is None or run.status not in ("failed", "aborted"):
                return None
            run.error = run.cancel = None
            run.crashes = 0
            run.tasks |= {
                seq: row._replace(status="pending", error=None, traceback=None, started=None, duration=None)
                for seq, row in run.tasks.items()
                if row.status in ("failed", "aborted")
            }
            return self._take(run, owner, fingerprint, now)

    async def request_cancel(self, run_id: str, reason: str) -> RunRow | None:
        with self._now() as now:
            run = self._find(run_id)
            if run is None:
                return None
            if run.is_open:
                run.cancel = run.cancel or reason
                run.updated = now
                if run.status == "scheduled" or self._is_expired(run, now):
                    run.end_attempt("lost", None, now)
                    run.end(RunEnd("aborted", reason), now)
            return self._row_of(run, now)

    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        with self._now() as now:
            accepted: list[tuple[MemoryRun, Increment]] = []
            for increment in batch:
                run = self._runs.get(increment.key)
                if run is not None and run.fence == increment.fence and run.status == "running":
                    accepted.append((run, increment))
            # What could be wrong with any of it is found before anything is written.
            for run, increment in accepted:
                seqs = [row.seq for row in increment.added]
                if len(set(seqs)) < len(seqs) or not run.tasks.keys().isdisjoint(seqs):
                    raise StoreError(f"{self.url}: run {run.new.run_id!r} has tasks of those numbers already")
            for run, increment in accepted:
                self._write(run, increment, now)
            return frozenset(increment.key for increment in batch) - {run.key for run, _ in accepted}

    def _write(self, run: MemoryRun, increment: Increment, now: float) -> None:
        run.updated, run.crashes, run.hops = now, 0, max(run.hops, increment.hops)
        for row in increment.added:
            run.tasks[row.seq] = row
            run.last_seq = max(run.last_seq, row.seq)
        for change in increment.changed:
            if change.seq in run.tasks:
                run.tasks[change.seq] = run.tasks[change.seq]._replace(**change._asdict())
        for seq in increment.removed:
            run.tasks.pop(seq, None)
        for name, value in increment.contexts.items():
            if value is None:
                run.contexts.pop(name, None)
            else:
                run.contexts[name] = value
        if increment.end is not None:
            run.end_attempt(increment.end.status, increment.end.error, now)
            run.end(increment.end, now)

    async def frontier(self, key: int) -> Frontier:
        with self._now():
            run = self._runs.get(key)
            if run is None:
                return Frontier([], {}, {})
            found: dict[int, Row] = {}
            rows = [row for row in run.tasks.values() if row.status in FRONTIER]
            while rows:
                found |= {row.seq: row for row in rows}
                joined = {int(seq) for row in rows if row.joined for seq in row.joined.split(",")}
                rows = [run.tasks[seq] for seq in joined if seq in run.tasks and seq not in found]
            tasks = [found[seq] for seq in sorted(found)]
            return Frontier(tasks, run.outputs_of_causes(tasks), dict(run.contexts))

    # -- the record

    def _find(self, run_id: str) -> MemoryRun | None:
        key = self._keys.get(run_id)
        return None if key is None else self._runs[key]

    def _row_of(self, run: MemoryRun, now: float) -> RunRow:
        new = run.new
        return RunRow(
            key=run.key,
            run_id=new.run_id,
            status=run.status,
            root=new.root,
            entry=new.entry,
            options=new.options,
            fingerprint=run.fingerprint,
            scope=new.scope,
            tags=tuple(new.tags),
            created=run.created,
            updated=run.updated,
            due=new.due,
            owner=run.owner,
            lease_until=None if run.owner is None else self._owners.get(run.owner),
            expired=self._is_expired(run, now),
            fence=run.fence,
            attempt=len(run.attempts),
            hops=run.hops,
            crashes=run.crashes,
            error=run.error,
            cancel=run.cancel,
        )

    async def find(self, run_id: str) -> RunRow | None:
        with self._now() as now:
            run = self._find(run_id)
            return None if run is None else self._row_of(run, now)

    async def list_runs(
        self,
        *,
        status: RunStatus | None = None,
        scope: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[RunRow]:
        with self._now() as now:
            found = [
                self._row_of(run, now)
                for run in reversed(self._runs.values())
                if (status is None or run.status == status)
                and (scope is None or run.new.scope == scope)
                and (tag is None or tag in run.new.tags)
                and (since is None or run.created >= since)
                and (before is None or run.key < before)
            ]
            return found[:limit]

    async def list_attempts(self, key: int) -> list[Attempt]:
        with self._now():
            run = self._runs.get(key)
            return [
                # The hops of an attempt that goes on are those of its run.
                Attempt(one.number, one.owner, one.status, one.started, one.ended, hops, one.error)
                for one in ([] if run is None else run.attempts)
                for hops in [run.hops if run is not None and one.ended is None else one.hops]
            ]

    async def list_tasks(self, key: int, *, after: int = 0, limit: int = 100) -> tuple[list[Row], dict[int, bytes]]:
        with self._now():
            run = self._runs.get(key)
            if run is None:
                return [], {}
            rows = [run.tasks[seq] for seq in sorted(run.tasks) if seq > after][:limit]
            return rows, run.outputs_of_causes(rows)

    async def prune(self, *, older_than: float | None, keep_last: int | None) -> int:
        with self._now() as now:
            ended = [run for run in reversed(self._runs.values()) if not run.is_open]
            doomed = [run for run in ended[keep_last or 0 :] if older_than is None or run.updated < now - older_than]
            for run in doomed:
                del self._runs[run.key], self._keys[run.new.run_id]
            owning = {run.owner for run in self._runs.values()}
            self._owners = {
                owner: until for owner, until in self._owners.items() if until >= now - _STALE or owner in owning
            }
            return len(doomed)
