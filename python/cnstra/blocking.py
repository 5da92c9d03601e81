"""The place of a run whose thread has no event loop: it waits, blocking, for slots and workers (S20)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

__all__ = ["Blocking", "enclosing"]

_here = threading.local()


class Blocking:
    """One run's thread. It has the methods of ``aio.Loop`` that make sense without a loop."""

    __slots__ = ("_mail", "_thread", "closed")

    blocking = True

    def __init__(self) -> None:
        from queue import SimpleQueue

        self._thread = threading.get_ident()
        self._mail: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.closed = False

    def is_here(self) -> bool:
        return threading.get_ident() == self._thread and not self.closed

    def is_closed(self) -> bool:
        return self.closed

    def post(self, callback: Callable[[], object]) -> None:
        """Call back when the run's thread waits; RuntimeError if the run has been given up."""
        if self.closed:
            raise RuntimeError("the thread of this run is gone")
        self._mail.put(callback)

    def offload(self, call: Callable[[], Any], done: Callable[[Any, Any], object], lost: Callable[[], object]) -> None:
        """Call in a worker thread, in a copy of the current context; tell ``done(value, error)`` on this thread."""
        context = copy_context()

        def work() -> None:
            value, error = None, None
            try:
                value = context.run(call)
            except BaseException as raised:
                error = raised
            try:
                self.post(lambda: done(value, error))
            except RuntimeError:
                lost()

        # A thread of its own: a pool that is full of handlers waiting for each other would never get to this one.
        threading.Thread(target=work, name="cnstra worker", daemon=True).start()

    def drive(self, run: Any, seconds: float | None) -> None:
        """Wait for what feeds the run until it has ended; it is timed out after so many seconds."""
        from queue import Empty

        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            while not run.done():
                try:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None:
                        left = min(max(left, 0.0), threading.TIMEOUT_MAX)
                    callback = self._mail.get(timeout=left)
                except Empty:
                    deadline = None
                    run._time_out()
                    continue
                callback()
        except BaseException as error:
            run._abort_by(error)
            raise
        finally:
            self.closed = True
            if not run.done():
                run._abandon()
            while not self._mail.empty():
                # Posted between the last look and the closing: a worker that has returned still gives its slot back.
                self._mail.get()()

    def hold(self, run: Any) -> None:
        """The caller's stack holds the run."""

    def let_go(self, run: Any) -> None:
        """See ``hold``."""


def enclosing() -> list[Any]:
    """The handlers that this thread is in without a loop, the innermost last: (stimulation, activation number).

    The number is 0 for a run whose turn this thread drives: its handler is whatever that run has on the stack.
    """
    stack: list[Any] | None = getattr(_here, "stack", None)
    if stack is None:
        stack = _here.stack = []
    return stack
