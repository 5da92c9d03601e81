"""The dispatch loop: one turn of a run, from what fed it to its drain (S3).

Everything here is called on the run's own thread, by one turn at a time. The run's lock is held for single steps on its
state, never while a handler or a listener is called.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .. import aio, blocking, faults
from ..deadlock import is_doomed
from .context import Context
from .handler import Handler, check_response
from .announce import announce, drain
from .run import UNKNOWN, Activation
from .signal import Signal

__all__ = ["dispatch_entry", "finish_task", "finish_worker", "release", "turn"]


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
            stim._abort_here(error)
            continue
        try:
            drain(stim)
        except BaseException as error:
            fatal = fatal or error
            stim._abort_here(error)
        with lock:
            over = run.close()
            idle = not over and run.end_turn()
        if over:
            stim._end()
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
        _enter(stim, activation, handler)


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
        stim._doom(activation.number)
    return False


def _enter(stim: Any, activation: Activation, handler: Handler) -> None:
    run, host = stim._run, stim._host
    with stim._lock:
        run.enter(activation)
    limit = handler.max_duration
    entered = 0.0 if limit is None else time.monotonic()
    value: Any = None
    error: BaseException | None = None
    try:
        if handler.is_async and host.blocking:
            error = faults.no_event_loop(handler.name, handler.collateral_name)
        else:
            arguments = _arguments(stim, activation, handler)
            if handler.offload and not handler.is_async:
                _offload(stim, activation, handler, arguments, entered)
                return
            value = handler.call(*arguments)
            if value is not None and type(value) is not Signal and not isinstance(value, list | tuple):
                coroutine = aio.as_coroutine(value)
                if coroutine is not None:
                    started = _start_coroutine(stim, activation, handler, coroutine, entered)
                    if started is None:
                        return
                    value, error = started
    except Exception as raised:
        error = raised
    except BaseException as raised:
        if not aio.is_cancellation(raised):
            _leave_undone(stim, activation, handler)
            raise
        error = faults.handler_cancelled(handler.name, handler.collateral_name)
        error.__cause__ = raised
    settle(stim, activation, handler, value, _late(handler, entered, error))


def _late(handler: Handler, entered: float, error: BaseException | None) -> BaseException | None:
    """What could not be interrupted fails after the fact (S13)."""
    limit = handler.max_duration
    if limit is None or time.monotonic() - entered <= limit:
        return error
    late = faults.max_duration(handler.name, handler.collateral_name, limit)
    late.__cause__ = error
    return late


def finish_task(stim: Any, activation: Activation, handler: Handler, task: Any) -> None:
    """A handler that had gone on as a task is done."""
    value: Any = None
    error: BaseException | None = None
    try:
        value = task.result()
    except BaseException as raised:
        error = raised
    if activation.number in stim._expired:
        stim._expired.discard(activation.number)
        limit = handler.max_duration
        assert limit is not None
        error = faults.max_duration(handler.name, handler.collateral_name, limit)
    elif error is not None and not stim._run.cancelled:
        error = _as_failure(stim, handler, aio.Step.CANCELLED if task.cancelling() else aio.Step.FAILED, error)
    finish(stim, activation, handler, value, error)


def finish_worker(
    stim: Any, activation: Activation, handler: Handler, value: Any, error: BaseException | None, entered: float
) -> None:
    """A handler has come back from its worker thread; what it returned may still have to be awaited (S4)."""
    coroutine = None if error is not None or isinstance(value, Signal | list | tuple) else aio.as_coroutine(value)
    if coroutine is not None and not stim._run.cancelled:
        started = _start_coroutine(stim, activation, handler, coroutine, entered)
        if started is None:
            return
        value, error = started
    elif error is not None and aio.is_cancellation(error):
        error = _as_failure(stim, handler, aio.Step.FAILED, error)
    finish(stim, activation, handler, value, _late(handler, entered, error))


def finish(stim: Any, activation: Activation, handler: Handler, value: Any, error: BaseException | None) -> None:
    if error is None or isinstance(error, Exception) or aio.is_cancellation(error):
        settle(stim, activation, handler, value, error)
        return
    _leave_undone(stim, activation, handler)
    stim._abort_here(error)
    # asyncio lets these two out of the loop itself when a task raises them.
    if stim._host.blocking or not isinstance(error, KeyboardInterrupt | SystemExit):
        raise error


def _arguments(stim: Any, activation: Activation, handler: Handler) -> tuple[Any, ...]:
    payload = handler.payload(activation)
    if handler.arity == 1:
        return (payload,)
    if handler.arity == 2:
        return payload, handler.axon
    return payload, handler.axon, Context._make(stim, handler.name, activation)


def _start_coroutine(stim: Any, activation: Activation, handler: Handler, coroutine: Any, entered: float) -> Any:
    """Run its first step; (value, error) if that was all, None if it goes on as a task."""
    host = stim._host
    if host.blocking:
        coroutine.close()
        return None, faults.no_event_loop(handler.name, handler.collateral_name)
    step, value = host.start(coroutine, (stim, activation.number))
    if step is aio.Step.FINISHED:
        return value, None
    if step is aio.Step.SUSPENDED:
        with stim._lock:
            stim._run.suspend(activation)
        limit = handler.max_duration
        timer = None
        if limit is not None:
            left = limit - (time.monotonic() - entered)
            timer = host.call_later(max(left, 0.0), lambda: stim._expire(activation, value))
        stim._watch(value, lambda task: stim._task_done(activation, handler, task, timer))
        return None
    return None, _as_failure(stim, handler, step, value)


def _as_failure(stim: Any, handler: Handler, step: aio.Step, error: BaseException) -> BaseException | None:
    """S9: what a cancellation that left a handler means; None if it aborts the run."""
    if step is aio.Step.CANCELLED:
        stim._abort_here(error)
        return error
    if aio.is_cancellation(error):
        wrapped = faults.handler_cancelled(handler.name, handler.collateral_name)
        wrapped.__cause__ = error
        return wrapped
    return error


def _offload(stim: Any, activation: Activation, handler: Handler, arguments: tuple[Any, ...], entered: float) -> None:
    owner = (stim, activation.number)

    def call() -> Any:
        # A run that the worker starts and waits for is awaited by this activation.
        stack = blocking.enclosing()
        stack.append(owner)
        try:
            return handler.call(*arguments)
        finally:
            stack.pop()

    with stim._lock:
        stim._run.suspend(activation)
        stim._workers.add(activation.number)
    try:
        stim._host.offload(
            call,
            lambda value, error: stim._worker_done(activation, handler, value, error, entered),
            lambda: stim._worker_lost(activation, handler),
        )
    except BaseException:
        with stim._lock:
            stim._workers.discard(activation.number)
            stim._run.suspended.pop(activation.number)
            stim._run.current = activation
        raise


def settle(
    stim: Any, activation: Activation, handler: Handler | None, value: Any, error: BaseException | None
) -> None:
    """An activation has finished: take it out of the frontier, announce it, append what it caused (S4, S5)."""
    run = stim._run
    # What cancels a run, or a handler from outside, leaves its activation undone whatever came out of it (S9, S10).
    if (run.cancelled and run.is_entered(activation)) or (error is not None and aio.is_cancellation(error)):
        assert handler is not None
        _leave_undone(stim, activation, handler)
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
    announce(stim, activation, handler, signals, counts, error)
    if entered and handler is not None and handler.slots is not None:
        release(handler.slots, (stim, activation.number))
    with stim._lock:
        run.leave(activation)
    stim._check_deadline()


def _leave_undone(stim: Any, activation: Activation, handler: Handler) -> None:
    """It was entered but does not count as finished: it stays in the frontier as aborted."""
    with stim._lock:
        stim._run.settle(activation)
        stim._run.fail(activation, None, aborted=True)
        stim._run.leave(activation)
    if handler.slots is not None:
        release(handler.slots, (stim, activation.number))


def release(slots: Any, holder: Any) -> None:
    """Give a slot back, to the first waiter that can still use it (S12, S21)."""
    while holder is not None:
        heir = slots.release(holder)
        if heir is None or heir[0]._grant(heir[1]):
            return
        holder = heir


def dispatch_entry(stim: Any, signals: Sequence[Signal]) -> None:
    """The run is entered: one response per signal, or one without output (S17)."""
    run = stim._run
    with stim._lock:
        counts = [run.emit(stim._engine._number_of(signal), signal, 0, 1) for signal in signals]
    announce(stim, None, None, signals, counts, None)
