"""What the conformance tests of stores stand on: a store for each test, closed after it, and rows to put into it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from cnstra.durable import StoreBusyError
from cnstra.durable.port import Change, Claim, Increment, NewRun, Row, RunEnd, Store, Takeover

__all__ = ["StoreBench", "begin", "change", "commit", "finish", "inline", "new_run", "on_store", "row", "takeover"]

T = TypeVar("T")
Case = Callable[..., Awaitable[None]]

# The fingerprint that a run has on the graph it begins on.
FIRST = "graph 1"


class StoreBench:
    """The hooks by which the tests come by stores; see ``StoreConformance``."""

    async def store(self, place: Path) -> Store:
        """A connected store with nothing in it, on the database that belongs to ``place``."""
        raise NotImplementedError

    async def second_store(self, place: Path) -> Store:
        """Another connected store on the same database, as another process would have it."""
        return await self.store(place)

    def mistake(self) -> list[Row]:
        """Tasks that the store refuses to add to a run that has a task 1: by default one of that number, unless the
        store must take that for the repetition of a commit whose answer was lost."""
        return [row(2), row(1)]


def on_store(case: Case) -> Callable[[StoreBench, Path], None]:
    """A test of a coroutine that takes ``store``, or ``store`` and ``other``: both are closed when it is done."""
    wants_other = "other" in inspect.signature(case).parameters

    def test(self: StoreBench, tmp_path: Path) -> None:
        async def main() -> None:
            async with AsyncExitStack() as stack:
                stores = [await self.store(tmp_path)]
                stack.push_async_callback(stores[0].close)
                if wants_other:
                    stores.append(await self.second_store(tmp_path))
                    stack.push_async_callback(stores[1].close)
                await case(self, *stores)

        asyncio.run(main())

    test.__name__, test.__qualname__, test.__doc__ = case.__name__, case.__qualname__, case.__doc__
    return test


def new_run(run_id: str = "run", **changes: Any) -> NewRun:
    """A run that begins now, unless it is told otherwise."""
    values: dict[str, Any] = {
        "root": f"root of {run_id}",
        "entry": f"entry of {run_id}".encode(),
        "options": b"options",
        "fingerprint": FIRST,
        "scope": None,
        "tags": (),
        "due": None,
    }
    return NewRun(run_id, **values | changes)


def row(seq: int, **changes: Any) -> Row:
    """A pending task that the entry has caused."""
    values: dict[str, Any] = {
        "id": f"id {seq}",
        "cause": 0,
        "place": 0,
        "neuron": "neuron",
        "collateral": "collateral",
        "dendrite": 0,
        "hop": 1,
        "attempt": 1,
        "status": "pending",
        "input": None,
        "outputs": None,
        "error": None,
        "traceback": None,
        "started": None,
        "duration": None,
        "joined": None,
    }
    return Row(seq, **values | changes)


def change(seq: int, **changes: Any) -> Change:
    """A task that has finished without outputs."""
    values: dict[str, Any] = {
        "attempt": 1,
        "status": "finished",
        "outputs": None,
        "error": None,
        "traceback": None,
        "started": 1000.5,
        "duration": 0.25,
    }
    return Change(**values | changes, seq=seq)


def inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of an inline store, as the runtime does."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise AssertionError(f"{coroutine} has suspended")


async def begin(
    store: Store, run_id: str = "run", *, owner: str = "owner", lease: float = 60.0, **changes: Any
) -> Claim:
    """Register an owner, and have it begin a run."""
    await store.register(owner, lease)
    (claim,) = await store.create(owner, [new_run(run_id, **changes)])
    assert claim is not None
    return claim


async def commit(store: Store, claim: Claim, **contents: Any) -> None:
    """Commit one increment, which must not be refused."""
    while True:
        try:
            refused = await store.commit([Increment(claim.key, claim.fence, **contents)])
        except StoreBusyError:
            # Where a test has somebody else write at the same time.
            await asyncio.sleep(0.001)
        else:
            assert refused == frozenset()
            return


async def finish(store: Store, claim: Claim, status: Any = "completed", error: str | None = None) -> None:
    """Commit the end of a run."""
    await commit(store, claim, end=RunEnd(status, error))


def takeover(claim: Claim, fingerprint: str = "graph 2") -> Takeover:
    """What somebody says who has seen the run as the claim has it."""
    return Takeover(claim.key, claim.fence, fingerprint)
