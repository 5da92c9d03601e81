"""Starting, joining, continuing, retrying, cloning, cancelling, scheduling: what is promised of durable runs."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import TYPE_CHECKING, Any

import pytest

from cnstra import CNS, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import (
    Durable,
    GraphChangedError,
    LeaseLostError,
    RecordedError,
    RunConflictError,
    RunStateError,
    UnknownRunError,
    current_activation,
)

from .shop import ALL, Shop

if TYPE_CHECKING:
    from .conftest import OpenStore


class Crash(BaseException):
    """A process that dies: nothing in it goes on. It aborts the run without a decision on it, and lets it go."""


# -- 1: start


def test_a_started_run_is_in_the_store(open_store: OpenStore) -> None:
    async def main() -> None:
        shop, other = Shop(), open_store()
        async with Durable(shop.cns, open_store()) as durable, Durable(shop.cns, other) as onlooker:
            run = await durable.start(shop.order(), run_id="o1", scope="shop", tags=["a", "b"], max_hops=9)
            seen = await onlooker.run("o1")
            assert (seen.status, seen.scope, seen.tags, seen.attempt) == ("running", "shop", ("a", "b"), 1)
            assert seen.entry == ({"collateral": "place", "payload": {"id": "o1", "cents": 995}},)
            await run
            assert run.outcome == "completed"
            seen = await onlooker.run("o1")
            assert (seen.status, seen.hops, seen.error, seen.owner) == ("completed", 2, None, None)
            (attempt,) = await onlooker.attempts("o1")
            assert (attempt.number, attempt.status, attempt.hops) == (1, "completed", 2)
            assert attempt.ended is not None
            assert attempt.ended >= attempt.started
        assert shop.done() == ALL

    asyncio.run(main())


def test_the_record_has_every_task(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as durable:
            await (await durable.start(shop.order(), run_id="o1"))
            page = await durable.tasks("o1")
        assert page.cursor is None
        first, *rest = page.items
        assert (first.seq, first.cause, first.neuron, first.collateral, first.status) == (
            1,
            0,
            "shop",
            "place",
            "finished",
        )
        assert first.input == {"id": "o1", "cents": 995}
        assert [one["collateral"] for one in first.outputs] == ["packed", "packed", "invoiced"]
        assert [(one.seq, one.cause, one.place, one.neuron, one.hop) for one in rest] == [
            (2, 1, 0, "post", 2), (3, 1, 1, "post", 2), (4, 1, 2, "books", 2),
        ]  # fmt: skip
        assert rest[1].input == {"order": {"id": "o1", "cents": 995}, "number": 2}
        assert all(one.started is not None and one.duration is not None for one in page.items)
        assert {one.id for one in page.items} == {id_ for *_, id_ in shop.log}

    asyncio.run(main())


def test_a_run_id_that_exists_joins_that_run(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as durable:
            run = await durable.start(shop.order(), run_id="o1")
            assert await durable.start(shop.order(), run_id="o1") is run
            with pytest.raises(RunConflictError, match="'o1' exists and was started with something else"):
                await durable.start(shop.order(cents=1), run_id="o1")
            await run
            ended = await durable.start(shop.order(), run_id="o1")
            await ended
            assert ended.outcome == "completed"
            assert ended.stimulation is None
        assert shop.done() == ALL

    asyncio.run(main())


def test_of_two_that_start_at_once_one_runs(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as one, Durable(shop.cns, open_store()) as other:
            runs = await asyncio.gather(*(who.start(shop.order(), run_id="o1") for who in (one, other, one, other)))
            await asyncio.gather(*runs)
            assert {run.outcome for run in runs} == {"completed"}
            assert (await one.run("o1")).attempt == 1
        assert shop.done() == ALL

    asyncio.run(main())


def test_a_run_of_another_process_is_followed(open_store: OpenStore) -> None:
    async def main() -> None:
        shop, go_on = Shop(), asyncio.Event()

        async def hold(who: str, attempt: int) -> None:
            if who == "books":
                await go_on.wait()

        shop.on_call = hold
        async with Durable(shop.cns, open_store()) as one, Durable(shop.cns, open_store()) as other:
            run = await one.start(shop.order(), run_id="o1")
            followed = await other.start(shop.order(), run_id="o1")
            assert followed.stimulation is None
            assert not followed.done()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
            await followed
            assert followed.outcome == "completed"
            await run

    asyncio.run(main())


def test_what_cannot_be_stored_is_refused(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as durable:
            options: list[dict[str, Any]] = [
                {"on_response": print}, {"on_drain": print}, {"abort_signal": None, "context_store": {}},
                {"run_id": ""}, {"run_id": 3}, {"tags": "a"}, {"scope": 1},
            ]  # fmt: skip
            for given in options:
                with pytest.raises(TypeError, match=next(iter(given))):
                    await durable.start(shop.order(), **given)
            with pytest.raises(TypeError, match="signal"):
                await durable.start("place")  # type: ignore[arg-type]
            assert not (await durable.runs()).items

    asyncio.run(main())


# -- 2: a crash


@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
@pytest.mark.parametrize("at", ["shop", "post", "books"])
@pytest.mark.parametrize("volume", ["full", "frontier"])
def test_after_a_crash_the_run_goes_on(open_store: OpenStore, sync: Any, at: str, volume: Any) -> None:
    async def main() -> None:
        shop = Shop()
        calls = 0

        async def die(who: str, attempt: int) -> None:
            nonlocal calls
            if who == at and attempt == 1:
                calls += 1
                # The second parcel, so that something was committed before.
                if at != "post" or calls == 2:
                    await asyncio.sleep(0.02)
                    raise Crash

        shop.on_call = die
        crashed = Durable(shop.cns, open_store(), sync=sync, volume=volume)
        with pytest.raises((Crash, StimulationAborted)):
            async with crashed as durable:
                await (await durable.start(shop.order(), run_id="o1"))
        async with Durable(shop.cns, open_store(), sync=sync, volume=volume) as durable:
            assert (await durable.run("o1")).status == "running"
            committed = {one.id for one in (await durable.tasks("o1")).items if one.status == "finished"}
            (run,) = await durable.recover()
            await run
            assert (await durable.run("o1")).status == "completed"
            assert (await durable.run("o1")).attempt == 2
            assert await durable.recover() == []
            left = (await durable.tasks("o1")).items
            assert len(left) == (4 if volume == "full" else 0)
        again = {id_ for *_, attempt, id_ in shop.log if attempt == 2}
        assert not committed & again
        assert sorted({(who, what) for who, what, *_ in shop.log}) == ALL
        # What ran twice had the same id both times.
        assert len({id_ for *_, id_ in shop.log}) == 4

    # What aborts the run also gets out of the loop.
    with pytest.MonkeyPatch.context():
        _run_past_crashes(main())


def _run_past_crashes(main: Any) -> None:
    """Run a program in whose handlers Crash is raised: asyncio reports it to the loop's exception handler."""

    async def quietly() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
        await main

    asyncio.run(quietly())


