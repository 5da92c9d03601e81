"""What is read of runs by people: found, listed, page by page; and removed one day."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cnstra.durable.port import Row, Store
from cnstra.durable.records import Attempt

from .store_bench import StoreBench, begin, change, commit, finish, new_run, on_store, row, takeover

HOUR = 3600.0


async def names(store: Store, **options: Any) -> list[str]:
    return [run.run_id for run in await store.list_runs(**options)]


class RecordCases(StoreBench):
    @on_store
    async def test_a_run_is_found_by_its_id(self, store: Store, other: Store) -> None:
        claims = [await begin(store, run_id) for run_id in ("one", "ONE", "Grüße 世界", "with 'quotes' and % and \\")]
        for claim in claims:
            found = await other.find(claim.run_id)
            assert found is not None
            assert (found.key, found.run_id) == (claim.key, claim.run_id)
        assert await store.find("two") is None

    # -- lists

    @on_store
    async def test_the_newest_runs_come_first(self, store: Store) -> None:
        assert await store.list_runs() == []
        await begin(store, "b")
        await begin(store, "a")
        await store.create("owner", [new_run("c", due=time.time() + HOUR)])
        assert await names(store) == ["c", "a", "b"]
        assert [await store.find(name) for name in ("c", "a", "b")] == await store.list_runs()

    @on_store
    async def test_runs_of_one_status(self, store: Store) -> None:
        await store.create("owner", [new_run("scheduled", due=time.time() + HOUR)])
        for status in ("completed", "failed", "aborted"):
            await finish(store, await begin(store, status), status)
            await finish(store, await begin(store, f"{status} too"), status)
        await begin(store, "running")
        await begin(store, "released", owner="gone")
        await store.unregister("gone")
        assert await names(store, status="scheduled") == ["scheduled"]
        assert await names(store, status="running") == ["released", "running"]
        for status in ("completed", "failed", "aborted"):
            assert await names(store, status=status) == [f"{status} too", status]

    @on_store
    async def test_runs_of_one_scope_or_tag(self, store: Store) -> None:
        await begin(store, "plain")
        await begin(store, "shop", scope="shop", tags=("new", "größer"))
        await begin(store, "shopping", scope="shopping", tags=("newer", "new", 'say "x"'))
        await begin(store, "shop too", scope="shop")
        assert await names(store, scope="shop") == ["shop too", "shop"]
        assert await names(store, scope="none") == []
        assert await names(store, tag="new") == ["shopping", "shop"]
        assert await names(store, tag="größer") == ["shop"]
        assert await names(store, tag='say "x"') == ["shopping"]
        assert await names(store, tag="ne") == []
        assert await names(store, tag="new", scope="shop", status="running") == ["shop"]
        found = await store.find("shopping")
        assert found is not None
        assert found.tags == ("newer", "new", 'say "x"')

    @on_store
    async def test_runs_since_then(self, store: Store) -> None:
        await begin(store, "before")
        await asyncio.sleep(0.02)
        await begin(store, "then")
        await begin(store, "after")
        then = await store.find("then")
        assert then is not None
        assert await names(store, since=then.created) == ["after", "then"]
        assert await names(store, since=then.created + HOUR) == []

    @on_store
    async def test_runs_by_the_page(self, store: Store) -> None:
        await store.register("owner", 60)
        await store.create("owner", [new_run(f"{number}", tags=("odd",) * (number % 2)) for number in range(10)])
        assert len(await store.list_runs()) == 10
        pages: list[list[str]] = []
        before = None
        while page := await store.list_runs(before=before, limit=4):
            before = page[-1].key
            pages.append([run.run_id for run in page])
        assert pages == [["9", "8", "7", "6"], ["5", "4", "3", "2"], ["1", "0"]]
        (seven,) = [run.key for run in await store.list_runs() if run.run_id == "7"]
        assert await names(store, tag="odd", before=seven, limit=2) == ["5", "3"]

    @on_store
    async def test_a_page_of_runs_is_a_hundred(self, store: Store) -> None:
        await store.register("owner", 60)
        await store.create("owner", [new_run(f"{number}") for number in range(101)])
        assert len(await store.list_runs()) == 100

    @on_store
    async def test_attempts_in_order(self, store: Store) -> None:
        claim = await begin(store)
        for hops in range(1, 12):
            await commit(store, claim, hops=hops)
            (claim,) = await store.claim(f"owner {hops}", [takeover(claim)], [], ["owner", f"owner {hops - 1}"])
        await commit(store, claim, hops=20)
        attempts = await store.list_attempts(claim.key)
        assert all(type(attempt) is Attempt for attempt in attempts)
        assert [attempt.number for attempt in attempts] == list(range(1, 13))
        assert [attempt.hops for attempt in attempts] == [*range(1, 12), 20]
        assert [attempt.owner for attempt in attempts] == ["owner", *(f"owner {number}" for number in range(1, 12))]
        assert await store.list_attempts(12345) == []

    @on_store
    async def test_tasks_by_the_page(self, store: Store) -> None:
        claim, another = await begin(store), await begin(store, "another")
        rows = [row(seq, cause=seq // 2 or None, status="finished", outputs=b"%d" % seq) for seq in range(1, 11)]
        await commit(store, claim, added=rows)
        await commit(store, another, added=[row(3)])
        assert await store.list_tasks(claim.key, limit=3) == (rows[:3], {1: b"1"})
        assert await store.list_tasks(claim.key, after=3, limit=4) == (rows[3:7], {2: b"2", 3: b"3"})
        assert await store.list_tasks(claim.key, after=7) == (rows[7:], {4: b"4", 5: b"5"})
        assert await store.list_tasks(claim.key, after=10) == ([], {})
        assert await store.list_tasks(12345) == ([], {})

    @on_store
    async def test_outputs_that_are_gone_or_never_were(self, store: Store) -> None:
        claim = await begin(store)
        rows = [row(1, outputs=b"1"), row(2), row(3, cause=1), row(4, cause=2), row(5, cause=0)]
        await commit(store, claim, added=rows)
        await commit(store, claim, removed=[1])
        assert await store.list_tasks(claim.key) == (rows[1:], {})

    @on_store
    async def test_a_page_of_tasks_is_a_hundred(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(seq) for seq in range(1, 102)])
        tasks, _ = await store.list_tasks(claim.key)
        assert (len(tasks), type(tasks[0])) == (100, Row)

    # -- pruning

    @on_store
    async def test_old_runs_are_removed(self, store: Store) -> None:
        await finish(store, await begin(store, "old"))
        await asyncio.sleep(0.6)
        await finish(store, await begin(store, "new"))
        assert await store.prune(older_than=HOUR, keep_last=None) == 0
        assert await store.prune(older_than=0.5, keep_last=None) == 1
        assert await names(store) == ["new"]

    @on_store
    async def test_the_newest_are_kept(self, store: Store) -> None:
        for number in range(6):
            await finish(store, await begin(store, f"{number}"), ("completed", "failed", "aborted")[number % 3])
        await begin(store, "running")
        assert await store.prune(older_than=None, keep_last=2) == 4
        assert await names(store) == ["running", "5", "4"]
        assert await store.prune(older_than=None, keep_last=2) == 0

    @on_store
    async def test_what_is_removed_is_beyond_both_limits(self, store: Store) -> None:
        for number in range(4):
            await finish(store, await begin(store, f"{number}"))
        assert await store.prune(older_than=HOUR, keep_last=1) == 0
        assert await store.prune(older_than=-1, keep_last=3) == 1
        assert await names(store) == ["3", "2", "1"]
        assert await store.prune(older_than=-1, keep_last=0) == 3

    @on_store
    async def test_without_a_limit_every_ended_run_is_removed(self, store: Store) -> None:
        await finish(store, await begin(store, "ended"))
        await begin(store, "running", owner="late", lease=-1)
        await store.create("owner", [new_run("scheduled", due=time.time() - HOUR)])
        assert await store.prune(older_than=None, keep_last=None) == 1
        assert await names(store) == ["scheduled", "running"]

    @on_store
    async def test_a_removed_run_is_gone_with_all_that_was_its(self, store: Store) -> None:
        claim, kept = await begin(store), await begin(store, "kept")
        for one in (claim, kept):
            await commit(store, one, added=[row(1), row(2)], changed=[change(1)], contexts={"a": b"1"})
        await finish(store, claim, "failed")
        assert await store.prune(older_than=None, keep_last=None) == 1
        assert await store.find("run") is None
        assert await store.list_attempts(claim.key) == []
        assert await store.list_tasks(claim.key) == ([], {})
        assert await store.frontier(claim.key) == ([], {}, {})
        assert [task.seq for task in (await store.frontier(kept.key)).tasks] == [2]
        again = await begin(store)
        assert (again.fence, again.attempt, again.entered) == (1, 1, False)

    @on_store
    async def test_owners_who_are_long_gone_and_own_nothing_go_too(self, store: Store) -> None:
        await store.register("long gone", -400 * 24 * HOUR)
        await begin(store, "run", owner="owning", lease=-400 * 24 * HOUR)
        await store.register("just gone", -1)
        await store.register("alive", 60)
        assert await store.prune(older_than=None, keep_last=None) == 0
        assert sorted(await store.owners()) == ["alive", "just gone", "owning"]
