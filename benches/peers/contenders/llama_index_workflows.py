"""LlamaIndex Workflows: async steps that are found by the type of the event that they take.

The chain is one step that sends itself an event, as its docs write a loop; a hundred steps with a hundred types of
events take more than twice as long. Without a timeout, and not verbose.
"""

from __future__ import annotations

import asyncio

from workflows import Workflow, step
from workflows.events import Event, StartEvent, StopEvent
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


class Begin(StartEvent):
    value: int


class Passed(Event):
    value: int


class Chain(Workflow):
    @step
    async def add_one(self, event: Begin | Passed) -> Passed | StopEvent:
        value = event.value + 1
        return Passed(value=value) if value < SIZE else StopEvent(result=value)


class Single(Workflow):
    @step
    async def add_one(self, event: Begin) -> StopEvent:
        return StopEvent(result=event.value + 1)


class Waiting(Workflow):
    box: Box

    @step
    async def wait(self, event: Begin) -> StopEvent:
        await asyncio.sleep(0)
        self.box.value += event.value
        return StopEvent(result=None)


def result_of(workflow: Workflow) -> Case:
    async def case() -> int:
        value: int = await workflow.run(start_event=Begin(value=0))
        return value

    return case


def suspended() -> Case:
    workflow, box = Waiting(timeout=None), Box()
    workflow.box = box

    async def case() -> int:
        box.value = 0
        handlers = [workflow.run(start_event=Begin(value=1)) for _ in range(SIZE)]
        # They have been started; to gather them would wrap each once more.
        for handler in handlers:
            await handler
        return box.value

    return case


CONTENDER = Contender(
    name="LlamaIndex Workflows",
    what="async steps driven by events",
    distribution="llama-index-workflows",
    cases={
        ASYNC_CHAIN: lambda: result_of(Chain(timeout=None)),
        RUN: lambda: result_of(Single(timeout=None)),
        SUSPENDED: suspended,
    },
    remarks={
        CHAIN: "Plain steps are allowed, but each goes through a thread.",
        FAN_OUT: "A run ends with the first stop event; to wait for all, a further step must count them.",
        ASYNC_CHAIN: "One step that sends itself an event; a step for each event is slower.",
        RUN: "An `async` handler, awaited inside the event loop.",
    },
    fairness=(
        "events are pydantic models, checked when they are made; every step is a task, and every transition a message "
        "to a control loop, which other runtimes may journal. There is a context that can be serialised, a stream of "
        "events to whoever started the run, retries per step, and waiting for a person's answer; none of it is used "
        "here, but the machinery is in the numbers. Made for steps that call language models, beside which such times "
        "vanish."
    ),
)
