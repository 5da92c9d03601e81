"""Telling listeners: responses, which may hold their activations back, and drains (S6, S7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import aio, faults
from . import feed
from .abort import abort_here
from .handler import Handler
from .response import Drain, Response
from .run import UNKNOWN, Activation
from .signal import Signal

__all__ = ["announce", "announce_entry", "drain"]


def announce_entry(stim: Any, signals: Sequence[Signal]) -> None:
    """The run is entered: one response per signal, or one without output (S17)."""
    run = stim._run
    with stim._lock:
        counts = [run.emit(stim._engine._number_of(signal), signal, 0, 1) for signal in signals]
    announce(stim, None, None, signals, counts, None)


def announce(
    stim: Any,
    activation: Activation | None,
    handler: Handler | None,
    signals: Sequence[Signal],
    counts: Sequence[int],
    error: BaseException | None,
) -> None:
    """One response per signal, or one without output; each signal's activations follow its listeners."""
    if not signals:
        _respond(stim, activation, handler, None, 0, 0, 0, error)
    for index, (signal, count) in enumerate(zip(signals, counts, strict=True)):
        _respond(stim, activation, handler, signal, index, len(signals), count, error)


def _respond(
    stim: Any,
    activation: Activation | None,
    handler: Handler | None,
    signal: Signal | None,
    index: int,
    total: int,
    count: int,
    error: BaseException | None,
) -> None:
    listeners = (*stim._local_listeners, *stim._engine._response_listeners.entries)  # a snapshot
    run = stim._run
    if not listeners:
        with stim._lock:
            run.deliver(count)
        return
    if error is not None and stim._has_local_listener:
        stim._observed = True
    barrier = _Barrier(stim)
    try:
        context_value = _context_value(stim, activation, handler)
        with stim._lock:
            response = _response(stim, activation, handler, signal, index, total, count, error, context_value)
        answers: list[Any] = []
        for _, listener in listeners:
            try:
                answers.append(listener(response))
            except BaseException as raised:
                _listener_failed(stim, raised, "response")
        for answer in answers:
            coroutine = None if answer is None else aio.as_coroutine(answer)
            if coroutine is not None:
                barrier.start(coroutine)
    finally:
        with stim._lock:
            if barrier.unsettled:
                barrier.ticket = run.park(count)
            else:
                run.deliver(count)


def _context_value(stim: Any, activation: Activation | None, handler: Handler | None) -> Any:
    """The value of the neuron that answered; a store of the caller's is no better than a listener of the caller's."""
    store = stim._store
    if store is None or activation is None:
        return None
    try:
        return store.get(activation.signal.neuron._name if handler is None else handler.name)
    except BaseException as raised:
        _listener_failed(stim, raised, "response")
        return None


def _response(
    stim: Any,
    activation: Activation | None,
    handler: Handler | None,
    signal: Signal | None,
    index: int,
    total: int,
    count: int,
    error: BaseException | None,
    context_value: Any,
) -> Any:
    run = stim._run
    neuron, input_signal = None, None
    if activation is not None:
        # Of an activation that the graph does not know, the task as it was given stands in for the signal.
        known = handler is not None
        neuron = handler.neuron if handler is not None else activation.signal.neuron
        input_signal = activation.signal if known else activation.signal.signal
    pending, active = run.pending, run.active
    return Response._make(
        stimulation=stim,
        neuron=neuron,
        input_signal=input_signal,
        output_signal=signal,
        output_index=index,
        output_count=total,
        error=error,
        hops=0 if activation is None else activation.hop,
        queue_length=pending + active,
        pending_activations=pending,
        active_activations=active,
        context_value=context_value,
        final=not pending and not active and index + 1 >= total and not run.aborted,
        _activation=activation,
        _caused=run.caused(count),
    )


class _Barrier:
    """The listeners of one response that have not settled."""

    __slots__ = ("stim", "ticket", "unsettled")

    def __init__(self, stim: Any) -> None:
        self.stim = stim
        self.unsettled = 0
        self.ticket = 0

    def start(self, coroutine: Any) -> None:
        stim = self.stim
        if stim._host.blocking:
            coroutine.close()
            _listener_failed(stim, faults.no_event_loop_listener(), "response")
            return
        step, value = stim._host.start(coroutine, (stim, 0))
        if step is aio.Step.SUSPENDED:
            self.unsettled += 1
            feed.watch(stim, value, self.settled)
        elif step is not aio.Step.FINISHED:
            self._failed(value, step is aio.Step.CANCELLED)

    def settled(self, step: aio.Step, value: Any) -> None:
        fatal: BaseException | None = None
        if step is not aio.Step.FINISHED:
            error: BaseException = value
            if isinstance(error, Exception) or aio.is_cancellation(error):
                self._failed(error, step is aio.Step.CANCELLED)
            else:
                abort_here(self.stim, error)
                # The event loop has let these two out already.
                fatal = None if isinstance(error, KeyboardInterrupt | SystemExit) else error
        self.unsettled -= 1
        if not self.unsettled:
            feed.feed(self.stim, self._unpark)
        if fatal is not None:
            raise fatal

    def _unpark(self) -> None:
        with self.stim._lock:
            self.stim._run.unpark(self.ticket)

    def _failed(self, error: BaseException, cancelled: bool) -> None:
        if cancelled and aio.is_cancellation(error):
            if not self.stim._run.cancelled:
                abort_here(self.stim, error)
        else:
            _listener_failed(self.stim, error, "response")


def _listener_failed(stim: Any, error: BaseException, kind: str) -> None:
    if aio.is_cancellation(error):
        cause, error = error, faults.listener_cancelled()
        error.__cause__ = cause
    if not isinstance(error, Exception):
        raise error
    faults.annotate_listener(error, kind)
    with stim._lock:
        stim._run.errors.append(error)


def drain(stim: Any) -> None:
    """The turn is over: announce the batch boundary (S7)."""
    run = stim._run
    clean_contexts(stim)
    listeners = (*stim._local_drains, *stim._engine._drain_listeners.entries)
    if not listeners:
        return
    pending, active = run.pending, run.active
    event = Drain._make(
        stimulation=stim,
        queue_length=pending + active,
        pending_activations=pending,
        active_activations=active,
        last_id=run.last_number,
    )
    fatal: BaseException | None = None
    for _, listener in listeners:
        try:
            answer = listener(event)
            if answer is not None and aio.discard(answer):
                raise faults.async_drain()
        except BaseException as raised:
            try:
                _listener_failed(stim, raised, "drain")
            except BaseException as error:
                fatal = fatal or error
    if fatal is not None:
        raise fatal


def clean_contexts(stim: Any) -> None:
    """S15: at the end of a turn, drop the values of neurons that nothing unfinished can reach."""
    if not stim._engine._auto_cleanup or not stim._owns_store or stim._store is None:
        return
    with stim._lock:
        unfinished = {activation.dendrite for activation in stim._run.unfinished()} - {UNKNOWN}
    for name in stim._engine._unreachable(unfinished, stim._store.get_all()):
        stim._store.delete(name)
