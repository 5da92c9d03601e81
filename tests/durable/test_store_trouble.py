"""A store that is down, full or locked: runs stop at their last commit or wait, and go on when it is back (promise
10)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from cnstra import StimulationAborted
from cnstra.durable import (
    Durable,
    DurableRun,
    Store,
    StoreBusyError,
    StoreCorruptError,
    StoreUnavailableError,
)
from cnstra.durable.patience import Pauses

from .crashing import MortalStore, SlowMortalStore
from .shop import ALL, Shop

T = TypeVar("T")


class TroubledStore(MortalStore):
    """Its writes raise what is set as ``trouble``."""

    trouble: BaseException | None = None
    refusals = 0
    _hears: asyncio.Event | None = None

    async def refused(self, times: int) -> None:
        """Wait until so many writes were refused."""
        while self.refusals < times:
            self._hears = asyncio.Event()
            await self._hears.wait()

    async def _write(self, kind: str, call: Callable[[], Awaitable[T]]) -> T:
        if self.trouble is not None:
            self.refusals += 1
            if self._hears is not None:
                self._hears.set()
            raise self.trouble
        return await super()._write(kind, call)


class SlowTroubledStore(TroubledStore, SlowMortalStore):
    """The same, of one that has to be waited for."""


KINDS = pytest.mark.parametrize("kind", [TroubledStore, SlowTroubledStore], ids=["inline", "slow"])
GONE = StoreUnavailableError("memory://: the disk is full")
BUSY = StoreBusyError("memory://: it is locked")


class Bench:
    """A shop whose books wait until they may go on."""

    def __init__(self, kind: Any) -> None:
        self.shop = Shop()
        self.store: Any = kind(Store.open("memory://"), lease=30)
        self.goes_on = asyncio.Event()
        self.is_held = asyncio.Event()
        self.shop.on_call = self._hold

    async def _hold(self, who: str, attempt: int) -> None:
        if who == "books":
            self.is_held.set()
            await self.goes_on.wait()

    async def held(self, durable: Durable) -> DurableRun:
        """A run that waits, with all that it has done committed."""
        run = await durable.start(self.shop.order(), run_id="o1")
        await self.is_held.wait()
        assert durable._owner is not None
        await asyncio.sleep(0)
        await durable._owner._journal.settled()
        return run


@KINDS
@pytest.mark.parametrize("sync", ["turn", "hop"])
def test_stop_aborts_at_the_last_commit_and_recover_continues(kind: Any, sync: Any) -> None:
    async def main() -> None:
        bench = Bench(kind)
        async with Durable(bench.shop.cns, bench.store, sync=sync, commit_interval=0) as durable:
            run = await bench.held(durable)
            bench.store.trouble = GONE
            bench.goes_on.set()
            with pytest.raises(StimulationAborted) as aborted:
                await run
            assert aborted.value.reason is GONE
            assert run.outcome == "aborted"
            row = await durable.run("o1")
            # It is nobody's decision on the run.
            assert (row.status, row.error) == ("running", None)
            bench.store.trouble = None
            done = len(bench.shop.log)
            (again,) = await durable.recover()
            await again
            assert (await durable.run("o1")).status == "completed"
            assert [one.status for one in await durable.attempts("o1")] == ["lost", "completed"]
            # Only what had not been committed was done again.
            assert [who for who, *_ in bench.shop.log[done:]] == ["books"]
        assert sorted(set(bench.shop.done())) == ALL

    asyncio.run(main())


@KINDS
@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
def test_wait_goes_on_when_it_is_back(kind: Any, sync: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench = Bench(kind)
        async with Durable(bench.shop.cns, bench.store, sync=sync, on_store_error="wait", commit_interval=0) as durable:
            run = await bench.held(durable)
            bench.store.trouble = GONE
            bench.goes_on.set()
            await bench.store.refused(3)
            assert run.outcome == "running"
            bench.store.trouble = None
            await run
            assert (await durable.run("o1")).status == "completed"
            assert (await durable.run("o1")).attempt == 1
        assert bench.shop.done() == ALL

    with caplog.at_level(logging.WARNING, "cnstra.durable"):
        asyncio.run(main())
    # Once, not at every try.
    assert [record.getMessage() for record in caplog.records] == [f"{GONE}; its runs wait for it"]


@KINDS
@pytest.mark.parametrize("policy", ["stop", "wait"])
def test_what_no_waiting_can_mend_stops_runs(kind: Any, policy: Any) -> None:
    async def main() -> None:
        bench = Bench(kind)
        async with Durable(bench.shop.cns, bench.store, on_store_error=policy) as durable:
            run = await bench.held(durable)
            bench.store.trouble = StoreCorruptError("memory://: it is damaged")
            bench.goes_on.set()
            with pytest.raises(StimulationAborted, match="it is damaged"):
                await run
            bench.store.trouble = None

    asyncio.run(main())


@KINDS
@pytest.mark.parametrize("policy", ["stop", "wait"])
def test_a_locked_store_is_waited_for(kind: Any, policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench = Bench(kind)
        async with Durable(bench.shop.cns, bench.store, on_store_error=policy) as durable:
            run = await bench.held(durable)
            bench.store.trouble = BUSY
            bench.goes_on.set()
            await bench.store.refused(5)
            bench.store.trouble = None
            await run
            assert (await durable.run("o1")).status == "completed"

    asyncio.run(main())
    assert not caplog.records


@KINDS
def test_a_locked_store_is_not_waited_for_for_ever(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnstra.durable.journal.Pauses", lambda: Pauses(0.05))

    async def main() -> None:
        bench = Bench(kind)
        async with Durable(bench.shop.cns, bench.store) as durable:
            run = await bench.held(durable)
            bench.store.trouble = BUSY
            bench.goes_on.set()
            with pytest.raises(StimulationAborted) as aborted:
                await run
            assert aborted.value.reason is BUSY
            assert bench.store.refusals > 3
            bench.store.trouble = None
            (again,) = await durable.recover()
            await again

    asyncio.run(main())


def test_a_run_that_cannot_be_recorded_is_not_started() -> None:
    async def main() -> None:
        bench = Bench(TroubledStore)
        async with Durable(bench.shop.cns, bench.store) as durable:
            bench.store.trouble = GONE
            with pytest.raises(StoreUnavailableError, match="the disk is full"):
                await durable.start(bench.shop.order(), run_id="o1")
            bench.store.trouble = None
            assert not (await durable.runs()).items
            assert not bench.shop.log
            bench.goes_on.set()
            await (await durable.start(bench.shop.order(), run_id="o1"))

    asyncio.run(main())


def test_a_start_waits_for_a_locked_store() -> None:
    async def main() -> None:
        bench = Bench(TroubledStore)
        async with Durable(bench.shop.cns, bench.store) as durable:
            bench.goes_on.set()
            bench.store.trouble = BUSY
            starting = asyncio.ensure_future(durable.start(bench.shop.order(), run_id="o1"))
            await bench.store.refused(3)
            bench.store.trouble = None
            await (await starting)

    asyncio.run(main())


def test_a_start_waits_for_a_store_that_is_away_if_runs_do(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench = Bench(TroubledStore)
        async with Durable(bench.shop.cns, bench.store, on_store_error="wait") as durable:
            bench.goes_on.set()
            bench.store.trouble = GONE
            order = bench.shop.order()
            starting = asyncio.ensure_future(durable.start(order, run_id="o1"))
            scheduling = asyncio.ensure_future(durable.schedule(order, at=0.0, run_id="o2"))
            await bench.store.refused(3)
            assert not starting.done()
            assert not scheduling.done()
            bench.store.trouble = None
            await (await starting)
            assert (await scheduling).outcome == "running"
            (due,) = await durable.recover()
            await due

    with caplog.at_level(logging.WARNING, "cnstra.durable"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [f"{GONE}; what is to be started waits for it"] * 2


@KINDS
@pytest.mark.parametrize("sync", ["turn", "hop"])
@pytest.mark.parametrize("policy", ["stop", "wait"])
def test_an_interrupt_in_the_middle_of_a_commit_keeps_nobody(kind: Any, sync: Any, policy: Any) -> None:
    bench = Bench(kind)

    async def main() -> None:
        async with Durable(bench.shop.cns, bench.store, sync=sync, on_store_error=policy, commit_interval=0) as durable:
            await bench.held(durable)
            bench.store.trouble = KeyboardInterrupt()
            bench.goes_on.set()
            await asyncio.Event().wait()

    async def again() -> None:
        bench.store.trouble = None
        async with Durable(bench.shop.cns, bench.store) as durable:
            (run,) = await durable.recover()
            await run

    loop = asyncio.new_event_loop()
    # It would log the interrupt that it has let out, once more.
    loop.set_exception_handler(lambda loop, context: None)
    try:
        task = loop.create_task(main())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(task)
        bench.store.trouble = GONE
        # As asyncio.run goes on after an interrupt: once.
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(asyncio.wait_for(asyncio.shield(task), 20))
        loop.run_until_complete(again())
    finally:
        loop.close()


@KINDS
def test_it_can_be_left_while_the_store_is_away(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench = Bench(kind)

        async def service() -> None:
            async with Durable(bench.shop.cns, bench.store, commit_interval=0) as durable:
                await bench.held(durable)
                bench.store.die()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await service()
        bench.goes_on.set()
        inner = bench.store.inner
        for owner in await inner.owners():
            await inner.register(owner, 0)
        async with Durable(bench.shop.cns, inner) as durable:
            (run,) = await durable.recover()
            await run
        assert sorted(set(bench.shop.done())) == ALL

    asyncio.run(main())
    assert "can be recovered when its lease has run out" in caplog.text


@KINDS
def test_who_waits_for_the_store_leaves_when_it_is_back(kind: Any) -> None:
    async def main() -> None:
        bench = Bench(kind)

        async def service() -> None:
            async with Durable(bench.shop.cns, bench.store, on_store_error="wait", commit_interval=0) as durable:
                await bench.held(durable)
                bench.store.trouble = GONE
                bench.goes_on.set()
                # That is not written any more before it is left.
                await asyncio.sleep(0.01)
                raise ZeroDivisionError

        leaving = asyncio.ensure_future(service())
        await bench.store.refused(3)
        assert not leaving.done()
        bench.store.trouble = None
        with pytest.raises(ZeroDivisionError):
            await leaving
        async with Durable(bench.shop.cns, bench.store) as durable:
            assert (await durable.run("o1")).status == "completed"
        assert bench.shop.done() == ALL

    asyncio.run(main())


def test_a_lease_that_cannot_be_renewed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bench, beats = Bench(TroubledStore), list[float]()
        enough, loop = asyncio.Event(), asyncio.get_running_loop()

        def beat(owner: str, lease: float) -> Any:
            beats.append(lease)
            if len(beats) == 3:
                loop.call_soon_threadsafe(enough.set)
            raise GONE

        bench.store.beat = beat
        async with Durable(bench.shop.cns, bench.store, lease=0.03):
            await enough.wait()

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [f"the lease cannot be renewed: {GONE}"]
