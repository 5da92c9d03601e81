"""The five pieces of work that are compared, each counted in units: steps, subscribers or runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALL", "ASYNC_CHAIN", "CHAIN", "FAN_OUT", "RUN", "SIZE", "SUSPENDED", "Workload"]

SIZE = 100


@dataclass(frozen=True, slots=True)
class Workload:
    """One piece of work.

    ``expected`` is what must be seen when it was done once. As each handler adds one, it is the number of units, too.
    """

    name: str
    unit: str
    expected: int
    what: str


CHAIN = Workload("chain", "step", SIZE, f"a value passes through {SIZE} plain steps, each of which adds one")
FAN_OUT = Workload("fan-out", "subscriber", SIZE, f"one event reaches {SIZE} subscribers, each of which counts it")
ASYNC_CHAIN = Workload("async chain", "step", SIZE, f"the chain with {SIZE} `async` steps that never wait")
RUN = Workload("run", "run", 1, "one handler is run once: what it costs to start and to end")
SUSPENDED = Workload(
    "suspended", "run", SIZE, f"{SIZE} runs at once, each of one `async` handler that awaits `asyncio.sleep(0)`"
)

ALL = (CHAIN, FAN_OUT, ASYNC_CHAIN, RUN, SUSPENDED)
