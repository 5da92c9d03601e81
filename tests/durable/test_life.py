"""Entering and leaving a ``Durable``, whatever ends it; and which processes are gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnstra import CNS, StimulationAborted, StimulationError, StimulationFailed, collateral, neuron
from cnstra.durable import Durable, DurableRun, RunStateError
from cnstra.durable.leases import is_gone, owner_name

from .conftest import OpenStore
from .shop import ALL, Shop

ON_PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="nothing tells when a process began")


class Leaving(BaseException):
    """Like KeyboardInterrupt: no error, but it ends everything."""


class Held:
    """A shop whose post and books wait in the first attempt."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.is_held = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.shop.on_call = self._hold

    async def _hold(self, who: str, attempt: int) -> None:
        if who != "shop" and attempt == 1:
            self.is_held.set()
            await self.goes_on.wait()


async def recovered(held: Held, open_store: OpenStore, *, attempt: str = "released") -> None:
    """The run of an earlier process goes on at once, from where it stood."""
    done = len(held.shop.log)
    async with Durable(held.shop.cns, open_store()) as durable:
        assert (await durable.run("o1")).status == "running"
        assert [one.status for one in await durable.attempts("o1")] == [attempt]
        (run,) = await durable.recover()
        await run
        assert (await durable.run("o1")).status == "completed"
    assert [who for who, *_ in held.shop.log[done:]] == ["post", "post", "books"]
    assert held.shop.done() == ALL


