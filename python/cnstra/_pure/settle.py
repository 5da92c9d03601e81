"""How an activation ends: checked, announced, and what it caused appended (S4, S5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import aio, faults
from .abort import check_deadline
from .announce import announce
from .grants import release
from .handler import Handler, check_response
from .run import Activation
from .signal import Signal

__all__ = ["leave_undone", "settle"]


def settle(stim: Any, activation: Activation, handler: Handler | None, value: Any, error: BaseException | None) -> None:
    """An activation has finished: take it out of the frontier, announce it, append what it caused (S4, S5)."""
    run = stim._run
    # What cancels a run, or a handler from outside, leaves its activation undone whatever came out of it (S9, S10).
    if (run.cancelled and run.is_entered(activation)) or (error is not None and aio.is_cancellation(error)):
        assert handler is not None
        leave_undone(stim, activation, handler)
        return
    signals: Sequence[Signal] = ()
    if error is None:
        assert handler is not None
        try:
            signals = check_response(handler, value, stim._engine._enforce_ownership)
        except Exception as invalid:
            error = invalid
    if error is not None:
        if handler is None:
            task = activation.signal
            faults.annotate(error, task.neuron._name, task.signal._collateral._name, activation.hop)
        else:
            faults.annotate(error, handler.name, handler.collateral_name, activation.hop)
    with stim._lock:
        entered = run.is_entered(activation)
        run.settle(activation)
        if error is not None:
            run.fail(activation, error)
        counts = [
            run.emit(stim._engine._number_of(signal), signal, activation.number, activation.hop + 1)
            for signal in signals
        ]
    try:
        announce(stim, activation, handler, signals, counts, error)
    finally:
        # Whatever a listener lets out, the slot is not its to keep.
        if entered and handler is not None and handler.slots is not None:
            release(handler.slots, (stim, activation.number))
        with stim._lock:
            run.leave(activation)
    check_deadline(stim)


def leave_undone(stim: Any, activation: Activation, handler: Handler) -> None:
    """It was entered but does not count as finished: it stays in the frontier as aborted."""
    with stim._lock:
        stim._run.settle(activation)
        stim._run.fail(activation, None, aborted=True)
        stim._run.leave(activation)
    if handler.slots is not None:
        release(handler.slots, (stim, activation.number))
