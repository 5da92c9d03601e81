"""The dispatch loop: one turn of a run, from what fed it to its drain (S3).

Everything here is called on the run's own thread, by one turn at a time. The run's lock is held for single steps on its
state, never while a handler or a listener is called.
"""

from __future__ import annotations

import time
from typing import Any

from .. import blocking, faults
from ..deadlock import begin_await, end_await, is_doomed
from .abort import abort_here, end, time_out
from .announce import drain
from .enter import enter
from .grants import doom
from .handler import Handler
from .run import UNKNOWN, Activation
from .settle import settle

__all__ = ["begin", "turn"]


def begin(stim: Any) -> None:
    """Drive the first turn; without a loop, drive the run to its end."""
    if stim._heard_signal is not None:
        stim._forget_signal = stim._heard_signal.add_listener(stim.abort)
    stim._turn()
    if stim.done():
        return
    if stim._host.blocking:
        _block(stim)
    elif stim._deadline is not None:
        left = max(stim._deadline - time.monotonic(), 0.0)
        stim._timer = stim._host.call_later(left, lambda: time_out(stim))


def _block(stim: Any) -> None:
    """Wait for what feeds the run; the runs that this thread is in can go on with nothing before."""
    above = list(blocking.enclosing())
    awaits = list(zip([run for run, _ in above[1:]] + [stim], above, strict=False))  # none if it is in none
    begun: list[tuple[Any, Any]] = []
    try:
        for awaited, owner in awaits:
            begin_await(awaited, owner)
            begun.append((awaited, owner))
        stim._host.drive(stim, None if stim._deadline is None else stim._deadline - time.monotonic())
    finally:
        for awaited, owner in begun:
            end_await(awaited, owner)


def turn(stim: Any) -> None:
    """Run a turn that has begun, and further ones while drain listeners feed the run."""
    run, lock = stim._run, stim._lock
    fatal: BaseException | None = None
    while True:
        try:
            _dispatch(stim)
        except BaseException as error:
            # Nothing more is entered; what has settled is still announced, then the error goes on to whoever drives.
            fatal = fatal or error
            abort_here(stim, error)
            continue
        try:
            drain(stim)
        except BaseException as error:
            fatal = fatal or error
            abort_here(stim, error)
        with lock:
            over = run.close()
            idle = not over and run.end_turn()
        if over:
            end(stim)
        if over or idle:
            break
    if fatal is not None:
        raise fatal


def _dispatch(stim: Any) -> None:
    run, lock, fed = stim._run, stim._lock, stim._fed
    with lock:
        run.begin_turn()
    while True:
        while fed:
            fed.popleft()()
        with lock:
            taken = None if fed else run.next()
            if taken is None and not fed:
                return
        if taken is not None:
            _start(stim, *taken)


def _start(stim: Any, activation: Activation, has_slot: bool, error: Exception | None) -> None:
    """Enter the activation's handler, or let it wait for a slot, or fail it."""
    if activation.dendrite == UNKNOWN:
        task = activation.signal
        error = faults.unknown_subscriber(task.neuron._name, task.signal._collateral._name, task.dendrite)
        settle(stim, activation, None, None, error)
        return
    handler = stim._handler(activation)
    if error is None and stim._max_hops is not None and activation.hop > stim._max_hops:
        error = faults.max_hops(handler.name, handler.collateral_name, activation.hop, stim._max_hops)
    if error is not None:
        settle(stim, activation, handler, None, error)
    elif has_slot or handler.slots is None or _take_slot(stim, activation, handler):
        enter(stim, activation, handler)


def _take_slot(stim: Any, activation: Activation, handler: Handler) -> bool:
    run, slots = stim._run, handler.slots
    assert slots is not None
    with stim._lock:
        # In one step with the run's own book-keeping: a grant from another thread finds the activation waiting.
        ticket = slots.acquire((stim, activation.number))
        if not ticket:
            return True
        run.wait(activation, ticket)
    if stim._awaited_by and is_doomed(stim, slots.held_by()):
        doom(stim, activation.number)
    return False