def test_it_is_of_use_only_while_it_is_entered(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        durable = Durable(shop.cns, open_store())
        calls: list[Any] = [
            lambda: durable.start(shop.order()), durable.recover, lambda: durable.find("o1"),
            lambda: durable.retry("o1"), lambda: durable.clone("o1"), lambda: durable.cancel("o1"),
            lambda: durable.schedule(shop.order(), at=0),
        ]  # fmt: skip
        for entered in (False, True):
            if entered:
                async with durable:
                    assert "0 runs" in repr(durable)
            assert "not entered" in repr(durable)
            for call in calls:
                with pytest.raises(RuntimeError, match="use it inside `async with"):
                    await call()
        assert not shop.log

    asyncio.run(main())


def test_it_can_be_entered_once_at_a_time(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        durable = Durable(shop.cns, open_store())
        for attempt in range(2):
            async with durable:
                with pytest.raises(RuntimeError, match="entered already"):
                    await durable.__aenter__()
                await (await durable.start(shop.order(), run_id=f"o{attempt}"))

    asyncio.run(main())


def test_left_normally_it_waits_for_its_runs(open_store: OpenStore) -> None:
    async def main() -> None:
        held = Held()
        async with Durable(held.shop.cns, open_store()) as durable:
            runs = [await durable.start(held.shop.order(f"o{number}"), run_id=f"o{number}") for number in (1, 2)]
            await held.is_held.wait()
            asyncio.get_running_loop().call_later(0.02, held.goes_on.set)
        assert [run.outcome for run in runs] == ["completed", "completed"]
        assert len(held.shop.log) == 8

    asyncio.run(main())


@pytest.mark.parametrize("kind", [ZeroDivisionError, Leaving, KeyboardInterrupt, asyncio.CancelledError])
def test_left_by_an_exception_it_lets_go_of_them(open_store: OpenStore, kind: type[BaseException]) -> None:
    async def main() -> None:
        held, runs = Held(), list[DurableRun]()

        async def service() -> None:
            async with Durable(held.shop.cns, open_store()) as durable:
                runs.append(await durable.start(held.shop.order(), run_id="o1"))
                await held.is_held.wait()
                raise kind

        with pytest.raises(kind):
            await service()
        assert runs[0].outcome == "aborted"
        await recovered(held, open_store)

    asyncio.run(main())


def test_cancelled_while_it_waits_for_its_runs_it_lets_go_of_them(open_store: OpenStore) -> None:
    async def main() -> None:
        held = Held()

        async def service() -> None:
            async with Durable(held.shop.cns, open_store()) as durable:
                await durable.start(held.shop.order(), run_id="o1")

        task = asyncio.create_task(service())
        await held.is_held.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await recovered(held, open_store)

    asyncio.run(main())


def test_a_loop_that_shuts_down_lets_go_of_them(open_store: OpenStore) -> None:
    async def service(held: Held) -> None:
        async with Durable(held.shop.cns, open_store()) as durable:
            await (await durable.start(held.shop.order(), run_id="o1"))

    async def main() -> Held:
        held = Held()
        # Nobody awaits it: the loop cancels it when this is over.
        background.append(asyncio.create_task(service(held)))
        await held.is_held.wait()
        return held

    background: list[asyncio.Task[None]] = []
    held = asyncio.run(main())
    assert background[0].cancelled()
    asyncio.run(recovered(held, open_store))


def test_a_cancelled_wait_does_not_end_the_run(open_store: OpenStore) -> None:
    async def main() -> None:
        held = Held()
        async with Durable(held.shop.cns, open_store()) as durable:
            run = await durable.start(held.shop.order(), run_id="o1")
            waiting = asyncio.ensure_future(run._wait())
            await held.is_held.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert run.outcome == "running"
            held.goes_on.set()
            await run
        assert held.shop.done() == ALL

    asyncio.run(main())


def test_cancel_abort_and_timeout_are_decisions(open_store: OpenStore) -> None:
    async def main() -> None:
        held = Held()
        async with Durable(held.shop.cns, open_store()) as durable:
            for end in ("cancel", "abort", "timeout"):
                timeout = 0.05 if end == "timeout" else None
                run = await durable.start(held.shop.order(), run_id=end, timeout=timeout)
                await asyncio.sleep(0.01)
                assert run.stimulation is not None
                if end == "cancel":
                    assert await durable.cancel(end, "nobody wants it")
                elif end == "abort":
                    run.stimulation.abort("nobody wants it")
                    held.goes_on.set()
                with pytest.raises(StimulationAborted):
                    await run
                held.goes_on.clear()
                row = await durable.run(end)
                assert row.status == "aborted", end
                assert row.error is not None
            assert await durable.recover() == []

    asyncio.run(main())


# -- handles


def test_a_handle_tells_what_became_of_it(open_store: OpenStore) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, open_store()) as durable:
            run = await durable.start(shop.order(), run_id="o1")
            with pytest.raises(StimulationError, match="'o1' has not ended"):
                run.exception()
            assert repr(run) == "<DurableRun 'o1' running>"
            await run
            await run
            assert run.done()
            assert run.exception() is None
            run.raise_for_failure()
            assert not await run.cancel()
            with pytest.raises(RunStateError):
                await durable.retry("o1")

    asyncio.run(main())


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_failure_of_which_nobody_heard_is_logged(
    open_store: OpenStore, looked_at: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        def fail(number: int) -> None:
            raise ConnectionError("no courier")

        go = collateral("go", int)
        async with Durable(CNS([neuron("post").dendrite(collateral=go, response=fail)]), open_store()) as durable:
            run = await durable.start(go.create_signal(1), run_id="o1")
            if looked_at:
                with pytest.raises(StimulationFailed):
                    await run
        assert run.outcome == "failed"

    with caplog.at_level(logging.WARNING, "cnstra.durable"):
        asyncio.run(main())
        gc.collect()
    told = [record for record in caplog.records if record.name == "cnstra.durable"]
    if looked_at:
        assert not told
    else:
        (record,) = told
        assert record.levelno == logging.ERROR
        assert "run 'o1' failed and nobody looked at it" in record.getMessage()
        assert record.exc_info is not None
        assert "no courier" in caplog.text


# -- processes


def test_this_process_is_not_gone() -> None:
    assert not is_gone(owner_name())
    assert owner_name() != owner_name()


@ON_PROC
def test_a_process_that_has_ended_is_gone() -> None:
    code = "from cnstra.durable.leases import owner_name; print(owner_name())"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        owner = output.readline().strip()
        # It may be a zombie by now, of which nothing runs any more, or have some way to go.
        process.wait(10)
    assert is_gone(owner)


@ON_PROC
def test_another_process_of_the_same_number_is_another_one() -> None:
    host, boot, numbers, process, start, unique = owner_name().split("/")
    assert process == str(os.getpid())
    # That number was somebody else's before.
    assert is_gone("/".join((host, boot, numbers, process, str(int(start) - 1), unique)))
    # Where nothing tells when it began, it may still be there.
    assert not is_gone(f"{host}/{boot}/{numbers}/{process}/-/{unique}")


def test_of_other_machines_and_strangers_nothing_is_known() -> None:
    host, boot, numbers, _, start, unique = owner_name().split("/")
    for name in (
        f"elsewhere/{boot}/{numbers}/1/1/{unique}",
        f"{host}/00000000/{numbers}/1/1/{unique}",
        f"{host}/{boot}/1/1/1/{unique}",
        f"{host}/{boot}/{numbers}/no number/{start}/{unique}",
        "somebody",
        "",
    ):
        assert not is_gone(name), name


@ON_PROC
def test_a_dead_process_of_this_machine_is_not_waited_for(open_store: OpenStore) -> None:
    async def main() -> None:
        held = Held()
        host, boot, numbers, process, start, unique = owner_name().split("/")
        gone = "/".join((host, boot, numbers, process, str(int(start) - 1), unique))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cnstra.durable.owner.owner_name", lambda: gone)
            crashed = Durable(held.shop.cns, open_store(), lease=1000)
            await crashed.__aenter__()
            run = await crashed.start(held.shop.order(), run_id="o1")
            await held.is_held.wait()
        assert crashed._owner is not None
        await crashed._owner._journal.settled()
        # It goes on here, but it has the name of one that has ended.
        await recovered(held, open_store, attempt="running")
        assert run.stimulation is not None
        run.stimulation.cancel(Leaving())
        with pytest.raises(StimulationAborted):
            await run
        await crashed.__aexit__(None, None, None)

    asyncio.run(main())
