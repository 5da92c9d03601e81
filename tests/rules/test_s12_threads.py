"""S12: slots shared by threads."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

import pytest

from cnstra import CNS, Stimulation, collateral, neuron

from ..conftest import RunLoop
from .gates import names

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def in_threads(count: int, work: Callable[[int], object]) -> None:
    errors: list[BaseException] = []

    def run(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("loops", [False, True])
def test_slots_are_shared_by_threads_with_and_without_loops(concurrency: int, loops: bool, run_loop: RunLoop) -> None:
    lock = threading.Lock()
    active: list[int] = []
    most: list[int] = []
    slow = neuron("slow", concurrency=concurrency)

    @slow.dendrite(ping)
    def work(payload: int) -> None:
        with lock:
            active.append(payload)
            most.append(len(active))
        threading.Event().wait(0.001)
        with lock:
            active.remove(payload)

    cns = CNS([slow])

    def stimulate(n: int) -> None:
        async def main() -> None:
            for k in range(5):
                await cns.stimulate(ping.create_signal(100 * n + k))

        if loops:
            run_loop(main)
        else:
            for k in range(5):
                assert cns.stimulate(ping.create_signal(100 * n + k)).outcome == "completed"

    in_threads(6, stimulate)
    assert len(most) == 30
    assert max(most) <= concurrency


def test_waiters_of_several_threads_are_served_in_the_order_in_which_they_came() -> None:
    order: list[int] = []
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def work(payload: int) -> None:
        order.append(payload)
        if payload == 0:
            entered.set()
            release.wait(60)

    cns = CNS([slow])
    waiting = threading.Semaphore(0)

    def stimulate(n: int) -> None:
        # The drain of the turn that begins to wait tells that it stands in line.
        cns.stimulate(
            ping.create_signal(n), on_drain=lambda drain: waiting.release() if drain.pending_activations else None
        )

    threads = [threading.Thread(target=stimulate, args=(n,)) for n in range(6)]
    threads[0].start()
    entered.wait(60)
    for thread in threads[1:]:
        thread.start()
        assert waiting.acquire(timeout=60)
    release.set()
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4, 5]


class Line:
    """A neuron with one slot, whose handlers stay until they are let go, and those who wait for it in threads."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.active: list[int] = []
        self.most = 0
        self.entered = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)
        self.lined_up = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        slow = neuron("slow", concurrency=1).dendrite(collateral=ping, response=self.work)
        self.cns = CNS([slow])

    def work(self, payload: int) -> None:
        self.order.append(payload)
        self.active.append(payload)
        self.most = max(self.most, len(self.active))
        self.entered.release()
        assert self.leave.acquire(timeout=60)
        self.active.remove(payload)

    def join(self, payload: int) -> None:
        """Have a thread enter the neuron or wait for its slot, and return when it does."""
        waits = bool(self.threads)
        thread = threading.Thread(
            target=self.cns.stimulate,
            args=(ping.create_signal(payload),),
            kwargs={"on_drain": lambda drain: self.lined_up.release() if drain.pending_activations else None},
        )
        self.threads.append(thread)
        thread.start()
        assert (self.lined_up if waits else self.entered).acquire(timeout=60)

    def finish(self) -> None:
        for _ in self.threads:
            self.leave.release()
        for thread in self.threads:
            thread.join(60)


def test_a_waiter_whose_loop_is_closed_is_passed_over_and_its_run_ends_aborted() -> None:
    line = Line()
    line.join(0)
    loop = asyncio.new_event_loop()

    async def stimulate() -> Stimulation:
        return line.cns.stimulate(ping.create_signal(1))

    # Closed without a shutdown: nothing cancelled the tasks of this loop.
    lost = loop.run_until_complete(stimulate())
    loop.close()
    for payload in (2, 3, 4):
        line.join(payload)
    line.leave.release()
    assert line.entered.acquire(timeout=60)
    assert line.order == [0, 2]
    assert not line.entered.acquire(timeout=0.05), "one slot was given back, and one went on"
    line.finish()
    assert (line.order, line.most) == ([0, 2, 3, 4], 1)
    assert lost.outcome == "aborted"
    assert names(lost.outstanding_tasks) == ["slow"]


def test_a_grant_that_comes_before_the_waiter_rests_leaves_it_where_it_lives() -> None:
    """The thread that gave the slot back became the home of the run that got it, and took it along when it ended."""
    go = collateral("go", int)
    ended: list[str] = []
    before = sys.getswitchinterval()

    async def nap(_: int) -> None:
        await asyncio.sleep(0)

    def work(cns: CNS) -> None:
        async def main() -> None:
            run = cns.stimulate(go.create_signal(1))
            try:
                await run
            finally:
                ended.append(run.outcome)

        asyncio.run(main())

    # Threads take turns between any two steps, so that every moment of a run's first turn is met.
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            cns = CNS([neuron("napper", concurrency=1).dendrite(collateral=go, response=nap)])
            threads = [threading.Thread(target=work, args=(cns,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert ended == ["completed"] * 320
