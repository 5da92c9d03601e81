"""S12, S21: one CNS, used by many threads at once, with loops and without."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Context, Signal, Stimulation, StimulationAborted, collateral, neuron

from .sizes import size

go = collateral("go", int)
item = collateral("item", int)
done = collateral("done", int)

THREADS = 8


class Meter:
    """How many are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


def in_threads(*works: Callable[[], object]) -> None:
    """Run all of them at the same time, and raise what one of them raised."""
    errors: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            ready.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_with_and_without_loops_share_the_slots_of_a_neuron() -> None:
    runs = size(200, 100)
    limit = 3
    meter = Meter()

    def plain(payload: int, axon: Any) -> Signal[int]:
        with meter:
            return axon.done.create_signal(payload)  # type: ignore[no-any-return]

    async def suspending(payload: int, axon: Any) -> Signal[int]:
        with meter:
            await asyncio.sleep(0)
            return axon.done.create_signal(payload)  # type: ignore[no-any-return]

    # Both collaterals lead to the one neuron whose slots are shared.
    narrow = neuron("narrow", {"done": done}, concurrency=limit)
    narrow.dendrite(collateral=go, response=plain).dendrite(collateral=item, response=suspending)
    counts = dict.fromkeys(range(THREADS), 0)
    sink = neuron("sink")

    @sink.dendrite(done)
    def count(thread: int) -> None:
        counts[thread] += 1

    cns = CNS([narrow, sink])

    def without_loop(thread: int) -> None:
        for _ in range(runs):
            assert cns.stimulate([go.create_signal(thread)] * 5).outcome == "completed"

    async def many(thread: int) -> None:
        started = [cns.stimulate([item.create_signal(thread), go.create_signal(thread)] * 5) for _ in range(runs)]
        for run in started:
            await run

    def with_loop(thread: int) -> None:
        asyncio.run(many(thread))

    in_threads(
        *(
            (lambda thread=thread: with_loop(thread)) if thread % 2 else (lambda thread=thread: without_loop(thread))
            for thread in range(THREADS)
        )
    )
    assert meter.most <= limit
    assert meter.inside == 0
    assert counts == {thread: runs * (10 if thread % 2 else 5) for thread in range(THREADS)}


def test_threads_with_workers() -> None:
    limit = 4
    meter = Meter()

    def work(payload: int) -> None:
        with meter:
            threading.Event().wait(0.0005)

    cns = CNS([neuron("worker", concurrency=limit, offload=True).dendrite(collateral=item, response=work)])

    def without_loop() -> None:
        assert cns.stimulate([item.create_signal(i) for i in range(25)]).outcome == "completed"

    async def main() -> None:
        await cns.stimulate([item.create_signal(i) for i in range(25)])

    in_threads(*[without_loop, lambda: asyncio.run(main())] * (THREADS // 2))
    assert meter.entered == 25 * THREADS
    assert meter.most <= limit


def test_runs_of_one_thread_are_fed_from_all_others() -> None:
    """Tasks are enqueued, from eight threads, to one run that a gate keeps alive."""
    each = size(2_000, 500)
    seen: list[int] = []
    sink = neuron("sink").dendrite(collateral=item, response=seen.append)
    holder = neuron("holder")
    gates: list[asyncio.Event] = []

    @holder.dendrite(go)
    async def hold(payload: int) -> None:
        gates.append(asyncio.Event())
        await gates[0].wait()

    cns = CNS([holder, sink])

    async def main() -> None:
        run = cns.stimulate(go.create_signal(0))

        def feed(thread: int) -> None:
            for i in range(each):
                run.enqueue([ActivationTask(sink, item.create_signal(thread * each + i))])

        await asyncio.to_thread(
            in_threads,
            *[lambda thread=thread: feed(thread) for thread in range(THREADS)],
        )
        gates[0].set()
        await run
        assert run.outcome == "completed"

    asyncio.run(main())
    assert sorted(seen) == list(range(THREADS * each))
    # What one thread has enqueued stays in order.
    for thread in range(THREADS):
        mine = [payload for payload in seen if payload // each == thread]
        assert mine == sorted(mine)


def test_runs_are_cancelled_from_another_thread() -> None:
    rounds = size(200, 100)
    entered: queue.SimpleQueue[Stimulation] = queue.SimpleQueue()
    reasons: list[object] = []

    async def forever(payload: int, axon: None, ctx: Context[None, object]) -> None:
        entered.put(ctx.stimulation)
        await asyncio.Event().wait()

    cns = CNS([neuron("forever", concurrency=1).dendrite(collateral=go, response=forever)])

    async def own() -> None:
        for i in range(rounds):
            run = cns.stimulate(go.create_signal(i))
            with pytest.raises(StimulationAborted) as caught:
                await run
            reasons.append(caught.value.reason)

    def other() -> None:
        for i in range(rounds):
            entered.get(timeout=30).cancel(i)

    in_threads(lambda: asyncio.run(own()), other)
    assert reasons == list(range(rounds))


def test_listeners_come_and_go_while_runs_go_on() -> None:
    runs = size(2_000, 500)
    cns = CNS([neuron("sink").dendrite(collateral=item, response=lambda payload: None)])
    heard = [0] * THREADS
    stop = threading.Event()

    def listen(thread: int) -> None:
        def hear(response: object) -> None:
            heard[thread] += 1

        while not stop.is_set():
            remove = cns.add_response_listener(hear)
            again = cns.add_drain_listener(hear)
            remove()
            again()

    def run() -> None:
        try:
            for i in range(runs):
                assert cns.stimulate(item.create_signal(i)).outcome == "completed"
        finally:
            stop.set()

    in_threads(run, run, *[lambda thread=thread: listen(thread) for thread in range(2)])
    calls = sum(heard)
    cns.stimulate(item.create_signal(0))
    assert sum(heard) == calls
