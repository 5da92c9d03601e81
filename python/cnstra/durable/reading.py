"""The record for people and programs to look at: rows of a store as data, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .codecs import Codecs, show_bytes
from .errors import UnknownRunError
from .patience import patiently
from .port import Row, RunRow, Store
from .records import Attempt, Page, Run, RunStatus, Task

__all__ = ["Record", "as_seconds"]

_Signals = Mapping[int, Sequence[tuple[str, bytes]]]  # what activations have emitted, by seq


class Record:
    """What a store remembers. ``durable.runs()`` and its siblings are these; without a graph it is made of a store
    alone.

    Args:
        store: connected.
        codecs: of the graph, for payloads as it shows them; None shows what MessagePack makes of them.

    Example:
        >>> import asyncio
        >>> from cnstra.durable import Record, Store
        >>> async def main() -> None:
        ...     store = Store.open("memory://")
        ...     await store.connect()
        ...     print(await Record(store).runs())
        ...     await store.close()
        >>> asyncio.run(main())
        Page(items=(), cursor=None)
    """

    def __init__(self, store: Store, codecs: Codecs | None = None) -> None:
        self._store = store
        self._codecs = codecs

    @property
    def store(self) -> Store:
        """The store that it reads."""
        return self._store

    async def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            UnknownRunError: there is none of that id.
            StoreError: the store cannot be read.
        """
        return self._run(await self._row(run_id))

    async def runs(
        self,
        *,
        status: RunStatus | None = None,
        scope: str | None = None,
        tag: str | None = None,
        since: datetime | float | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Run]:
        """Runs, the newest first.

        Args:
            status: only those of this status.
            scope: only those that were filed under this.
            tag: only those that have this tag.
            since: only those recorded then or later: an aware datetime, or seconds since the epoch.
            cursor: of the page before.
            limit: how many are on a page, 1 to 10,000.

        Raises:
            ValueError: the limit or the cursor is none, or ``since`` has no time zone.
            StoreError: the store cannot be read.
        """
        _check_limit(limit)
        before = None if cursor is None else _number(cursor)
        after = None if since is None else as_seconds(since, "since")
        rows = await patiently(
            lambda: self._store.list_runs(
                status=status, scope=scope, tag=tag, since=after, before=before, limit=limit + 1
            )
        )
        shown = rows[:limit]
        return Page(tuple(map(self._run, shown)), str(shown[-1].key) if len(rows) > limit else None)

    async def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        """The attempts at a run, in order.

        Raises:
            UnknownRunError, StoreError: as of ``run``.
        """
        row = await self._row(run_id)
        return tuple(await patiently(lambda: self._store.list_attempts(row.key)))

    async def tasks(self, run_id: str, *, cursor: str | None = None, limit: int = 100) -> Page[Task]:
        """The activations of a run, in the order in which they were caused.

        Args:
            run_id: the run.
            cursor: of the page before.
            limit: how many are on a page, 1 to 10,000.

        Raises:
            UnknownRunError, StoreError: as of ``run``.
            ValueError: the limit or the cursor is none.
        """
        _check_limit(limit)
        after = 0 if cursor is None else _number(cursor)
        row = await self._row(run_id)
        rows, outputs = await patiently(lambda: self._store.list_tasks(row.key, after=after, limit=limit + 1))
        shown = rows[:limit]
        # Each once, however many of the page answer it: an entry may have a hundred thousand signals.
        signals = {seq: Codecs.decode_signals(data) for seq, data in {**outputs, 0: row.entry}.items()}
        return Page(
            tuple(self._task(task, signals) for task in shown), str(shown[-1].seq) if len(rows) > limit else None
        )

    async def _row(self, run_id: str) -> RunRow:
        row = await patiently(lambda: self._store.find(run_id))
        if row is None:
            raise UnknownRunError(f"there is no run {run_id!r} in {self._store.url}")
        return row

    def _run(self, row: RunRow) -> Run:
        return Run(
            id=row.run_id,
            status=row.status,
            scope=row.scope,
            tags=row.tags,
            created=row.created,
            updated=row.updated,
            due=row.due,
            owner=row.owner,
            lease_until=row.lease_until,
            attempt=row.attempt,
            hops=row.hops,
            error=row.error,
            fingerprint=row.fingerprint,
            cancel_requested=row.cancel,
            entry=self._signals(row.entry),
        )

    def _task(self, row: Row, signals: _Signals) -> Task:
        return Task(
            seq=row.seq,
            id=row.id,
            cause=row.cause,
            place=row.place,
            neuron=row.neuron,
            collateral=row.collateral,
            dendrite=row.dendrite,
            hop=row.hop,
            attempt=row.attempt,
            status=row.status,
            input=self._input(row, signals),
            outputs=() if row.outputs is None else self._signals(row.outputs),
            error=row.error,
            traceback=row.traceback,
            started=row.started,
            duration=row.duration,
            joined=() if row.joined is None else tuple(map(int, row.joined.split(","))),
        )

    def _input(self, row: Row, signals: _Signals) -> Any:
        if row.input is not None:
            return self._payload(row.collateral, row.input)
        caused_by = () if row.cause is None else signals.get(row.cause, ())
        return self._payload(*caused_by[row.place]) if row.place < len(caused_by) else None

    def _signals(self, data: bytes) -> tuple[dict[str, Any], ...]:
        return tuple(
            {"collateral": name, "payload": self._payload(name, payload)}
            for name, payload in Codecs.decode_signals(data)
        )

    def _payload(self, collateral: str, data: bytes) -> Any:
        return show_bytes(data) if self._codecs is None else self._codecs.show_payload(collateral, data)


def as_seconds(when: datetime | float, what: str) -> float:
    """A point in time as seconds since the epoch.

    Raises:
        TypeError, ValueError: it is neither a number nor a datetime with a time zone.
    """
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError(f"{what} must have a time zone: datetime.now(UTC), say")
        return when.timestamp()
    if isinstance(when, bool) or not isinstance(when, int | float):
        raise TypeError(f"{what} must be a datetime or seconds since the epoch, not {type(when).__name__}")
    return float(when)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= 10_000:
        raise ValueError(f"limit must be from 1 to 10,000, not {limit}")


def _number(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError:
        raise ValueError(f"{cursor!r} is no cursor: give what the page before had") from None
