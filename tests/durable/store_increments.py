"""What is written of a run: tasks, contexts, its end; whole or not at all, and only by its owner."""

from __future__ import annotations

import asyncio

import pytest

from cnstra.durable import StoreError
from cnstra.durable.port import Frontier, Increment, Row, RunEnd, Store

from .store_bench import StoreBench, begin, change, commit, finish, on_store, row, takeover

MEGABYTE = 1024 * 1024
WORDS = "Grüße, 世界 \U0001f600 'quoted' \"twice\" back\\slash % {} $1 ? :name\n\ttab"


class IncrementCases(StoreBench):
    # -- tasks

    @on_store
    async def test_a_task_comes_back_as_it_is(self, store: Store, other: Store) -> None:
        claim = await begin(store)
        rows = [
            row(1),
            Row(2, WORDS, None, 3, WORDS, WORDS, 4, 5, 6, "failed", b"\0in\xff", b"", WORDS, WORDS, 1.25, 0.5, "1"),
            row(3, cause=2, status="joined", input=b"", outputs=b"\0" * 100, started=0.0, duration=0.0),
            row(2**40, status="aborted"),
        ]
        await commit(store, claim, added=rows)
        tasks, _ = await other.list_tasks(claim.key)
        assert tasks == rows
        assert all(type(task) is Row for task in tasks)

    @on_store
    async def test_what_becomes_of_a_task(self, store: Store) -> None:
        claim = await begin(store)
        kept = row(2, cause=1, input=b"in", joined="1")
        await commit(store, claim, added=[row(1), kept, row(3)])
        changed = change(2, attempt=4, outputs=b"out", error=WORDS, traceback=WORDS, status="failed", started=7.5)
        await commit(store, claim, changed=[changed])
        tasks, _ = await store.list_tasks(claim.key)
        assert tasks == [row(1), kept._replace(**changed._asdict()), row(3)]

    @on_store
    async def test_a_task_is_forgotten(self, store: Store) -> None:
        claim, another = await begin(store), await begin(store, "another")
        for one in (claim, another):
            await commit(store, one, added=[row(1), row(2), row(3)])
        await commit(store, claim, removed=[1, 3])
        assert [task.seq for task in (await store.list_tasks(claim.key))[0]] == [2]
        assert [task.seq for task in (await store.list_tasks(another.key))[0]] == [1, 2, 3]

    @on_store
    async def test_a_task_is_added_and_changed_at_once(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1), row(2)], changed=[change(1)], removed=[2])
        tasks, _ = await store.list_tasks(claim.key)
        assert [(task.seq, task.status) for task in tasks] == [(1, "finished")]

    @on_store
    async def test_of_what_is_changed_some_may_be_added_with_it(self, store: Store) -> None:
        for advance in (True, False):
            claim = await begin(store, f"run {advance}")
            await commit(store, claim, added=[row(1), row(2)])
            changed = [change(seq, outputs=b"%d" % seq) for seq in (2, 3, 1)]
            await commit(store, claim, added=[row(3)], changed=changed, advance=advance)
            tasks, _ = await store.list_tasks(claim.key)
            assert tasks == [row(one.seq)._replace(**one._asdict()) for one in sorted(changed, key=lambda it: it.seq)]

    @on_store
    async def test_one_task_after_the_other(self, store: Store) -> None:
        claim, another = await begin(store), await begin(store, "another")
        await commit(store, another, added=[row(1)])
        await commit(store, claim, added=[row(1)])
        tasks = [row(1)]
        for seq in range(1, 7):
            done = change(seq, attempt=seq, outputs=None if seq == 2 else WORDS.encode() * seq)
            caused = row(seq + 1, cause=seq, neuron=WORDS, hop=seq)
            if seq == 3:
                caused = caused._replace(cause=None, input=b"in")
            given = Increment(claim.key, claim.fence, [caused], [done], hops=seq, advance=seq % 2 == 0)
            stranger = Increment(claim.key, claim.fence + 1, [caused], [done], hops=9, advance=given.advance)
            assert await store.commit([stranger]) == {claim.key}
            assert (await store.list_tasks(claim.key))[0] == tasks
            assert await store.commit([given]) == frozenset()
            tasks = [*tasks[:-1], tasks[-1]._replace(**done._asdict()), caused]
            assert (await store.list_tasks(claim.key))[0] == tasks
        found = await store.find("run")
        assert found is not None
        assert found.hops == 6
        assert (await store.list_tasks(another.key))[0] == [row(1)]

    @on_store
    async def test_large_values(self, store: Store) -> None:
        large = bytes(range(256)) * (4 * MEGABYTE // 256)
        claim = await begin(store, entry=large, options=large[:MEGABYTE])
        assert (claim.entry, claim.options) == (large, large[:MEGABYTE])
        task = row(1, cause=None, input=large, outputs=large, traceback=WORDS * 10_000)
        await commit(store, claim, added=[task], contexts={"large": large})
        frontier = await store.frontier(claim.key)
        assert frontier == Frontier([task], {}, {"large": large})
        found = await store.find("run")
        assert found is not None
        assert found.entry == large

    @on_store
    async def test_many_tasks_at_once(self, store: Store) -> None:
        claim = await begin(store)
        count = 5000
        await commit(store, claim, added=[row(seq, cause=seq - 1) for seq in range(1, count + 1)])
        await commit(store, claim, changed=[change(seq, outputs=b"out") for seq in range(1, count + 1, 2)])
        frontier = await store.frontier(claim.key)
        assert [task.seq for task in frontier.tasks] == list(range(2, count + 1, 2))
        assert frontier.outputs == dict.fromkeys(range(1, count, 2), b"out")
        await commit(store, claim, removed=list(range(1, count + 1)))
        assert await store.frontier(claim.key) == Frontier([], {}, {})

    @on_store
    async def test_the_longest_chain_never_gets_shorter(self, store: Store) -> None:
        claim = await begin(store)
        for hops, longest in ((3, 3), (0, 3), (5, 5)):
            await commit(store, claim, hops=hops)
            found = await store.find("run")
            assert found is not None
            assert found.hops == longest

    @on_store
    async def test_a_commit_tells_when_it_was(self, store: Store) -> None:
        claim = await begin(store)
        before = await store.find("run")
        await asyncio.sleep(0.02)
        await commit(store, claim, hops=1)
        after = await store.find("run")
        assert before is not None
        assert after is not None
        assert after.created == before.created
        assert 0.01 < after.updated - before.updated < 10

    @on_store
    async def test_nothing_to_write(self, store: Store) -> None:
        claim = await begin(store)
        assert await store.commit([]) == frozenset()
        await commit(store, claim)

    # -- contexts

    @on_store
    async def test_context_values_are_set_and_forgotten(self, store: Store) -> None:
        claim, another = await begin(store), await begin(store, "another")
        await commit(store, claim, contexts={"kept": b"1", "set anew": b"1", "forgotten": b"1", WORDS: b""})
        await commit(store, another, contexts={"kept": b"another"})
        await commit(store, claim, contexts={"set anew": b"2", "forgotten": None, "never there": None, "new": b"3"})
        assert (await store.frontier(claim.key)).contexts == {"kept": b"1", "set anew": b"2", WORDS: b"", "new": b"3"}
        assert (await store.frontier(another.key)).contexts == {"kept": b"another"}

    # -- who may write

    @on_store
    async def test_a_refused_increment_keeps_no_other_out(self, store: Store) -> None:
        claims = [await begin(store, f"run {number}") for number in range(4)]
        await finish(store, claims[2])
        fences = [claim.fence for claim in claims]
        fences[1] += 1
        unknown = claims[3].key + 1000
        batch = [
            Increment(claim.key, fence, added=[row(1)], changed=[change(1)], contexts={"a": b"1"}, hops=2)
            for claim, fence in zip(claims, fences, strict=True)
        ]
        batch.insert(1, Increment(unknown, 1, added=[row(1)], end=RunEnd("completed", None)))
        refused = await store.commit(batch)
        assert type(refused) is frozenset
        assert refused == {unknown, claims[1].key, claims[2].key}
        for number, claim in enumerate(claims):
            tasks, _ = await store.list_tasks(claim.key)
            found = await store.find(f"run {number}")
            assert found is not None
            assert (len(tasks), found.hops) == ((1, 2) if number in (0, 3) else (0, 0))

    @on_store
    async def test_a_mistake_in_one_increment_undoes_all(self, store: Store) -> None:
        claims = [await begin(store, f"run {number}") for number in range(3)]
        await commit(store, claims[1], added=[row(1)])
        batch = [
            Increment(claims[0].key, 1, added=[row(1)], contexts={"a": b"1"}, hops=5, end=RunEnd("completed", None)),
            Increment(claims[1].key, 1, added=self.mistake(), contexts={"a": b"1"}),
            Increment(claims[2].key, 1, added=[row(1)]),
        ]
        with pytest.raises(StoreError):
            await store.commit(batch)
        assert [(run.status, run.hops) for run in await store.list_runs()] == [("running", 0)] * 3
        lengths = [len((await store.list_tasks(claim.key))[0]) for claim in claims]
        assert lengths == [0, 1, 0]
        assert [(await store.frontier(claim.key)).contexts for claim in claims] == [{}, {}, {}]
        # Nothing of it is left in the way.
        await commit(store, claims[0], added=[row(1)])

    @on_store
    async def test_two_stores_write_different_runs_side_by_side(self, store: Store, other: Store) -> None:
        mine, theirs = await begin(store, "mine"), await begin(other, "theirs", owner="other")
        for seq in range(1, 30):
            await asyncio.gather(
                store.commit([Increment(mine.key, mine.fence, added=[row(seq)])]),
                other.commit([Increment(theirs.key, theirs.fence, added=[row(seq)])]),
            )
        for claim in (mine, theirs):
            assert len((await store.frontier(claim.key)).tasks) == 29
            assert await store.frontier(claim.key) == await other.frontier(claim.key)

    # -- the end

    @on_store
    async def test_a_run_that_ends_has_no_owner(self, store: Store) -> None:
        for status, error in (("completed", None), ("failed", WORDS), ("aborted", "not needed")):
            claim = await begin(store, status)
            await commit(store, claim, added=[row(1), row(2, status="failed"), row(3, status="finished")], hops=1)
            await commit(store, claim, hops=2, end=RunEnd(status, error))  # type: ignore[arg-type]
            found = await store.find(status)
            assert found is not None
            assert (found.status, found.error, found.owner, found.lease_until) == (status, error, None, None)
            assert (found.hops, found.expired, found.fence, found.attempt) == (2, True, 1, 1)
            (attempt,) = await store.list_attempts(claim.key)
            assert (attempt.status, attempt.error, attempt.hops) == (status, error, 2)
            assert attempt.ended is not None
            tasks, _ = await store.list_tasks(claim.key)
            first = "aborted" if status == "aborted" else "pending"
            assert [task.status for task in tasks] == [first, "failed", "finished"]
            assert await store.commit([Increment(claim.key, claim.fence)]) == {claim.key}

    @on_store
    async def test_a_run_ends_with_its_last_tasks(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)])
        await commit(
            store,
            claim,
            changed=[change(1)],
            added=[row(2)],
            contexts={"a": b"1"},
            end=RunEnd("aborted", "not needed"),
        )
        tasks, _ = await store.list_tasks(claim.key)
        assert [task.status for task in tasks] == ["finished", "aborted"]
        assert (await store.frontier(claim.key)).contexts == {"a": b"1"}

    # -- the frontier

    @on_store
    async def test_what_is_left_to_do(self, store: Store, other: Store) -> None:
        claim, another = await begin(store), await begin(store, "another")
        statuses = ["failed", "finished", "pending", "joined", "aborted"]
        rows = [row(seq, status=status) for seq, status in enumerate(statuses, 1)]
        # Their order of writing is not that of their numbers.
        await commit(store, claim, added=rows[::-1])
        await commit(store, another, added=[row(9)])
        assert await other.frontier(claim.key) == Frontier([rows[0], rows[2], rows[4]], {}, {})
        assert await other.frontier(another.key) == Frontier([row(9)], {}, {})

    @on_store
    async def test_the_outputs_that_are_inputs_are_there(self, store: Store) -> None:
        claim = await begin(store)
        rows = [
            row(1, status="finished", outputs=b"one"),
            row(2, status="finished", outputs=b"two", cause=1),
            row(3, status="finished", outputs=b"nobody waits"),
            row(4, status="failed", outputs=b"four"),
            row(5, cause=2),
            row(6, cause=2, place=1, status="failed"),
            row(7, cause=None, input=b"enqueued"),
            row(8, cause=0),
            row(9, cause=4, status="aborted"),
            row(10, cause=8),
            row(11, cause=1, status="finished"),
        ]
        await commit(store, claim, added=rows)
        frontier = await store.frontier(claim.key)
        assert [task.seq for task in frontier.tasks] == [4, 5, 6, 7, 8, 9, 10]
        assert frontier.outputs == {2: b"two", 4: b"four"}
        await commit(store, claim, removed=[2])
        assert (await store.frontier(claim.key)).outputs == {4: b"four"}

    @on_store
    async def test_what_an_unfinished_join_took_over_is_there(self, store: Store) -> None:
        claim = await begin(store)
        rows = [
            row(1, status="finished", outputs=b"one"),
            row(2, status="joined", cause=1),
            row(3, status="joined", cause=0),
            row(4, status="finished", outputs=b"four"),
            row(5, status="joined", cause=4),
            row(6, status="pending", cause=1, joined="2,3"),
            row(7, status="finished", cause=4, joined="5"),
            row(12, status="joined", cause=4),
            row(13, status="failed", cause=4, joined="12"),
        ]
        await commit(store, claim, added=rows)
        frontier = await store.frontier(claim.key)
        assert [task.seq for task in frontier.tasks] == [2, 3, 6, 12, 13]
        assert frontier.outputs == {1: b"one", 4: b"four"}
        await commit(store, claim, changed=[change(6)])
        assert [task.seq for task in (await store.frontier(claim.key)).tasks] == [12, 13]

    @on_store
    async def test_a_run_that_is_not_there_has_nothing_to_do(self, store: Store) -> None:
        assert await store.frontier(12345) == Frontier([], {}, {})

    @on_store
    async def test_a_successor_goes_on_where_the_run_stands(self, store: Store, other: Store) -> None:
        claim = await begin(store, lease=-1)
        await commit(store, claim, added=[row(1)], contexts={"count": b"1"})
        await commit(store, claim, changed=[change(1, outputs=b"out")], added=[row(2, cause=1)])
        (taken,) = await other.claim("other", [takeover(claim)], [], [])
        assert await other.frontier(taken.key) == Frontier([row(2, cause=1)], {1: b"out"}, {"count": b"1"})
        await commit(other, taken, changed=[change(2, attempt=2)], end=RunEnd("completed", None))
        tasks, _ = await store.list_tasks(claim.key)
        assert [(task.status, task.attempt) for task in tasks] == [("finished", 1), ("finished", 2)]
