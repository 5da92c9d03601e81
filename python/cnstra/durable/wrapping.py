"""What durable runs put around every handler: its outputs are encoded while it can still fail for them, and a
transactional one is given its transaction.

Runs that are not durable go through untouched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from cnstra import CNS, Context, Dendrite, MaxDurationError, Signal

from .activation import entered, transaction
from .codecs import Codecs
from .contexts import RunContexts
from .errors import LeaseLostError, StoreError
from .live import Live
from .noted import Noted
from .port import Increment, Store

__all__ = ["Wrapping"]

Handler = Callable[[Any, Any, Any], Any]


class Wrapping:
    """The middleware of one ``Durable``.

    Args:
        cns: the graph.
        store: where it is recorded.
        codecs: of the graph.
        transactional: names of neurons.
    """

    def __init__(
        self,
        cns: CNS,
        store: Store,
        codecs: Codecs,
        transactional: Collection[str],
    ) -> None:
        self._store = store
        self._codecs = codecs
        self._transactional = transactional
        self._owners = {one: cns.network.get_parent_neuron(one) for one in cns.network.get_collaterals()}
        self._subscribers = {one: _places(cns, one) for one in self._owners}
        self._enforces_ownership = cns.enforce_ownership

    def __call__(self, dendrite: Dendrite[Any], handler: Handler) -> Handler:
        if dendrite.neuron.name not in self._transactional:
            return self._plain(dendrite, handler)
        if self._store.transactions == "savepoint":
            return self._in_savepoint(dendrite, handler)
        if dendrite.neuron.offload:
            return self._in_blocking_transaction(dendrite, handler)
        return self._in_transaction(dendrite, handler)

    # -- what is common

    def _plain(self, dendrite: Dendrite[Any], handler: Handler) -> Handler:
        def record(payload: Any, axon: Any, ctx: Context[Any, Any]) -> Any:
            contexts = _recorded(ctx.stimulation)
            if contexts is None:
                return handler(payload, axon, ctx)
            noted: Noted = contexts.recording.enter(ctx.task)
            token = entered.set(noted)
            try:
                result = handler(payload, axon, ctx)
            finally:
                entered.reset(token)
            if result is None:
                return None
            if _is_awaitable(result):
                return later(noted, result)
            self._encode(dendrite, noted, result)
            return result

        async def later(noted: Noted, result: Awaitable[Any]) -> Any:
            entered.set(noted)
            result = await result
            self._encode(dendrite, noted, result)
            return result

        return record

    def _encode(self, dendrite: Dendrite[Any], noted: Noted, result: Any) -> bool:
        """Keep what a handler emits, as bytes; False if the engine is going to refuse it."""
        signals = self._signals(dendrite, result)
        if signals is None:
            return False
        noted.outputs = self._codecs.encode_signals(signals) if signals else None
        return True

    def _signals(self, dendrite: Dendrite[Any], result: Any) -> Sequence[Signal[Any]] | None:
        """The signals that a handler returned, None if the engine does not take that for an answer (S4)."""
        if result is None:
            return ()
        signals: Sequence[Any] = [result] if isinstance(result, Signal) else result
        if not isinstance(signals, list | tuple):
            return None
        for signal in signals:
            if not isinstance(signal, Signal):
                return None
            owner = self._owners.get(signal.collateral)
            if self._enforces_ownership and owner is not dendrite.neuron:
                return None
        return signals

    # -- transactional handlers

    def _in_savepoint(self, dendrite: Dendrite[Any], handler: Handler) -> Handler:
        """On the loop's own thread, inside the transaction that the next commit ends."""

        async def record(payload: Any, axon: Any, ctx: Context[Any, Any]) -> Any:
            contexts = _recorded(ctx.stimulation)
            if contexts is None:
                raise _not_durable(dendrite)
            live, task = _live(contexts), ctx.task
            noted = live.recording.enter(task)
            failure: Exception | None = None
            try:
                scope, given = await live.savepoint()
                # From here on nothing waits: what is written and what tells of it go into the same commit.
                live.savepoints[task.id] = False
                entered.set(noted)
                transaction.set(given)
                with _Undoing(scope) as undoing:
                    try:
                        result = handler(payload, axon, ctx)
                    except Exception as error:
                        failure = error
                        raise
                    if ctx.abort_signal.aborted:
                        # If it has cancelled its run, nothing comes of what it returned; if it was aborted, all does.
                        await live.told_of_cancel()
                    if _is_awaitable(result):
                        _close(result)
                        raise TypeError(
                            f"transactional neuron {dendrite.neuron.name!r}: its handler on "
                            f"{dendrite.collateral.name!r} returned something to await; on this store it must write "
                            f"and return"
                        )
                    limit = dendrite.neuron.max_duration
                    if limit is not None and time.monotonic() - noted.entered > limit:
                        # The engine fails it for that (S13), after the savepoint.
                        raise MaxDurationError(
                            f"neuron {dendrite.neuron.name!r} took longer than its max_duration of {limit} s on "
                            f"{dendrite.collateral.name!r}; what it wrote is undone"
                        )
                    if self._encode(dendrite, noted, result):
                        live.savepoints[task.id] = True
                    else:
                        undoing.undo()
            except BaseException as error:
                # The commit need not wait until the engine tells of this: it never does if the run was cancelled.
                live.undone(task.id)
                if isinstance(error, StoreError) and error is not failure:
                    live.store_failed(error)
                raise
            return result

        return record

    def _in_transaction(self, dendrite: Dendrite[Any], handler: Handler) -> Handler:
        """On a connection of its own; its finish is committed before the engine hears of it."""

        async def record(payload: Any, axon: Any, ctx: Context[Any, Any]) -> Any:
            contexts = _recorded(ctx.stimulation)
            if contexts is None:
                raise _not_durable(dendrite)
            live = _live(contexts)
            noted = live.recording.enter(ctx.task)
            entered.set(noted)
            if noted.needs_commit:
                await live.committed()
            failure: Exception | None = None
            try:
                async with self._store.transaction() as scope:
                    transaction.set(scope.connection)
                    try:
                        result = handler(payload, axon, ctx)
                        if _is_awaitable(result):
                            result = await result
                    except Exception as error:
                        failure = error
                        raise
                    if self._encode(dendrite, noted, result):
                        children = self._foresee(live, dendrite, noted, result)
                        increment = live.recording.take_alone(noted, children)
                        # A commit that has begun is seen through: whoever cancels this learns what became of it.
                        committing = asyncio.ensure_future(scope.commit(increment))
                        cancelled = await _through(committing)
                        with _taking_back(live, noted, increment):
                            self._committed(live, noted, children, committing.result())
                        if cancelled:
                            raise asyncio.CancelledError
            except StoreError as error:
                if error is not failure:
                    live.store_failed(error)
                raise
            return result

        return record

    def _in_blocking_transaction(self, dendrite: Dendrite[Any], handler: Handler) -> Handler:
        """The same in a worker thread."""

        def record(payload: Any, axon: Any, ctx: Context[Any, Any]) -> Any:
            contexts = _recorded(ctx.stimulation)
            if contexts is None:
                raise _not_durable(dendrite)
            live = _live(contexts)
            noted = live.recording.enter(ctx.task)
            given = entered.set(noted)
            failure: Exception | None = None
            try:
                if noted.needs_commit:
                    live.wait_committed()
                with self._store.blocking_transaction() as scope:
                    token = transaction.set(scope.connection)
                    try:
                        result = handler(payload, axon, ctx)
                    except Exception as error:
                        failure = error
                        raise
                    finally:
                        transaction.reset(token)
                    if self._encode(dendrite, noted, result):
                        children = self._foresee(live, dendrite, noted, result)
                        increment = live.recording.take_alone(noted, children)
                        with _taking_back(live, noted, increment):
                            self._committed(live, noted, children, scope.commit(increment))
            except StoreError as error:
                if error is not failure:
                    live.wait_store_failed(error)
                raise
            finally:
                entered.reset(given)
            return result

        return record

    def _foresee(self, live: Live, dendrite: Dendrite[Any], noted: Noted, result: Any) -> list[Noted]:
        """Note what the engine is going to make of the result, in the order in which it will."""
        recording = live.recording
        noted.attempt = recording.attempt
        children = [
            recording.foresee(names, noted.hop + 1, noted.seq, noted.id, place, recording.parent_for(noted))
            for place, signal in enumerate(self._signals(dendrite, result) or ())
            for names in self._subscribers.get(signal.collateral, ())
        ]
        recording.succeed(noted)
        noted.settle_clock()
        return children

    def _committed(self, live: Live, noted: Noted, children: list[Noted], is_written: bool) -> None:
        if not is_written:
            live.refuse_soon()
            raise LeaseLostError(
                f"run {live.recording.run_id!r} was taken over by another process while this one was away"
            )
        live.recording.let_go(noted)
        noted.trusted = True
        noted.predicted = children


