"""``Durable``: a graph whose runs are recorded in a store, and go on after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from cnstra import CNS, AfferentPath, Collateral, Modality, Neuron, Signal

from .codecs import Codec, Codecs
from .entries import is_same_entry, new_run, signals_of
from .errors import RunConflictError, RunStateError
from .graphs import Names
from .journal import Policy
from .live import Sync
from .options import load_options
from .owner import Owner
from .patience import once_there, patiently, see_through
from .port import NewRun, Store
from .reading import Record, as_seconds
from .recording import Volume
from .runs import DurableRun
from .settings import check_settings, names_of
from .wrapping import Wrapping

__all__ = ["Durable"]


class Durable(Record):
    """Runs of a graph that outlive their process.

    Use it as ``async with``: it opens the store, and enters this process as an owner of runs, with a lease that a
    thread renews. Left normally it waits for its runs; left by an exception, a cancellation included, it writes what
    they have done and lets go of them, and whoever recovers continues them.

    Args:
        cns: the graph. Its global listeners hear durable runs too; its slots are shared with them.
        store: made by ``Store.open``. It is opened and closed by this.
        sync: when the store is written. ``"turn"``: after each turn of a run, without holding the run up. ``"hop"``:
            nothing that an activation caused starts before that is written. ``"end"``: when the run has ended.
        volume: ``"full"`` keeps finished activations in the record, ``"frontier"`` what is needed to go on.
        transactional: neurons whose handlers write through ``current_transaction()``, which commits together with
            their activation's finish: exactly once. On SQLite they must be plain functions, on PostgreSQL async ones,
            or plain ones of a neuron with ``offload=True``.
        aliases: renamed neurons and collaterals: the new name by the one that stored runs know.
        codecs: of collaterals, by themselves or by name, whose payloads MessagePack cannot carry by their type.
        context_codecs: the same of neurons, for context values.
        max_size: bytes that one encoded payload or context value may have; None is unlimited.
        redact: fields by collateral that the record does not show. They are stored: a pending activation needs its
            input. What must not be stored in plain needs a codec that encrypts.
        lease: seconds without a sign of life after which others may take over what this process has.
        max_attempts: how often in a row a run may lose its process without having committed anything; it ends
            ``failed`` then. None never gives up.
        on_store_error: when the store cannot be written, ``"stop"`` the runs at their last commit, or ``"wait"`` until
            it can; ``start`` and ``schedule`` wait as well. Runs that were stopped are continued by ``recover()``, here
            or elsewhere.
        recover_every: seconds between two looks for runs to recover and scheduled ones to start; None looks only when
            ``recover()`` is called.
        commit_interval: seconds within which turns share a commit that nothing waits for; the first has its own.

    Raises:
        CodecError: types of payloads or contexts that cannot be stored; all are named.
        TypeError, ValueError: an argument is of the wrong type or out of range, or a transactional neuron cannot be
            one.

    Cost: a turn is a commit, shared with other runs that had a turn in the same pass of the loop.

    Example:
        >>> import asyncio
        >>> from cnstra import CNS, collateral, neuron
        >>> from cnstra.durable import Durable, Store
        >>> order = collateral("order", int)
        >>> shop = neuron("shop").dendrite(collateral=order, response=lambda number: print("order", number))
        >>> async def main() -> None:
        ...     async with Durable(CNS([shop]), Store.open("memory://")) as durable:
        ...         run = await durable.start(order.create_signal(42), run_id="order-42")
        ...         await run
        ...         print((await durable.run("order-42")).status)
        >>> asyncio.run(main())
        order 42
        completed
    """

    def __init__(
        self,
        cns: CNS,
        store: Store,
        *,
        sync: Sync = "turn",
        volume: Volume = "full",
        transactional: Collection[Neuron[Any, Any, Any, Any] | str] = (),
        aliases: Mapping[str, str] | None = None,
        codecs: Mapping[Collateral[Any] | str, Codec] | None = None,
        context_codecs: Mapping[Neuron[Any, Any, Any, Any] | str, Codec] | None = None,
        max_size: int | None = None,
        redact: Mapping[Collateral[Any] | str, Collection[str]] | None = None,
        lease: float = 30.0,
        max_attempts: int | None = 10,
        on_store_error: Policy = "stop",
        recover_every: float | None = None,
        commit_interval: float = 0.002,
    ) -> None:
        check_settings(cns, store, sync, volume, on_store_error, lease, max_attempts, recover_every, commit_interval)
        own: dict[str, Any] = {"codecs": codecs or {}, "context_codecs": context_codecs or {}, "redact": redact or {}}
        kept = Codecs(cns.network, max_size=max_size, **own)
        super().__init__(store, kept)
        self._kept = kept
        self._cns = cns
        self._names = Names(cns, kept, aliases or {})
        transactional_names = names_of(cns, store, transactional)
        wrapped = cns.with_middleware(Wrapping(cns, store, kept, transactional_names))
        # Made when it is entered: it belongs to a loop.
        self._new_owner = partial(
            Owner,
            wrapped,
            store,
            kept,
            self._names,
            transactional_names,
            sync=sync,
            volume=volume,
            policy=on_store_error,
            lease=lease,
            max_attempts=max_attempts,
            commit_interval=commit_interval,
        )
        self._waits = on_store_error == "wait"
        self._owner: Owner | None = None
        self._recover_every = recover_every
        self._recoverer: asyncio.Task[None] | None = None

    # -- life

    async def __aenter__(self) -> Self:
        if self._owner is not None:
            raise RuntimeError("this Durable is entered already")
        await patiently(self._store.connect)
        owner = self._new_owner()
        try:
            await owner.enter()
        except BaseException:
            await self._store.close()
            raise
        self._owner = owner
        if self._recover_every is not None:
            again = owner.recover_again(self._recover_every)
            self._recoverer = asyncio.create_task(again, name="cnstra durable recovery")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        owner = self._entered
        try:
            if kind is None:
                await owner.all_ended()
        finally:
            # Whatever goes on now is left to others, and a cancellation does not keep this from telling the store so.
            was_cancelled = await see_through(self._close(owner))
            if was_cancelled and kind is None:
                raise asyncio.CancelledError

    async def _close(self, owner: Owner) -> None:
        if self._recoverer is not None:
            self._recoverer.cancel()
            await asyncio.wait([self._recoverer])
            self._recoverer = None
        try:
            await owner.leave()
        finally:
            self._owner = None
            await self._store.close()

    @property
    def _entered(self) -> Owner:
        if self._owner is None:
            raise RuntimeError("this Durable is not entered: use it inside `async with Durable(...) as durable:`")
        return self._owner

    # -- starting

    async def start(
        self,
        signal: Signal[Any] | Sequence[Signal[Any]],
        *,
        run_id: str | None = None,
        scope: str | None = None,
        tags: Sequence[str] = (),
        concurrency: int | None = None,
        max_hops: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the run, not of this call
        stimulation_context: Any = None,
        modality: Modality | None = None,
        afferent_path: AfferentPath | None = None,
        **more: Any,
    ) -> DurableRun:
        """Record a run and start it. When this has returned the run is in the store.

        A ``run_id`` that exists joins that run instead, whatever has become of it: it is idempotent.

        Args:
            signal: what the run begins with, as of ``stimulate``.
            run_id: its id; None makes one up.
            scope: what to file it under: a tenant, a kind of job.
            tags: words to find it by.
            concurrency, max_hops, timeout: as of ``stimulate``; the timeout counts from the start of each attempt.
            stimulation_context: as of ``stimulate``: builtins, which come back equal.
            modality, afferent_path: as of ``stimulate``; the graph's modality dendrites must know them, since they are
                stored by name.

        Returns:
            The run. Everything reachable without waiting has run by then; await it for its end.

        Raises:
            RunConflictError: that run was started with other signals.
            EncodingError: a payload or the stimulation context cannot be stored.
            GraphChangedError: the run exists, nobody has it, and the graph lacks what it needs.
            TypeError: an option that cannot be stored, like a listener.
            StoreError: the store cannot be written; nothing has happened.
        """
        owner, signals = self._entered, signals_of(signal)
        options = {
            "concurrency": concurrency,
            "max_hops": max_hops,
            "timeout": timeout,
            "stimulation_context": stimulation_context,
            "modality": modality,
            "afferent_path": afferent_path,
            **more,
        }
        new = self._new_run(signals, run_id=run_id, options=options, scope=scope, tags=tags)
        async with owner.one_at_a_time(new.run_id):
            if owner.here(new.run_id) is None:
                claim = await once_there(lambda: owner.create(new), waits=self._waits)
                if claim is not None:
                    return owner.begin(claim, signals)
            return await once_there(lambda: self._join(owner, new), waits=self._waits)

    async def schedule(
        self,
        signal: Signal[Any] | Sequence[Signal[Any]],
        *,
        at: datetime | float,
        run_id: str | None = None,
        scope: str | None = None,
        tags: Sequence[str] = (),
        **options: Any,
    ) -> DurableRun:
        """Record a run that is started once when it is due, by whoever recovers then: see ``recover_every``.

        Args:
            signal: what it begins with.
            at: when: an aware datetime, or seconds since the epoch. The clock of the store decides.
            run_id, scope, tags, **options: as of ``start``.

        Returns:
            The run, which follows the store.

        Raises:
            as ``start``; ValueError if ``at`` has no time zone.
        """
        owner, due = self._entered, as_seconds(at, "at")
        new = self._new_run(signals_of(signal), run_id=run_id, options=options, scope=scope, tags=tags, due=due)
        async with owner.one_at_a_time(new.run_id):
            await once_there(lambda: owner.create(new), waits=self._waits)
            return await once_there(lambda: self._join(owner, new), waits=self._waits)

    def _new_run(self, signals: Sequence[Signal[Any]], **rest: Any) -> NewRun:
        return new_run(self._cns, self._kept, self._names, signals, **rest)

    async def _join(self, owner: Owner, new: NewRun) -> DurableRun:
        """The run that has this id already."""
        row = await owner.row(new.run_id)
        if not is_same_entry(self._names, row, new):
            raise RunConflictError(f"run {new.run_id!r} exists and was started with something else: choose another id")
        return await owner.handle(row)

    async def find(self, run_id: str) -> DurableRun:
        """The run of an id, to await or cancel; it is continued here if its process is gone.

        Raises:
            UnknownRunError: there is none.
            GraphChangedError, StoreError: as of ``start``.
        """
        owner = self._entered
        async with owner.one_at_a_time(run_id):
            return await owner.handle(await owner.row(run_id))

    # -- continuing

    async def recover(self) -> list[DurableRun]:
        """Continue every run whose process is gone, and start every scheduled one that is due.

        A process is gone when its lease has run out, or earlier if it was one of this machine and has ended. Several
        may recover at once: each run is taken by one of them. A run that somebody wants cancelled ends there and then.

        Returns:
            The runs that go on here from now on.

        Raises:
            GraphChangedError: the graph lacks what some of them need; these wait untouched, the others go on.
            StoreError: the store cannot be read or written.
        """
        return await self._entered.recover()

    async def retry(self, run_id: str) -> DurableRun:
        """Continue a failed or aborted run from its frontier, as a new attempt. Activations keep their ids.

        Raises:
            UnknownRunError: there is none of that id.
            RunStateError: it has neither failed nor been aborted.
            GraphChangedError: the graph lacks what it needs; it stays as it is.
            StoreError: the store cannot be written.
        """
        owner = self._entered
        async with owner.one_at_a_time(run_id):
            row = await owner.row(run_id)
            if row.status in ("failed", "aborted"):
                run = await owner.reopen(row)
                if run is not None:
                    return run
            raise RunStateError(
                f"run {run_id!r} is {row.status}: only one that has failed or was aborted can be retried"
            )

    async def clone(self, run_id: str, new_id: str | None = None) -> DurableRun:
        """Start a new run with the entry and options of another one, whatever state that is in. Its activations get new
        ids.

        Args:
            run_id: the run to take after.
            new_id: the id of the new one; None makes one up.

        Raises:
            UnknownRunError: there is none of that id.
            RunConflictError: ``new_id`` is taken.
            GraphChangedError: the graph lacks a collateral of its entry.
            StoreError: the store cannot be written.
        """
        owner = self._entered
        row = await owner.row(run_id)
        signals = self._names.signals(run_id, row.entry)
        options = load_options(self._kept, self._cns, run_id, row.options)
        new = self._new_run(signals, run_id=new_id, options=options, scope=row.scope, tags=row.tags)
        async with owner.one_at_a_time(new.run_id):
            claim = await owner.create(new)
            if claim is None:
                raise RunConflictError(f"run {new.run_id!r} exists: choose another id for the clone of {run_id!r}")
            return owner.begin(claim, signals)

    async def cancel(self, run_id: str, reason: str = "cancelled") -> bool:
        """Cancel a run, wherever it is: here at once, in another process at its next sign of life, a second at most.

        Args:
            run_id: the run.
            reason: becomes its error.

        Returns:
            Whether it had not ended. It ends when its handlers have unwound: await it for that.

        Raises:
            UnknownRunError: there is none of that id.
            StoreError: the store cannot be written.
        """
        return await self._entered.cancel(run_id, reason)

    # -- the record: run, runs, attempts and tasks are Record's

    async def prune(self, *, older_than: float | None = None, keep_last: int | None = None) -> int:
        """Remove ended runs from the store, with all that belongs to them.

        Args:
            older_than: seconds since they ended.
            keep_last: how many of the newest ended ones stay in any case.

        Returns:
            How many were removed.

        Raises:
            TypeError: neither limit is given.
            StoreError: the store cannot be written.
        """
        if older_than is None and keep_last is None:
            raise TypeError("prune needs older_than= or keep_last=: it does not remove everything by accident")
        return await patiently(lambda: self._store.prune(older_than=older_than, keep_last=keep_last))

    # -- inside

    def __repr__(self) -> str:
        state = "not entered" if self._owner is None else f"{len(self._owner)} runs"
        return f"<Durable {self._store.url}, {state}>"