def test_a_failed_branch_stays_failed_after_a_crash(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def trouble(who: str, attempt: int) -> None:
            if who == "post":
                raise ConnectionError("no courier")
            if who == "books" and attempt == 1:
                await asyncio.sleep(0.02)
                raise Crash

        shop.on_call = trouble
        with pytest.raises((Crash, StimulationAborted)):
            async with Durable(shop.cns, open_store()) as durable:
                await (await durable.start(shop.order(), run_id="o1"))
        async with Durable(shop.cns, open_store()) as durable:
            (run,) = await durable.recover()
            with pytest.raises(StimulationFailed) as failed:
                await run
            assert [type(error) for error in failed.value.exceptions] == [RecordedError, RecordedError]
            assert (await durable.run("o1")).status == "failed"
            shop.on_call = None
            await (await durable.retry("o1"))
            assert (await durable.run("o1")).status == "completed"
        assert shop.done() == ALL

    _run_past_crashes(main())


def test_letting_go_is_no_decision_on_the_run(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def hold(who: str, attempt: int) -> None:
            if attempt == 1 and who != "shop":
                await asyncio.sleep(30)

        shop.on_call = hold

        async def service() -> None:
            async with Durable(shop.cns, open_store()) as durable:
                await durable.start(shop.order(), run_id="o1")
                await asyncio.sleep(0.02)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await service()
        async with Durable(shop.cns, open_store()) as durable:
            assert (await durable.run("o1")).status == "running"
            assert [one.status for one in await durable.attempts("o1")] == ["released"]
            (run,) = await durable.recover()
            await run
        assert shop.done() == ALL

    asyncio.run(main())


# -- 6: leases


def test_a_process_that_was_away_is_refused(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def sleep_on(who: str, attempt: int) -> None:
            if who == "books" and attempt == 1:
                await asyncio.sleep(0.6)

        shop.on_call = sleep_on
        async with Durable(shop.cns, open_store(), lease=0.3) as away, Durable(shop.cns, open_store()) as other:
            run = await away.start(shop.order(), run_id="o1")
            assert away._owner is not None
            assert away._owner._heartbeat is not None
            away._owner._heartbeat.stop()  # as if the process were stopped
            assert await other.recover() == []
            await asyncio.sleep(0.4)
            (taken,) = await other.recover()
            await taken
            with pytest.raises(StimulationAborted) as aborted:
                await run
            assert isinstance(aborted.value.reason, LeaseLostError)
            assert (await other.run("o1")).status == "completed"
            assert [one.status for one in await other.attempts("o1")] == ["lost", "completed"]

    asyncio.run(main())


def test_a_busy_loop_does_not_lose_its_lease(open_store: OpenStore) -> None:
    async def main() -> None:
        work = collateral("work", int)

        def keep_the_loop_busy(seconds: int) -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass

        cns = CNS([neuron("worker").dendrite(collateral=work, response=keep_the_loop_busy)])
        async with Durable(cns, open_store(), lease=0.4) as durable:
            await (await durable.start(work.create_signal(1), run_id="w"))
            assert (await durable.run("w")).status == "completed"

    asyncio.run(main())


def test_a_run_that_kills_its_process_again_and_again_ends_failed(open_store: OpenStore) -> None:
    async def main() -> None:
        store = open_store()
        shop = Shop()
        async with Durable(shop.cns, store, max_attempts=3) as last:
            for _ in range(3):
                lost = Durable(shop.cns, open_store(), lease=0.01)
                await lost.__aenter__()
                owner = lost._owner
                assert owner is not None
                assert owner._heartbeat is not None
                owner._heartbeat.stop()
                await asyncio.sleep(0.03)
                if (await last.runs()).items:
                    found = await owner.candidates()
                    from cnstra.durable.port import Takeover

                    takeovers = [Takeover(one.key, one.fence, one.fingerprint) for one in found]
                    assert await owner._store.claim(owner.name, takeovers, [], [])
                else:
                    from cnstra.durable.entries import new_run

                    new = new_run(
                        shop.cns, lost._kept, lost._names, [shop.order()], run_id="o1", options={}, scope=None, tags=()
                    )
                    assert await owner.create(new)
                await owner._store.close()
            await asyncio.sleep(0.05)
            assert await last.recover() == []
            run = await last.run("o1")
            assert run.status == "failed"
            assert run.error is not None
            assert "3 times in a row" in run.error

    asyncio.run(main())


# -- 7: retry, clone, cancel, schedule


def test_retry_keeps_ids_and_clone_changes_them(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def fail(who: str, attempt: int) -> None:
            if who == "post" and attempt == 1:
                raise ConnectionError("no courier")

        shop.on_call = fail
        async with Durable(shop.cns, open_store()) as durable:
            run = await durable.start(shop.order(), run_id="o1", scope="s", tags=["t"])
            with pytest.raises(StimulationFailed) as failed:
                await run
            assert [type(error) for error in failed.value.exceptions] == [ConnectionError] * 2
            row = await durable.run("o1")
            assert row.status == "failed"
            assert row.error is not None
            assert "no courier" in row.error
            before = {one.seq: one for one in (await durable.tasks("o1")).items}
            assert before[2].status == "failed"
            assert before[2].error == "ConnectionError: no courier"
            assert before[2].traceback is not None
            assert "no courier" in before[2].traceback
            await (await durable.retry("o1"))
            after = {one.seq: one for one in (await durable.tasks("o1")).items}
            assert {seq: one.id for seq, one in before.items()} == {seq: one.id for seq, one in after.items()}
            assert {one.status for one in after.values()} == {"finished"}
            assert [one.attempt for one in after.values()] == [1, 2, 2, 1]
            with pytest.raises(RunStateError, match="'o1' is completed"):
                await durable.retry("o1")
            clone = await durable.clone("o1", "o1-again")
            shop.on_call = None
            await clone
            ids = {one.id for one in (await durable.tasks("o1-again")).items}
            assert len(ids) == 4
            assert not ids & {one.id for one in after.values()}
            assert ((await durable.run("o1-again")).scope, (await durable.run("o1-again")).tags) == ("s", ("t",))
            with pytest.raises(RunConflictError):
                await durable.clone("o1", "o1-again")
            for call in (durable.retry, durable.clone, durable.cancel, durable.find, durable.run, durable.tasks):
                with pytest.raises(UnknownRunError, match="'nobody'"):
                    await call("nobody")

    asyncio.run(main())


def test_cancel_reaches_the_process_that_runs_it(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def hold(who: str, attempt: int) -> None:
            if attempt == 1:
                await asyncio.sleep(30)

        shop.on_call = hold
        async with Durable(shop.cns, open_store(), lease=1) as one, Durable(shop.cns, open_store()) as other:
            run = await one.start(shop.order(), run_id="o1")
            assert await other.cancel("o1", "nobody wants it")
            with pytest.raises(StimulationAborted, match="nobody wants it"):
                await asyncio.wait_for(asyncio.ensure_future(run._wait()), 5)
            seen = await other.run("o1")
            assert seen.status == "aborted"
            assert seen.error is not None
            assert "nobody wants it" in seen.error
            assert {task.status for task in (await other.tasks("o1")).items} == {"aborted"}
            assert not await other.cancel("o1")
            await (await other.retry("o1"))
            assert (await one.run("o1")).status == "completed"

    asyncio.run(main())


def test_a_scheduled_run_is_started_once_when_it_is_due(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as one, Durable(shop.cns, open_store()) as other:
            due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.3)
            run = await one.schedule(shop.order(), at=due, run_id="o1")
            far = await one.schedule(shop.order(), at=time.time() + 1000, run_id="far")
            assert (await other.run("o1")).status == "scheduled"
            assert await other.recover() == []
            assert not shop.log
            await asyncio.sleep(0.4)
            taken = await asyncio.gather(one.recover(), other.recover())
            assert sum(map(len, taken)) == 1
            await run
            assert shop.done() == ALL
            assert await other.cancel("far")
            assert (await one.run("far")).status == "aborted"
            with pytest.raises(StimulationAborted):
                await far
            with pytest.raises(ValueError, match="time zone"):
                await one.schedule(shop.order(), at=datetime.datetime(2030, 1, 1))  # noqa: DTZ001

    asyncio.run(main())


def test_recovery_looks_again(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store(), recover_every=0.05) as durable:
            run = await durable.schedule(shop.order(), at=time.time() + 0.1, run_id="o1")
            await asyncio.wait_for(asyncio.ensure_future(run._wait()), 5)
        assert shop.done() == ALL

    asyncio.run(main())


# -- 8: a changed graph


def test_a_changed_graph_leaves_the_run_untouched(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def fail(who: str, attempt: int) -> None:
            if who != "shop":
                raise ConnectionError

        shop.on_call = fail
        async with Durable(shop.cns, open_store()) as durable:
            with pytest.raises(StimulationFailed):
                await (await durable.start(shop.order(), run_id="o1"))
            before = await durable.run("o1"), await durable.tasks("o1")
        shop.on_call = None
        lesser = CNS([one for one in shop.cns.neurons if one.name != "books"])
        async with Durable(lesser, open_store()) as durable:
            with pytest.raises(GraphChangedError, match="run 'o1' needs neuron 'books'"):
                await durable.retry("o1")
            assert (await durable.run("o1"), await durable.tasks("o1")) == before
        ids: list[str] = []
        books = neuron("ledger").dendrite(
            collateral=shop.axon.invoiced, response=lambda _: ids.append(current_activation().id)
        )
        renamed = CNS([*lesser.neurons, books])
        async with Durable(renamed, open_store(), aliases={"books": "ledger"}) as durable:
            await (await durable.retry("o1"))
        assert ids == [before[1].items[3].id]

    asyncio.run(main())


def test_recovery_continues_what_it_can_and_names_the_rest(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def hold(who: str, attempt: int) -> None:
            if who == "books" and attempt == 1:
                await asyncio.sleep(30)

        shop.on_call = hold
        only_books = collateral("other", int)
        other = neuron("other").dendrite(collateral=only_books, response=lambda _: None)

        async def service() -> None:
            async with Durable(CNS([*shop.cns.neurons, other]), open_store()) as durable:
                await durable.start(shop.order(), run_id="o1")
                await durable.schedule(only_books.create_signal(1), at=0, run_id="o2")
                await asyncio.sleep(0.02)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await service()
        lesser = CNS([one for one in shop.cns.neurons if one.name != "books"] + [other])
        async with Durable(lesser, open_store()) as durable:
            with pytest.raises(GraphChangedError) as changed:
                await durable.recover()
            assert changed.value.missing == {"o1": ("neuron 'books'",)}
            (run,) = changed.value.recovered
            await run
            assert ((await durable.run("o1")).status, (await durable.run("o2")).status) == ("running", "completed")
            assert (await durable.run("o1")).attempt == 1

    asyncio.run(main())


# -- the record


def test_pages_filters_and_pruning(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as durable:
            for number in range(7):
                scope = "even" if number % 2 == 0 else "odd"
                await (await durable.start(shop.order(f"o{number}"), run_id=f"r{number}", scope=scope, tags=[scope]))
            page = await durable.runs(limit=3)
            assert [run.id for run in page.items] == ["r6", "r5", "r4"]
            page = await durable.runs(limit=3, cursor=page.cursor)
            assert [run.id for run in page.items] == ["r3", "r2", "r1"]
            page = await durable.runs(limit=3, cursor=page.cursor)
            assert ([run.id for run in page.items], page.cursor) == (["r0"], None)
            assert [run.id for run in (await durable.runs(scope="odd")).items] == ["r5", "r3", "r1"]
            assert [run.id for run in (await durable.runs(tag="odd", limit=1)).items] == ["r5"]
            assert not (await durable.runs(status="failed")).items
            assert not (await durable.runs(since=time.time() + 100)).items
            first = await durable.tasks("r0", limit=3)
            rest = await durable.tasks("r0", limit=3, cursor=first.cursor)
            assert [one.seq for one in (*first.items, *rest.items)] == [1, 2, 3, 4]
            assert rest.items[0].input == 995
            assert rest.cursor is None
            for wrong in ({"limit": 0}, {"cursor": "x"}):
                with pytest.raises(ValueError, match=r"limit|cursor"):
                    await durable.runs(**wrong)
            with pytest.raises(TypeError, match="older_than= or keep_last="):
                await durable.prune()
            assert await durable.prune(older_than=100) == 0
            assert await durable.prune(keep_last=2) == 5
            assert [run.id for run in (await durable.runs()).items] == ["r6", "r5"]

    asyncio.run(main())


def test_text_that_no_store_takes_does_not_get_there(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()

        async def fail(who: str, attempt: int) -> None:
            raise ValueError("a lone \ud800 and a \0")

        shop.on_call = fail
        async with Durable(shop.cns, open_store()) as durable:
            wrong: list[dict[str, Any]] = [{"run_id": "\ud800"}, {"scope": "a\0b"}, {"tags": ["\0"]}]
            for given in wrong:
                with pytest.raises(ValueError, match="no store takes"):
                    await durable.start(shop.order(), **given)
            with pytest.raises(StimulationFailed):
                await (await durable.start(shop.order(), run_id="o1"))
            (task,) = (await durable.tasks("o1")).items
            assert task.error == "ValueError: a lone \\ud800 and a \\x00"

    asyncio.run(main())


def test_who_insists_gets_out(open_store: OpenStore) -> None:
    async def main() -> None:
        shop, begun = Shop(), asyncio.Event()

        async def stay(who: str, attempt: int) -> None:
            while attempt == 1:
                begun.set()
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    if insisted:
                        raise

        async def service() -> None:
            async with Durable(shop.cns, open_store(), lease=0.2) as durable:
                await (await durable.start(shop.order(), run_id="o1"))

        insisted = False
        shop.on_call = stay
        task = asyncio.create_task(service())
        await begun.wait()
        for _ in range(3):
            assert not task.done()
            task.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await task
        insisted = True
        for one in asyncio.all_tasks() - {asyncio.current_task()}:
            one.cancel()
        await asyncio.sleep(0.3)
        async with Durable(shop.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        assert shop.done() == ALL

    asyncio.run(main())
