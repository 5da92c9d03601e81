"""Coroutines, and the coroutine of a spare task: nothing at first, then the handler that it adopts."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Generator
from contextvars import Context
from enum import Enum
from types import CoroutineType
from typing import Any, cast

__all__ = ["Carrier", "Step", "as_coroutine", "discard", "is_cancellation"]


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


class Carrier(Coroutine[Any, Any, Any]):
    """The coroutine of a spare task: nothing at first, then the handler that it adopts."""

    __slots__ = ("__name__", "__qualname__", "__weakref__", "context", "coroutine", "first", "owner", "task")

    def __init__(self, loop: Any) -> None:
        from asyncio import Task

        self.__name__ = self.__qualname__ = "cnstra handler"
        self.coroutine: Any = None
        self.context: Context | None = None
        self.owner: Any = None  # (stimulation, activation number) of the handler or listener it runs
        self.first: list[Any] | None = None  # what the first step yielded, until the task's first pass
        task: Any = Task(self, loop=loop)
        self.task = task
        # A spare that nobody needed when its loop was closed is not worth a warning.
        task._log_destroy_pending = False

    def adopt(self, coroutine: Any, yielded: Any, context: Context) -> None:
        self.coroutine = coroutine
        self.first = [yielded]
        self.context = context
        self.__name__ = self.__qualname__ = getattr(coroutine, "__qualname__", "cnstra handler")
        self.task._log_destroy_pending = True

    def send(self, value: Any, /) -> Any:
        if self.coroutine is None:
            raise StopIteration(None)
        if self.first is not None:
            (yielded,), self.first = self.first, None
            return yielded
        try:
            return self.context.run(self.coroutine.send, value)  # type: ignore[union-attr]
        except (KeyboardInterrupt, SystemExit) as error:
            self._leave_loop(error)
            raise

    def throw(self, error: Any, value: Any = None, traceback: Any = None, /) -> Any:
        if self.coroutine is None:
            raise error
        if self.first is not None:
            (yielded,), self.first = self.first, None
            if is_cancellation(error) and hasattr(yielded, "cancel"):
                if yielded.cancel(*error.args):
                    return yielded
                # It is done already: its result is lost to the cancellation, as it is in a task.
                yielded._asyncio_future_blocking = False
        try:
            return self.context.run(self.coroutine.throw, error)  # type: ignore[union-attr]
        except (KeyboardInterrupt, SystemExit) as raised:
            self._leave_loop(raised)
            raise

    def _leave_loop(self, error: BaseException) -> None:
        """A task that raises one of these two stops the loop, before anybody hears that the task is done."""
        if self.owner is not None:
            self.owner[0]._abort_by(error)

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
        return getattr(self.coroutine, "cr_code", Carrier.send.__code__)
