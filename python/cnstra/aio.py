"""The event loop, as both engines see it; the only module of the core that imports asyncio, and that lazily.

A ``Loop`` stands for one running asyncio loop. It starts coroutines at once, as real tasks from their first step, and
spends no task on those that finish in it (S20):

- one spare task, made ahead and scheduled like any other, is the current task while a first step runs;
- a coroutine that finishes in its first step gives the spare back for the next one;
- one that suspends is adopted: what it yielded is handed to the event loop at the spare's first pass, and from there on
  it is driven as the coroutine of that task.

The spare's coroutine is a ``Carrier``. It can be cancelled before its first pass, and then behaves as a task that waits
for what the first step yielded.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from enum import Enum
from types import CoroutineType
from typing import Any

__all__ = [
    "Carrier",
    "Loop",
    "Step",
    "as_coroutine",
    "await_run",
    "current",
    "current_task",
    "discard",
    "is_cancellation",
    "owner_of_current_task",
    "run",
    "wait",
    "wait_for_callback",
    "wait_for_run",
    "wait_on_run",
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


def as_coroutine(value: Any) -> Coroutine[Any, Any, Any] | None:
    """The value as a coroutine if it can be awaited, else None."""
    if type(value) is CoroutineType:
        return value
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
        self.task: Any = Task(self, loop=loop)
        # A spare that nobody needed when its loop was closed is not worth a warning.
        self.task._log_destroy_pending = False

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


class Loop:
    """One running event loop."""

    __slots__ = ("_asyncio", "_idle", "_keeper", "_release", "_spare", "_swap", "live", "loop")

    blocking = False

    def __init__(self, loop: Any) -> None:
        import asyncio

        self._asyncio = asyncio
        self.loop = loop
        self._spare: Carrier | None = None
        self._swap = getattr(asyncio.tasks, "_swap_current_task", None) or _swap_current_task
        self.live: dict[Any, None] = {}  # the unfinished runs of this loop, held strongly, oldest first
        self._keeper: Any = None  # while there are any: a task, so that a shutdown, which cancels all tasks, is heard
        self._release: Any = None
        self._idle = False  # whether a look at ``live`` is due at the loop's next pass

    # -- being somewhere

    def is_here(self) -> bool:
        return self._asyncio._get_running_loop() is self.loop

    def post(self, callback: Callable[[], object]) -> None:
        """Call back at the loop's next pass; RuntimeError if it is closed."""
        if self.is_here():
            self.loop.call_soon(callback)
        else:
            self.loop.call_soon_threadsafe(callback)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Any:
        return self.loop.call_later(seconds, callback)

    # -- first steps

    def start(self, coroutine: Any, owner: Any) -> tuple[Step, Any]:
        """Run the first step now, in a copy of the current context, as a task of this loop."""
        spare, self._spare = self._spare, None
        if spare is None or spare.task.done():
            spare = Carrier(self.loop)
        spare.owner = owner
        context = copy_context()
        outer = self._swap(self.loop, spare.task)
        try:
            yielded = context.run(coroutine.send, None)
        except StopIteration as stop:
            step, value = Step.FINISHED, stop.value
        except self._asyncio.CancelledError as error:
            step, value = Step.CANCELLED if spare.task.cancelling() else Step.FAILED, error
        except Exception as error:
            step, value = Step.FAILED, error
        else:
            spare.adopt(coroutine, yielded, context)
            return Step.SUSPENDED, spare.task
        finally:
            self._swap(self.loop, outer)
            if spare.coroutine is None:
                spare.owner = None
                # One that was cancelled meanwhile would cancel whoever adopted it.
                if self._spare is None and not spare.task._must_cancel:
                    self._spare = spare
        return step, value

    # -- worker threads

    def offload(self, call: Callable[[], Any], done: Callable[[Any, Any], object], lost: Callable[[], object]) -> None:
        """Call in a worker thread, in a copy of the current context; tell ``done(value, error)`` on the loop.

        ``lost`` is called from the worker instead if the loop has been closed meanwhile.
        """
        context = copy_context()

        def work() -> None:
            value, error = None, None
            try:
                value = context.run(call)
            except BaseException as raised:
                error = raised
            try:
                self.loop.call_soon_threadsafe(done, value, error)
            except RuntimeError:
                lost()

        self.loop.run_in_executor(None, work)

    # -- the runs that live here

    def hold(self, run: Any) -> None:
        """Keep an unfinished run alive, and abort it when the loop shuts down (S9)."""
        self.live[run] = None
        if self._keeper is None:
            self._release = _alarm(self.loop, self._shut_down)
            self._keeper = self._asyncio.Task(self._keep(), loop=self.loop, name="cnstra keeper")
            self._keeper._log_destroy_pending = False

    def let_go(self, run: Any) -> None:
        self.live.pop(run, None)
        # Not at once: of runs that follow each other closely one keeper serves all.
        if not self.live and self._keeper is not None and not self._idle and self.is_here():
            self._idle = True
            self.loop.call_soon(self._let_keeper_go)

    def _let_keeper_go(self) -> None:
        self._idle = False
        if not self.live and not self._release.done():
            self._release.set_result(None)

    async def _keep(self) -> None:
        try:
            await self._release
        finally:
            self._keeper = None
            if self.live and not self.loop.is_closed():
                self.hold(next(iter(self.live)))

    def _shut_down(self, error: BaseException) -> None:
        """The keeper is being cancelled, as every task is when a loop shuts down: abort the runs.

        None of the handlers that are cancelled along with it has gone on yet, so that what they return starts nothing.
        """
        for run in list(self.live):
            run._abort_by(error)


