"""One run, as its caller and its handlers see it; and how it is fed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextvars import copy_context
from dataclasses import replace
from threading import Lock
from typing import Any, Never, final

from .. import aio, faults
from ..blocking import enclosing
from ..deadlock import Owner, begin_await, end_await
from ..errors import StimulationAborted, StimulationFailed, StimulationTimeout
from . import drive
from .handler import Handler
from .options import Options
from .run import UNKNOWN, Activation, Phase, Run

__all__ = ["Stimulation"]


@final
class Stimulation:
    """One propagation of signals through a CNS."""

    __slots__ = (
        "__weakref__", "_abort_kind", "_awaited_by", "_awaits", "_context", "_controller", "_deadline",
        "_engine", "_exception", "_expired", "_fed", "_forget_signal", "_guard", "_has_local_listener", "_heard_signal", "_host",
        "_local_drains", "_local_listeners", "_lock", "_max_hops", "_observed", "_on_ended", "_outcome", "_owns_store",
        "_reason", "_run", "_scheduled", "_store", "_tasks", "_timeout", "_timer", "_workers", "afferent_path",
        "modality", "stimulation_context",
    )  # fmt: skip

    def __new__(cls, *args: Any, **kwargs: Any) -> Never:
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
        self._fed: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._context = copy_context()
        # A tap is a listener of the library's own (query, stream): what it sees counts as seen by nobody.
        taps = () if tap is None else ((None, tap),)
        local = () if options.on_response is None else ((None, options.on_response),)
        self._local_listeners: tuple[Any, ...] = (*taps, *local)
        self._has_local_listener = bool(local)
        self._local_drains: tuple[Any, ...] = () if options.on_drain is None else ((None, options.on_drain),)
        self._max_hops = options.max_hops
        self._store = options.context_store
        self._owns_store = options.context_store is None
        self.modality = options.modality
        self.afferent_path = options.afferent_path
        self.stimulation_context = options.stimulation_context
        self._tasks: dict[Any, None] = {}  # of handlers and listeners in flight, in the order in which they suspended
        self._workers: set[int] = set()  # numbers of the activations that are in a worker thread
        self._expired: set[int] = set()  # of those that were cancelled by max_duration
        self._timeout = options.timeout
        self._deadline = None if options.timeout is None else time.monotonic() + options.timeout
        self._timer: Any = None
        self._outcome = "running"
        self._exception: BaseException | None = None
        self._reason: object = None
        self._abort_kind = StimulationAborted
        self._controller: Any = None
        self._observed = False
        self._guard: Any = None
        self._on_ended: dict[object, Callable[..., object]] = {}
        self._awaited_by: dict[Any, int] = {}
        self._awaits: dict[Any, int] = {}
        self._heard_signal = options.abort_signal
        self._forget_signal: Callable[[], object] | None = None
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

            self._store = MemoryContextStore()
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
            raise error

    def abort(self, reason: object = None) -> None:
        if self._host.is_here():
            self._abort_by(reason)
        else:
            self._feed_or_abandon(lambda: self._abort_here(reason))

    def cancel(self, reason: object = None) -> None:
        if self._host.is_here():
            self._cancel_by(reason)
        else:
            self._feed_or_abandon(lambda: self._cancel_here(reason))

    def enqueue(self, tasks: Any) -> None:
        tasks = self._engine._check_tasks(tasks)
        with self._lock:
            run = self._run
            if run.phase is Phase.ENDED or not (run.pending or run.active):
                raise faults.nothing_to_enqueue_to()
            self._append(tasks)
        if tasks:
            self._feed_or_abandon()

    def __await__(self) -> Generator[Any, Any, None]:
        return aio.await_run(self)

    def __repr__(self) -> str:
        run = self._run
        counters = f", {run.pending} pending, {run.active} active" if not self.done() else ""
        return f"<Stimulation {self._outcome}{counters}>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: dump its outstanding_tasks with cns.network.dump(task)")

    # -- starting

    def _begin(self) -> None:
        """Drive the first turn; without a loop, drive the run to its end."""
        if self._heard_signal is not None:
            self._forget_signal = self._heard_signal.add_listener(self.abort)
        if not self._host.blocking:
            self._turn()
            if self._deadline is not None and not self.done():
                self._timer = self._host.call_later(self._deadline - time.monotonic(), self._time_out)
            return
        self._turn()
        if not self.done():
            stack = enclosing()
            self._block(stack[-1] if stack else None)

    def _block(self, above: tuple[Stimulation, int] | None) -> None:
        """Wait for what feeds the run; a handler that this thread is in cannot give its slot back before."""
        owner = None
        if above is not None:
            stim, number = above
            owner = stim, number or stim._current_number()
            begin_await(self, owner)
        try:
            self._host.drive(self, None if self._deadline is None else self._deadline - time.monotonic())
        finally:
            if owner is not None:
                end_await(self, owner)

    def _current_number(self) -> int:
        """The number of the activation whose handler is on the stack."""
        current = self._run.current
        return 0 if current is None else current.number

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

    # -- feeding (S3)

    def _feed(self, job: Callable[[], object] | None = None, *, here: bool = True) -> bool:
        """Have the run take a job, or look at what changed: in the turn that is going on, now, or at the next pass of
        its own loop. False if that loop is closed."""
        with self._lock:
            run = self._run
            if run.phase is Phase.ENDED:
                return True
            if job is not None:
                self._fed.append(job)
            if run.phase is Phase.DISPATCHING:
                return True
            run.fed = True
            if run.phase is Phase.DRAINING:
                return True
            now = here and self._host.is_here()
            if now:
                run.begin_turn()
            elif self._scheduled:
                return True
            else:
                self._scheduled = True
        if now:
            self._turn()
            return True
        try:
            self._host.post(self._wake)
        except RuntimeError:
            return False
        return True

    def _feed_or_abandon(self, job: Callable[[], object] | None = None) -> None:
        if not self._feed(job):
            self._abandon()

    def _wake(self) -> None:
        with self._lock:
            self._scheduled = False
            if self._run.phase is not Phase.IDLE or not self._run.fed:
                return
            self._run.begin_turn()
        self._turn()

    def _turn(self) -> None:
        stack = enclosing() if self._host.blocking else []
        stack.append((self, 0))
        try:
            self._context.run(drive.turn, self)
        finally:
            stack.pop()
            if not self.done():
                self._host.hold(self, bool(self._tasks))

    def _watch(self, task: Any, settled: Callable[[Any], object]) -> None:
        """A handler or listener goes on as a task."""

        def done(task: Any) -> None:
            self._tasks.pop(task, None)
            settled(task)

        self._tasks[task] = None
        task.add_done_callback(done)
        if self._run.cancelled:
            task.cancel()

    def _task_done(self, activation: Activation, handler: Handler, task: Any, timer: Any) -> None:
        if timer is not None:
            timer.cancel()
        self._feed(lambda: drive.finish_task(self, activation, handler, task))

    def _expire(self, activation: Activation, task: Any) -> None:
        self._expired.add(activation.number)
        task.cancel()

    def _worker_done(self, activation: Activation, handler: Handler, value: Any, error: Any, entered: float) -> None:
        with self._lock:
            self._workers.discard(activation.number)
            ended = self._run.phase is Phase.ENDED
        if ended:
            self._worker_lost(activation, handler)
        else:
            self._feed(lambda: drive.finish_worker(self, activation, handler, value, error, entered))

    def _worker_lost(self, activation: Activation, handler: Handler) -> None:
        """A worker came back to a run that is given up: all that is left to do is to pass its slot on."""
        if handler.slots is not None:
            drive.release(handler.slots, (self, activation.number))
        with self._lock:
            self._workers.discard(activation.number)
        self._abandon()

    # -- slots (S12)

    def _grant(self, number: int, error: Exception | None = None) -> bool:
        """The activation has its slot (or never will); False if it has no use for it any more."""
        with self._lock:
            if not self._run.grant(number, error):
                return False
        if self._feed(here=False):
            return True
        with self._lock:
            self._run.ungrant(number)
        self._abandon()
        return False

    def _waiters(self) -> list[tuple[int, set[Owner]]]:
        """The activations that wait for a slot, each with who holds those slots."""
        with self._lock:
            waiting = list(self._run.waiting.values())
        return [(a.number, slots.held_by()) for a in waiting if (slots := self._handler(a).slots) is not None]

    def _doom(self, number: int) -> None:
        with self._lock:
            activation = self._run.waiting.get(number)
        if activation is None:
            return
        handler = self._handler(activation)
        if handler.slots is not None and handler.slots.forget(activation.ticket):
            self._grant(activation.number, faults.slot_deadlock(handler.name, handler.collateral_name))

    def _begin_await(self, owner: Owner) -> None:
        begin_await(self, owner)

    def _end_await(self, owner: Owner) -> None:
        end_await(self, owner)

    # -- aborting (S10); these are called on the run's own thread

    def _abort_signal(self) -> Any:
        if self._controller is None:
            from ..abort import AbortController

            self._controller = AbortController()
            if self._run.aborted:
                self._controller.abort(self._reason)
        return self._controller.signal

    def _abort_here(self, reason: object, kind: Any = StimulationAborted) -> None:
        with self._lock:
            if self._run.aborted or self._run.phase is Phase.ENDED:
                return
            self._run.aborted = True
            self._reason = reason
            self._abort_kind = kind
        if self._controller is not None:
            self._controller.abort(reason)

    def _abort_by(self, reason: object) -> None:
        self._abort_here(reason)
        self._feed_if_over()

    def _cancel_here(self, reason: object, kind: Any = StimulationAborted) -> None:
        with self._lock:
            if self._run.cancelled or self._run.phase is Phase.ENDED:
                return
            self._run.cancelled = True
        self._abort_here(reason, kind)
        for task in list(self._tasks):
            task.cancel()

    def _cancel_by(self, reason: object, kind: Any = StimulationAborted) -> None:
        self._cancel_here(reason, kind)
        self._feed_if_over()

    def _feed_if_over(self) -> None:
        """With nothing in flight nobody else would notice that the run is over."""
        with self._lock:
            over = self._run.phase is Phase.IDLE and not self._run.in_flight
        if over:
            self._feed()

    def _time_out(self) -> None:
        assert self._timeout is not None
        self._cancel_by(faults.timed_out(self._timeout), StimulationTimeout)

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._time_out()

    # -- ending

    def _abandon(self) -> None:
        """Nothing can drive the run any more: its loop is closed. It ends aborted, from whatever thread this is."""
        with self._lock:
            if self._run.phase is Phase.ENDED:
                return
            if not self._run.aborted:
                self._run.aborted = True
                self._reason = faults.loop_closed()
            self._run.phase = Phase.ENDED
        self._end()

    def _end(self) -> None:
        run = self._run
        with self._lock:
            to_release = [activation for activation, error in run.granted if error is None]
            to_release += [a for a in run.suspended.values() if a.number not in self._workers]
            to_forget = list(run.waiting.values())
            for activation in run.end():
                run.fail(activation, None, aborted=True)
            if run.aborted:
                self._exception = self._abort_kind(self._reason, run.errors)
                outcome = "aborted"
            elif run.errors:
                self._exception = StimulationFailed(faults.run_failed(len(run.errors)), run.errors)
                outcome = "failed"
            else:
                outcome = "completed"
            self._outcome = outcome
            callbacks, self._on_ended = self._on_ended, {}
        for activation in to_forget:
            slots = self._handler(activation).slots
            if slots is not None:
                slots.forget(activation.ticket)
        for activation in to_release:
            if activation.dendrite != UNKNOWN and (slots := self._handler(activation).slots) is not None:
                drive.release(slots, (self, activation.number))
        if outcome == "failed" and not self._observed:
            from ..stimulation import UnobservedFailure

            assert self._exception is not None
            self._guard = UnobservedFailure(self._exception)
        if self._timer is not None:
            self._timer.cancel()
        if self._forget_signal is not None:
            self._forget_signal()
        self._timer = self._forget_signal = None
        self._local_listeners = self._local_drains = ()
        self._host.let_go(self)
        for callback in callbacks.values():
            callback(self)

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

    def _clean_contexts(self) -> None:
        """S15: at the end of a turn, drop the values of neurons that nothing unfinished can reach."""
        if not self._engine._auto_cleanup or not self._owns_store or self._store is None:
            return
        with self._lock:
            unfinished = {activation.dendrite for activation in self._run.unfinished()} - {UNKNOWN}
        for name in self._engine._unreachable(unfinished, self._store.get_all()):
            self._store.delete(name)
