"""S20: libraries on anyio work in handlers, from their first step on, and around runs."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from cnstra import CNS, Context, Signal, StimulationAborted, StimulationFailed, collateral, neuron

go = collateral("go", int)
result = collateral("result", int)

pytestmark = pytest.mark.anyio


def answering(handler: Any, seen: list[int], **options: Any) -> CNS:
    """A neuron with that handler, which emits ``result``, and one that notes the results."""
    return CNS(
        [
            neuron("worker", {"result": result}, **options).dendrite(collateral=go, response=handler),
            neuron("sink").dendrite(collateral=result, response=seen.append),
        ]
    )


async def test_a_task_group_in_the_first_step() -> None:
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        found: list[int] = []

        async def child(number: int) -> None:
            await anyio.lowlevel.checkpoint()
            found.append(number)

        async with anyio.create_task_group() as group:
            for number in range(payload):
                group.start_soon(child, number)
        return axon.result.create_signal(len(found))  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate(go.create_signal(5))
    assert seen == [5]


async def test_a_task_group_whose_child_fails() -> None:
    async def child() -> None:
        raise ValueError("child")

    async def handler(payload: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            await anyio.sleep_forever()

    with pytest.raises(StimulationFailed) as caught:
        await answering(handler, []).stimulate(go.create_signal(0))
    (group,) = caught.value.exceptions
    assert isinstance(group, ExceptionGroup)
    (error,) = group.exceptions
    assert str(error) == "child"


async def test_a_task_group_that_starts_its_children_and_waits_for_them_to_be_ready() -> None:
    seen: list[int] = []

    async def child(number: int, *, task_status: anyio.abc.TaskStatus[int]) -> None:
        await anyio.lowlevel.checkpoint()
        task_status.started(number)
        await anyio.sleep_forever()

    async def handler(payload: int, axon: Any) -> Signal[int]:
        async with anyio.create_task_group() as group:
            total = await group.start(child, 1) + await group.start(child, 2)
            group.cancel_scope.cancel()
        return axon.result.create_signal(total)  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate(go.create_signal(0))
    assert seen == [3]


async def test_time_limits_that_have_passed_already() -> None:
    steps: list[str] = []

    async def handler(payload: int) -> None:
        with anyio.move_on_after(0) as scope:
            await anyio.lowlevel.checkpoint()
            steps.append("not reached")
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0):
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        steps.append("went on")

    await answering(handler, []).stimulate(go.create_signal(0))
    assert steps == ["went on"]


async def test_time_limits_that_pass_while_it_waits() -> None:
    steps: list[str] = []

    async def handler(payload: int) -> None:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await anyio.sleep_forever()
        steps.append("went on")

    await answering(handler, []).stimulate(go.create_signal(0))
    assert steps == ["went on"]


async def test_a_scope_that_is_cancelled_before_the_first_pass_of_the_loop() -> None:
    """The handler waits inside a scope; what it waits for is cancelled in the same turn, by another handler."""
    scopes: list[anyio.CancelScope] = []
    steps: list[str] = []

    async def waiting(payload: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await anyio.sleep_forever()
        steps.append("left")

    def cancelling(payload: int) -> None:
        scopes[0].cancel()
        steps.append("cancelled")

    cns = CNS(
        [
            neuron("waiting").dendrite(collateral=go, response=waiting),
            neuron("cancelling").dendrite(collateral=go, response=cancelling),
        ]
    )
    await cns.stimulate(go.create_signal(0))
    assert steps == ["cancelled", "left"]


async def test_a_scope_around_an_awaited_run_leaves_the_run_alone() -> None:
    gate = anyio.Event()
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        await gate.wait()
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    run = answering(handler, seen).stimulate(go.create_signal(7))
    with anyio.move_on_after(0.01) as scope:
        await run
    assert scope.cancelled_caught
    assert run.outcome == "running"
    gate.set()
    await run
    assert seen == [7]


async def test_a_scope_around_the_block_of_a_cns_cancels_its_runs() -> None:
    unwound: list[int] = []

    async def handler(payload: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            unwound.append(payload)

    cns = answering(handler, [])
    with anyio.move_on_after(0.01) as scope:
        async with cns:
            run = cns.stimulate([go.create_signal(1), go.create_signal(2)])
    assert scope.cancelled_caught
    assert run.outcome == "aborted"
    assert unwound == [1, 2]


async def test_a_task_group_of_runs() -> None:
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        await anyio.lowlevel.checkpoint()
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    cns = answering(handler, seen, concurrency=2)

    async def one(number: int) -> None:
        await cns.stimulate(go.create_signal(number))

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(one, number)
    assert sorted(seen) == list(range(10))


async def test_a_failing_run_cancels_the_task_group_that_awaits_it() -> None:
    def fail(payload: int) -> None:
        raise ValueError("failed")

    cns = answering(fail, [])
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group is what raises
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await cns.stimulate(go.create_signal(0))
    (error,) = caught.value.exceptions
    assert isinstance(error, StimulationFailed)


async def test_threads_from_a_handler_and_back() -> None:
    seen: list[int] = []

    async def double(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return 2 * number

    def in_thread(number: int) -> int:
        return anyio.from_thread.run(double, number) + 1

    async def handler(payload: int, axon: Any) -> Signal[int]:
        return axon.result.create_signal(await anyio.to_thread.run_sync(in_thread, payload))  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate([go.create_signal(1), go.create_signal(2)])
    assert sorted(seen) == [3, 5]


async def test_a_run_from_a_thread_of_anyio() -> None:
    """A thread of anyio's has no loop of its own: a run in it is driven to its end right there."""
    seen: list[int] = []
    cns = answering(lambda payload, axon: axon.result.create_signal(payload), seen)

    def work() -> str:
        return cns.stimulate(go.create_signal(1)).outcome

    assert await anyio.to_thread.run_sync(work) == "completed"
    assert seen == [1]


