"""Abort controllers and signals: once, in order, from any thread, for any loop (S10, S21)."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import sys
import threading
import weakref
from functools import partial
from typing import Any

import pytest

from cnstra import CNS, AbortController, AbortSignal, StimulationAborted, collateral, neuron

go = collateral("go")


# --- state


def test_first_reason_wins() -> None:
    controller = AbortController()
    signal = controller.signal
    assert controller.signal is signal
    assert (signal.aborted, signal.reason) == (False, None)
    controller.abort("first")
    controller.abort("second")
    assert (signal.aborted, signal.reason) == (True, "first")


def test_without_reason() -> None:
    controller = AbortController()
    controller.abort()
    controller.abort(reason="too late")
    assert (controller.signal.aborted, controller.signal.reason) == (True, None)


def test_identity() -> None:
    controller = AbortController()
    signal = controller.signal
    assert repr(signal) == "<AbortSignal>"
    assert repr(controller) == "<AbortController>"
    controller.abort("enough")
    assert repr(signal) == "<AbortSignal aborted: 'enough'>"
    assert repr(controller) == "<AbortController, aborted>"
    other = AbortController()
    other.abort()
    assert repr(other.signal) == "<AbortSignal aborted>"
    assert weakref.ref(signal)() is signal
    for thing in (controller, signal):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="is final"):
            type("Sub", (type(thing),), {})
        with pytest.raises(AttributeError):
            thing.reason = "other"  # type: ignore[union-attr, misc]
    with pytest.raises(TypeError, match=r"made by a controller: use AbortController\(\)\.signal"):
        AbortSignal()


# --- listeners


def test_listeners_in_order_each_once() -> None:
    controller, heard = AbortController(), list[tuple[str, object]]()
    for name in "abc":
        controller.signal.add_listener(partial(lambda name, reason: heard.append((name, reason)), name))
    controller.abort("x")
    controller.abort("y")
    assert heard == [("a", "x"), ("b", "x"), ("c", "x")]


def test_a_late_listener_is_called_at_once() -> None:
    controller, heard = AbortController(), list[object]()
    controller.abort("x")
    remove = controller.signal.add_listener(heard.append)
    assert heard == ["x"]
    remove()
    remove()


def test_removed_listeners() -> None:
    controller, heard = AbortController(), list[object]()
    remove = controller.signal.add_listener(heard.append)
    controller.signal.add_listener(heard.append)
    remove()
    remove()
    controller.abort("x")
    remove()
    assert heard == ["x"]


def test_one_listener_removes_another() -> None:
    controller, heard = AbortController(), list[object]()
    controller.signal.add_listener(lambda reason: remove())
    remove = controller.signal.add_listener(heard.append)
    controller.abort("x")
    assert heard == []


def test_a_listener_may_do_anything() -> None:
    """It is called without a lock: it may abort again, add listeners, look at the signal."""
    controller, heard = AbortController(), list[object]()
    signal = controller.signal

    def listener(reason: object) -> None:
        controller.abort("again")
        signal.add_listener(lambda late: heard.append((late, signal.aborted, signal.reason)))

    signal.add_listener(listener)
    controller.abort("x")
    assert heard == [("x", True, "x")]


def test_a_failing_listener_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    controller, heard = AbortController(), list[object]()

    def failing(reason: object) -> None:
        raise ValueError("no")

    controller.signal.add_listener(failing)
    controller.signal.add_listener(heard.append)
    with caplog.at_level(logging.ERROR, "cnstra"):
        controller.abort("x")
        controller.signal.add_listener(failing)
    assert heard == ["x"]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "a listener of an abort signal failed"
    ] * 2
    assert all(record.exc_info and isinstance(record.exc_info[1], ValueError) for record in caplog.records)
    caplog.clear()


def test_an_interrupt_reaches_whoever_aborts() -> None:
    """What is no Exception is not swallowed; the listeners after it are called first."""
    controller, heard = AbortController(), list[object]()

    def interrupted(reason: object) -> None:
        raise KeyboardInterrupt

    controller.signal.add_listener(interrupted)
    controller.signal.add_listener(heard.append)
    with pytest.raises(KeyboardInterrupt):
        controller.abort("x")
    assert heard == ["x"]


def test_listeners_must_be_callable() -> None:
    with pytest.raises(TypeError, match="a listener must be callable, not int"):
        AbortController().signal.add_listener(3)  # type: ignore[arg-type]


# --- memory


def test_listeners_are_let_go() -> None:
    class Listener:
        def __call__(self, reason: object) -> None: ...

    controller = AbortController()
    kept, removed = Listener(), Listener()
    references = [weakref.ref(kept), weakref.ref(removed)]
    controller.signal.add_listener(kept)
    remove = controller.signal.add_listener(removed)
    remove()
    del removed, remove
    gc.collect()
    assert references[1]() is None
    controller.abort()
    del kept
    gc.collect()
    assert references[0]() is None


def test_many_runs_on_one_signal_leave_nothing() -> None:
    """A signal for the whole process does not grow with the runs that have listened to it."""
    controller = AbortController()
    cns = CNS([neuron("n").dendrite(collateral=go, response=lambda payload: None)])
    for _ in range(100):
        cns.stimulate(go.create_signal(), abort_signal=controller.signal)
    assert not controller.signal._listeners


# --- threads


def test_exactly_once_whoever_comes_first() -> None:
    """Listeners that are added while another thread aborts are called once each, with the one reason."""

    def abort(number: int) -> None:
        barrier.wait()
        controller.abort(number)

    def add() -> None:
        barrier.wait()
        for _ in range(100):
            controller.signal.add_listener(heard.append)

    for _ in range(50):
        controller, heard = AbortController(), list[object]()
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=abort, args=(number,)) for number in (1, 2)]
        threads += [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard == [controller.signal.reason] * 200


# --- waiting


def test_wait(run_loop: Any) -> None:
    controller = AbortController()

    async def main() -> None:
        waiter = asyncio.ensure_future(controller.signal.wait())
        await asyncio.sleep(0)
        assert not waiter.done()
        controller.abort("x")
        assert await waiter == "x"
        assert await controller.signal.wait() == "x"

    run_loop(main)
    assert not controller.signal._listeners


def test_wait_is_woken_by_another_thread(run_loop: Any) -> None:
    controller = AbortController()

    async def main() -> None:
        timer = threading.Timer(0.02, controller.abort, ["from afar"])
        timer.start()
        assert await asyncio.wait_for(controller.signal.wait(), 10) == "from afar"
        timer.join()

    run_loop(main)


def test_waiters_in_several_loops(run_loop: Any) -> None:
    controller = AbortController()
    ready = threading.Barrier(3)
    reasons: list[object] = []

    def elsewhere() -> None:
        async def main() -> None:
            waiter = asyncio.ensure_future(controller.signal.wait())
            await asyncio.sleep(0)
            ready.wait()
            reasons.append(await asyncio.wait_for(waiter, 10))

        asyncio.run(main())

    threads = [threading.Thread(target=elsewhere) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    controller.abort("all")
    for thread in threads:
        thread.join()
    assert reasons == ["all", "all"]


def test_a_cancelled_waiter_leaves_nothing(run_loop: Any) -> None:
    controller = AbortController()

    async def main() -> None:
        waiter = asyncio.ensure_future(controller.signal.wait())
        await asyncio.sleep(0)
        assert len(controller.signal._listeners) == 1
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert not controller.signal._listeners

    run_loop(main)


# --- with runs


def test_it_aborts_runs(run_loop: Any) -> None:
    controller = AbortController()
    seen: list[object] = []

    async def handler(payload: None, axon: None, ctx: Any) -> None:
        seen.append(await ctx.abort_signal.wait())

    cns = CNS([neuron("n").dendrite(collateral=go, response=handler)])

    async def main() -> None:
        run = cns.stimulate(go.create_signal(), abort_signal=controller.signal)
        assert run.outcome == "running"
        controller.abort("shutdown")
        with pytest.raises(StimulationAborted, match="shutdown") as raised:
            await run
        assert raised.value.reason == "shutdown"

    run_loop(main)
    assert seen == ["shutdown"]
    assert cns.stimulate(go.create_signal(), abort_signal=controller.signal).outcome == "aborted"


@pytest.mark.once
def test_it_does_not_import_asyncio() -> None:
    import subprocess

    script = (
        "import sys\nfrom cnstra.abort import AbortController\n"
        "c = AbortController(); c.signal.add_listener(print); c.abort('x')\n"
        "assert 'asyncio' not in sys.modules and 'logging' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
