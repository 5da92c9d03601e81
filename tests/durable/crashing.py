"""A process model: stores that die with their process at a chosen write, and leave to others what they had written.

A ``MortalStore`` stands between one ``Durable`` and a store. When it has died nothing of that ``Durable`` reaches the
store any more, as if its process had ended there. Its leases run out at once, so that the next one may take over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from cnstra.durable import Attempt, Store, StoreUnavailableError
from cnstra.durable.port import Beat, Candidate, Claim, Frontier, Increment, NewRun, Row, RunEnd, RunRow, Takeover
from cnstra.durable.records import RunStatus

__all__ = ["Death", "MortalPostgres", "MortalSqlite", "MortalStore", "SlowMortalStore", "Way", "mortal"]

T = TypeVar("T")
Way = Literal["before", "between", "after"]


class Death(NamedTuple):
    """When a process dies.

    ``way``: ``before`` its n-th write is made; ``between`` that and the answer, which never arrives; ``after`` both.
    Writes are what begins, takes over or advances runs: create, claim and commit.
    """

    write: int
    way: Way


class MortalStore(Store):
    """A store as one process has it.

    Args:
        inner: where everything is.
        death: when the process dies; None if it does not.
        lease: seconds that its leases have; the heartbeats of a dead process renew nothing.
        on_write: called after each write that was made, with its kind.

    Attributes:
        writes: how many were tried.
        commits: the batches that were committed.
    """

    inline: ClassVar[bool] = True
    transactions: ClassVar[Literal["savepoint", "connection"] | None] = None

    def __init__(
        self,
        inner: Store,
        death: Death | None = None,
        *,
        lease: float = 0.0,
        on_write: Callable[[str], object] = lambda kind: None,
    ) -> None:
        self.inner = inner
        self.is_dead = False
        self.writes = 0
        self.commits: list[list[Increment]] = []
        self._death = death
        self._lease = lease
        self._on_write = on_write

    @property
    def url(self) -> str:
        return f"mortal+{self.inner.url}"

    def die(self) -> None:
        """Nothing reaches the store from here on."""
        self.is_dead = True

    def _check(self) -> None:
        if self.is_dead:
            raise StoreUnavailableError(f"{self.url}: this process is dead")

    async def _pause(self) -> None:
        """What a store takes that has to be waited for."""

    async def _write(self, kind: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._pause()
        way = self._begin_write()
        result = await call()
        self._end_write(kind, way)
        await self._pause()
        self._answer(way)
        return result

    def _begin_write(self) -> Way | None:
        self._check()
        self.writes += 1
        way = self._death.way if self._death is not None and self._death.write == self.writes else None
        if way == "before":
            self.die()
        self._check()
        return way

    def _end_write(self, kind: str, way: Way | None) -> None:
        self._on_write(kind)
        if way is not None:
            self.die()

    def _answer(self, way: Way | None) -> None:
        if way == "between":
            self._check()

    async def _read(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._pause()
        self._check()
        return await call()

    # -- life

    async def connect(self) -> None:
        self._check()
        await self.inner.connect()

    async def close(self) -> None:
        # Of a dead one the system closes what it had open.
        await self.inner.close()

    async def register(self, owner: str, lease: float) -> None:
        await self._read(lambda: self.inner.register(owner, self._lease))

    def beat(self, owner: str, lease: float) -> Beat:
        self._check()
        return self.inner.beat(owner, self._lease)

    async def unregister(self, owner: str) -> None:
        await self._read(lambda: self.inner.unregister(owner))

    async def owners(self) -> list[str]:
        return await self._read(self.inner.owners)

    # -- runs

    async def create(self, owner: str, runs: Sequence[NewRun]) -> list[Claim | None]:
        return await self._write("create", lambda: self.inner.create(owner, runs))

    async def candidates(
        self, owner: str, live: Collection[int], dead: Collection[str], *, run_id: str | None = None, limit: int = 1000
    ) -> list[Candidate]:
        return await self._read(lambda: self.inner.candidates(owner, live, dead, run_id=run_id, limit=limit))

    async def claim(
        self, owner: str, takeovers: Sequence[Takeover], live: Collection[int], dead: Collection[str]
    ) -> list[Claim]:
        return await self._write("claim", lambda: self.inner.claim(owner, takeovers, live, dead))

    async def give_up(self, takeovers: Sequence[Takeover], end: RunEnd) -> int:
        return await self._read(lambda: self.inner.give_up(takeovers, end))

    async def reopen(self, owner: str, run_id: str, fingerprint: str) -> Claim | None:
        return await self._read(lambda: self.inner.reopen(owner, run_id, fingerprint))

    async def request_cancel(self, run_id: str, reason: str) -> RunRow | None:
        return await self._read(lambda: self.inner.request_cancel(run_id, reason))

    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        async def commit() -> frozenset[int]:
            refused = await self.inner.commit(batch)
            self.commits.append(list(batch))
            return refused

        return await self._write("commit", commit)

    async def frontier(self, key: int) -> Frontier:
        return await self._read(lambda: self.inner.frontier(key))

    # -- the record

    async def find(self, run_id: str) -> RunRow | None:
        return await self._read(lambda: self.inner.find(run_id))

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
        return await self._read(
            lambda: self.inner.list_runs(status=status, scope=scope, tag=tag, since=since, before=before, limit=limit)
        )

    async def list_attempts(self, key: int) -> list[Attempt]:
        return await self._read(lambda: self.inner.list_attempts(key))

    async def list_tasks(self, key: int, *, after: int = 0, limit: int = 100) -> tuple[list[Row], dict[int, bytes]]:
        return await self._read(lambda: self.inner.list_tasks(key, after=after, limit=limit))

    async def prune(self, *, older_than: float | None, keep_last: int | None) -> int:
        return await self._read(lambda: self.inner.prune(older_than=older_than, keep_last=keep_last))


class SlowMortalStore(MortalStore):
    """One that has to be waited for, as a database elsewhere: a commit takes a few passes of the loop."""

    inline: ClassVar[bool] = False

    async def _pause(self) -> None:
        await asyncio.sleep(0)


class MortalSqlite(MortalStore):
    """One with savepoints."""

    transactions: ClassVar[Literal["savepoint", "connection"] | None] = "savepoint"

    def savepoint(self, key: int, fence: int) -> Any:
        self._check()
        return self.inner.savepoint(key, fence)

    def abandon(self) -> None:
        self.inner.abandon()


class MortalPostgres(SlowMortalStore):
    """One with transactions on connections of their own; their commits are writes too.

    Attributes:
        before_commit: awaited before such a commit is tried.
    """

    transactions: ClassVar[Literal["savepoint", "connection"] | None] = "connection"

    async def before_commit(self) -> None:
        """Nothing, unless a test sets something."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        self._check()
        async with self.inner.transaction() as scope:

            async def commit(increment: Increment) -> bool:
                await self.before_commit()
                is_written: bool = await self._write("commit", lambda: scope.commit(increment))
                return is_written

            yield SimpleNamespace(connection=scope.connection, commit=commit)

    @contextmanager
    def blocking_transaction(self) -> Generator[Any]:
        self._check()
        with self.inner.blocking_transaction() as scope:

            def commit(increment: Increment) -> bool:
                way = self._begin_write()
                is_written: bool = scope.commit(increment)
                self._end_write("commit", way)
                self._answer(way)
                return is_written

            yield SimpleNamespace(connection=scope.connection, commit=commit)


def mortal(inner: Store, death: Death | None = None, **options: Any) -> MortalStore:
    """One that does what the inner one does."""
    kinds = {None: MortalStore, "savepoint": MortalSqlite, "connection": MortalPostgres}
    return kinds[inner.transactions](inner, death, **options)
