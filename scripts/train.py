"""What a profile-guided build learns from: ordinary programs, each kind of run about as often as in a service.

`maturin build --pgo` runs this on an instrumented build (`make wheel-pgo`), to see which branches are taken. It is no
benchmark: it takes no time, and it is to be as mixed as real programs are.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from cnstra import CNS, ActivationTask, Collateral, Context, collateral, engine, neuron

assert engine == "native", "there is nothing to learn from the other engine"

ROUNDS = 300
entry = collateral("entry", int)


def chain(length: int, name: str) -> tuple[CNS, Collateral[int]]:
    """Neurons in a row, each of which passes the signal on."""
    channels = [collateral(f"{name}{i}", int) for i in range(length + 1)]

    def hop(payload: int, axon: Any) -> Any:
        return axon.out.create_signal(payload + 1)

    row = pairwise(channels)
    neurons = [
        neuron(f"{name}{i}", {"out": out}).dendrite(collateral=heard, response=hop)
        for i, (heard, out) in enumerate(row)
    ]
    return CNS(neurons), channels[0]


def counting(payload: int, axon: Any, ctx: Context[int, Any]) -> None:
    ctx.set(ctx.get(0) + payload)


def failing(payload: int) -> None:
    raise ValueError(payload)


def synchronous() -> None:
    row, first = chain(100, "row")
    signal = entry.create_signal(1)
    fan = CNS([neuron(f"sink{i}").dendrite(collateral=entry, response=lambda payload, axon: None) for i in range(50)])
    one = CNS([neuron("one").dendrite(collateral=entry, response=lambda payload: None)])
    context = CNS([neuron("context").dendrite(collateral=entry, response=counting)])
    broken = CNS([neuron("broken").dendrite(collateral=entry, response=failing)])
    channels = {"left": collateral("left", int), "right": collateral("right", int)}
    both = CNS(
        [
            neuron("both", channels).dendrite(
                collateral=entry,
                response=lambda payload, axon: [axon.left.create_signal(1), axon.right.create_signal(2)],
            ),
            neuron("ear", concurrency=2).bind(channels, left=lambda payload: None, right=lambda payload: None),
        ]
    )
    tasks = [ActivationTask(one.neurons[0], signal) for _ in range(50)]
    for _ in range(ROUNDS):
        row.stimulate(first.create_signal(0)).raise_for_failure()
        fan.stimulate(signal).raise_for_failure()
        for _ in range(50):
            one.stimulate(signal).raise_for_failure()
        context.stimulate(signal).raise_for_failure()
        one.activate(tasks).raise_for_failure()
        both.stimulate(signal, on_response=lambda response: None).raise_for_failure()
        row.stimulate(first.create_signal(0), on_response=lambda response: None).raise_for_failure()
    for _ in range(ROUNDS // 10):
        assert broken.stimulate(signal).failed_tasks


async def asynchronous() -> None:
    signal = entry.create_signal(1)
    done = {"done": collateral("done", int)}

    async def at_once(payload: int, axon: Any) -> Any:
        return axon.done.create_signal(payload)

    async def later(payload: int) -> None:
        await asyncio.sleep(0)

    quick = CNS([neuron("quick", done).dendrite(collateral=entry, response=at_once)])
    slow = CNS([neuron("slow").dendrite(collateral=entry, response=later)])
    narrow = CNS([neuron("narrow", concurrency=2).dendrite(collateral=entry, response=later)])
    for _ in range(ROUNDS):
        for _ in range(20):
            await quick.stimulate(signal)
        await slow.stimulate(signal)
        async with slow, narrow:
            started = [cns.stimulate(signal) for _ in range(5) for cns in (slow, narrow)]
        assert all(run.outcome == "completed" for run in started)
        assert await quick.query(signal, done["done"]) == 1


if __name__ == "__main__":
    synchronous()
    asyncio.run(asynchronous())
