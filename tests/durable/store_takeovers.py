"""Taking runs over: which may be, by whom, and how a run that has ended is taken up again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cnstra.durable.port import Candidate, Claim, Increment, RunEnd, Store, Takeover

from .store_bench import FIRST, StoreBench, begin, change, commit, finish, new_run, on_store, row, takeover

HOUR = 3600.0


async def names(store: Store, owner: str, live: Any = (), dead: Any = (), **options: Any) -> list[str]:
    return [candidate.run_id for candidate in await store.candidates(owner, live, dead, **options)]


async def take(store: Store, owner: str, claim: Claim, *, dead: Any = ("owner",)) -> Claim:
    (taken,) = await store.claim(owner, [takeover(claim)], [], dead)
    return taken


class TakeoverCases(StoreBench):
    # -- candidates

    @on_store
    async def test_who_may_be_taken_over(self, store: Store, other: Store) -> None:
        await begin(store, "alive", owner="alive")
        await begin(store, "expired", owner="late", lease=-1)
        await begin(store, "dead", owner="dead")
        live, lost = await begin(store, "live", owner="me"), await begin(store, "lost", owner="me")
        await begin(store, "released", owner="gone")
        await finish(store, await begin(store, "ended", owner="gone"))
        await store.unregister("gone")
        past, future = time.time() - HOUR, time.time() + HOUR
        await store.create("me", [new_run("due", due=past), new_run("not due", due=future)])
        assert await names(other, "me", [live.key], ["dead"]) == ["expired", "dead", "lost", "released", "due"]
        assert await names(other, "me", {live.key, lost.key}) == ["expired", "released", "due"]
        assert await names(other, "somebody", {live.key}, {"dead"}) == ["expired", "dead", "released", "due"]
        # What is live here is nobody else's to take, and not to be taken by itself.
        store.beat("me", -1)
        assert await names(other, "me", [live.key, lost.key]) == ["expired", "released", "due"]
        assert await names(other, "somebody") == ["expired", "live", "lost", "released", "due"]

    @on_store
    async def test_a_lease_that_runs_out_makes_candidates(self, store: Store, other: Store) -> None:
        await begin(store, lease=0.3)
        assert await names(other, "other") == []
        await asyncio.sleep(0.35)
        assert await names(other, "other") == ["run"]

    @on_store
    async def test_a_scheduled_run_falls_due(self, store: Store) -> None:
        await store.create("owner", [new_run(due=time.time() + 0.4)])
        assert await names(store, "owner") == []
        for _ in range(100):
            await asyncio.sleep(0.02)
            if await names(store, "owner") == ["run"]:
                break
        else:
            raise AssertionError("it has never been due")

    @on_store
    async def test_what_is_told_of_a_candidate(self, store: Store) -> None:
        claim = await begin(store, owner="late")
        await store.request_cancel("run", "not needed")
        store.beat("late", -1)
        (due,) = await store.create("owner", [new_run("due", due=time.time() - HOUR)])
        assert due is not None
        assert await store.candidates("owner", [], []) == [
            Candidate(claim.key, "run", 1, FIRST, b"entry of run", "late", 0, False, "not needed"),
            Candidate(due.key, "due", 0, FIRST, b"entry of due", None, 0, True, None),
        ]

    @on_store
    async def test_the_oldest_come_first_and_not_more_than_wanted(self, store: Store) -> None:
        await store.register("late", -1)
        await store.create("late", [new_run(f"run {number}") for number in range(10)])
        assert await names(store, "owner", limit=3) == ["run 0", "run 1", "run 2"]

    @on_store
    async def test_one_is_asked_for_by_its_id(self, store: Store) -> None:
        await begin(store, "expired", owner="late", lease=-1)
        await begin(store, "more", owner="late", lease=-1)
        await begin(store, "alive")
        await store.create("owner", [new_run("due", due=time.time() - HOUR), new_run("not", due=time.time() + HOUR)])
        asked = ["expired", "alive", "due", "not", "unknown"]
        found = [await names(store, "other", [], [], run_id=run_id) for run_id in asked]
        assert found == [["expired"], [], ["due"], [], []]
        assert await names(store, "other", [], ["owner"], run_id="alive") == ["alive"]

    @on_store
    async def test_many_are_live_and_many_are_dead(self, store: Store) -> None:
        await store.register("owner", 60)
        claims = await store.create("owner", [new_run(f"run {number}") for number in range(3000)])
        live = [claim.key for claim in claims if claim is not None]
        dead = [f"dead {number}" for number in range(3000)]
        assert await names(store, "owner", live, dead) == []
        assert await names(store, "owner", live[1:], dead) == ["run 0"]

    # -- claims

    @on_store
    async def test_a_claim_is_a_new_attempt_with_the_next_fence(self, store: Store, other: Store) -> None:
        claim = await begin(store, lease=-1)
        await commit(store, claim, added=[row(1), row(2), row(7)], hops=5)
        await other.register("other", 60)
        (taken,) = await other.claim("other", [takeover(claim)], [], [])
        assert taken == Claim(claim.key, "run", 2, 2, claim.root, claim.entry, claim.options, True, 7, 5)
        found = await store.find("run")
        assert found is not None
        assert (found.status, found.owner, found.expired, found.fence, found.attempt, found.fingerprint) == (
            "running",
            "other",
            False,
            2,
            2,
            "graph 2",
        )
        first, second = await store.list_attempts(claim.key)
        assert (first.number, first.owner, first.status, first.hops, first.error) == (1, "owner", "lost", 5, None)
        assert (second.number, second.owner, second.status, second.ended) == (2, "other", "running", None)
        assert first.ended is not None
        assert first.started <= first.ended <= second.started + 0.001

    @on_store
    async def test_whoever_was_away_writes_nothing_any_more(self, store: Store, other: Store) -> None:
        claim = await begin(store)
        await take(other, "other", claim)
        increment = Increment(
            claim.key, claim.fence, added=[row(1)], contexts={"a": b"1"}, end=RunEnd("completed", None)
        )
        assert await store.commit([increment]) == {claim.key}
        frontier = await store.frontier(claim.key)
        assert frontier == ([], {}, {})
        found = await store.find("run")
        assert found is not None
        assert (found.status, found.owner) == ("running", "other")

    @on_store
    async def test_what_may_not_be_taken_over_is_left_out(self, store: Store) -> None:
        expired = await begin(store, "expired", owner="late", lease=-1)
        alive = await begin(store, "alive")
        ended = await begin(store, "ended")
        await finish(store, ended)
        live = await begin(store, "live", owner="me")
        (later,) = await store.create("me", [new_run("later", due=time.time() + HOUR)])
        assert later is not None
        takeovers = [takeover(claim) for claim in (alive, ended, live, later, expired)]
        takeovers.append(Takeover(expired.key + 1000, 1, "graph 2"))
        taken = await store.claim("me", takeovers, [live.key], [])
        assert [claim.run_id for claim in taken] == ["expired"]
        for claim in (alive, live):
            assert await store.commit([Increment(claim.key, claim.fence)]) == frozenset()

    @on_store
    async def test_a_run_is_claimed_by_the_fence_that_was_seen(self, store: Store) -> None:
        claim = await begin(store, lease=-1)
        stale = takeover(claim)
        taken = await take(store, "late", claim)
        assert await store.claim("other", [stale], [], ["late"]) == []
        (again,) = await store.claim("other", [takeover(taken)], [], ["late"])
        assert again.fence == taken.fence + 1

    @on_store
    async def test_of_several_who_claim_a_run_at_once_one_gets_it(self, store: Store, other: Store) -> None:
        claim = await begin(store, owner="late", lease=-1)
        for number in range(10):
            await store.register(f"owner {number}", 60)
        found = await asyncio.gather(
            *(
                place.claim(f"owner {number}", [takeover(claim)], [], [])
                for number, place in enumerate([store, other] * 5)
            )
        )
        (taken,) = [claim for claims in found for claim in claims]
        assert (taken.fence, taken.attempt) == (2, 2)
        assert len(await store.list_attempts(claim.key)) == 2

    @on_store
    async def test_one_takes_over_what_it_had_itself_and_lost(self, store: Store) -> None:
        claim = await begin(store)
        (taken,) = await store.claim("owner", [takeover(claim)], [], [])
        assert (taken.fence, taken.attempt) == (2, 2)

    @on_store
    async def test_a_due_run_begins(self, store: Store) -> None:
        await store.register("owner", 60)
        (claim,) = await store.create("owner", [new_run(due=time.time() - HOUR)])
        assert claim is not None
        (taken,) = await store.claim("owner", [takeover(claim)], [], [])
        assert (taken.fence, taken.attempt, taken.entered) == (1, 1, False)
        found = await store.find("run")
        assert found is not None
        assert (found.status, found.owner, found.crashes, found.due) == ("running", "owner", 0, found.due)
        (attempt,) = await store.list_attempts(claim.key)
        assert (attempt.number, attempt.status) == (1, "running")

    @on_store
    async def test_attempts_that_are_lost_in_a_row_are_counted(self, store: Store) -> None:
        claim = await begin(store)
        for crashes, owner in enumerate(("owner 2", "owner 3", "owner"), 1):
            claim = await take(store, owner, claim, dead=["owner", "owner 2", "owner 3"])
            found = await store.find("run")
            assert found is not None
            assert found.crashes == crashes
        (candidate,) = await store.candidates("other", [], ["owner"])
        assert candidate.crashes == 3
        await commit(store, claim, added=[row(1)])
        found = await store.find("run")
        assert found is not None
        assert found.crashes == 0
        await take(store, "other", claim)
        found = await store.find("run")
        assert found is not None
        assert found.crashes == 1

    @on_store
    async def test_an_owner_that_takes_up_its_own_has_not_crashed(self, store: Store) -> None:
        claim = await begin(store)
        await take(store, "owner", claim, dead=())
        found = await store.find("run")
        assert found is not None
        assert (found.crashes, found.attempt, found.fence) == (0, 2, 2)

    @on_store
    async def test_what_was_released_has_not_crashed(self, store: Store) -> None:
        claim = await begin(store)
        await store.unregister("owner")
        await take(store, "other", claim, dead=())
        found = await store.find("run")
        assert found is not None
        assert (found.crashes, found.attempt) == (0, 2)
        assert [attempt.status for attempt in await store.list_attempts(claim.key)] == ["released", "running"]

    @on_store
    async def test_a_run_of_which_everything_was_removed_has_been_entered(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1), row(2)])
        await commit(store, claim, removed=[1, 2])
        taken = await take(store, "other", claim)
        assert (taken.entered, taken.last_seq) == (True, 2)
        assert (await store.frontier(claim.key)).tasks == []

    # -- reopening

    @on_store
    async def test_an_ended_run_is_taken_up_again(self, store: Store) -> None:
        claim = await take(store, "owner", await begin(store))
        added = [
            row(1),
            row(2),
            row(3),
            row(4, status="failed", error="no", traceback="there", started=1.0, duration=2.0),
        ]
        await commit(store, claim, added=added, changed=[change(1, outputs=b"out")], hops=4)
        await store.request_cancel("run", "not needed")
        await finish(store, claim, "aborted", "not needed")
        again = await store.reopen("other", "run", "graph 3")
        assert again == Claim(claim.key, "run", 3, 3, claim.root, claim.entry, claim.options, True, 4, 4)
        found = await store.find("run")
        assert found is not None
        assert (found.status, found.owner, found.error, found.cancel, found.crashes, found.fingerprint) == (
            "running",
            "other",
            None,
            None,
            0,
            "graph 3",
        )
        tasks, _ = await store.list_tasks(claim.key)
        assert tasks == [row(1)._replace(**change(1, outputs=b"out")._asdict()), row(2), row(3), row(4)]
        statuses = [attempt.status for attempt in await store.list_attempts(claim.key)]
        assert statuses == ["lost", "aborted", "running"]
        assert await store.commit([Increment(claim.key, claim.fence)]) == {claim.key}
        await commit(store, again, added=[row(5)])

    @on_store
    async def test_a_failed_run_is_taken_up_again(self, store: Store) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1), row(2)], changed=[change(1, status="failed", error="no")])
        await finish(store, claim, "failed", "no")
        again = await store.reopen("owner", "run", FIRST)
        assert again is not None
        assert [task.status for task in (await store.frontier(claim.key)).tasks] == ["pending", "pending"]

    @on_store
    async def test_a_run_that_never_began_is_taken_up(self, store: Store) -> None:
        await store.create("owner", [new_run(due=time.time() + HOUR)])
        await store.request_cancel("run", "not needed")
        again = await store.reopen("owner", "run", FIRST)
        assert again is not None
        assert (again.fence, again.attempt, again.entered) == (1, 1, False)

    @on_store
    async def test_only_what_has_failed_or_was_aborted_is_taken_up_again(self, store: Store) -> None:
        await begin(store, "running")
        await finish(store, await begin(store, "completed"))
        await store.create("owner", [new_run("scheduled", due=time.time() - HOUR)])
        for run_id in ("running", "completed", "scheduled", "unknown"):
            assert await store.reopen("other", run_id, FIRST) is None
        found = await store.find("running")
        assert found is not None
        assert (found.owner, found.attempt) == ("owner", 1)

    @on_store
    async def test_of_several_who_take_a_run_up_again_at_once_one_gets_it(self, store: Store, other: Store) -> None:
        await finish(store, await begin(store), "failed", "no")
        found = await asyncio.gather(
            *(place.reopen(f"owner {number}", "run", FIRST) for number, place in enumerate([store, other] * 5))
        )
        assert sum(claim is not None for claim in found) == 1
