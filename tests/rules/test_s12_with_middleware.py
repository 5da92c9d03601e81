"""S12: slots that a CNS shares with those that ``with_middleware`` makes of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from cnstra import CNS, SlotDeadlockError, Stimulation, StimulationFailed, collateral, neuron

from ..conftest import RunLoop
from .gates import Gates, names, one_call_more, settle

ping, pong = collateral("ping", int), collateral("pong", int)


def both(cns: CNS) -> list[CNS]:
    return [cns, cns.with_middleware(one_call_more)]


class Slow:
    """A neuron with slots whose handlers wait at gates named for their payloads."""

    def __init__(self, concurrency: int = 1) -> None:
        self.gates = Gates()
        self.entered: list[int] = []
        self.neuron = neuron("slow", concurrency=concurrency).dendrite(collateral=ping, response=self.work)
        self.cns = CNS([self.neuron])

    async def work(self, payload: int) -> None:
        self.entered.append(payload)
        await self.gates.wait(str(payload))


@pytest.mark.anyio
@pytest.mark.parametrize("first", [0, 1])
async def test_a_slot_that_one_holds_keeps_the_other_waiting(first: int) -> None:
    slow = Slow()
    each = both(slow.cns)
    held = each[first].stimulate(ping.create_signal(1))
    waits = each[1 - first].stimulate(ping.create_signal(2))
    await settle()
    assert (slow.entered, names(waits.activation_tasks)) == ([1], ["slow"])
    await slow.gates.open("1")
    assert (slow.entered, held.outcome) == ([1, 2], "completed")
    await slow.gates.open("2")
    assert waits.outcome == "completed"


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_those_who_wait_are_served_first_come_first_served_over_all_of_them(concurrency: int) -> None:
    slow = Slow(concurrency)
    each = both(slow.cns)
    each += [each[1].with_middleware(one_call_more), slow.cns.with_middleware()]
    order = [0, 1, 1, 3, 0, 2, 1, 0, 3, 2]
    runs = [each[place].stimulate(ping.create_signal(n)) for n, place in enumerate(order)]
    for n in range(len(runs)):
        assert slow.entered == list(range(min(n + concurrency, len(runs))))
        await slow.gates.open(str(n))
    assert {run.outcome for run in runs} == {"completed"}


@pytest.mark.anyio
async def test_a_waiter_that_is_aborted_leaves_the_line_of_both() -> None:
    slow = Slow()
    cns, derived = both(slow.cns)
    runs = [one.stimulate(ping.create_signal(n)) for n, one in enumerate([cns, derived, cns, derived])]
    runs[1].abort()
    # Between grant and turn: the slot is passed on, to a run of the other.
    runs[0].cancel()
    await asyncio.sleep(0)
    runs[2].abort()
    await settle()
    assert slow.entered == [0, 3]
    await slow.gates.open("3")
    assert [run.outcome for run in runs] == ["aborted"] * 3 + ["completed"]


@pytest.mark.anyio
async def test_slots_go_on_to_be_shared_when_the_first_is_gone() -> None:
    slow = Slow()
    one, other = slow.cns.with_middleware(one_call_more), slow.cns.with_middleware(one_call_more)
    del slow.cns
    runs = [one.stimulate(ping.create_signal(1)), other.stimulate(ping.create_signal(2))]
    await slow.gates.open("1")
    assert slow.entered == [1, 2]
    await slow.gates.open("2")
    assert [run.outcome for run in runs] == ["completed"] * 2


# --- deadlocks


@pytest.mark.anyio
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("through", [False, True])
async def test_a_wait_for_a_run_of_the_other_that_needs_ones_own_slot_is_a_deadlock(first: int, through: bool) -> None:
    inner: list[Stimulation] = []
    busy = neuron("busy", concurrency=1)
    between = neuron("between")

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        if payload:
            run = each[1 - first].stimulate((pong if through else ping).create_signal(0))
            inner.append(run)
            await run

    @between.dendrite(pong)
    async def pass_on(payload: int) -> None:
        run = each[first].stimulate(ping.create_signal(0))
        inner.append(run)
        await run

    each = both(CNS([busy, between]))
    with pytest.raises(StimulationFailed):
        await each[first].stimulate(ping.create_signal(1))
    # The innermost is there first.
    (failure,) = inner[0].failed_tasks
    assert isinstance(failure.error, SlotDeadlockError)
    assert "'busy'" in str(failure.error)
    assert all(run.outcome == "failed" and run.exception() for run in inner)
    # The slot is as good as new, for both.
    for one in each:
        await one.stimulate(ping.create_signal(0))


@pytest.mark.anyio
async def test_so_is_one_for_a_run_of_the_other_that_stands_in_line_already() -> None:
    gates, seen = Gates(), list[BaseException | None]()
    busy, caller = neuron("busy", concurrency=1), neuron("caller")

    @busy.dendrite(ping)
    async def work(payload: int) -> None:
        await gates.wait(f"busy {payload}")
        if payload == 2:
            await call(3)

    @caller.dendrite(pong)
    async def call(payload: int) -> None:
        with pytest.raises(StimulationFailed):
            await runs[payload]
        seen.append(runs[payload].failed_tasks[0].error)

    cns, derived = both(CNS([busy, caller]))
    runs = [each.stimulate(ping.create_signal(n)) for n, each in enumerate([cns, derived, cns, derived])]
    waits = derived.stimulate(pong.create_signal(3))
    await gates.open("busy 0")
    await gates.open("busy 1")
    # Until here those who hold the slot waited for nobody.
    assert [run.done() for run in [*runs, waits]] == [True, True, False, False, False]
    await gates.open("busy 2")
    assert [type(error) for error in seen] == [SlotDeadlockError] * 2
    assert [run.outcome for run in [*runs, waits]] == ["completed"] * 3 + ["failed", "completed"]


@pytest.mark.parametrize("first", [0, 1])
def test_a_deadlock_is_found_without_a_loop(first: int) -> None:
    inner: list[Stimulation] = []

    def work(payload: int) -> None:
        if payload:
            inner.append(each[1 - first].stimulate(ping.create_signal(0)))

    each = both(CNS([neuron("busy", concurrency=1).dendrite(collateral=ping, response=work)]))
    assert each[first].stimulate(ping.create_signal(1)).outcome == "completed"
    assert [type(failure.error) for failure in inner[0].failed_tasks] == [SlotDeadlockError]


# --- threads


def in_threads(*work: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("loops", [0, 1, 2])
def test_threads_on_each_of_them_share_the_slots(concurrency: int, loops: int, run_loop: RunLoop) -> None:
    lock, active, most = threading.Lock(), list[int](), list[int]()

    def work(payload: int) -> None:
        with lock:
            active.append(payload)
            most.append(len(active))
        threading.Event().wait(0.001)
        with lock:
            active.remove(payload)

    each = both(CNS([neuron("slow", concurrency=concurrency).dendrite(collateral=ping, response=work)]))

    def stimulate(number: int) -> Callable[[], None]:
        cns = each[number % 2]
        signals = [ping.create_signal(100 * number + n) for n in range(10)]

        async def main() -> None:
            for signal in signals:
                await cns.stimulate(signal)

        def blocking() -> None:
            assert {cns.stimulate(signal).outcome for signal in signals} == {"completed"}

        # None has a loop, half of those of each do, or all do.
        return (lambda: run_loop(main)) if number // 2 % 2 < loops else blocking

    in_threads(*(stimulate(number) for number in range(8)))
    assert len(most) == 80
    assert max(most) <= concurrency


@pytest.mark.parametrize("first", [0, 1])
def test_a_blocking_run_of_one_waits_for_the_slot_that_a_thread_holds_in_the_other(first: int) -> None:
    order: list[int] = []
    entered, leave, waiting = threading.Event(), threading.Event(), threading.Event()

    def work(payload: int) -> None:
        order.append(payload)
        if payload == 0:
            entered.set()
            assert leave.wait(60)

    each = both(CNS([neuron("slow", concurrency=1).dendrite(collateral=ping, response=work)]))

    def wait() -> None:
        assert entered.wait(60)
        run = each[1 - first].stimulate(
            ping.create_signal(1), on_drain=lambda drain: waiting.set() if drain.pending_activations else None
        )
        assert run.outcome == "completed"

    def let_go() -> None:
        assert waiting.wait(60)
        assert order == [0]
        leave.set()

    in_threads(lambda: each[first].stimulate(ping.create_signal(0)), wait, let_go)
    assert order == [0, 1]
