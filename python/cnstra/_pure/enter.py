"""How a handler is called, and how it comes back: with a value, as a task, from another thread (S13, S20)."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from .. import aio, blocking, faults
from . import feed
from .abort import abandon, abort_here
from .context import Context
from .grants import release
from .handler import Handler
from .run import Activation, Phase
from .settle import leave_undone, settle
from .signal import Signal

__all__ = ["enter"]


def enter(stim: Any, activation: Activation, handler: Handler) -> None:
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
            leave_undone(stim, activation, handler)
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
            timer = host.call_later(max(left, 0.0), lambda: _expire(stim, activation, value.task))
        feed.watch(stim, value, lambda step, ended: _task_done(stim, activation, handler, step, ended, timer))
        return None
    return None, _as_failure(stim, handler, step, value)


def _as_failure(stim: Any, handler: Handler, step: aio.Step, error: BaseException) -> BaseException:
    """S9: what a cancellation that left a handler means; any other error is one, also after its task was cancelled."""
    if not aio.is_cancellation(error):
        return error
    if step is aio.Step.CANCELLED:
        abort_here(stim, error)
        return error
    wrapped = faults.handler_cancelled(handler.name, handler.collateral_name)
    wrapped.__cause__ = error
    return wrapped


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
            partial(_worker_done, stim, activation, handler, entered),
            lambda: _worker_lost(stim, activation, handler),
        )
    except BaseException:
        with stim._lock:
            stim._workers.discard(activation.number)
            stim._run.suspended.pop(activation.number)
            stim._run.current = activation
        raise


# -- what has gone on comes back


def _task_done(stim: Any, activation: Activation, handler: Handler, step: aio.Step, value: Any, timer: Any) -> None:
    """A handler that had gone on as a task is done; its ``max_duration`` timer is not needed any more."""
    if timer is not None:
        timer.cancel()
    feed.feed(stim, lambda: _finish_task(stim, activation, handler, step, value))


def _expire(stim: Any, activation: Activation, task: Any) -> None:
    """A handler took longer than its ``max_duration``."""
    stim._expired.add(activation.number)
    task.cancel()


def _worker_done(stim: Any, activation: Activation, handler: Handler, entered: float, value: Any, error: Any) -> None:
    """A handler came back from its worker thread."""
    with stim._lock:
        stim._workers.discard(activation.number)
        ended = stim._run.phase is Phase.ENDED
    if ended:
        _worker_lost(stim, activation, handler)
    else:
        feed.feed(stim, lambda: _finish_worker(stim, activation, handler, value, error, entered))


def _worker_lost(stim: Any, activation: Activation, handler: Handler) -> None:
    """A worker came back to a run that is given up: all that is left to do is to pass its slot on."""
    if handler.slots is not None:
        release(handler.slots, (stim, activation.number))
    with stim._lock:
        stim._workers.discard(activation.number)
    abandon(stim)


def _finish_task(stim: Any, activation: Activation, handler: Handler, step: aio.Step, ended: Any) -> None:
    """A handler that had gone on as a task is done."""
    value: Any = None
    error: BaseException | None = None
    if step is aio.Step.FINISHED:
        value = ended
    else:
        error = ended
    if activation.number in stim._expired:
        stim._expired.discard(activation.number)
        limit = handler.max_duration
        assert limit is not None
        error = faults.max_duration(handler.name, handler.collateral_name, limit)
    elif error is not None and not stim._run.cancelled:
        error = _as_failure(stim, handler, step, error)
    _finish(stim, activation, handler, value, error)


def _finish_worker(
    stim: Any, activation: Activation, handler: Handler, value: Any, error: BaseException | None, entered: float
) -> None:
    """A handler has come back from its worker thread; what it returned may still have to be awaited (S4)."""
    coroutine = None if error is not None or isinstance(value, Signal | list | tuple) else aio.as_coroutine(value)
    if coroutine is not None and stim._run.cancelled:
        aio.discard(value)
        coroutine.close()
    elif coroutine is not None:
        started = _start_coroutine(stim, activation, handler, coroutine, entered)
        if started is None:
            return
        value, error = started
    elif error is not None and aio.is_cancellation(error):
        error = _as_failure(stim, handler, aio.Step.FAILED, error)
    _finish(stim, activation, handler, value, _late(handler, entered, error))


def _finish(stim: Any, activation: Activation, handler: Handler, value: Any, error: BaseException | None) -> None:
    if error is None or isinstance(error, Exception) or aio.is_cancellation(error):
        settle(stim, activation, handler, value, error)
        return
    leave_undone(stim, activation, handler)
    abort_here(stim, error)
    # asyncio lets these two out of the loop itself when a task raises them.
    if stim._host.blocking or not isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