async def test_memory_streams_locks_and_limiters_between_handlers() -> None:
    send, receive = anyio.create_memory_object_stream[int](1)
    lock, limiter = anyio.Lock(), anyio.CapacityLimiter(1)
    got: list[int] = []

    async def produce(payload: int) -> None:
        async with send, lock:
            for number in range(payload):
                await send.send(number)

    async def consume(payload: int) -> None:
        async with receive, limiter:
            async for number in receive:
                got.append(number)

    cns = CNS(
        [
            neuron("producer").dendrite(collateral=go, response=produce),
            neuron("consumer").dendrite(collateral=go, response=consume),
        ]
    )
    await cns.stimulate(go.create_signal(20))
    assert got == list(range(20))


async def test_a_cancelled_handler_cleans_up_behind_a_shield() -> None:
    steps: list[str] = []

    async def handler(payload: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                steps.append("cleaned up")

    run = answering(handler, []).stimulate(go.create_signal(0))
    await anyio.lowlevel.checkpoint()
    run.cancel("enough")
    with pytest.raises(StimulationAborted, match="enough"):
        await run
    assert steps == ["cleaned up"]


async def test_max_duration_cancels_a_task_group() -> None:
    unwound: list[str] = []

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            unwound.append("child")

    async def handler(payload: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)

    run = answering(handler, [], max_duration=0.02).stimulate(go.create_signal(0))
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert [type(error).__name__ for error in caught.value.exceptions] == ["MaxDurationError"]
    assert unwound == ["child"]


async def test_abort_signals_are_waited_for_like_anything_else() -> None:
    steps: list[object] = []

    async def handler(payload: int, axon: Any, ctx: Context[None, object]) -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                steps.append(await ctx.abort_signal.wait())
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await anyio.sleep_forever()
        steps.append("left")

    run = answering(handler, []).stimulate(go.create_signal(0))
    await anyio.lowlevel.checkpoint()
    run.abort("stop")
    with pytest.raises(StimulationAborted):
        await run
    assert steps == ["stop", "left"]


async def test_async_listeners_on_anyio() -> None:
    heard: list[int] = []

    async def hear(response: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        heard.append(response.hops)

    seen: list[int] = []
    cns = answering(lambda payload, axon: axon.result.create_signal(payload), seen)
    await cns.stimulate(go.create_signal(1), on_response=hear)
    assert heard == [0, 1, 2]
    assert seen == [1]


async def test_the_task_of_a_handler_is_anyio_s_current_task() -> None:
    tasks: list[anyio.TaskInfo] = []

    async def handler(payload: int) -> None:
        tasks.append(anyio.get_current_task())
        await anyio.lowlevel.checkpoint()
        tasks.append(anyio.get_current_task())

    await answering(handler, []).stimulate(go.create_signal(0))
    assert tasks[0] == tasks[1]
    assert tasks[0] != anyio.get_current_task()
    running = asyncio.current_task()
    assert running is not None
    assert tasks[0].id != id(running)
