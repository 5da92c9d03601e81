"""S22: reference cycles through handlers, contexts and signals are collected."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import (
    CNS,
    AbortController,
    StimulationFailed,
    StimulationGate,
    collateral,
    neuron,
)

from .gates import relay

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


class Forgetful(list[Any]):
    """A log that keeps nothing."""

    def append(self, _: Any) -> None:
        """Forget it."""


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


def in_more_middleware() -> list[Any]:
    kept: list[Any] = []

    def wrap(dendrite: Any, handler: Any) -> Any:
        return lambda payload, axon, ctx: kept.append((dendrite, handler, ctx))

    own = collateral("own", int)
    one = neuron("one", {"own": own}, concurrency=1).dendrite(collateral=ping, response=lambda _: None)
    cns = CNS([one], shared=kept)
    derived = cns.with_middleware(wrap)
    # What each was given holds both.
    removers = [each.add_response_listener(kept.append) for each in (cns, derived)]
    runs = [each.stimulate(ping.create_signal(1)) for each in (cns, derived, derived.with_middleware(wrap))]
    kept += [cns, derived, removers, runs]
    return [cns, derived, own, one, *runs, *(run.cns for run in runs)]


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
    in_more_middleware,
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


def test_thousands_that_share_are_collected_while_one_of_each_is_held() -> None:
    """The collector must find what they share once: counted twice, it would go while it is in use."""
    for held in range(2):
        kept: list[Any] = []
        watched: list[weakref.ref[Any]] = []
        for _ in range(2000):
            things = in_more_middleware()
            watched.append(weakref.ref(things[1 - held]))
            if len(kept) < 100:
                kept.append(things[held])
            elif len(kept) % 7 == 0:
                gc.collect(0)
        del things
        gc.collect()
        # Both are in one cycle, so each holds the other.
        assert [ref() is not None for ref in watched] == [True] * 100 + [False] * 1900
        for cns in kept:
            assert cns.stimulate(ping.create_signal(1)).outcome == "completed"
            assert len(cns.shared) > 8
        del cns
        kept.clear()
        gc.collect()
        assert {ref() for ref in watched} == {None}


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


def test_an_abort_signal_that_goes_on_does_not_hold_the_runs_that_were_given_it() -> None:
    controller = AbortController()
    cns = CNS([neuron("one").dendrite(collateral=ping, response=lambda _: None)])
    watched = watch([cns.stimulate(ping.create_signal(n), abort_signal=controller.signal) for n in range(3)])
    gc.collect()
    assert [ref() for ref in watched] == [None] * 3
    controller.abort()


def test_a_waiter_that_was_aborted_is_not_held_by_the_line_for_the_slot() -> None:
    async def main() -> list[Any]:
        gate = asyncio.Event()

        async def wait(payload: int) -> None:
            await gate.wait()

        cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=wait)])
        holder, waiter = (cns.stimulate(ping.create_signal(n)) for n in range(2))
        waiter.abort()
        watched = watch([waiter])
        del waiter
        gc.collect()
        left = [ref() for ref in watched]
        gate.set()
        await holder
        return left

    assert asyncio.run(main()) == [None]
