"""One running event loop: first steps, worker threads, and the runs that live in it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from .carrier import Carrier, Step

__all__ = ["Loop", "abandon_closed", "current"]


class Loop:
    """One running event loop."""

    __slots__ = ("_asyncio", "_release", "_spare", "_swap", "idle", "keeper", "live", "loop", "starter")

    blocking = False

    def __init__(self, loop: Any) -> None:
        import asyncio

        self._asyncio = asyncio
        self.loop = loop
        self._spare: Carrier | None = None
        self.starter: Any = None  # what the native engine has instead of ``start``
        self._swap = getattr(asyncio.tasks, "_swap_current_task", None) or _swap_current_task
        self.live: dict[Any, None] = {}  # the unfinished runs of this loop, held strongly, oldest first
        self.keeper: Any = None  # while there are any: a task, so that a shutdown, which cancels all tasks, is heard
        self._release: Any = None
        self.idle = False  # whether a look at ``live`` is due

    # -- being somewhere

    def is_here(self) -> bool:
        return self._asyncio._get_running_loop() is self.loop

    def is_closed(self) -> bool:
        return bool(self.loop.is_closed())

    def post(self, callback: Callable[[], object]) -> None:
        """Call back at the loop's next pass; RuntimeError if it is closed."""
        if self.is_here():
            self.loop.call_soon(callback)
        else:
            self.loop.call_soon_threadsafe(callback)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Any:
        return self.loop.call_later(seconds, callback)

    # -- first steps

    def task(self, coroutine: Any) -> Any:
        # With a name, since asyncio would make one up for each.
        return self._asyncio.Task(coroutine, loop=self.loop, name="cnstra handler")

    def swap(self, task: Any) -> Any:
        """Make it the current task of the loop, None for none; returns the one that was."""
        return self._swap(self.loop, task)

    def start(self, coroutine: Any, owner: Any) -> tuple[Step, Any]:
        """Run the first step now, in a copy of the current context, as a task of this loop.

        Returns:
            What became of it, with its value, its exception, or the ``Carrier`` of its task, to be told whom to tell.
        """
        spare, self._spare = self._spare, None
        if spare is None or spare.task.done():
            spare = Carrier(self)
        spare.cnstra_owner = owner
        context = copy_context()
        outer = self.swap(spare.task)
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
            return Step.SUSPENDED, spare
        finally:
            self.swap(outer)
            if spare.coroutine is None:
                spare.cnstra_owner = None
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
        if self.keeper is None:
            self.keep()

    def let_go(self, run: Any) -> None:
        self.live.pop(run, None)
        if not self.live and not self.idle:
            self.rest()

    def keep(self) -> None:
        """Have a keeper."""
        self._release = _alarm(self.loop, self._shut_down)
        self.keeper = self._asyncio.Task(self._keep(), loop=self.loop, name="cnstra keeper")
        self.keeper._log_destroy_pending = False

    def rest(self) -> None:
        """There is no run any more: let the keeper go, but not at once, since of runs in a row one serves all."""
        if self.keeper is not None and self.is_here():
            self.idle = True
            self.loop.call_later(_IDLE, self._let_keeper_go)

    def _let_keeper_go(self) -> None:
        self.idle = False
        if not self.live and not self._release.done():
            self._release.set_result(None)

    async def _keep(self) -> None:
        try:
            await self._release
        finally:
            self.keeper = None
            if self.live and not self.loop.is_closed():
                self.keep()

    def _shut_down(self, error: BaseException) -> None:
        """The keeper is being cancelled, as every task is when a loop shuts down: abort the runs.

        None of the handlers that are cancelled along with it has gone on yet, so that what they return starts nothing.
        """
        for run in list(self.live):
            run._abort_by(error)


_IDLE = 0.05  # seconds without a run after which a loop needs no keeper

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
    abandon_closed()
    with _loops_lock:
        found = _loops.get(id(running))
        if found is None:
            found = _loops[id(running)] = Loop(running)
        return found


def abandon_closed() -> None:
    """End the runs of loops that were closed without a shutdown: nothing can drive them any more.

    They end aborted, and their slots go to others. Done whenever a loop is met for the first time, and by whoever waits
    for a run that may be one of these.
    """
    with _loops_lock:
        closed = [key for key, known in _loops.items() if known.loop.is_closed()]
        abandoned = [run for key in closed for run in list(_loops.pop(key).live)]
    for run in abandoned:
        run._abandon()
