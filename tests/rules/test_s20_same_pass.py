"""S3, S20: a handler that has waited settles when it ends, in that pass of the loop, as what follows an await does."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from cnstra import CNS, Response, Signal, collateral, neuron

from .gates import settle

go = collateral("go", int)


class Graph:
    """A neuron whose handlers wait at a gate each, and one that hears what it emits."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Future[Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.seen: list[object] = []
        self.currents: list[object] = []
        self.done = collateral("done", int)
        waiting = neuron("waiting", {"done": self.done}).dendrite(collateral=go, response=self.wait)
        self.cns = CNS([waiting, neuron("ear").dendrite(collateral=self.done, response=self.hear)])

    async def wait(self, payload: int, axon: Any) -> Signal[int]:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        self.gates.append(asyncio.get_running_loop().create_future())
        await self.gates[-1]
        return axon.done.create_signal(payload)  # type: ignore[no-any-return]

    def hear(self, payload: int) -> None:
        self.seen.append(payload)
        self.currents.append(asyncio.current_task())


@pytest.mark.anyio
async def test_what_a_handler_caused_starts_in_the_pass_in_which_it_ended() -> None:
    graph = Graph()
    run = graph.cns.stimulate(go.create_signal(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    graph.gates[0].set_result(None)
    assert graph.seen == []
    await asyncio.sleep(0)
    assert graph.seen == [1]
    assert run.outcome == "completed"
    assert graph.currents == [None], "it is nobody's task that goes on"


@pytest.mark.anyio
async def test_who_awaits_the_run_goes_on_in_the_next_one() -> None:
    graph = Graph()
    run = graph.cns.stimulate(go.create_signal(1))

    async def awaiting() -> None:
        await run
        graph.seen.append("awaited")

    task = asyncio.ensure_future(awaiting())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    graph.gates[0].set_result(None)
    await asyncio.sleep(0)
    assert graph.seen == [1]
    await asyncio.sleep(0)
    assert graph.seen == [1, "awaited"]
    await task


@pytest.mark.anyio
async def test_those_that_end_in_one_pass_settle_in_the_order_in_which_they_ended() -> None:
    """Be it well or not."""
    graph = Graph()
    told: list[object] = []

    def listen(response: Response) -> None:
        if response.neuron is not None and response.neuron.name == "waiting":
            told.append(
                str(response.error) if response.error else response.output_signal and response.output_signal.payload
            )

    run = graph.cns.stimulate([go.create_signal(payload) for payload in (1, 2, 3)], on_response=listen)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    graph.gates[2].set_exception(LookupError("third"))
    graph.gates[0].set_result(None)
    graph.gates[1].set_exception(LookupError("second"))
    await asyncio.sleep(0)
    assert told == ["third", 1, "second"]
    assert run.outcome == "failed"
    run.exception()


@pytest.mark.anyio
async def test_its_task_has_its_value() -> None:
    graph = Graph()
    run = graph.cns.stimulate(go.create_signal(1))
    await asyncio.sleep(0)
    graph.gates[0].set_result(None)
    await run
    signal = await graph.tasks[0]
    assert isinstance(signal, Signal)
    assert (signal.collateral, signal.payload) == (graph.done, 1)


@pytest.mark.anyio
async def test_its_task_has_its_error_and_nobody_has_to_ask_for_it() -> None:
    graph = Graph()
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    error = LookupError("lost")
    run = graph.cns.stimulate(go.create_signal(1))
    await asyncio.sleep(0)
    graph.gates[0].set_exception(error)
    await settle()
    assert run.done()
    run.exception()
    await asyncio.sleep(0)
    assert graph.tasks[0].exception() is error
    del graph, run
    gc.collect()
    await asyncio.sleep(0)
    assert not told


@pytest.mark.anyio
async def test_cancelled_in_its_last_step_it_counts_as_cancelled_as_its_task_does() -> None:
    tasks: list[asyncio.Task[Any]] = []
    seen: list[object] = []
    done = collateral("done", int)

    async def cancels_itself(payload: int, axon: Any) -> Signal[int]:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        task.cancel()
        return axon.done.create_signal(payload)  # type: ignore[no-any-return]

    cns = CNS(
        [
            neuron("waiting", {"done": done}).dendrite(collateral=go, response=cancels_itself),
            neuron("ear").dendrite(collateral=done, response=seen.append),
        ]
    )
    run = cns.stimulate(go.create_signal(1))
    await settle()
    assert run.done()
    await asyncio.sleep(0)
    assert tasks[0].cancelled()
    assert run.outcome == "aborted"
    assert isinstance(run.exception(), BaseException)
    assert seen == []


@pytest.mark.anyio
async def test_a_listener_that_has_waited_lets_go_in_the_pass_in_which_it_ended() -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[int] = []
    cns = CNS([neuron("ear").dendrite(collateral=go, response=seen.append)])

    async def listen(response: Response) -> None:
        if response.neuron is None:
            await gate

    run = cns.stimulate(go.create_signal(1), on_response=listen)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == []
    gate.set_result(None)
    await asyncio.sleep(0)
    assert seen == [1]
    assert run.outcome == "completed"
