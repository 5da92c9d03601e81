"""Aborting, cancelling and ending (S8, S10); called on the run's own thread unless it says otherwise."""

from __future__ import annotations

import time
from typing import Any

from .. import faults
from ..errors import StimulationAborted, StimulationFailed, StimulationTimeout
from .feed import feed
from .grants import release
from .run import UNKNOWN, Phase

__all__ = ["abandon", "abort_by", "abort_here", "cancel_by", "cancel_here", "check_deadline", "end", "time_out"]


def abort_here(stim: Any, reason: object, kind: Any = StimulationAborted) -> None:
    """Nothing more is entered."""
    with stim._lock:
        if stim._run.aborted or stim._run.phase is Phase.ENDED:
            return
        stim._run.aborted = True
        stim._reason = reason
        stim._abort_kind = kind
    if stim._controller is not None:
        stim._controller.abort(reason)


def abort_by(stim: Any, reason: object) -> None:
    abort_here(stim, reason)
    _feed_if_over(stim)


def cancel_here(stim: Any, reason: object, kind: Any = StimulationAborted) -> None:
    """The same, and what is in flight is cancelled."""
    with stim._lock:
        if stim._run.cancelled or stim._run.phase is Phase.ENDED:
            return
        stim._run.cancelled = True
    abort_here(stim, reason, kind)
    for task in list(stim._tasks):
        task.cancel()


def cancel_by(stim: Any, reason: object, kind: Any = StimulationAborted) -> None:
    cancel_here(stim, reason, kind)
    _feed_if_over(stim)


def _feed_if_over(stim: Any) -> None:
    """With nothing in flight nobody else would notice that the run is over."""
    with stim._lock:
        over = stim._run.phase is Phase.IDLE and not stim._run.in_flight
    if over:
        feed(stim)


def time_out(stim: Any) -> None:
    cancel_by(stim, faults.timed_out(stim._timeout), StimulationTimeout)


def check_deadline(stim: Any) -> None:
    if stim._deadline is not None and time.monotonic() > stim._deadline:
        time_out(stim)


def abandon(stim: Any) -> None:
    """Nothing can drive the run any more: its loop is closed. It ends aborted, from whatever thread this is."""
    with stim._lock:
        if stim._run.phase is Phase.ENDED:
            return
        if not stim._run.aborted:
            stim._run.aborted = True
            stim._reason = faults.loop_closed()
        stim._run.phase = Phase.ENDED
    end(stim)


def end(stim: Any) -> None:
    """The run is over: say how it ended, give back what it holds, tell who waits for it."""
    run = stim._run
    with stim._lock:
        to_release = [activation for activation, error in run.granted if error is None]
        to_release += [a for a in run.suspended.values() if a.number not in stim._workers]
        to_forget = list(run.waiting.values())
        for activation in run.end():
            run.fail(activation, None, aborted=True)
        if run.aborted:
            stim._exception = stim._abort_kind(stim._reason, run.errors)
        elif run.errors:
            stim._exception = StimulationFailed(faults.run_failed(len(run.errors)), run.errors)
            if not stim._observed:
                from ..stimulation import UnobservedFailure

                stim._guard = UnobservedFailure(stim._exception)
        stim._outcome = "aborted" if run.aborted else "failed" if run.errors else "completed"
        callbacks, stim._on_ended = stim._on_ended, {}
    for activation in to_forget:
        stim._handler(activation).slots.forget(activation.ticket)
    for activation in to_release:
        if activation.dendrite != UNKNOWN and (slots := stim._handler(activation).slots) is not None:
            release(slots, (stim, activation.number))
    if stim._timer is not None:
        stim._timer.cancel()
    if stim._forget_signal is not None:
        stim._forget_signal()
    stim._timer = stim._forget_signal = None
    stim._local_listeners = stim._local_drains = ()
    stim._host.let_go(stim)
    for callback in callbacks.values():
        callback(stim)
