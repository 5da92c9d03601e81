"""The durable run of the shop: continue what an earlier process has left, then place one batch after the other.

A batch is a run of its own, named after its last line. The newest of them tells how far the source was read: what was
begun is never lost, so that is also where to go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from cnstra import Response, Signal, StimulationAborted, StimulationFailed
from cnstra.durable import (
    Durable,
    DurableError,
    DurableRun,
    GraphChangedError,
    RunStateError,
    Store,
    StoreUnavailableError,
)

from .durable_orders import build, keep_bookmark, place_order
from .job import Outcome
from .ledger import Ledger
from .model import Bookmark, OrderRejected
from .problems import MalformedLineError, StoreError
from .source import Batch, Malformed, OrderFile

__all__ = ["SCOPE", "DurableObserver", "place_durably"]

T = TypeVar("T")

SCOPE = "orders"

# How many batches go on at once: enough that one can be begun while others are written.
_AT_ONCE = 4

_REMEDY = "use another folder or store"


class DurableObserver(Protocol):
    """Who wants to see the run while it goes on."""

    def recovered(self, batches: int) -> None:
        """So many batches, which an earlier process had begun, are finished now."""

    def resumed(self, line: int) -> None:
        """The source was read up to this line by an earlier run."""

    def malformed(self, problem: Malformed) -> None:
        """A line was skipped."""

    def rejected(self, event: OrderRejected) -> None:
        """An order was refused. Its number is the line of its row."""

    def committed(self, line: int) -> None:
        """Everything up to this line is done."""


async def place_durably(
    store: Store,
    ledger: Ledger,
    source: OrderFile,
    observer: DurableObserver,
    *,
    size: int = 100,
    strict: bool = False,
    stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Outcome:
    """Continue the batches that an earlier process has left, then place the orders of a file, from where it stopped.

    Any number of processes may do so at once: a batch that one of them has begun the others wait for.

    Args:
        store: where the runs are, and the tables.
        ledger: of the same database.
        source: the file.
        observer: is told what happens.
        size: lines per batch, which is a run.
        strict: stop at a malformed line, with everything before it placed.
        stop: is asked before each batch whether to stop there; what has been begun is finished.
        **settings: of ``Durable``.

    Returns:
        What was done.

    Raises:
        SourceError: the file cannot be read, or is not the one that an earlier process read.
        MalformedLineError: ``strict``.
        StoreError: the store cannot be used, a batch failed, or another process has taken it over.
    """
    outcome = Outcome()
    cns = build(store)

    def hear(response: Response) -> None:
        signal = response.output_signal
        if signal is None or response.task is None:
            return
        if isinstance(signal.payload, OrderRejected):
            outcome.rejected += 1
            observer.rejected(signal.payload)
        else:
            outcome.placed += 1

    remove = cns.add_response_listener(hear)
    try:
        async with Durable(cns, store, transactional=cns.neurons, **settings) as durable:
            ledger.prepare()
            await _finish_what_was_begun(durable, observer)
            patience = _Patience(settings.get("on_store_error") == "wait")
            await _place_the_rest(durable, source, observer, outcome, patience, size=size, strict=strict, stop=stop)
            if not outcome.stopped:
                await patience.with_(lambda: _others_have_ended(durable))
    except DurableError as error:
        raise StoreError(str(error)) from error
    finally:
        remove()
    return outcome


class _Patience:
    """What runs do on a store that is away, for everything else: go on in vain, or wait until it is back.

    Args:
        has_it: whether to wait.
    """

    def __init__(self, has_it: bool) -> None:
        self._has_it = has_it

    async def with_(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call comes to that may be made again."""
        while True:
            try:
                return await call()
            except StoreUnavailableError:
                if not self._has_it:
                    raise
            await asyncio.sleep(0.1)


async def _finish_what_was_begun(durable: Durable, observer: DurableObserver) -> None:
    """Continue what nobody has, and try again what has failed."""
    try:
        going_on = await durable.recover()
    except GraphChangedError as error:
        # Runs of another application in the same store are its own affair.
        if any(run_id.startswith(f"{SCOPE}-") for run_id in error.missing):
            raise
        going_on = list(error.recovered)
    for status in ("failed", "aborted"):
        for run in (await durable.runs(scope=SCOPE, status=status)).items:
            try:
                going_on.append(await durable.retry(run.id))
            except RunStateError:
                pass  # another process is trying it
    for again in going_on:
        await _ended(again)
    if going_on:
        observer.recovered(len(going_on))


async def _others_have_ended(durable: Durable) -> None:
    """Wait for batches that go on in other processes: the tables are consistent when nothing goes on any more."""
    for run in (await durable.runs(scope=SCOPE, status="running")).items:
        await _ended(await durable.find(run.id))


async def _last_begun(durable: Durable) -> Bookmark | None:
    """How far the source was read."""
    for run in (await durable.runs(scope=SCOPE, limit=1)).items:
        place = run.entry[-1]["payload"]
        return Bookmark(place["line"], place["digest"], place["malformed"])
    return None


async def _place_the_rest(
    durable: Durable,
    source: OrderFile,
    observer: DurableObserver,
    outcome: Outcome,
    patience: _Patience,
    *,
    size: int,
    strict: bool,
    stop: Callable[[], bool],
) -> None:
    going_on: deque[tuple[Batch, DurableRun]] = deque()

    async def finish_one() -> None:
        batch, run = going_on.popleft()
        await patience.with_(lambda: _ended(run))
        outcome.malformed += len(batch.malformed)
        for problem in batch.malformed:
            observer.malformed(problem)
        outcome.line = batch.bookmark.line
        observer.committed(outcome.line)

    wrong: MalformedLineError | None = None
    bookmark = await _last_begun(durable)
    with source.open(after=bookmark, remedy=_REMEDY) as reading:
        if bookmark is not None:
            outcome.line = bookmark.line
            observer.resumed(bookmark.line)
        started = time.perf_counter()
        try:
            for batch in reading.batches(size, strict=strict):
                if stop():
                    outcome.stopped = True
                    break
                signals: list[Signal[Any]] = [place_order.create_signal(order) for order in batch.commands]
                signals.append(keep_bookmark.create_signal(batch.bookmark))
                run_id = f"{SCOPE}-{batch.bookmark.line}"
                # One that was recorded before the store went away is found again under its id.
                start = partial(durable.start, signals, run_id=run_id, scope=SCOPE)
                going_on.append((batch, await patience.with_(start)))
                if len(going_on) == _AT_ONCE:
                    await finish_one()
        except MalformedLineError as error:
            wrong = error
        while going_on:
            await finish_one()
        outcome.seconds = time.perf_counter() - started
    if wrong is not None:
        raise wrong


async def _ended(run: DurableRun) -> None:
    try:
        await run
    except StimulationFailed as failure:
        # A batch may fail in a hundred equal ways: one is enough to say it.
        first: BaseException = failure
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise StoreError(f"batch {run.id} failed: {first}; to run the same command again tries it again") from failure
    except StimulationAborted as aborted:
        if isinstance(aborted.reason, DurableError):
            raise aborted.reason from aborted
        raise StoreError(f"batch {run.id} was cancelled: {aborted.reason}") from aborted
