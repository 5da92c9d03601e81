"""One run, as its caller and its handlers see it; and how it is fed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any, Never, Self, final

from .. import aio, faults
from ..blocking import enclosing
from ..deadlock import Owner, begin_await, end_await
from ..errors import StimulationAborted
from . import abort, drive, feed, grants
from .handler import Handler
from .options import Options
from .run import UNKNOWN, Activation, Phase, Run

__all__ = ["Stimulation"]

_serials = count(1)


@final
class Stimulation:
    """One propagation of signals through a CNS."""

    __slots__ = (
        "__weakref__", "_abort_kind", "_awaited_by", "_awaits", "_context", "_controller", "_deadline", "_engine",
        "_exception", "_expired", "_fed", "_forget_signal", "_guard", "_has_local_listener", "_heard_signal", "_host",
        "_local_drains", "_local_listeners", "_lock", "_max_hops", "_observed", "_on_ended", "_outcome",
        "_owns_store", "_reason", "_run", "_scheduled", "_serial", "_store", "_tasks", "_timeout", "_timer",
        "_workers", "afferent_path", "modality", "stimulation_context",
    )  # fmt: skip

    _serial: int  # which of all runs it is: later ones have higher numbers
    _engine: Any
    _host: Any  # an aio.Loop or a blocking.Blocking
    _run: Run
    _lock: Lock  # held for single steps on the run's state, never while Python code of others can run
    _fed: deque[Callable[[], object]]
    _scheduled: bool  # a wake-up is under way to the run's own thread
    _context: Context
    _local_listeners: tuple[Any, ...]
    _has_local_listener: bool
    _local_drains: tuple[Any, ...]
    _max_hops: int | None
    _store: Any
    _owns_store: bool
    _tasks: dict[Any, None]  # of handlers and listeners in flight, in the order of their start
    _workers: set[int]  # numbers of the activations that are in a worker thread
    _expired: set[int]  # of those that were cancelled by max_duration
    _timeout: float | None
    _deadline: float | None
    _timer: Any
    _outcome: str
    _exception: BaseException | None
    _reason: object
    _abort_kind: type[StimulationAborted]
    _controller: Any
    _observed: bool
    _guard: Any
    _on_ended: dict[object, Callable[..., object]]
    _awaited_by: dict[Any, int]
    _awaits: dict[Any, int]
    _heard_signal: Any
    _forget_signal: Callable[[], object] | None
    modality: Any
    afferent_path: Any
    stimulation_context: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise TypeError("a Stimulation is made by cns.stimulate(signal) or cns.activate(tasks)")

    def __init_subclass__(cls) -> None:
        raise TypeError("Stimulation is final and cannot be subclassed")

    @classmethod
    def _make(
        cls, engine: Any, host: Any, options: Options, entry: Callable[[Stimulation], object], tap: Any
    ) -> Stimulation:
        self = object.__new__(cls)
        self._engine = engine
        self._host = host
        self._run = Run(engine._graph, options.concurrency)
        self._lock = Lock()
        self._fed = deque()
        self._scheduled = False
        self._context = copy_context()
        # A tap is a listener of the library's own (query, stream): what it sees counts as seen by nobody.
        taps = () if tap is None else ((None, tap),)
        local = () if options.on_response is None else ((None, options.on_response),)
        self._serial = next(_serials)
        self._local_listeners = (*taps, *local)
        self._has_local_listener = bool(local)
        self._local_drains = () if options.on_drain is None else ((None, options.on_drain),)
        self._max_hops = options.max_hops
        self._store = options.context_store
        self._owns_store = options.context_store is None
        self.modality = options.modality
        self.afferent_path = options.afferent_path
        self.stimulation_context = options.stimulation_context
        self._tasks = {}
        self._workers = set()
        self._expired = set()
        self._timeout = options.timeout
        self._deadline = None if options.timeout is None else time.monotonic() + options.timeout
        self._timer = None
        self._outcome = "running"
        self._exception = None
        self._reason = None
        self._abort_kind = StimulationAborted
        self._controller = None
        self._observed = False
        self._guard = None
        self._on_ended = {}
        self._awaited_by = {}
        self._awaits = {}
        self._heard_signal = options.abort_signal
        self._forget_signal = None
        # Until ``_begin`` it stands at the start of its first turn: what feeds it waits there.
        self._run.begin_turn()
        self._fed.append(lambda: entry(self))
        return self

    # -- what the caller sees

    @property
    def cns(self) -> Any:
        return self._engine

    @property
    def outcome(self) -> str:
        return self._outcome

    @property
    def context(self) -> Any:
        if self._store is None:
            from ..context import MemoryContextStore

            made = MemoryContextStore()
            with self._lock:
                # Two workers may be the first at once.
                if self._store is None:
                    self._store = made
        return self._store

    @property
    def activation_tasks(self) -> list[Any]:
        with self._lock:
            activations = self._run.unfinished() if self._outcome == "running" else []
        return [self._task(activation) for activation in activations]

    @property
    def outstanding_tasks(self) -> list[Any]:
        with self._lock:
            activations = self._run.frontier()
        return [self._task(activation) for activation in activations]

    @property
    def failed_tasks(self) -> list[Any]:
        from ..stimulation import TaskFailure

        self._observe()
        with self._lock:
            failures = list(self._run.failures)
        aborted = self._exception or StimulationAborted(self._reason)
        return [
            TaskFailure(self._task(failure.activation), failure.error or aborted, failure.aborted)
            for failure in failures
        ]

    def done(self) -> bool:
        return self._outcome != "running"

    def exception(self) -> BaseException | None:
        if not self.done():
            raise faults.still_running()
        self._observe()
        return self._exception

    def raise_for_failure(self) -> None:
        error = self.exception()
        if error is not None:
            # Without what it was raised through before: that would pile up, and keep alive whoever looked.
            raise error.with_traceback(None)

    def abort(self, reason: object = None) -> None:
        if self._host.is_here():
            abort.abort_by(self, reason)
        else:
            feed.feed_or_abandon(self, lambda: abort.abort_here(self, reason))

    def cancel(self, reason: object = None) -> None:
        if self._host.is_here():
            abort.cancel_by(self, reason)
        else:
            feed.feed_or_abandon(self, lambda: abort.cancel_here(self, reason))

    def enqueue(self, tasks: Any) -> None:
        tasks = self._engine._check_tasks(tasks)
        with self._lock:
            run = self._run
            if run.phase is Phase.ENDED or not (run.pending or run.active):
                raise faults.nothing_to_enqueue_to()
            self._append(tasks)
        if tasks:
            feed.feed_or_abandon(self)

    def __await__(self) -> Generator[Any, Any, None]:
        return aio.await_run(self)

    def __repr__(self) -> str:
        run = self._run
        counters = f", {run.pending} pending, {run.active} active" if not self.done() else ""
        return f"<Stimulation {self._outcome}{counters}>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: dump its outstanding_tasks with cns.network.dump(task)")

    # -- for the rest of the package

    def _begin(self) -> None:
        drive.begin(self)

    def _turn(self) -> None:
        """Drive a turn that has begun, in the run's context."""
        stack = enclosing() if self._host.blocking else []
        stack.append((self, 0))
        try:
            self._context.run(drive.turn, self)
        finally:
            stack.pop()
            if not self.done():
                self._host.hold(self)

    def _abort_by(self, reason: object) -> None:
        abort.abort_by(self, reason)

    def _time_out(self) -> None:
        abort.time_out(self)

    def _abandon(self) -> None:
        abort.abandon(self)

    def _waiters(self) -> list[tuple[int, set[Owner]]]:
        return grants.waiters(self)

    def _doom(self, number: int) -> None:
        grants.doom(self, number)

    def _begin_await(self, owner: Owner) -> None:
        begin_await(self, owner)

    def _end_await(self, owner: Owner) -> None:
        end_await(self, owner)

    # -- tasks

    def _append(self, tasks: Any) -> None:
        """Reserve an activation for each task, then append them; the caller holds the lock."""
        for activation in [self._reserve(task) for task in tasks]:
            self._run.append(activation)

    def _reserve(self, task: Any) -> Activation:
        dendrite = self._engine._find(task)
        if dendrite == UNKNOWN:
            return self._run.reserve(UNKNOWN, task, 0, task.hop)
        joined = [Activation(0, 0, part.hop, self._engine._find(part), part.signal) for part in task.joined]
        return self._run.reserve(dendrite, task.signal, 0, task.hop, joined)

    # -- the abort signal

    def _abort_signal(self) -> Any:
        if self._controller is None:
            from ..abort import AbortController

            made = AbortController()
            with self._lock:
                if self._controller is None:
                    self._controller = made
                aborted = self._run.aborted
            if aborted:
                self._controller.abort(self._reason)
        return self._controller.signal

    # -- ending

    def _on_end(self, callback: Callable[..., object]) -> Callable[[], object]:
        """Call back with the run when it has ended, on its own thread; at once if it has. Returns what undoes this."""
        key = object()
        with self._lock:
            ended = self._outcome != "running"
            if not ended:
                self._on_ended[key] = callback
        if ended:
            callback(self)
        return lambda: self._on_ended.pop(key, None)

    def _observe(self) -> None:
        self._observed = True
        if self._guard is not None:
            self._guard.disarm()

    # -- names for numbers

    def _handler(self, activation: Activation) -> Handler:
        handler: Handler = self._engine._handlers[activation.dendrite]
        return handler

    def _task(self, activation: Activation) -> Any:
        from ..stimulation import ActivationTask

        number, cause = activation.number or None, activation.cause or None
        if activation.dendrite == UNKNOWN:
            return replace(activation.signal, id=number, cause=cause)
        return ActivationTask(
            self._handler(activation).neuron,
            activation.signal,
            self._engine._place_of(activation.dendrite),
            activation.hop,
            number,
            cause,
            tuple(self._task(part) for part in activation.joined),
        )
