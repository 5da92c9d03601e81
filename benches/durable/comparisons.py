"""The comparisons: what of durable runs is measured, what it is compared with, and how much it may cost beside that.

Each function below makes one, in the sizes that it is given, and lets every side show its results: the rows that the
store must have. Nothing is timed here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnstra import Signal, StimulationAborted
from cnstra.durable import Durable, Store

from ..case import Claim
from .flows import Chain, Parked, Start
from .places import (
    Written,
    assert_recorded,
    fresh_schema,
    postgres_url,
    raw_postgres,
    raw_sqlite,
    sqlite_store,
)
from .rounds import NO_LIMIT, Comparison, Measure, Side, Sizes, timed

__all__ = ["COMPARISONS", "NEED_POSTGRES"]

# Seconds in which what was begun comes to rest: the commits of the starts are not to be timed.
_REST = 0.01


@dataclass(frozen=True, slots=True)
class Recorded:
    """A chain whose runs have shown that they are recorded; bytes and turns as they were written then."""

    chain: Chain
    durable: Durable
    bytes_per_turn: int
    turns_per_commit: float

    def side(self, key: str, name: str, against: str, limit: float) -> Side:
        claim = Claim(name, against, "turn", limit)
        subject, engine = turns_of(self.chain, self.durable.start), turns_of(self.chain, self.without)
        return Side(key, claim, subject, engine, self.turns_per_commit)

    async def without(self, signal: Signal[Any]) -> Awaitable[Any]:
        """Starts the same run without a store."""
        return self.chain.cns.stimulate(signal)


async def recorded(stack: AsyncExitStack, chain: Chain, store: Store, **settings: Any) -> Recorded:
    """Open a Durable of the chain, and have a look at what it records."""
    durable = await stack.enter_async_context(Durable(chain.cns, store, **settings))
    runs = await chain.begin(durable.start)
    await asyncio.sleep(_REST)
    with Written(store) as written:
        await chain.finish(runs)
    await assert_recorded(durable, runs, chain.turns)
    turns = chain.turns * chain.runs
    return Recorded(chain, durable, round(written.bytes / turns), turns / written.commits)


def turns_of(chain: Chain, start: Start) -> Measure:
    """The turns of its runs, from the gate to the last commit."""

    async def measure() -> float:
        runs = await chain.begin(start)
        await asyncio.sleep(_REST)
        return await timed(lambda: chain.finish(runs), chain.turns * chain.runs)

    return measure


@asynccontextmanager
async def sqlite(sizes: Sizes, folder: Path) -> AsyncGenerator[Comparison]:
    """A turn on SQLite beside a raw ``INSERT`` and commit of the same bytes."""
    async with AsyncExitStack() as stack:

        async def on_file(name: str, chain: Chain, **settings: Any) -> Recorded:
            return await recorded(stack, chain, sqlite_store(folder, name), **settings)

        store = sqlite_store(folder, "each")
        # Nothing is shared here: a turn is a commit. It has no limit: before there is any SQL, what Python does in a
        # turn takes as long as the INSERT and its commit together, or longer.
        each = await recorded(stack, Chain(sizes.turns), store, commit_interval=0)
        usual = await on_file("usual", Chain(sizes.turns))
        hop = await on_file("hop", Chain(sizes.turns), sync="hop")
        crowd = await on_file("crowd", Chain(sizes.turns_each, sizes.runs), sync="hop")
        rival = await stack.enter_async_context(raw_sqlite(folder, each.bytes_per_turn, sizes.turns, store))
        against = f"raw INSERT and commit, {each.bytes_per_turn:,} bytes"
        sides = [
            each.side("sqlite commit", "SQLite, sync='turn', commit_interval=0", against, NO_LIMIT),
            usual.side("sqlite turn", "SQLite, sync='turn'", against, 2.5),
            hop.side("sqlite hop", "SQLite, sync='hop'", against, NO_LIMIT),
            crowd.side("sqlite crowd", f"SQLite, sync='hop', {sizes.runs:,} runs at once", against, 2.5),
        ]
        yield Comparison(rival, sides)


@asynccontextmanager
async def postgres(sizes: Sizes, folder: Path) -> AsyncGenerator[Comparison]:
    """A turn on PostgreSQL beside the round trip of one ``INSERT`` that commits by itself."""
    url = assert_postgres()
    async with AsyncExitStack() as stack:
        schema = stack.enter_context(fresh_schema(url))

        async def on_server(chain: Chain, **settings: Any) -> Recorded:
            return await recorded(stack, chain, Store.open(url, schema=schema), **settings)

        # Each turn waits for its commit here. With sync='turn' the run goes on, and turns share the next one.
        hop = await on_server(Chain(sizes.waited), sync="hop")
        usual = await on_server(Chain(sizes.waited))
        crowd = await on_server(Chain(sizes.turns_each, sizes.runs), sync="hop")
        rival = await stack.enter_async_context(raw_postgres(url, schema, hop.bytes_per_turn, sizes.waited))
        against = f"prepared INSERT that commits, {hop.bytes_per_turn:,} bytes"
        sides = [
            hop.side("postgres hop", "PostgreSQL, sync='hop'", against, 1.5),
            usual.side("postgres turn", "PostgreSQL, sync='turn'", against, 1.5),
            crowd.side("postgres crowd", f"PostgreSQL, sync='hop', {sizes.runs:,} runs at once", against, 1.5),
        ]
        yield Comparison(rival, sides)


@asynccontextmanager
async def frontier(sizes: Sizes, folder: Path) -> AsyncGenerator[Comparison]:
    """A turn in a run that has many activations pending beside one in a run that has few, on SQLite."""
    async with over_frontiers(
        sizes, "SQLite", lambda count: sqlite_store(folder, f"frontier {count}"), commit_interval=0
    ) as found:
        yield found


@asynccontextmanager
async def postgres_frontier(sizes: Sizes, folder: Path) -> AsyncGenerator[Comparison]:
    """The same on PostgreSQL."""
    url = assert_postgres()
    with fresh_schema(url) as schema:
        async with over_frontiers(sizes, "PostgreSQL", lambda _: Store.open(url, schema=schema), sync="hop") as found:
            yield found


@asynccontextmanager
async def over_frontiers(
    sizes: Sizes, where: str, opened: Callable[[int], Store], **settings: Any
) -> AsyncGenerator[Comparison]:
    """One run for each size, all of which go on until the end, each in a stretch of turns at a time."""
    measures: list[tuple[int, Measure, Measure]] = []
    async with AsyncExitStack() as stack:
        for count in sizes.frontier:
            beside = Parked(count, sizes.stretch)
            plain = beside.cns.stimulate(beside.signals)
            await beside.arrive()
            measures.append((count, stretches(recorded := Parked(count, sizes.stretch)), stretches(beside)))
            stack.callback(plain.cancel, "measured")
            store = opened(count)
            durable = await stack.enter_async_context(Durable(recorded.cns, store, **settings))
            run = await durable.start(recorded.signals)
            await recorded.arrive()
            stack.push_async_callback(stopped, run)
            await recorded.stretch()
            await asyncio.sleep(_REST)
            await assert_pending(store, run.id, count, sizes.stretch)
            assert (beside.entered, recorded.entered) == (1, 1)
        (smallest, rival, _), *others = measures
        yield Comparison(
            rival,
            [
                Side(
                    f"{where} frontier of {count}",
                    Claim(f"{where}, {count:,} activations pending", f"{smallest:,} pending", "turn", 1.3),
                    measure,
                    engine,
                    1,
                )
                for count, measure, engine in others
            ],
        )


def stretches(parked: Parked) -> Measure:
    """The chain beside what is pending, for as many turns as a stretch has; what began it is one more."""

    async def measure() -> float:
        return await timed(parked.stretch, parked.turns)

    return measure


async def stopped(run: Any) -> None:
    await run.cancel("measured")
    try:
        await run
    except StimulationAborted:
        pass


async def assert_pending(store: Store, run_id: str, count: int, stretch: int) -> None:
    """The store has what is pending, what has the slot, what the chain has finished, and its activation that waits."""
    found = await store.find(run_id)
    assert found is not None
    seen: Counter[tuple[str, str]] = Counter()
    last = 0
    # Not through Durable.tasks, which would decode them all.
    while (page := await store.list_tasks(found.key, after=last, limit=10_000))[0]:
        seen.update((row.neuron, row.status) for row in page[0])
        last = page[0][-1].seq
    assert seen == {("clerk", "finished"): stretch, ("clerk", "pending"): 1, ("warehouse", "pending"): count + 1}


def assert_postgres() -> str:
    url = postgres_url()
    assert url is not None, "there is no PostgreSQL server"
    return url


COMPARISONS: dict[str, Callable[[Sizes, Path], AbstractAsyncContextManager[Comparison]]] = {
    comparison.__name__: comparison for comparison in (sqlite, postgres, frontier, postgres_frontier)
}
"""All of them, by the names that ``--only`` looks at, in the order of the table."""

NEED_POSTGRES = {"postgres", "postgres_frontier"}
"""Those that cannot be made without a server."""
