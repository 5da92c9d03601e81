"""Coroutines, and the coroutine of a spare task: nothing at first, then the handler that it adopts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from enum import Enum
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .loop import Loop

__all__ = [
    "Carrier",
    "Step",
    "as_coroutine",
    "cancelled",
    "discard",
    "is_cancellation",
    "no_code",
    "raise_soon",
    "retrieve",
]


class Step(Enum):
    """What became of a coroutine's first step."""

    FINISHED = 0  # with its value
    FAILED = 1  # with its exception
    CANCELLED = 2  # with a CancelledError, and somebody had cancelled its task
    SUSPENDED = 3  # with its task


def is_cancellation(error: BaseException) -> bool:
    """Whether it is asyncio's CancelledError; without asyncio there is none."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def as_coroutine(value: object) -> Coroutine[Any, Any, Any] | None:
    """The value as a coroutine if it can be awaited, else None."""
    if type(value) is CoroutineType:
        return cast("Coroutine[Any, Any, Any]", value)
    if hasattr(type(value), "__await__"):
        return _await(value)
    import inspect

    return _await(value) if inspect.isawaitable(value) else None


def discard(value: Any) -> bool:
    """Whether the value can be awaited; if so it is closed, since nobody will."""
    coroutine = as_coroutine(value)
    if coroutine is None:
        return False
    if type(value) is CoroutineType:
        value.close()
    if coroutine is not value:
        coroutine.close()
    return True


def _mark(yielded: Any, *, is_waited_for: bool) -> None:
    """Set or take back the mark by which a task sees that a future that it was given is to be waited for.

    A task takes it back in the step that gave it the future. Here the task gets the future a pass later, and others may
    begin to wait for it in between.
    """
    if getattr(yielded, "_asyncio_future_blocking", None) is not None:
        yielded._asyncio_future_blocking = is_waited_for


def retrieve(task: Any) -> None:
    """Of a failed handler the run has the error: it is not lost if nobody asks the task for it."""
    if not task.cancelled():
        task.exception()


def cancelled() -> BaseException:
    """What a handler is cancelled with that is cancelled in its last step."""
    from asyncio import CancelledError

    return CancelledError()


def raise_soon(loop: Loop, error: BaseException) -> None:
    """Raise it in a callback of the loop, whose exception handler hears of it."""
    loop.post(partial(_raise, error))


def _raise(error: BaseException) -> None:
    raise error


no_code = _raise.__code__
"""What a task's ``cr_code`` is while there is no handler to have one."""


class Carrier(Coroutine[Any, Any, Any]):
    """The coroutine of a spare task: nothing at first, then the handler that it adopts.

    When that has ended it says so itself, before its task is done: what waits for the handler goes on in the same pass
    of the loop, as what follows an ``await`` does.
    """

    __slots__ = (
        "__name__", "__qualname__", "__weakref__", "cnstra_owner", "context", "coroutine", "first", "loop", "settled",
        "task",
    )  # fmt: skip

    def __init__(self, loop: Loop) -> None:
        self.__name__ = self.__qualname__ = "cnstra handler"
        self.loop = loop
        self.coroutine: Any = None
        self.context: Context | None = None
        self.cnstra_owner: Any = None  # (stimulation, activation number) of the handler or listener it runs
        self.first: list[Any] | None = None  # what the first step yielded, until the task's first pass
        # Told how it ended, while no task is the current one.
        self.settled: Callable[[Step, Any], object] | None = None
        self.task: Any = loop.task(self)
        # A spare that nobody needed when its loop was closed is not worth a warning.
        self.task._log_destroy_pending = False

    def adopt(self, coroutine: Any, yielded: Any, context: Context) -> None:
        self.coroutine = coroutine
        self.first = [yielded]
        _mark(yielded, is_waited_for=False)
        self.context = context
        self.__name__ = self.__qualname__ = getattr(coroutine, "__qualname__", "cnstra handler")
        self.task._log_destroy_pending = True

    def send(self, value: Any, /) -> Any:
        if self.coroutine is None:
            raise StopIteration(None)
        if self.first is not None:
            (yielded,), self.first = self.first, None
            _mark(yielded, is_waited_for=True)
            return yielded
        return self._step(self.coroutine.send, value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None, /) -> Any:
        if self.coroutine is None:
            raise error
        if self.first is not None:
            (yielded,), self.first = self.first, None
            # One that is done already cannot be cancelled: its result is lost to the cancellation, as it is in a task.
            if is_cancellation(error) and hasattr(yielded, "cancel") and yielded.cancel(*error.args):
                _mark(yielded, is_waited_for=True)
                return yielded
        return self._step(self.coroutine.throw, error)

    def _step(self, method: Callable[[Any], Any], argument: Any) -> Any:
        assert self.context is not None
        try:
            return self.context.run(method, argument)
        except StopIteration as stop:
            if self.task._must_cancel:
                # Its task will not have the value either.
                self._end(Step.CANCELLED, cancelled())
            else:
                self._end(Step.FINISHED, stop.value)
            raise
        except BaseException as error:
            self.task.add_done_callback(retrieve)
            by_somebody = is_cancellation(error) and self.task.cancelling()
            self._end(Step.CANCELLED if by_somebody else Step.FAILED, error)
            raise

    def _end(self, step: Step, value: Any) -> None:
        settled, self.settled = self.settled, None
        if settled is None:
            return
        outer = self.loop.swap(None)
        try:
            settled(step, value)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # Not this task's to raise: nobody waits for it.
            raise_soon(self.loop, error)
        finally:
            self.loop.swap(outer)
            # Whoever has the error has this frame, and with it all that the carrier has.
            self.coroutine = self.context = self.task = self.cnstra_owner = None

    def close(self) -> None:
        if self.coroutine is not None:
            self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]

    # What inspect.getcoroutinestate and task.get_stack look at.
    @property
    def cr_running(self) -> bool:
        return bool(getattr(self.coroutine, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        return bool(getattr(self.coroutine, "cr_suspended", False))

    @property
    def cr_frame(self) -> Any:
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_await(self) -> Any:
        return getattr(self.coroutine, "cr_await", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self.coroutine, "cr_code", no_code)
