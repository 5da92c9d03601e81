"""S21: one CNS in several threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest

from cnstra import (
    CNS,
    AbortController,
    ActivationTask,
    Stimulation,
    StimulationAborted,
    StimulationError,
    StimulationFailed,
    collateral,
    neuron,
)

from ..conftest import Factory, RunLoop
from .gates import Gates, names, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def in_threads(count: int, work: Callable[[int], object]) -> None:
    """Do it in so many threads at once; what one raises is raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(n: int) -> None:
        try:
            start.wait(60)
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


class LoopThread:
    """A thread with an event loop, that runs what it is given."""

    def __init__(self, factory: Factory) -> None:
        self.loop = factory()
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function there, and give what it gives."""

        async def main() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(main(), self.loop).result(60)


def test_a_cns_may_be_used_from_several_threads_each_with_its_own_loop_or_none(run_loop: RunLoop) -> None:
    heard: list[tuple[int, int]] = []
    lock = threading.Lock()
    source = neuron("source", {"a": a})

    @source.dendrite(ping)
    def emit(payload: int) -> Any:
        return [a.create_signal(payload), a.create_signal(payload + 1)]

    end = neuron("end")

    @end.dendrite(a)
    def take(payload: int) -> None:
        with lock:
            heard.append((payload, threading.get_ident()))

    cns = CNS([source, end])
    threads: dict[int, int] = {}

    def work(n: int) -> None:
        threads[n] = threading.get_ident()

        async def main() -> None:
            for k in range(50):
                await cns.stimulate(ping.create_signal(1000 * n + 2 * k))
                await asyncio.sleep(0)

        if n % 2:
            run_loop(main)
        else:
            for k in range(50):
                assert cns.stimulate(ping.create_signal(1000 * n + 2 * k)).outcome == "completed"

    in_threads(4, work)
    for n in range(4):
        mine = [payload for payload, thread in heard if 1000 * n <= payload < 1000 * (n + 1)]
        assert mine == [1000 * n + k for k in range(100)]
        assert {thread for payload, thread in heard if 1000 * n <= payload < 1000 * (n + 1)} == {threads[n]}


def waiting_cns(gates: Gates, log: list[Any]) -> CNS:
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        log.append(threading.get_ident())
        await gates.wait("slow")
        return a.create_signal(payload)

    end = neuron("end").dendrite(collateral=a, response=lambda _: log.append(threading.get_ident()))
    return CNS([slow, end])


def test_abort_from_another_thread_takes_effect_on_the_runs_own(loop_factory: Factory) -> None:
    gates = Gates()
    log: list[int] = []
    drains: list[int] = []
    cns = waiting_cns(gates, log)
    with LoopThread(loop_factory) as there:
        run = there.call(
            lambda: cns.stimulate(ping.create_signal(1), on_drain=lambda d: drains.append(threading.get_ident()))
        )
        run.abort("from here")
        there.call(settle)
        assert not run.done()
        there.call(lambda: gates.open("slow"))
        assert run.outcome == "aborted"
        assert isinstance(run.exception(), StimulationAborted)
        assert run.exception().reason == "from here"
    assert names(run.outstanding_tasks) == ["end"]
    assert set(drains) == {log[0]}
    assert log[0] != threading.get_ident()


def test_cancel_from_another_thread_too(loop_factory: Factory) -> None:
    gates = Gates()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))
        there.call(settle)
        run.cancel("from here")
        there.call(settle)
        assert run.outcome == "aborted"
        assert gates.waiting == {}
    assert names(run.outstanding_tasks) == ["slow"]


def test_enqueue_from_another_thread_too(loop_factory: Factory) -> None:
    gates = Gates()
    log: list[int] = []
    cns = waiting_cns(gates, log)
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))
        run.enqueue([ActivationTask(cns.neurons[1], a.create_signal(2))])
        there.call(settle)
        assert len(log) == 2
        there.call(lambda: gates.open("slow"))
        assert run.outcome == "completed"
        with pytest.raises(StimulationError):
            run.enqueue([ActivationTask(cns.neurons[1], a.create_signal(2))])
    assert len(set(log)) == 1
    assert log[0] != threading.get_ident()


def test_awaiting_from_another_loop_works(loop_factory: Factory, run_loop: RunLoop) -> None:
    gates = Gates()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))

        async def main() -> str:
            waiter = asyncio.ensure_future(wait(run))
            await settle()
            assert not waiter.done()
            await asyncio.to_thread(there.call, lambda: gates.open("slow"))
            return await waiter

        async def wait(run: Stimulation) -> str:
            await run
            return run.outcome

        assert run_loop(main) == "completed"


def test_awaiting_a_failure_from_another_loop_raises_it_there(loop_factory: Factory, run_loop: RunLoop) -> None:
    gates = Gates()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))

        async def wait() -> None:
            await run

        async def main() -> None:
            waiter = asyncio.ensure_future(wait())
            await settle()
            await asyncio.to_thread(there.call, lambda: gates.fail("slow", LookupError("lost")))
            with pytest.raises(StimulationFailed) as caught:
                await waiter
            assert caught.group_contains(LookupError)
            with pytest.raises(StimulationFailed):
                await wait()

        run_loop(main)


def test_one_who_awaits_in_a_loop_that_is_closed_meanwhile_disturbs_nobody(loop_factory: Factory) -> None:
    gates = Gates()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))

        async def wait() -> None:
            await run

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.001)

        asyncio.run(give_up())
        there.call(lambda: gates.open("slow"))
        assert run.outcome == "completed"


def test_a_run_without_a_loop_that_waits_can_be_aborted_cancelled_and_fed_from_another_thread() -> None:
    for how in ("abort", "cancel", "enqueue"):
        log: list[str] = []
        entered, release = threading.Event(), threading.Event()
        slow = neuron("slow", concurrency=1)

        @slow.dendrite(ping)
        def work(payload: int, entered: Any = entered, release: Any = release, log: Any = log) -> None:
            log.append(f"slow {payload}")
            if payload == 0:
                entered.set()
                assert release.wait(60)

        other = sink("other", a, log)
        cns = CNS([slow, other])
        holder = threading.Thread(target=cns.stimulate, args=(ping.create_signal(0),))
        holder.start()
        assert entered.wait(60)
        runs: list[Stimulation] = []
        line = threading.Event()

        def on_drain(drain: Any, runs: Any = runs, line: Any = line) -> None:
            runs.append(drain.stimulation)
            line.set()

        waiter = threading.Thread(target=cns.stimulate, args=(ping.create_signal(1),), kwargs={"on_drain": on_drain})
        waiter.start()
        assert line.wait(60)
        if how == "enqueue":
            runs[0].enqueue([ActivationTask(other, a.create_signal(1))])
            release.set()
            waiter.join(60)
            assert (runs[0].outcome, sorted(log)) == ("completed", ["other", "slow 0", "slow 1"])
        else:
            getattr(runs[0], how)("from here")
            waiter.join(60)
            assert (runs[0].outcome, log) == ("aborted", ["slow 0"])
            release.set()
        holder.join(60)


def test_an_abort_signal_aborts_the_runs_of_all_threads(loop_factory: Factory) -> None:
    gates = Gates()
    controller = AbortController()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as one, LoopThread(loop_factory) as two:
        runs = [
            one.call(lambda: cns.stimulate(ping.create_signal(1), abort_signal=controller.signal)),
            two.call(lambda: cns.activate([], abort_signal=controller.signal)),
        ]
        controller.abort("everybody")
        one.call(lambda: gates.open("slow"))
        assert [run.outcome for run in runs] == ["aborted", "completed"]


def test_ctx_abort_signal_may_be_awaited_in_another_loop(loop_factory: Factory, run_loop: RunLoop) -> None:
    gates = Gates()
    signals: list[Any] = []
    slow = neuron("slow")

    @slow.dendrite(ping)
    async def wait(payload: int, axon: None, ctx: Any) -> None:
        signals.append(ctx.abort_signal)
        await gates.wait("slow")

    cns = CNS([slow])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))

        async def main() -> Any:
            waiter = asyncio.ensure_future(signals[0].wait())
            await settle()
            await asyncio.to_thread(there.call, lambda: run.abort("there"))
            return await waiter

        assert run_loop(main) == "there"
        there.call(lambda: gates.open("slow"))


def test_listeners_may_be_added_and_removed_while_others_run() -> None:
    cns = CNS([sink("ears", ping, [])])
    heard = [0] * 4

    def work(n: int) -> None:
        def listen(response: Any) -> None:
            heard[n] += response.stimulation.stimulation_context == n

        for _ in range(100):
            remove = cns.add_response_listener(listen)
            cns.stimulate(ping.create_signal(1), stimulation_context=n)
            remove()

    in_threads(4, work)
    assert heard == [200] * 4


def test_many_threads_that_abort_one_run_abort_it_once(loop_factory: Factory) -> None:
    gates = Gates()
    cns = waiting_cns(gates, [])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))
        in_threads(8, lambda n: run.abort(n) if n % 2 else run.cancel(n))
        there.call(settle)
        assert run.outcome == "aborted"
        assert run.exception().reason in range(8)
        assert len(run.failed_tasks) == 1


def test_many_threads_that_feed_one_run_lose_nothing(loop_factory: Factory) -> None:
    gates = Gates()
    log: list[int] = []
    slow = neuron("slow").dendrite(collateral=ping, response=lambda _: gates.wait("slow"))
    end = neuron("end").dendrite(collateral=a, response=log.append)
    cns = CNS([slow, end])
    with LoopThread(loop_factory) as there:
        run = there.call(lambda: cns.stimulate(ping.create_signal(1)))
        in_threads(4, lambda n: [run.enqueue([ActivationTask(end, a.create_signal(100 * n + k))]) for k in range(50)])
        there.call(settle)
        there.call(lambda: gates.open("slow"))
        assert run.outcome == "completed"
    assert sorted(log) == sorted(100 * n + k for n in range(4) for k in range(50))
    for n in range(4):
        assert [k for k in log if k // 100 == n] == [100 * n + k for k in range(50)], "in order, thread by thread"


def test_a_run_of_a_closed_loop_ends_aborted_when_somebody_feeds_or_aborts_it() -> None:
    for how in ("abort", "cancel", "enqueue"):
        gates = Gates()
        cns = waiting_cns(gates, [])
        loop = asyncio.new_event_loop()

        async def start(cns: CNS = cns) -> Stimulation:
            return cns.stimulate(ping.create_signal(1))

        run = loop.run_until_complete(start())
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        if how == "enqueue":
            run.enqueue([ActivationTask(cns.neurons[1], a.create_signal(1))])
        else:
            getattr(run, how)("too late")
        assert run.outcome == "aborted", how
        assert names(run.outstanding_tasks)[:1] == ["slow"]
