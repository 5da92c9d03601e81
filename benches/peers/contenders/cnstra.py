"""cnstra itself, as its own documentation writes it: axons, neurons with one handler, ``stimulate``.

Plain handlers run without an event loop, and the run is asked for its failure, as a test or a script would do. Async
ones run inside one, and the run is awaited.
"""

from __future__ import annotations

import asyncio
from typing import Any

from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from cnstra import CNS, Axon, Collateral, Neuron, Signal, collateral, neuron

from .contender import Box, Case, Contender

entry = collateral("entry", int)


def plain_step(number: int, source: Collateral[int]) -> tuple[Neuron[Any, Any, Any, Any], Collateral[int]]:
    """A neuron that adds one to what it hears, and the collateral on which it says so."""

    class StepAxon(Axon[int], namespace=f"step{number}"):
        out: Collateral[int]

    axon = StepAxon()
    step = neuron(f"step{number}", axon)

    @step.dendrite(source)
    def add_one(value: int, axon: StepAxon) -> Signal[int]:
        return axon.out.create_signal(value + 1)

    return step, axon.out


def async_step(number: int, source: Collateral[int]) -> tuple[Neuron[Any, Any, Any, Any], Collateral[int]]:
    """The same with a handler that is async and never waits."""

    class StepAxon(Axon[int], namespace=f"step{number}"):
        out: Collateral[int]

    axon = StepAxon()
    step = neuron(f"step{number}", axon)

    @step.dendrite(source)
    async def add_one(value: int, axon: StepAxon) -> Signal[int]:
        return axon.out.create_signal(value + 1)

    return step, axon.out


def chain() -> Case:
    box, neurons, source = Box(), [], entry
    for number in range(SIZE - 1):
        step, source = plain_step(number, source)
        neurons.append(step)
    last = neuron("last")

    @last.dendrite(source)
    def keep(value: int) -> None:
        box.value = value + 1

    cns = CNS([*neurons, last])

    def case() -> int:
        cns.stimulate(entry.create_signal(0)).raise_for_failure()
        return box.value

    return case


def async_chain() -> Case:
    box, neurons, source = Box(), [], entry
    for number in range(SIZE - 1):
        step, source = async_step(number, source)
        neurons.append(step)
    last = neuron("last")

    @last.dendrite(source)
    async def keep(value: int) -> None:
        box.value = value + 1

    cns = CNS([*neurons, last])

    async def case() -> int:
        await cns.stimulate(entry.create_signal(0))
        return box.value

    return case


def subscribers(count: int) -> Case:
    box = Box()

    def subscriber(number: int) -> Neuron[Any, Any, Any, Any]:
        def receive(value: int) -> None:
            box.value += value

        return neuron(f"subscriber{number}").dendrite(collateral=entry, response=receive)

    cns = CNS([subscriber(number) for number in range(count)])

    def case() -> int:
        box.value = 0
        cns.stimulate(entry.create_signal(1)).raise_for_failure()
        return box.value

    return case


def suspended() -> Case:
    box = Box()
    waiter = neuron("waiter")

    @waiter.dendrite(entry)
    async def wait(value: int) -> None:
        await asyncio.sleep(0)
        box.value += value

    cns = CNS([waiter])

    async def case() -> int:
        box.value = 0
        runs = [cns.stimulate(entry.create_signal(1)) for _ in range(SIZE)]
        # They go on by themselves, so awaiting one after the other needs no task for each.
        for run in runs:
            await run
        return box.value

    return case


CONTENDER = Contender(
    name="cnstra",
    what="typed graph on a native engine",
    distribution="cnstra",
    cases={
        CHAIN: chain,
        FAN_OUT: lambda: subscribers(SIZE),
        ASYNC_CHAIN: async_chain,
        RUN: lambda: subscribers(1),
        SUSPENDED: suspended,
    },
    remarks={RUN: "A plain handler, without an event loop; awaiting the run inside one costs a little more."},
    fairness=(
        "every number contains its queue in one fixed order, the check that a handler owns what it emits, the "
        "counters, and what is needed to tell at any moment which activations failed or are left. An async handler "
        "runs inside a task from its first step, with context variables of its own: most of what an async step costs. "
        "Nobody listens to responses here, and no limits are set; each would cost extra. Results are not collected: "
        "who wants a value writes a handler for it or uses `query`."
    ),
)
