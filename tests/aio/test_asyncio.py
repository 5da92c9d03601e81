"""S20: what asyncio offers works in handlers, from their first step on, and around runs."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

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


async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def total_of_gather(payload: int) -> int:
    return sum(await asyncio.gather(*map(later, range(payload))))


async def total_of_task_group(payload: int) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(later(number)) for number in range(payload)]
    return sum(task.result() for task in tasks)


async def total_as_completed(payload: int) -> int:
    return sum([await done for done in asyncio.as_completed(list(map(later, range(payload))))])


async def total_of_wait(payload: int) -> int:
    done, pending = await asyncio.wait([asyncio.ensure_future(later(number)) for number in range(payload)])
    assert not pending
    return sum(task.result() for task in done)


async def total_through_a_queue(payload: int) -> int:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(payload):
            await queue.put(number)

    task = asyncio.create_task(produce())
    total = 0
    for _ in range(payload):
        total += await queue.get()
    await task
    return total


async def total_of_shielded(payload: int) -> int:
    return sum([await asyncio.shield(later(number)) for number in range(payload)])


async def total_of_wait_for(payload: int) -> int:
    return sum([await asyncio.wait_for(later(number), 10) for number in range(payload)])


async def total_in_threads(payload: int) -> int:
    return sum([await asyncio.to_thread(int, number) for number in range(payload)])


async def total_in_an_executor(payload: int) -> int:
    loop = asyncio.get_running_loop()
    return sum([await loop.run_in_executor(None, abs, -number) for number in range(payload)])


async def total_under_a_lock(payload: int) -> int:
    lock, semaphore, condition = asyncio.Lock(), asyncio.Semaphore(1), asyncio.Condition()
    total = 0

    async def add(number: int) -> None:
        nonlocal total
        async with lock, semaphore, condition:
            before = total
            await asyncio.sleep(0)
            total = before + number

    await asyncio.gather(*map(add, range(payload)))
    return total


async def total_by_callbacks(payload: int) -> int:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(payload)]
    for number, future in enumerate(futures):
        loop.call_soon(future.set_result, number)
    return sum([await future for future in futures])


WAYS = [
    total_of_gather,
    total_of_task_group,
    total_as_completed,
    total_of_wait,
    total_through_a_queue,
    total_of_shielded,
    total_of_wait_for,
    total_in_threads,
    total_in_an_executor,
    total_under_a_lock,
    total_by_callbacks,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_what_asyncio_offers_in_handlers(way: Any) -> None:
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        return axon.result.create_signal(await way(payload))  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate([go.create_signal(5), go.create_signal(10)])
    assert sorted(seen) == [10, 45]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_what_asyncio_offers_in_listeners(way: Any) -> None:
    totals: list[int] = []

    async def hear(response: Any) -> None:
        totals.append(await way(5))

    seen: list[int] = []
    cns = answering(lambda payload, axon: axon.result.create_signal(payload), seen)
    await cns.stimulate(go.create_signal(1), on_response=hear)
    assert totals == [10, 10, 10]


@pytest.mark.parametrize("seconds", [0, -1, 0.01])
async def test_timeouts_in_handlers(seconds: float) -> None:
    steps: list[str] = []

    async def handler(payload: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), seconds)
        await asyncio.sleep(0)
        steps.append("went on")

    await answering(handler, []).stimulate(go.create_signal(0))
    assert steps == ["went on"]


async def test_a_timeout_that_leaves_a_handler_is_its_failure() -> None:
    async def handler(payload: int) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(StimulationFailed) as caught:
        await answering(handler, []).stimulate(go.create_signal(0))
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError]


async def test_a_task_group_in_a_handler_that_fails() -> None:
    unwound: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwound.append("forever")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("failed")

    async def handler(payload: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            group.create_task(fail())

    with pytest.raises(StimulationFailed) as caught:
        await answering(handler, []).stimulate(go.create_signal(0))
    assert caught.value.subgroup(ValueError) is not None
    assert unwound == ["forever"]


async def test_a_handler_that_cancels_and_uncancels_itself() -> None:
    """What ``asyncio.timeout`` does by itself: a cancellation that was asked for and taken back goes nowhere."""
    steps: list[str] = []

    async def handler(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("caught")
        task.uncancel()
        await asyncio.sleep(0)
        steps.append("went on")

    await answering(handler, []).stimulate(go.create_signal(0))
    assert steps == ["caught", "went on"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_handler_that_cancels_its_task_and_ends_takes_nobody_with_it(fails: bool) -> None:
    """It never waits, so the cancellation reaches nobody; and what runs after it is a task of its own."""
    done: list[int] = []

    async def cancelling(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if fails:
            raise ValueError("failed")

    async def waiting(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        await asyncio.sleep(0)
        done.append(payload)

    first = CNS([neuron("n").dendrite(collateral=go, response=cancelling)])
    second = CNS([neuron("n").dendrite(collateral=go, response=waiting)])
    run = first.stimulate(go.create_signal(0))
    assert run.outcome == ("failed" if fails else "completed")
    run.exception()
    await asyncio.gather(*[second.stimulate(go.create_signal(number)) for number in range(3)])
    assert done == [0, 1, 2]


@pytest.mark.parametrize("around", ["wait_for", "timeout", "shield", "task"])
async def test_giving_up_waiting_leaves_the_run_alone(around: str) -> None:
    gate = asyncio.Event()
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        await gate.wait()
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    run = answering(handler, seen).stimulate(go.create_signal(7))

    async def wait() -> None:
        await run

    if around == "wait_for":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run, 0.01)
    elif around == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run
    elif around == "shield":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(wait()), 0.01)
    else:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert run.outcome == "running"
    gate.set()
    await run
    assert seen == [7]


async def test_runs_are_awaitables_for_everything_that_takes_them() -> None:
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        await asyncio.sleep(0)
        return axon.result.create_signal(payload)  # type: ignore[no-any-return]

    cns = answering(handler, seen)

    def start() -> Any:
        return cns.stimulate(go.create_signal(len(seen)))

    await asyncio.gather(start(), start())
    await asyncio.wait_for(start(), 10)
    await asyncio.ensure_future(start())
    await asyncio.shield(start())
    async with asyncio.timeout(10):
        await start()
    for done in asyncio.as_completed([start(), start()]):
        await done
    _, pending = await asyncio.wait([asyncio.ensure_future(start())])
    assert not pending
    assert len(seen) == 9
    ended = start()
    await ended
    await ended
    await asyncio.gather(ended, return_exceptions=True)
    assert len(seen) == 10


async def test_gather_gives_the_exceptions_of_runs() -> None:
    def fail(payload: int) -> None:
        if payload:
            raise ValueError(payload)

    cns = answering(fail, [])
    first, second = await asyncio.gather(
        cns.stimulate(go.create_signal(0)), cns.stimulate(go.create_signal(1)), return_exceptions=True
    )
    assert first is None
    assert isinstance(second, StimulationFailed)


async def test_a_task_that_is_cancelled_in_a_query_cancels_its_run() -> None:
    unwound: list[int] = []

    async def handler(payload: int, axon: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwound.append(payload)

    cns = answering(handler, [])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cns.query(go.create_signal(1), result), 0.01)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert unwound == [1]


async def test_tasks_that_a_handler_leaves_behind_go_on() -> None:
    steps: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    gate = asyncio.Event()

    async def background() -> None:
        await gate.wait()
        steps.append("background")

    async def handler(payload: int) -> None:
        tasks.append(asyncio.create_task(background()))
        steps.append("handler")

    await answering(handler, []).stimulate(go.create_signal(0))
    gate.set()
    await tasks[0]
    assert steps == ["handler", "background"]


async def test_a_task_that_a_handler_left_behind_feeds_no_run_that_has_ended() -> None:
    """It holds on to the context of its handler, which is of a run that has ended."""
    outcomes: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def handler(payload: int, axon: Any, ctx: Context[int, object]) -> None:
        async def background() -> None:
            await asyncio.sleep(0)
            ctx.set(1)
            ctx.stimulation.abort("too late")
            outcomes.append(ctx.stimulation.outcome)

        tasks.append(asyncio.create_task(background()))

    run = answering(handler, []).stimulate(go.create_signal(0))
    await run
    await tasks[0]
    assert outcomes == ["completed"]
    assert run.outcome == "completed"


async def test_async_generators_and_context_managers_of_handlers_are_closed() -> None:
    steps: list[str] = []

    async def numbers() -> Any:
        try:
            for number in range(100):
                yield number
                await asyncio.sleep(0)
        finally:
            steps.append("closed")

    async def handler(payload: int) -> None:
        from contextlib import aclosing

        async with aclosing(numbers()) as source:
            async for number in source:
                if number == payload:
                    break
        steps.append("left")

    run = answering(handler, []).stimulate(go.create_signal(3))
    await run
    assert steps == ["closed", "left"]

    steps.clear()
    run = answering(handler, []).stimulate(go.create_signal(99))
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(StimulationAborted):
        await run
    assert steps == ["closed"]


async def test_a_server_and_its_clients_inside_one_run() -> None:
    """Handlers with sockets: readers and writers, transports and protocols."""
    if sys.platform == "win32":
        pytest.skip("unix sockets")
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return axon.result.create_signal(len(answer) if answer.isupper() else -1)  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate([go.create_signal(0)] * 3)
    assert seen == [6, 6, 6]


async def test_a_child_process_of_a_handler() -> None:
    seen: list[int] = []

    async def handler(payload: int, axon: Any) -> Signal[int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"print({payload} * 2)", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return axon.result.create_signal(int(out))  # type: ignore[no-any-return]

    await answering(handler, seen).stimulate(go.create_signal(21))
    assert seen == [42]
