"""S22: finished runs leave nothing behind, cycles are collected, and the stack does not grow."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cnstra import (
    CNS,
    AbortController,
    ActivationTask,
    Response,
    Stimulation,
    StimulationAborted,
    StimulationFailed,
    StimulationGate,
    collateral,
    engine,
    neuron,
)

from .gates import relay

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)

Scenario = Callable[[int], Awaitable[None]]


class Forgetful(list[Any]):
    """A log that keeps nothing."""

    def append(self, _: Any) -> None:
        """Forget it."""


def plain() -> Scenario:
    cns = CNS([relay("one", ping, Forgetful(), a), relay("two", a, Forgetful())])

    async def run(n: int) -> None:
        for _ in range(n):
            cns.stimulate(ping.create_signal(1))

    return run


def listening() -> Scenario:
    cns = CNS([relay("one", ping, Forgetful(), a, b), relay("two", a, Forgetful())])

    async def listen(response: Response) -> None:
        assert len(response.caused) < 3

    async def run(n: int) -> None:
        for _ in range(n):
            remove = cns.add_response_listener(listen)
            cns.stimulate(ping.create_signal(1), on_response=listen, on_drain=lambda drain: None)
            remove()

    return run


def suspending() -> Scenario:
    one = neuron("one", {"a": a}, concurrency=2, max_duration=3600)

    @one.dendrite(ping)
    async def wait(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.set(payload)
        await asyncio.sleep(0)
        return axon.a.create_signal(payload)

    cns = CNS([one, relay("two", a, Forgetful())], auto_cleanup_contexts=True)

    async def run(n: int) -> None:
        for _ in range(n // 4):
            for each in [cns.stimulate(ping.create_signal(k), timeout=3600) for k in range(4)]:
                await each

    return run


def failing() -> Scenario:
    def fail(payload: int) -> None:
        raise LookupError(payload)

    cns = CNS([neuron("one").dendrite(collateral=ping, response=fail)])

    async def run(n: int) -> None:
        for _ in range(n):
            assert cns.stimulate(ping.create_signal(1)).failed_tasks

    return run


def aborted() -> Scenario:
    async def wait(payload: int) -> None:
        await asyncio.Event().wait()

    cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=wait)])

    async def run(n: int) -> None:
        controller = AbortController()
        for _ in range(n // 2):
            runs = [cns.stimulate(ping.create_signal(k), abort_signal=controller.signal) for k in range(2)]
            for each in runs:
                each.cancel()
            for each in runs:
                with suppress(StimulationAborted):
                    await each

    return run


def resumed() -> Scenario:
    one = relay("one", ping, Forgetful(), a)
    feeder = neuron("feeder").dendrite(
        collateral=b,
        response=lambda n, axon, ctx: ctx.stimulation.enqueue([ActivationTask(one, ping.create_signal(n))]),
    )
    cns = CNS([one, feeder, neuron("total").join(collateral=a, response=lambda payloads: None)])

    async def run(n: int) -> None:
        for _ in range(n):
            cns.activate([ActivationTask(feeder, b.create_signal(1), id=7)])

    return run


def queried() -> Scenario:
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    async def answer(payload: int) -> Any:
        await asyncio.sleep(0)
        return a.create_signal(payload)

    cns = CNS([one])

    async def run(n: int) -> None:
        for _ in range(n // 2):
            assert await cns.query(ping.create_signal(1), a) == 1
            async for _response in cns.stream(ping.create_signal(1), buffer=1):
                pass

    return run


def gated() -> Scenario:
    one = neuron("one").dendrite(collateral=ping, response=lambda _: asyncio.sleep(0))
    gate = StimulationGate(CNS([one]), ping.create_signal(1))

    async def run(n: int) -> None:
        for _ in range(n):
            await gate.drain()

    return run


# How many runs tell a leak from noise; the Python engine has no memory of its own to lose.
COUNT = 30_000 if engine == "native" else 3_000


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    "make", [plain, listening, suspending, failing, aborted, resumed, queried, gated], ids=lambda make: make.__name__
)
def test_there_is_no_growth_over_any_number_of_runs(make: Callable[[], Scenario]) -> None:
    async def main() -> tuple[int, int]:
        run = make()

        def look() -> tuple[int, int]:
            gc.collect()
            return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

        await run(400)
        before = look()
        await run(2000)
        after = look()
        return after[0] - before[0], after[1] - before[1]

    tracemalloc.start()
    try:
        objects, traced = asyncio.run(main())
    finally:
        tracemalloc.stop()
    assert objects < 100, "one object for twenty runs would be more"
    assert traced < 20_000, "ten bytes for each run would be more"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("make", [plain, listening, suspending], ids=lambda make: make.__name__)
def test_nor_of_what_the_engine_has_allocated_itself(make: Callable[[], Scenario]) -> None:
    async def main() -> int:
        run = make()
        await run(COUNT // 3)
        gc.collect()
        before = resident()
        await run(COUNT)
        gc.collect()
        return resident() - before

    assert asyncio.run(main()) < 100 * COUNT + 500_000, "a hundred bytes for each run would be more"


class Thing:
    """Something that can be in a cycle, and be watched."""

    def __init__(self, **held: Any) -> None:
        self.held = held


def in_a_handler() -> list[Any]:
    def look(payload: int) -> None:
        assert cns.neurons

    one = neuron("one").dendrite(collateral=ping, response=look)
    cns = CNS([one])
    run = cns.stimulate(ping.create_signal(1))
    return [cns, one, run]


def in_an_axon() -> list[Any]:
    own = collateral("own", int)
    one = neuron("one", {"own": own})
    one.dendrite(collateral=ping, response=lambda _, axon: one.axon.own.create_signal(1))
    cns = CNS([one])
    return [cns, one, own, cns.stimulate(ping.create_signal(1))]


def in_a_context() -> list[Any]:
    def keep(payload: int, axon: None, ctx: Any) -> None:
        ctx.set([ctx, ctx.stimulation, ctx.task])

    cns = CNS([neuron("one").dendrite(collateral=ping, response=keep)])
    return [cns, cns.stimulate(ping.create_signal(1))]


def in_a_signal() -> list[Any]:
    payload: dict[str, Any] = {}
    own = collateral("own", object)
    cns = CNS([neuron("one").dendrite(collateral=own, response=lambda _: None)])
    signal = own.create_signal(payload)
    run = cns.stimulate(signal)
    payload.update(signal=signal, run=run, cns=cns)
    return [cns, own, run]


def in_listeners() -> list[Any]:
    kept: list[Any] = []
    cns = CNS([neuron("one").dendrite(collateral=ping, response=lambda _: None)])
    cns.add_response_listener(lambda response: kept.append((response, cns)))
    cns.add_drain_listener(lambda drain: kept.append((drain, cns)))
    run = cns.stimulate(ping.create_signal(1), on_response=kept.append, on_drain=kept.append)
    kept.append(run)
    return [cns, run]


def in_shared_values() -> list[Any]:
    shared, trace = Thing(), Thing()
    cns = CNS([], shared=shared)
    run = cns.stimulate(ping.create_signal(1), stimulation_context=trace)
    shared.held["cns"] = trace.held["run"] = (cns, run)
    return [cns, run, shared, trace]


def in_middleware() -> list[Any]:
    kept: list[Any] = []

    def wrap(dendrite: Any, handler: Any) -> Any:
        kept.append((dendrite, handler))
        return lambda payload, axon, ctx: kept.append(ctx)

    cns = CNS([neuron("one").dendrite(collateral=ping, response=lambda _: None)], middleware=[wrap])
    run = cns.stimulate(ping.create_signal(1))
    kept.append((cns, run))
    return [cns, run, cns.neurons[0]]


def in_a_failure() -> list[Any]:
    def fail(payload: int, axon: None, ctx: Any) -> None:
        error = LookupError("lost")
        error.run = ctx.stimulation  # type: ignore[attr-defined]
        raise error

    cns = CNS([neuron("one").dendrite(collateral=ping, response=fail)])
    run = cns.stimulate(ping.create_signal(1))
    assert run.failed_tasks
    return [cns, run]


def in_a_gate() -> list[Any]:
    def look(payload: int) -> None:
        assert repr(gate)

    one = neuron("one").dendrite(collateral=ping, response=look)
    cns = CNS([one])
    gate: StimulationGate = StimulationGate(cns, ping.create_signal(1), on_response=lambda response: repr(gate))
    return [cns, one, gate.drain()]


def in_an_abort_signal() -> list[Any]:
    controller = AbortController()
    kept: list[Any] = []

    def keep(payload: int, axon: None, ctx: Any) -> None:
        ctx.abort_signal.add_listener(lambda reason: kept.append(ctx))
        controller.signal.add_listener(lambda reason: kept.append(ctx.stimulation))

    cns = CNS([neuron("one").dendrite(collateral=ping, response=keep)])
    run = cns.stimulate(ping.create_signal(1), abort_signal=controller.signal)
    kept += [controller, run]
    return [cns, run]


CYCLES = [
    in_a_handler,
    in_an_axon,
    in_a_context,
    in_a_signal,
    in_listeners,
    in_shared_values,
    in_middleware,
    in_a_failure,
    in_a_gate,
    in_an_abort_signal,
]


def watch(things: list[Any]) -> list[weakref.ref[Any]]:
    return [weakref.ref(thing) for thing in things]


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_cycles_are_collected(make: Callable[[], list[Any]]) -> None:
    watched = watch(make())
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_they_are_collected_in_a_loop_too(make: Callable[[], list[Any]]) -> None:
    async def main() -> list[Any]:
        watched = watch(make())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        return [ref() for ref in watched]

    assert set(asyncio.run(main())) == {None}


def test_a_run_that_suspended_is_collected_when_it_has_ended() -> None:
    async def main() -> list[Any]:
        async def wait(payload: int, axon: None, ctx: Any) -> None:
            ctx.set(ctx)
            await asyncio.sleep(0)
            ctx.set((ctx, asyncio.current_task()))

        cns = CNS([neuron("one").dendrite(collateral=ping, response=wait)])
        run: Any = cns.stimulate(ping.create_signal(1), on_response=lambda response: asyncio.sleep(0), timeout=3600)
        await run
        watched = watch([cns, run, cns.neurons[0]])
        del run, cns, wait
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        return [ref() for ref in watched]

    assert asyncio.run(main()) == [None] * 3


def test_finished_runs_go_without_the_collector_if_nothing_holds_them() -> None:
    cns = CNS([relay("one", ping, Forgetful())])
    gc.disable()
    try:
        watched = watch([cns.stimulate(ping.create_signal(1))])
        assert watched[0]() is None
    finally:
        gc.enable()


def test_a_graph_that_was_never_run_is_collected() -> None:
    def make() -> list[Any]:
        own = collateral("own", int)
        one = neuron("one", {"own": own})
        one.dendrite(collateral=ping, response=lambda _: one.axon.own.create_signal(1))
        return [own, one]

    watched = watch(make())
    gc.collect()
    assert [ref() for ref in watched] == [None, None]


def test_loops_are_not_kept() -> None:
    cns = CNS([neuron("one").dendrite(collateral=ping, response=lambda _: asyncio.sleep(0))])
    loops: list[weakref.ref[Any]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await cns.stimulate(ping.create_signal(1))

    for _ in range(20):
        asyncio.run(main())
    gc.collect()
    assert len([ref for ref in loops if ref() is not None]) <= 1


def in_a_small_stack(work: Callable[[], None]) -> None:
    """Run it in a thread with little stack, so that growth would end it."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(100)
    finally:
        threading.stack_size(before)
    assert errors == []


