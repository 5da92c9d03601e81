"""The group commit of one process: what happened in its runs is written in one transaction for all of them.

A turn that ends asks for a commit. It is made by a callback later in the same pass of the loop, for all runs that have
asked by then, and knows which of them have ended meanwhile. Of turns that follow each other faster than ``interval``,
and that nothing waits for, several share one: only the first of them is committed at once. While a commit is under way
(on a store that has to be waited for) the next one gathers; there is never more than one, so what a run does is
committed in order.

On a store with savepoints (SQLite) a transactional handler writes in the transaction that the next commit ends. Such a
transaction must not be committed before the engine has announced what the handler did, nor by a commit that was
gathered before it began; ``savepoint`` and ``announced`` see to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from .errors import LeaseLostError, StoreBusyError, StoreError, StoreUnavailableError
from .patience import Pauses, now
from .port import Increment, Store

__all__ = ["Journal", "Policy", "Writer"]

_log = logging.getLogger("cnstra.durable")

Policy = Literal["stop", "wait"]
Batch = list[tuple["Writer", Increment]]

# How often a commit is put off for a handler that has written and has not been announced: the engine does so in the
# pass of the loop in which the handler ends, unless its run has been cancelled.
_PATIENCE = 3


class Writer(Protocol):
    """What asks for commits: a run that is going on here."""

    key: int
    fence: int

    def take(self) -> Increment | None:
        """What is to be written now; None if nothing is."""

    def written(self, increment: Increment) -> None:
        """It is in the store."""

    def refused(self) -> None:
        """The run belongs to somebody else."""

    def stopped(self, error: StoreError) -> None:
        """The store could not be written; nothing since the last commit is in it."""


class Journal:
    """Gathers what runs ask to be written, and writes it.

    Args:
        store: where to.
        policy: what to do when the store cannot be written: ``"stop"`` the runs, or ``"wait"`` until it can.
        interval: seconds from one commit to the next that nothing waits for.
    """

    def __init__(self, store: Store, policy: Policy, interval: float) -> None:
        self._store = store
        self._policy: Policy = policy
        self._loop = asyncio.get_running_loop()
        self._asking: dict[Writer, None] = {}
        self._waiting: list[tuple[Writer, asyncio.Future[None]]] = []
        # The last that have asked and were waited for, until it is known what became of them.
        self._gathered: tuple[Collection[Writer], list[tuple[Writer, asyncio.Future[None]]]] = (), []
        self._interval = interval
        self._next = 0.0  # when the next commit may be made that nothing waits for
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle: list[asyncio.Future[None]] = []
        # Runs that have written in the open transaction, and how many of their handlers are not announced yet.
        self._in_transaction: dict[Writer, int] = {}
        self._is_spoilt = False
        self._is_held = False  # a handler waits inside of its savepoint
        self._put_off = 0

    def ask(self, writer: Writer, *, is_urgent: bool) -> None:
        """Have a run written: in this pass of the loop if it is urgent, or nothing has been for a while."""
        self._asking[writer] = None
        if not self._is_due and self._task is None:
            if is_urgent:
                self._schedule()
            elif self._timer is None:
                now_ = self._loop.time()
                if now_ >= self._next:
                    self._schedule()
                else:
                    self._timer = self._loop.call_at(self._next, self._schedule)

    def committed_with(self, writer: Writer) -> asyncio.Future[None]:
        """Done when what the run has done up to now is in the store, or never will be."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((writer, waiter))
        self.ask(writer, is_urgent=True)
        return waiter

    def is_waited_for(self, writer: Writer) -> bool:
        """Whether something in the run cannot go on before it is written, or is written with it."""
        return writer in self._in_transaction or any(waiting is writer for waiting, _ in self._waiting)

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call something on the loop's own thread."""
        self._loop.call_soon_threadsafe(call)

    def wait(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something awaited on the loop, and wait for it in a worker thread."""
        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    async def settled(self) -> None:
        """Wait until nothing is left to be written."""
        while self._asking or self._is_due or self._task is not None:
            if self._task is None:
                self._schedule()
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(waiter)
            await waiter

    # -- transactional handlers on a store with savepoints

    async def savepoint(self, writer: Writer) -> tuple[AbstractContextManager[Any], Any]:
        """Begin the savepoint of a handler, once the store is free for it; returns it, entered, with what it gave.

        Raises:
            LeaseLostError: the run belongs to somebody else.
            StoreError: the store cannot be written.
        """
        pauses = Pauses()
        while True:
            if self._task is None and not self._is_held:
                scope = self._store.savepoint(writer.key, writer.fence)
                try:
                    given = scope.__enter__()
                except StoreBusyError:
                    if pauses.is_over:
                        raise
                except LeaseLostError:
                    writer.refused()
                    raise
                else:
                    self._in_transaction[writer] = self._in_transaction.get(writer, 0) + 1
                    self._schedule()
                    return scope, given
            await asyncio.sleep(next(pauses))

    async def told_of_cancel(self) -> None:
        """Give the engine its chance to cancel a handler inside of its savepoint, before that is left."""
        self._is_held = True
        try:
            await asyncio.sleep(0)
        finally:
            self._is_held = False

    def announced(self, writer: Writer, *, spoilt: bool) -> None:
        """What a handler did that had a savepoint is noted, and may be committed; or, if ``spoilt``, must not be."""
        if writer in self._in_transaction:
            self._in_transaction[writer] -= 1
            self._is_spoilt |= spoilt

    # -- writing

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_due or self._task is not None:
            return
        if self._store.inline:
            self._is_due = True
            self._loop.call_soon(self._flush)
        else:
            # Its first step gathers, as the callback does: one pass of the loop less than a task that the callback
            # makes. Not by the loop's own factory, which may begin a task at once, before others have asked.
            self._task = asyncio.Task(self._write(), loop=self._loop, name="cnstra durable commit")

    def _flush(self) -> None:
        try:
            self._commit_now()
        except BaseException:
            self._interrupted()
            raise

    def _commit_now(self) -> None:
        self._is_due = False
        self._next = self._loop.time() + self._interval
        if self._in_transaction and any(self._in_transaction.values()):
            self._put_off += 1
            if self._put_off < _PATIENCE:
                self._schedule()
                return
            # It never will be: its run was cancelled under it. Nothing that was written with it may stay.
            self._undo(StoreUnavailableError("a transactional handler was cancelled after it had written"))
        self._put_off = 0
        if self._is_spoilt:
            self._undo(StoreUnavailableError("a transactional handler has written, and has failed all the same"))
        batch, waiting = self._gather()
        if self._in_transaction and self._in_transaction.keys() - {writer for writer, _ in batch}:
            batch = self._undo(
                StoreUnavailableError("nothing tells of what a transactional handler has written"), batch
            )
        if not batch:
            self._release(waiting)
        else:
            try:
                refused = now(self._store.commit([increment for _, increment in batch]))
            except StoreError as error:
                # Handlers wrote in it as well, and cannot be called again for that.
                batch = self._undo(error, batch)
                if self._gives_up(error):
                    self._stop(batch, error)
                    self._release(waiting)
                else:
                    self._task = self._loop.create_task(self._write(batch, waiting), name="cnstra durable commit")
                    return
            else:
                self._done(batch, refused)
                self._release(waiting)
        self._rest()

    def _gather(self) -> tuple[Batch, list[asyncio.Future[None]]]:
        asking, self._asking = self._asking, {}
        waiting, self._waiting = self._waiting, []
        self._gathered = asking, waiting
        batch: Batch = []
        for writer in asking:
            increment = writer.take()
            if increment is not None:
                batch.append((writer, increment))
        return batch, [waiter for _, waiter in waiting]

    async def _write(self, batch: Batch | None = None, waiting: Sequence[asyncio.Future[None]] = ()) -> None:
        """Write batch after batch, until nothing is asked for; the first is gathered, if there is none."""
        try:
            if batch is None:
                self._next = self._loop.time() + self._interval
                batch, waiting = self._gather()
            while True:
                if batch:
                    await self._write_one(batch)
                self._release(waiting)
                if not self._asking and not self._waiting:
                    break
                batch, waiting = self._gather()
        except asyncio.CancelledError:
            # The loop shuts down: whoever leaves sees to the runs.
            self._task = None
            self._release(waiting)
            self._go_on()
            raise
        except BaseException:
            self._task = None
            self._interrupted()
            raise
        self._task = None
        self._go_on()

    def _interrupted(self) -> None:
        """Something got out in the middle, an interrupt most likely: what was taken may be in the store or not. Its
        runs are stopped, since nobody would hear of their end."""
        error = StoreUnavailableError("a commit was interrupted: nobody knows whether it was made")
        if self._in_transaction:
            self._undo(error)
        writers, waiting = self._gathered
        for writer in writers:
            writer.stopped(error)
        self._release([waiter for _, waiter in waiting])
        self._go_on()

    def _go_on(self) -> None:
        if self._asking or self._waiting:
            self._schedule()
        self._rest()

    async def _write_one(self, batch: Batch) -> None:
        pauses = Pauses()
        told = False
        while True:
            try:
                refused = await self._store.commit([increment for _, increment in batch])
            except StoreError as error:
                if self._gives_up(error, pauses.is_over):
                    self._stop(batch, error)
                    return
                if not told and not isinstance(error, StoreBusyError):
                    told = True
                    _log.warning("%s; its runs wait for it", error)
            else:
                self._done(batch, refused)
                return
            await asyncio.sleep(next(pauses))

    def _gives_up(self, error: StoreError, is_over: bool = False) -> bool:
        if isinstance(error, StoreBusyError):
            return is_over and self._policy == "stop"
        return self._policy == "stop" or not isinstance(error, StoreUnavailableError)

    def _done(self, batch: Batch, refused: frozenset[int]) -> None:
        self._in_transaction.clear()
        for writer, increment in batch:
            if increment.key in refused:
                writer.refused()
            else:
                writer.written(increment)

    def _stop(self, batch: Batch, error: StoreError) -> None:
        for writer, _ in batch:
            writer.stopped(error)

    def _undo(self, error: StoreError, batch: Batch | None = None) -> Batch:
        """Give up the open transaction, and the runs whose handlers have written in it; returns what is left of a
        batch."""
        self._store.abandon()
        self._is_spoilt = False
        lost, self._in_transaction = self._in_transaction, {}
        for writer in lost:
            writer.stopped(error)
        return [] if batch is None else [(writer, one) for writer, one in batch if writer not in lost]

    def _release(self, waiting: Sequence[asyncio.Future[None]]) -> None:
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _rest(self) -> None:
        if not self._is_due and self._task is None:
            idle, self._idle = self._idle, []
            self._release(idle)
