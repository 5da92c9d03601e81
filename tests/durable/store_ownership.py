"""Who owns a run: owners, their leases, what is begun and what is scheduled, and the end that others give it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from cnstra.durable.port import Increment, RunEnd, Store, Takeover

from .store_bench import StoreBench, begin, change, commit, finish, inline, new_run, on_store, row, takeover

HOUR = 3600.0


async def claim_once(store: Store, owner: str, run_id: str) -> Any:
    """Take a run over as if its owner were known to be dead."""
    found = await store.find(run_id)
    assert found is not None
    dead = [] if found.owner is None else [found.owner]
    return await store.claim(owner, [Takeover(found.key, found.fence, "graph 2")], [], dead)


class OwnershipCases(StoreBench):
    # -- life

    @on_store
    async def test_it_can_be_closed_twice(self, store: Store) -> None:
        await store.close()
        await store.close()

    @on_store
    async def test_what_was_written_is_there_for_others_and_after_it_is_closed(
        self, store: Store, other: Store
    ) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)])
        await store.close()
        found = await other.find("run")
        assert found is not None
        assert (found.key, found.status) == (claim.key, "running")
        assert [task.seq for task in (await other.frontier(claim.key)).tasks] == [1]

    @on_store
    async def test_connecting_again_changes_nothing(self, store: Store) -> None:
        await begin(store)
        await store.connect()
        assert await store.find("run") is not None

    @on_store
    async def test_its_repr_names_its_url(self, store: Store) -> None:
        assert repr(store) == f"<Store {store.url}>"

    @on_store
    async def test_an_inline_store_never_suspends(self, store: Store) -> None:
        claim = await begin(store)
        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: store.commit([Increment(claim.key, claim.fence, added=[row(1)])]),
            lambda: store.create("owner", [new_run("another")]),
            lambda: store.find("run"),
            lambda: store.frontier(claim.key),
            lambda: store.candidates("other", [], []),
        ]
        for call in calls if store.inline else []:
            inline(call())

    # -- owners

    @on_store
    async def test_an_owner_has_its_runs_until_its_lease_runs_out(self, store: Store, other: Store) -> None:
        await begin(store, lease=0.3)
        found = await other.find("run")
        assert found is not None
        assert (found.owner, found.expired) == ("owner", False)
        assert found.lease_until is not None
        await asyncio.sleep(0.35)
        found = await other.find("run")
        assert found is not None
        assert (found.owner, found.expired) == ("owner", True)

    @on_store
    async def test_a_beat_renews_the_lease(self, store: Store, other: Store) -> None:
        await begin(store, lease=-1)
        before = await other.find("run")
        assert store.beat("owner", 60).cancels == {}
        after = await other.find("run")
        assert before is not None
        assert after is not None
        assert (before.expired, after.expired) == (True, False)
        assert before.lease_until is not None
        assert after.lease_until is not None
        assert 60 < after.lease_until - before.lease_until < 120

    @on_store
    async def test_a_beat_enters_an_owner_anew(self, store: Store) -> None:
        store.beat("owner", 60)
        assert await store.owners() == ["owner"]

    @on_store
    async def test_beats_come_from_a_thread_of_their_own(self, store: Store) -> None:
        claim = await begin(store)
        errors: list[BaseException] = []

        def beat() -> None:
            try:
                for _ in range(20):
                    store.beat("owner", 60)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=beat)
        thread.start()
        seq = 0
        while thread.is_alive():
            seq += 1
            await commit(store, claim, added=[row(seq)])
            await asyncio.sleep(0.001)
        thread.join()
        assert not errors
        assert len((await store.frontier(claim.key)).tasks) == seq

    @on_store
    async def test_every_owner_that_is_entered_is_known(self, store: Store, other: Store) -> None:
        assert await store.owners() == []
        await store.register("alive", 60)
        await store.register("late", -1)
        await store.register("alive", 60)
        assert sorted(await other.owners()) == ["alive", "late"]
        await store.unregister("late")
        assert await other.owners() == ["alive"]

    @on_store
    async def test_an_owner_that_goes_lets_its_runs_go(self, store: Store) -> None:
        mine = await begin(store, "mine")
        await commit(store, mine, hops=3)
        ended = await begin(store, "ended")
        await finish(store, ended)
        theirs = await begin(store, "theirs", owner="somebody")
        await store.unregister("owner")
        found = await store.find("mine")
        assert found is not None
        assert (found.status, found.owner, found.lease_until, found.expired) == ("running", None, None, True)
        (attempt,) = await store.list_attempts(mine.key)
        assert (attempt.status, attempt.hops) == ("released", 3)
        assert attempt.ended is not None
        assert attempt.ended >= attempt.started
        (attempt,) = await store.list_attempts(ended.key)
        assert attempt.status == "completed"
        found = await store.find("theirs")
        assert found is not None
        assert (found.owner, found.expired) == ("somebody", False)
        (attempt,) = await store.list_attempts(theirs.key)
        assert (attempt.status, attempt.ended) == ("running", None)

    @on_store
    async def test_an_owner_that_nobody_knows_may_go(self, store: Store) -> None:
        await store.unregister("nobody")

    # -- beginning

    @on_store
    async def test_a_run_that_begins_belongs_to_who_began_it(self, store: Store) -> None:
        await store.register("owner", 60)
        new = new_run(scope="scope", tags=("one", "two"))
        (claim,) = await store.create("owner", [new])
        assert claim is not None
        assert claim[1:] == ("run", 1, 1, new.root, new.entry, new.options, False, 0, 0)
        found = await store.find("run")
        assert found is not None
        assert found.created <= found.updated <= found.created + 1
        assert found == (
            claim.key,
            "run",
            "running",
            new.root,
            new.entry,
            new.options,
            new.fingerprint,
            "scope",
            ("one", "two"),
            found.created,
            found.updated,
            None,
            "owner",
            found.lease_until,
            False,
            1,
            1,
            0,
            0,
            None,
            None,
        )
        (attempt,) = await store.list_attempts(claim.key)
        assert (attempt.number, attempt.owner, attempt.status, attempt.ended, attempt.error) == (
            1,
            "owner",
            "running",
            None,
            None,
        )

    @on_store
    async def test_an_id_is_taken_once(self, store: Store, other: Store) -> None:
        await begin(store)
        claims = await other.create("other", [new_run(entry=b"another"), new_run("more"), new_run("more", entry=b"x")])
        assert [claim and claim.run_id for claim in claims] == [None, "more", None]
        found, more = await store.find("run"), await store.find("more")
        assert found is not None
        assert more is not None
        assert (found.owner, found.entry, found.attempt) == ("owner", b"entry of run", 1)
        assert more.entry == b"entry of more"
        assert len(await store.list_runs()) == 2

    @on_store
    async def test_of_several_who_begin_a_run_at_once_one_does(self, store: Store, other: Store) -> None:
        found = await asyncio.gather(
            *(place.create(f"owner {number}", [new_run()]) for number, place in enumerate([store, other] * 5))
        )
        assert sum(claim is not None for (claim,) in found) == 1

    @on_store
    async def test_no_runs_are_begun_as_well(self, store: Store) -> None:
        assert await store.create("owner", []) == []

    @on_store
    async def test_a_scheduled_run_is_nobodys(self, store: Store) -> None:
        await store.register("owner", 60)
        due = time.time() + HOUR
        (claim,) = await store.create("owner", [new_run(due=due)])
        assert claim is not None
        assert (claim.fence, claim.attempt, claim.entered, claim.last_seq) == (0, 0, False, 0)
        found = await store.find("run")
        assert found is not None
        assert (found.status, found.due, found.owner, found.fence, found.attempt) == ("scheduled", due, None, 0, 0)
        assert (found.lease_until, found.expired) == (None, True)
        assert await store.list_attempts(claim.key) == []

    @on_store
    async def test_a_key_is_never_given_twice(self, store: Store) -> None:
        claim = await begin(store)
        await finish(store, claim)
        assert await store.prune(older_than=None, keep_last=None) == 1
        again = await begin(store)
        assert again.key > claim.key
        assert await store.commit([Increment(claim.key, claim.fence, added=[row(1)])]) == {claim.key}

    # -- ended by others

    @on_store
    async def test_giving_up_ends_what_has_the_fence(self, store: Store) -> None:
        gone = await begin(store, "gone")
        await commit(store, gone, added=[row(1), row(2, status="failed", error="no")], hops=2)
        moved, ended = await begin(store, "moved"), await begin(store, "ended")
        await claim_once(store, "other", "moved")
        await finish(store, ended)
        end = RunEnd("aborted", "nobody can do it")
        unknown = Takeover(gone.key + 1000, 1, "graph 2")
        assert await store.give_up([takeover(gone), takeover(moved), takeover(ended), unknown], end) == 1
        found = await store.find("gone")
        assert found is not None
        assert (found.status, found.error, found.owner) == ("aborted", "nobody can do it", None)
        (attempt,) = await store.list_attempts(gone.key)
        assert (attempt.status, attempt.hops) == ("lost", 2)
        assert attempt.ended is not None
        assert [task.status for task in (await store.frontier(gone.key)).tasks] == ["aborted", "failed"]
        assert [run.status for run in await store.list_runs()] == ["completed", "running", "aborted"]

    @on_store
    async def test_giving_up_as_failed_leaves_pending_tasks_pending(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)])
        assert await store.give_up([takeover(claim)], RunEnd("failed", "five crashes")) == 1
        assert [task.status for task in (await store.frontier(claim.key)).tasks] == ["pending"]

    @on_store
    async def test_a_scheduled_run_can_be_given_up(self, store: Store) -> None:
        (claim,) = await store.create("owner", [new_run(due=time.time() - HOUR)])
        assert claim is not None
        assert await store.give_up([takeover(claim)], RunEnd("failed", "unfit")) == 1
        assert await store.candidates("owner", [], []) == []

    @on_store
    async def test_a_wish_to_cancel_comes_with_the_beat(self, store: Store, other: Store) -> None:
        claim = await begin(store)
        await begin(store, "untouched")
        found = await other.request_cancel("run", "not needed")
        assert found is not None
        assert (found.key, found.status, found.cancel, found.error) == (claim.key, "running", "not needed", None)
        assert store.beat("owner", 60).cancels == {claim.key: "not needed"}
        assert store.beat("other", 60).cancels == {}
        again = await other.request_cancel("run", "really not")
        assert again is not None
        assert again.cancel == "not needed"
        await finish(store, claim, "aborted", "not needed")
        assert store.beat("owner", 60).cancels == {}

    @on_store
    async def test_what_nobody_has_is_cancelled_there_and_then(self, store: Store) -> None:
        await store.create("owner", [new_run("scheduled", due=time.time() + HOUR)])
        expired = await begin(store, "expired", owner="late", lease=-1)
        await commit(store, expired, added=[row(1), row(2), row(3)], changed=[change(2)])
        await begin(store, "released", owner="gone")
        await store.unregister("gone")
        for run_id in ("scheduled", "expired", "released"):
            returned = await store.request_cancel(run_id, "not needed")
            assert returned is not None
            assert returned == await store.find(run_id)
            assert (returned.status, returned.error, returned.cancel, returned.owner) == (
                "aborted",
                "not needed",
                "not needed",
                None,
            )
        tasks, _ = await store.list_tasks(expired.key)
        assert [task.status for task in tasks] == ["aborted", "finished", "aborted"]
        (attempt,) = await store.list_attempts(expired.key)
        assert attempt.status == "lost"
        assert await store.commit([Increment(expired.key, expired.fence, added=[row(4)])]) == {expired.key}

    @on_store
    async def test_an_ended_run_is_not_cancelled(self, store: Store) -> None:
        claim = await begin(store)
        await finish(store, claim, "failed", "broken")
        before = await store.find("run")
        assert await store.request_cancel("run", "not needed") == before
        assert await store.request_cancel("unknown", "not needed") is None