def circle(count: int, asynchronous: bool) -> CNS:
    one = neuron("one", {"ping": ping})

    def down(payload: int) -> Any:
        return ping.create_signal(payload - 1) if payload else None

    async def down_later(payload: int) -> Any:
        return down(payload)

    one.dendrite(collateral=ping, response=down_later if asynchronous else down)
    return CNS([one])


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("listener", [False, True])
def test_stack_use_does_not_grow_with_the_length_of_a_chain(asynchronous: bool, listener: bool) -> None:
    cns = circle(20_000, asynchronous)
    count = [0]

    def listen(response: Response) -> None:
        count[0] += 1

    async def main() -> None:
        await cns.stimulate(ping.create_signal(20_000), on_response=listen if listener else None)

    in_a_small_stack(lambda: asyncio.run(main()))
    assert count[0] == (20_002 if listener else 0)


def test_nor_with_the_fan_out_or_the_size_of_the_graph() -> None:
    heard: list[int] = []

    def work() -> None:
        channels = [collateral(f"c{n}", int) for n in range(5000)]

        def pass_on(n: int) -> Any:
            following = channels[n + 1]
            return lambda payload: following.create_signal(payload + 1)

        chain = [
            neuron(f"n{n}", {"next": channels[n + 1]}).dendrite(collateral=channels[n], response=pass_on(n))
            for n in range(4999)
        ]
        fan = [neuron(f"f{n}").dendrite(collateral=channels[-1], response=heard.append) for n in range(5000)]
        cns = CNS([*chain, *fan])
        assert cns.stimulate(channels[0].create_signal(1)).outcome == "completed"
        assert len(cns.network.strongly_connected_components) == 9999

    in_a_small_stack(work)
    assert heard == [5000] * 5000


def test_nor_with_the_number_of_waiters() -> None:
    runs: list[Stimulation] = []

    def work() -> None:
        async def main() -> None:
            gate = asyncio.Event()

            async def wait(payload: int) -> None:
                if not payload:
                    await gate.wait()

            cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=wait)])
            runs.extend(cns.stimulate(ping.create_signal(n)) for n in range(5000))
            gate.set()
            for run in runs:
                await run

        asyncio.run(main())

    in_a_small_stack(work)
    assert all(run.outcome == "completed" for run in runs)


def test_a_failed_run_that_was_looked_at_is_let_go() -> None:
    def fail(payload: int) -> None:
        raise LookupError

    cns = CNS([neuron("one").dendrite(collateral=ping, response=fail)])
    run: Any = cns.stimulate(ping.create_signal(1))
    with pytest.raises(StimulationFailed):
        run.raise_for_failure()
    watched = watch([run])
    del run
    gc.collect()
    assert watched[0]() is None