_Alarm: Any = None


def _alarm(loop: Any, ring: Callable[[BaseException], object]) -> Any:
    """A future that rings in the moment in which a task that waits for it is cancelled."""
    global _Alarm
    if _Alarm is None:
        from asyncio import CancelledError, Future

        class Alarm(Future[None]):
            ring: Callable[[BaseException], object]

            def cancel(self, msg: Any = None) -> bool:
                if not self.done():
                    self.ring(CancelledError() if msg is None else CancelledError(msg))
                return super().cancel(msg)

        _Alarm = Alarm
    alarm = _Alarm(loop=loop)
    alarm.ring = ring
    return alarm


def _swap_current_task(loop: Any, task: Any) -> Any:
    """What asyncio has itself from 3.12 on."""
    from asyncio import tasks

    outer = tasks.current_task(loop)
    if outer is not None:
        tasks._leave_task(loop, outer)
    if task is not None:
        tasks._enter_task(loop, task)
    return outer


_loops: dict[int, Loop] = {}
_loops_lock = threading.Lock()
_here = threading.local()


def current() -> Loop | None:
    """The loop that runs in this thread, if any. Without asyncio in ``sys.modules`` none can."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    running = asyncio._get_running_loop()
    if running is None:
        return None
    here: Loop | None = getattr(_here, "loop", None)
    if here is None or here.loop is not running:
        here = _here.loop = _find(running)
    return here


def _find(running: Any) -> Loop:
    with _loops_lock:
        for key, known in list(_loops.items()):
            if known.loop.is_closed():
                del _loops[key]
                # Nothing can drive these any more: they end aborted, and their slots go to others.
                for run in list(known.live):
                    run._abandon()
        found = _loops.get(id(running))
        if found is None:
            found = _loops[id(running)] = Loop(running)
        return found


def current_task() -> Any:
    """The task that is running."""
    import asyncio

    return asyncio.current_task()


def owner_of_current_task() -> Any:
    """(stimulation, activation number) of the handler whose own task is running, None elsewhere."""
    here = current()
    task = None if here is None else here._asyncio.current_task(here.loop)
    carrier = None if task is None else task.get_coro()
    return carrier.owner if type(carrier) is Carrier else None


def wait(register: Callable[[Callable[..., object]], Callable[[], object]]) -> Generator[Any, Any, None]:
    """Wait, in any loop, until the callback that ``register`` is given is called, from any thread.

    ``register`` returns what takes the callback back.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    def wake(*_: object) -> None:
        if asyncio._get_running_loop() is loop:
            settle()
        else:
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                pass  # the loop of whoever waited is closed: nobody waits any more

    forget = register(wake)
    try:
        yield from future
    finally:
        forget()


def wait_on_run(
    run: Any, register: Callable[[Callable[..., object]], Callable[[], object]]
) -> Generator[Any, Any, None]:
    """``wait`` for something that a run brings about; a handler that does so cannot give its slot back before (S12)."""
    owner = owner_of_current_task()
    if owner is not None:
        run._begin_await(owner)
    try:
        yield from wait(register)
    finally:
        if owner is not None:
            run._end_await(owner)


def await_run(run: Any) -> Generator[Any, Any, None]:
    """What ``await stimulation`` does."""
    if not run.done():
        yield from wait_on_run(run, run._on_end)
    run.raise_for_failure()


async def wait_for_callback(register: Callable[[Callable[..., object]], Callable[[], object]]) -> None:
    """``wait`` as a coroutine."""
    await _Awaitable(wait(register))


async def wait_for_run(run: Any, register: Callable[[Callable[..., object]], Callable[[], object]]) -> None:
    """``wait_on_run`` as a coroutine."""
    await _Awaitable(wait_on_run(run, register))


class _Awaitable:
    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[Any, Any, None]) -> None:
        self._generator = generator

    def __await__(self) -> Generator[Any, Any, None]:
        return self._generator


def run(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """``asyncio.run``; RuntimeError where a loop runs already."""
    import asyncio

    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an event loop runs in this thread already: await cns.stimulate(...) or cns.query(...) instead"
        )
    return asyncio.run(make())
