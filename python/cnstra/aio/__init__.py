"""The event loop, as both engines see it; the only part of the core that imports asyncio, and that lazily.

A ``Loop`` stands for one running asyncio loop. It starts coroutines at once, as real tasks from their first step, and
spends no task on those that finish in it (S20):

- one spare task, made ahead and scheduled like any other, is the current task while a first step runs;
- a coroutine that finishes in its first step gives the spare back for the next one;
- one that suspends is adopted: what it yielded is handed to the event loop at the spare's first pass, and from there on
  it is driven as the coroutine of that task.

The spare's coroutine is a ``Carrier``. It can be cancelled before its first pass, and then behaves as a task that waits
for what the first step yielded.
"""

from __future__ import annotations

from .carrier import (
    Carrier,
    Step,
    as_coroutine,
    cancelled,
    discard,
    is_cancellation,
    no_code,
    raise_soon,
    retrieve,
)
from .loop import Loop, abandon_closed, current
from .waiting import (
    await_run,
    current_task,
    owner_of_current_task,
    run,
    settle,
    wait,
    wait_for_callback,
    wait_for_run,
    wait_on_run,
)

__all__ = [
    "Carrier",
    "Loop",
    "Step",
    "abandon_closed",
    "as_coroutine",
    "await_run",
    "cancelled",
    "current",
    "current_task",
    "discard",
    "is_cancellation",
    "no_code",
    "owner_of_current_task",
    "raise_soon",
    "retrieve",
    "run",
    "settle",
    "wait",
    "wait_for_callback",
    "wait_for_run",
    "wait_on_run",
]
