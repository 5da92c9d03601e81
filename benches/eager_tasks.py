"""First steps in the spare task beside asyncio's eager tasks, which there are from Python 3.12 on.

For coroutines that never suspend: awaited by hand; each made an eager task; each a hop of a chain of async handlers,
which is a first step and all that the engine does for a hop. Times are ratios to the first.

Usage: python -m benches.eager_tasks
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from cnstra import CNS, Signal, collateral, neuron

from .environment import environment_line

__all__ = ["main"]

LENGTH = 1_000
ROUNDS = 41


async def measure() -> None:
    channels = [collateral(f"c{i}", int) for i in range(LENGTH + 1)]
    ends: list[int] = []

    def handler_of(place: int) -> Callable[[int], Awaitable[Signal[int]]]:
        out = channels[place + 1]

        async def handler(payload: int) -> Signal[int]:
            return out.create_signal(payload)

        return handler

    handlers: list[Any] = [handler_of(i) for i in range(LENGTH)]
    row = [
        neuron(f"n{i}", {"out": channels[i + 1]}).dendrite(collateral=channels[i], response=handlers[i])
        for i in range(LENGTH)
    ]
    cns = CNS([*row, neuron("end").dendrite(collateral=channels[-1], response=ends.append)])
    loop = asyncio.get_running_loop()
    signal = channels[0].create_signal(1)

    async def by_hand() -> None:
        for handler in handlers:
            assert (await handler(1)).payload == 1

    async def as_eager_tasks() -> None:
        make: Any = asyncio.Task
        for handler in handlers:
            assert make(handler(1), loop=loop, eager_start=True).result().payload == 1

    async def as_hops() -> None:
        assert cns.stimulate(signal).outcome == "completed"
        assert ends.pop() == 1

    taken: dict[str, list[int]] = {}
    for _ in range(ROUNDS):
        for work in (by_hand, as_eager_tasks, as_hops):
            begin = perf_counter_ns()
            await work()
            taken.setdefault(work.__name__, []).append(perf_counter_ns() - begin)
    print(environment_line())
    for name, times in taken.items():
        ratio = statistics.median(time / hand for time, hand in zip(times, taken["by_hand"], strict=True))
        print(f"{name.replace('_', ' '):<16} {ratio:5.2f} x")


def main() -> None:
    """Print the three."""
    if sys.version_info < (3, 12):
        raise SystemExit("asyncio has eager tasks from Python 3.12 on")
    asyncio.run(measure())


if __name__ == "__main__":
    main()
