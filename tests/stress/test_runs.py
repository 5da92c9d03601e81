"""S22: finished runs leave nothing behind, however they ended."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from cnstra import (
    CNS,
    Context,
    Response,
    Signal,
    Stimulation,
    StimulationAborted,
    StimulationFailed,
    collateral,
    neuron,
)

from .memory import assert_flat
from .sizes import size

start = collateral("start", int)
middle = collateral("middle", int)


def graph(**options: Any) -> CNS:
    """Two neurons, one after the other; the second keeps a context value."""

    def first(payload: int, axon: Any) -> Signal[int]:
        return axon.middle.create_signal(payload)  # type: ignore[no-any-return]

    def second(payload: int, axon: None, ctx: Context[int, object]) -> None:
        ctx.set((ctx.get() or 0) + payload)

    return CNS(
        [
            neuron("first", {"middle": middle}).dendrite(collateral=start, response=first),
            neuron("second").dendrite(collateral=middle, response=second),
        ],
        **options,
    )


def test_a_million_runs() -> None:
    cns = graph()

    def work(times: int) -> None:
        for i in range(times):
            cns.stimulate(start.create_signal(i))

    assert_flat(work, size(1_000_000, 100_000))


def test_runs_with_listeners() -> None:
    cns = graph(auto_cleanup_contexts=True)
    heard = 0

    def hear(response: Response) -> None:
        nonlocal heard
        assert len(response.caused) == (response.hops < 2)
        heard += 1

    def work(times: int) -> None:
        for i in range(times):
            cns.stimulate(start.create_signal(i), on_response=hear, on_drain=lambda drain: None)

    remove = cns.add_response_listener(hear)
    assert_flat(work, size(200_000, 30_000))
    remove()
    assert heard == 6 * (size(200_000, 30_000) + 2_000)


def test_runs_that_fail() -> None:
    def fail(payload: int) -> None:
        raise ValueError(payload)

    cns = CNS([neuron("failing").dendrite(collateral=start, response=fail)])

    def work(times: int) -> None:
        for i in range(times):
            with pytest.raises(StimulationFailed):
                cns.stimulate(start.create_signal(i)).raise_for_failure()

    assert_flat(work, size(50_000, 20_000))


def test_runs_that_are_aborted_and_resumed() -> None:
    def stop(payload: int, axon: Any, ctx: Context[None, object]) -> Signal[int]:
        ctx.stimulation.abort("later")
        return axon.middle.create_signal(payload)  # type: ignore[no-any-return]

    cns = CNS(
        [
            neuron("first", {"middle": middle}).dendrite(collateral=start, response=stop),
            neuron("second").dendrite(collateral=middle, response=lambda payload: None),
        ]
    )

    def work(times: int) -> None:
        for i in range(times):
            run = cns.stimulate(start.create_signal(i))
            assert cns.activate(run.outstanding_tasks).outcome == "completed"

    assert_flat(work, size(50_000, 20_000))


def test_runs_with_joins_and_slots() -> None:
    def spread(payload: int, axon: Any) -> list[Signal[int]]:
        return [axon.middle.create_signal(payload), axon.middle.create_signal(payload)]

    cns = CNS(
        [
            neuron("spread", {"middle": middle}, concurrency=1).dendrite(collateral=start, response=spread),
            neuron("total", concurrency=1).join(collateral=middle, response=lambda payloads: None),
        ]
    )

    def work(times: int) -> None:
        for i in range(times):
            cns.stimulate([start.create_signal(i), start.create_signal(i)], concurrency=1)

    assert_flat(work, size(100_000, 20_000))


@pytest.mark.parametrize("kind", ["finishing", "suspending", "cancelled", "offloaded"])
def test_runs_in_a_loop(kind: str) -> None:
    async def finishing(payload: int) -> None:
        pass

    async def suspending(payload: int) -> None:
        await asyncio.sleep(0)

    async def cancelled(payload: int) -> None:
        await asyncio.Event().wait()

    def offloaded(payload: int) -> None:
        pass

    handler = {"finishing": finishing, "suspending": suspending, "cancelled": cancelled, "offloaded": offloaded}[kind]
    cns = CNS([neuron("n", concurrency=2, offload=kind == "offloaded").dendrite(collateral=start, response=handler)])

    async def many(times: int) -> None:
        for i in range(times):
            run = cns.stimulate(start.create_signal(i))
            if kind == "cancelled":
                run.cancel()
                with pytest.raises(StimulationAborted):
                    await run
            else:
                await run

    with asyncio.Runner() as runner:
        times = size(50_000, 20_000) if kind == "finishing" else size(20_000, 10_000)
        assert_flat(lambda times: runner.run(many(times)), times // 4 if kind == "offloaded" else times)


def test_queries_and_streams() -> None:
    reply = collateral("reply", int)

    async def answer(payload: int, axon: Any) -> Signal[int]:
        await asyncio.sleep(0)
        return axon.reply.create_signal(payload + 1)  # type: ignore[no-any-return]

    cns = CNS([neuron("n", {"reply": reply}).dendrite(collateral=start, response=answer)])

    async def many(times: int) -> None:
        for i in range(times):
            assert await cns.query(start.create_signal(i), reply) == i + 1
            async with cns.stream(start.create_signal(i), buffer=1) as responses:
                assert [response.final async for response in responses] == [False, True]

    with asyncio.Runner() as runner:
        assert_flat(lambda times: runner.run(many(times)), size(10_000, 5_000))


def test_loops_come_and_go() -> None:
    async def handler(payload: int) -> None:
        await asyncio.sleep(0)

    cns = CNS([neuron("n", concurrency=1).dendrite(collateral=start, response=handler)])

    async def two() -> None:
        first, second = cns.stimulate(start.create_signal(1)), cns.stimulate(start.create_signal(2))
        await first
        await second

    def work(times: int) -> None:
        for _ in range(times):
            asyncio.run(two())

    assert_flat(work, size(1_500, 1_000), warm_up=300)


def test_cycles_through_everything_are_collected() -> None:
    """A run, its CNS and what its handlers hold refer to each other all around, and are garbage together."""

    class Canary:
        pass

    kept: list[weakref.ref[Any]] = []

    def once(number: int) -> None:
        begin = collateral("begin", object)
        canary = Canary()
        held: list[object] = [canary]
        runs: list[Stimulation] = []

        def handler(payload: object, axon: Any, ctx: Context[Any, Any]) -> Signal[object] | None:
            held.extend((ctx, payload, ctx.stimulation, ctx.cns, axon))
            ctx.set(held)
            return axon.following.create_signal(held) if ctx.task.hop < 3 else None

        def hear(response: Response) -> None:
            held.extend((response, response.task))

        following = collateral("following", object)
        n = neuron("n", {"following": following})
        n.dendrite(collateral=[begin, following], response=handler)
        cns = CNS([n])
        held.extend((cns, n, begin, runs))
        cns.add_response_listener(hear)
        runs.append(cns.stimulate(begin.create_signal(held), on_response=hear))
        runs.append(cns.activate([], stimulation_context=held))
        kept.extend(weakref.ref(thing) for thing in (canary, cns, n, begin, *runs))

    count = size(2_000, 1_000)
    for number in range(count):
        once(number)
    gc.collect()
    assert len(kept) == 6 * count
    assert [ref for ref in kept if ref() is not None] == []
