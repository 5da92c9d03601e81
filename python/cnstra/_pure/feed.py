"""How a run is fed (S3): in the turn that is going on, now, or at the next pass of its own loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import aio
from .run import Phase

__all__ = ["feed", "feed_or_abandon", "watch"]


def feed(stim: Any, job: Callable[[], object] | None = None, *, here: bool = True) -> bool:
    """Have the run take a job, or look at what changed. False if its loop is closed."""
    with stim._lock:
        run = stim._run
        if run.phase is Phase.ENDED:
            return True
        if job is not None:
            stim._fed.append(job)
        if run.phase is Phase.DISPATCHING:
            return True
        run.fed = True
        if run.phase is Phase.DRAINING:
            return True
        now = here and stim._host.is_here()
        if now:
            run.begin_turn()
        elif stim._scheduled:
            # A wake-up that is under way arrives nowhere if the loop has been closed meanwhile.
            return not stim._host.is_closed()
        else:
            stim._scheduled = True
    if now:
        stim._turn()
        return True
    try:
        stim._host.post(lambda: _wake(stim))
    except RuntimeError:
        return False
    return True


def feed_or_abandon(stim: Any, job: Callable[[], object] | None = None) -> None:
    if not feed(stim, job):
        stim._abandon()


def _wake(stim: Any) -> None:
    """The wake-up has arrived on the run's own thread."""
    with stim._lock:
        stim._scheduled = False
        if stim._run.phase is not Phase.IDLE or not stim._run.fed:
            return
        stim._run.begin_turn()
    stim._turn()


def watch(stim: Any, carrier: aio.Carrier, settled: Callable[[aio.Step, Any], object]) -> None:
    """A handler or listener goes on as a task."""
    task = carrier.task

    def done(step: aio.Step, value: Any) -> None:
        stim._tasks.pop(task, None)
        settled(step, value)

    stim._tasks[task] = None
    carrier.settled = done
    if stim._run.cancelled:
        task.cancel()