@contextmanager
def _taking_back(live: Live, noted: Noted, increment: Increment) -> Generator[None]:
    """Around a commit of what was taken alone: what is wrong with what the handler wrote may show only there."""
    try:
        yield
    except BaseException:
        live.recording.take_back(noted, increment)
        raise


def _recorded(stimulation: Any) -> RunContexts | None:
    """The contexts of a run, if it is one that is recorded: it may also be one that a handler of that started, and gave
    its context values."""
    contexts = stimulation.context
    return contexts if type(contexts) is RunContexts and _live(contexts).is_of(stimulation) else None


def _live(contexts: RunContexts) -> Live:
    live: Live = contexts.recording.live
    return live


class _Undoing:
    """A savepoint that can be undone without an error."""

    def __init__(self, scope: Any) -> None:
        self._scope = scope
        self._is_undone = False

    def undo(self) -> None:
        self._is_undone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._is_undone:
            kind, error = _Undone, _Undone()
        self._scope.__exit__(kind, error, trace)


class _Undone(Exception):  # noqa: N818 - tells a savepoint to be undone, and goes nowhere
    pass


async def _through(task: asyncio.Future[Any]) -> bool:
    """Wait for a task to its end, whoever cancels the waiting; tells whether somebody did."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _places(cns: CNS, collateral: Any) -> list[tuple[str, str, int]]:
    """Neuron, collateral and dendrite of each subscriber, in the order in which a signal reaches them."""
    counts: dict[str, int] = {}
    places: list[tuple[str, str, int]] = []
    for dendrite in cns.network.get_subscribers(collateral):
        name = dendrite.neuron.name
        places.append((name, collateral.name, counts.get(name, 0)))
        counts[name] = counts.get(name, 0) + 1
    return places


def _not_durable(dendrite: Dendrite[Any]) -> LookupError:
    return LookupError(
        f"neuron {dendrite.neuron.name!r} is transactional: it can only be activated in a durable run, which gives it "
        f"its transaction"
    )


def _is_awaitable(result: Any) -> bool:
    """Whether an answer has to be awaited; the usual answers are told without a look for the method."""
    return not isinstance(result, Signal | list | tuple) and hasattr(result, "__await__")


def _close(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
