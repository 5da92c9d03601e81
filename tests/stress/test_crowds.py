"""S6, S12, S20: very many runs, handlers, waiters and listeners at once, in a loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, Response, Signal, Stimulation, StimulationAborted, collateral, neuron

from .sizes import size

go = collateral("go", int)
item = collateral("item", int)


def test_ten_thousand_runs_wait_for_one_slot_in_order() -> None:
    count = 10_000
    entered: asyncio.Queue[tuple[int, asyncio.Future[None]]] = asyncio.Queue()
    order: list[int] = []

    async def hold(payload: int) -> None:
        gate = asyncio.get_running_loop().create_future()
        entered.put_nowait((payload, gate))
        await gate

    cns = CNS([neuron("narrow", concurrency=1).dendrite(collateral=go, response=hold)])

    async def main() -> None:
        runs = [cns.stimulate(go.create_signal(i)) for i in range(count)]
        for _ in range(count):
            payload, gate = await entered.get()
            assert entered.empty()
            order.append(payload)
            gate.set_result(None)
        await asyncio.gather(*runs)

    asyncio.run(main())
    assert order == list(range(count))


def test_waiters_that_give_up_are_passed_over() -> None:
    count = 10_000
    entered: list[int] = []
    gate = asyncio.Event()

    async def hold(payload: int) -> None:
        entered.append(payload)
        await gate.wait()

    cns = CNS([neuron("narrow", concurrency=2).dendrite(collateral=go, response=hold)])

    async def main() -> None:
        runs = [cns.stimulate(go.create_signal(i)) for i in range(count)]
        for run in runs[::2]:
            run.abort()
        gate.set()
        for run in runs[1::2]:
            await run
        for run in runs[2::2]:
            assert run.outcome == "aborted"
        # The first two had their slots when they were aborted.
        with pytest.raises(StimulationAborted):
            await runs[0]

    asyncio.run(main())
    assert entered == [0, *range(1, count, 2)]


def test_ten_thousand_suspended_runs() -> None:
    count = 10_000
    gate = asyncio.Event()
    done: list[int] = []

    async def hold(payload: int, axon: Any) -> Signal[int]:
        await gate.wait()
        return axon.item.create_signal(payload)  # type: ignore[no-any-return]

    cns = CNS(
        [
            neuron("holder", {"item": item}).dendrite(collateral=go, response=hold),
            neuron("sink").dendrite(collateral=item, response=done.append),
        ]
    )

    async def main() -> None:
        async with cns:
            runs = [cns.stimulate(go.create_signal(i)) for i in range(count)]
            await asyncio.sleep(0)
            assert {run.outcome for run in runs} == {"running"}
            gate.set()
        assert {run.outcome for run in runs} == {"completed"}

    asyncio.run(main())
    assert done == list(range(count))


def test_one_run_with_ten_thousand_suspended_handlers() -> None:
    count = size(50_000, 20_000)
    gate = asyncio.Event()
    most = 0
    active = 0

    async def hold(payload: int) -> None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await gate.wait()
        active -= 1

    cns = CNS([neuron("holder").dendrite(collateral=item, response=hold)])

    async def main() -> None:
        run = cns.stimulate([item.create_signal(i) for i in range(count)])
        assert active == count
        gate.set()
        await run
        bounded = cns.stimulate([item.create_signal(i) for i in range(count)], concurrency=7)
        await bounded

    asyncio.run(main())
    assert most == count
    assert active == 0


def test_a_cancel_reaches_ten_thousand_handlers() -> None:
    count = 10_000
    cancelled: list[int] = []

    async def hold(payload: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(payload)
            raise

    cns = CNS([neuron("holder", concurrency=count // 2).dendrite(collateral=item, response=hold)])

    async def main() -> Stimulation:
        run = cns.stimulate([item.create_signal(i) for i in range(count)])
        await asyncio.sleep(0)
        run.cancel("enough")
        with pytest.raises(StimulationAborted):
            await run
        return run

    run = asyncio.run(main())
    # In the order in which they were entered; half of them never were.
    assert cancelled == list(range(count // 2))
    assert sorted(failure.task.id or 0 for failure in run.failed_tasks) == list(range(1, count + 1))
    assert all(failure.aborted for failure in run.failed_tasks)


def test_every_response_is_a_barrier() -> None:
    """A list of signals, each held back by its listener; they are let go in the reverse order."""
    count = size(10_000, 5_000)
    gates: list[asyncio.Future[None]] = []
    entered: list[int] = []

    async def hold() -> None:
        gates.append(asyncio.get_running_loop().create_future())
        await gates[-1]

    def hear(response: Response) -> Any:
        return hold() if response.neuron is None else None

    cns = CNS([neuron("sink").dendrite(collateral=item, response=entered.append)])

    async def main() -> None:
        run = cns.stimulate([item.create_signal(i) for i in range(count)], on_response=hear)
        await asyncio.sleep(0)
        assert entered == []
        assert len(gates) == count
        assert [task.id for task in run.outstanding_tasks] == list(range(1, count + 1))
        for gate in reversed(gates):
            gate.set_result(None)
        await run

    asyncio.run(main())
    assert entered == list(range(count - 1, -1, -1))


def test_many_listeners_on_one_response() -> None:
    count = 5_000
    settled = 0

    async def hear(response: Response) -> None:
        nonlocal settled
        await asyncio.sleep(0)
        settled += 1

    seen: list[int] = []
    cns = CNS([neuron("sink").dendrite(collateral=item, response=lambda payload: seen.append(settled))])
    for _ in range(count):
        cns.add_response_listener(hear)

    async def main() -> None:
        await cns.stimulate(item.create_signal(0))

    asyncio.run(main())
    assert seen == [count]
    assert settled == 2 * count


def test_many_await_one_run() -> None:
    count = 10_000
    gate = asyncio.Event()

    async def hold(payload: int) -> None:
        await gate.wait()

    cns = CNS([neuron("holder").dendrite(collateral=go, response=hold)])

    async def main() -> None:
        run = cns.stimulate(go.create_signal(0))

        async def wait() -> str:
            await run
            return run.outcome

        waiting = [asyncio.ensure_future(wait()) for _ in range(count)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        gate.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert outcomes[1::2] == ["completed"] * (count // 2)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])

    asyncio.run(main())
