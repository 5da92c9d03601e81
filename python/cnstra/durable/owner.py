"""This process as an owner of runs: those that go on here, how they begin, and how others' are taken over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from cnstra import CNS, ActivationTask, Signal, StimulationAborted

from .codecs import Codecs
from .errors import (
    DurableError,
    EncodingError,
    GraphChangedError,
    LeaseLostError,
    RecordedError,
    StoreError,
    StoreUnavailableError,
    UnknownRunError,
)
from .errors_as_text import storable
from .graphs import Names
from .journal import Journal, Policy
from .leases import Heartbeat, is_gone, owner_name
from .live import Live, Sync
from .options import load_options
from .patience import AGAIN, patiently
from .port import Candidate, Claim, Frontier, NewRun, RunEnd, RunRow, Store, Takeover
from .recording import Recording, Volume
from .runs import DurableRun

__all__ = ["Owner"]

_log = logging.getLogger("cnstra.durable")

_PAGE = 500  # runs that are looked at, and taken over, at a time


class Owner:
    """Has runs, from the moment in which it is entered in the store.

    Args:
        cns: the graph, with handlers wrapped.
        store: connected.
        codecs, names: of the graph.
        transactional: names of neurons.
        sync, volume, policy, lease, max_attempts, commit_interval: as of ``Durable``.
    """

    def __init__(
        self,
        cns: CNS,
        store: Store,
        codecs: Codecs,
        names: Names,
        transactional: frozenset[str],
        *,
        sync: Sync,
        volume: Volume,
        policy: Policy,
        lease: float,
        max_attempts: int | None,
        commit_interval: float,
    ) -> None:
        self.name = owner_name()
        self._cns = cns
        self._store = store
        self._codecs = codecs
        self._names = names
        self._transactional = transactional
        self._sync: Sync = sync
        self._volume: Volume = volume
        self._lease = lease
        self._max_attempts = max_attempts
        self._policy: Policy = policy
        self._journal = Journal(store, policy, commit_interval)
        self._heartbeat: Heartbeat | None = None
        self._live: dict[int, Live] = {}
        self._handles: dict[int, DurableRun] = {}
        self._by_id: dict[str, DurableRun] = {}
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        # Runs that the store was away under, and what takes them up again.
        self._waiting: dict[DurableRun, asyncio.Task[None]] = {}
        self._no_runs = asyncio.Event()

    def __len__(self) -> int:
        return len(self._live)

    # -- life

    async def enter(self) -> None:
        """Tell the store of this owner, and keep its lease from then on."""
        loop = asyncio.get_running_loop()
        await patiently(lambda: self._store.register(self.name, self._lease))

        def cancelled(reasons: dict[int, str]) -> None:
            try:
                loop.call_soon_threadsafe(self._cancel_here, reasons)
            except RuntimeError:
                pass  # the loop is closed: nothing is left to cancel

        self._heartbeat = Heartbeat(self._store, self.name, self._lease, cancelled)

    async def all_ended(self) -> None:
        """Wait until no run goes on here."""
        while self._live or self._waiting:
            self._no_runs.clear()
            await self._no_runs.wait()

    async def leave(self) -> None:
        """Let go of what goes on, with what has been done written, and tell the store that these runs are nobody's."""
        try:
            for task in self._waiting.values():
                task.cancel()
            for live in list(self._live.values()):
                live.release()
            await self.all_ended()
            await self._journal.settled()
        finally:
            if self._heartbeat is not None:
                # Also for one who does not wait for the rest: with nobody to renew it, the lease runs out.
                self._heartbeat.stop_soon()
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)
        try:
            await patiently(lambda: self._store.unregister(self.name), 5.0)
        except StoreError as error:
            _log.warning("the runs of this process can be recovered when its lease has run out: %s", error)

    # -- runs

    def one_at_a_time(self, run_id: str) -> _Turnstile:
        """A lock on a run id in this process: nothing may begin twice what is to begin once."""
        return _Turnstile(self._locks, run_id)

    async def create(self, new: NewRun) -> Claim | None:
        """Record a run; None if its id is taken."""
        (claim,) = await patiently(lambda: self._store.create(self.name, [new]))
        return claim

    async def reopen(self, row: RunRow) -> DurableRun | None:
        """Take up a run again that has failed or was aborted; None if it is in no such state any more."""
        frontier = await patiently(lambda: self._store.frontier(row.key))
        self._names.tasks(row.run_id, row.entry, frontier, again=True)
        self._names.signals(row.run_id, row.entry)
        load_options(self._codecs, self._cns, row.run_id, row.options)
        claim = await patiently(lambda: self._store.reopen(self.name, row.run_id, self._names.fingerprint))
        return None if claim is None else await self.resume(claim)

    def here(self, run_id: str) -> DurableRun | None:
        """The run of that id, if it goes on here."""
        return self._by_id.get(run_id)

    async def handle(self, row: RunRow) -> DurableRun:
        """A handle of a run that exists: the one that is here, one that follows, or, of one that nobody has, a new
        attempt."""
        handle = self._by_id.get(row.run_id)
        if handle is not None:
            return handle
        handle = DurableRun(row.run_id, self._store, self.cancel)
        if not handle.read(row) and row.status == "running":
            for candidate in await self.candidates(row.run_id):
                taken = await self.take_over(candidate)
                if taken is not None:
                    return taken
        return handle

    async def candidates(self, run_id: str | None = None, *, limit: int = _PAGE) -> list[Candidate]:
        """Runs that nobody has, or the one of that id if nobody has it."""
        dead = [owner for owner in await patiently(self._store.owners) if owner != self.name and is_gone(owner)]
        return await patiently(
            lambda: self._store.candidates(self.name, list(self._live), dead, run_id=run_id, limit=limit)
        )

    async def recover(self) -> list[DurableRun]:
        """See ``Durable.recover``."""
        taken: list[DurableRun] = []
        missing: dict[str, Sequence[str]] = {}
        passed: set[int] = set()
        while True:
            found = [one for one in await self.candidates(limit=_PAGE + len(passed)) if one.key not in passed]
            if not found:
                break
            for candidate in found:
                passed.add(candidate.key)
                try:
                    async with self.one_at_a_time(candidate.run_id):
                        run = await self.take_over(candidate)
                except GraphChangedError as error:
                    missing |= error.missing
                except EncodingError as error:
                    missing[candidate.run_id] = [str(error)]
                else:
                    if run is not None:
                        taken.append(run)
        if missing:
            raise GraphChangedError(missing, taken)
        return taken

    async def recover_again(self, every: float) -> None:
        """Recover, again and again; what is wrong is told once, and does not end it."""
        told: set[str] = set()
        while True:
            await asyncio.sleep(every)
            try:
                await self.recover()
            except GraphChangedError as error:
                if not told >= error.missing.keys():
                    _log.error("%s", error)
                told = set(error.missing)
            except StoreError as error:
                _log.warning("recovery has to wait: %s", error)
            except DurableError:
                _log.exception("recovery failed")

    async def take_over(self, candidate: Candidate) -> DurableRun | None:
        """Continue a run that nobody has; None if it has ended, or somebody else was faster."""
        if candidate.key in self._live:
            return None
        takeover = Takeover(candidate.key, candidate.fence, self._names.fingerprint)
        if candidate.cancel is not None:
            await patiently(lambda: self._store.give_up([takeover], RunEnd("aborted", candidate.cancel)))
            return None
        # Its own process has not crashed: the store was away.
        crashes = candidate.crashes + (candidate.owner not in (None, self.name))
        if self._max_attempts is not None and candidate.owner != self.name and crashes >= self._max_attempts:
            end = RunEnd("failed", f"its process was lost {crashes} times in a row before anything of it was committed")
            await patiently(lambda: self._store.give_up([takeover], end))
            return None
        # Looked at before it is claimed: what cannot be continued here stays as it is.
        frontier = await patiently(lambda: self._store.frontier(candidate.key))
        self._names.tasks(candidate.run_id, candidate.entry, frontier)
        self._names.signals(candidate.run_id, candidate.entry)
        if candidate.fingerprint != self._names.fingerprint:
            row = await self.row(candidate.run_id)
            load_options(self._codecs, self._cns, row.run_id, row.options)
        dead = [candidate.owner] if candidate.owner is not None and is_gone(candidate.owner) else []
        claims = await patiently(lambda: self._store.claim(self.name, [takeover], list(self._live), dead))
        return await self.resume(claims[0]) if claims else None

    async def resume(self, claim: Claim) -> DurableRun:
        """Go on with what was claimed, from where it stands."""
        # Again, since it may have gone on until it was claimed.
        frontier = await patiently(lambda: self._store.frontier(claim.key))
        if not claim.entered:
            return self.begin(claim, self._names.signals(claim.run_id, claim.entry))
        return self.begin(claim, None, frontier)

    def begin(
        self, claim: Claim, signals: Sequence[Signal[Any]] | None, frontier: Frontier | None = None
    ) -> DurableRun:
        """Run what was claimed: from its entry, or from a frontier."""
        options = load_options(self._codecs, self._cns, claim.run_id, claim.options)
        recording = Recording(claim, self._codecs, self._volume, self._names.original)
        failed: list[Exception] = []
        tasks: list[ActivationTask] = []
        if frontier is not None:
            left = self._names.tasks(claim.run_id, claim.entry, frontier)
            resumed = recording.resume(frontier, self._names.renamed)
            tasks = [left[noted.seq] for noted in resumed]
            # As the engine is going to number them.
            recording.by_number.update(enumerate(resumed, 1))
            failed = [RecordedError(row.error or "", row.traceback) for row in frontier.tasks if row.status == "failed"]
        live = Live(recording, self._journal, self._sync, self._transactional, failed, self._ended)
        recording.live = live
        # One that the store was away under goes on under the handle that it had.
        handle = self._by_id.get(claim.run_id) or DurableRun(claim.run_id, self._store, self.cancel)
        self._live[claim.key], self._handles[claim.key], self._by_id[claim.run_id] = live, handle, handle
        options |= {
            "on_response": live.on_response,
            "on_drain": live.on_drain,
            "context_store": recording.contexts,
        }
        try:
            if frontier is None:
                handle.stimulation = self._cns.stimulate(signals or [], **options)
            else:
                handle.stimulation = self._cns.activate(tasks, **options)
        except BaseException:
            # Nothing of the engine refuses what was accepted once; whatever got out of a handler has aborted its run.
            if live.stimulation is None:
                self._forget(live)
            raise
        return handle

    async def cancel(self, run_id: str, reason: str) -> bool:
        """See ``Durable.cancel``."""
        handle = self._by_id.get(run_id)
        if handle is not None and handle not in self._waiting and handle.stimulation is not None:
            handle.stimulation.cancel(reason)
            return True
        was = await self.row(run_id)
        await patiently(lambda: self._store.request_cancel(run_id, storable(reason)))
        return was.status in ("running", "scheduled")

    async def row(self, run_id: str) -> RunRow:
        """A run as it stands; UnknownRunError if there is none."""
        row = await patiently(lambda: self._store.find(run_id))
        if row is None:
            raise UnknownRunError(f"there is no run {run_id!r} in {self._store.url}")
        return row

    def _ended(self, live: Live) -> None:
        handle = self._handles[live.key]
        if self._policy == "wait" and isinstance(live.stopped_by, StoreUnavailableError):
            # What it has done since its last commit is lost, and nothing else: it begins again from there.
            del self._live[live.key], self._handles[live.key]
            again = self._when_back(handle, live)
            self._waiting[handle] = asyncio.get_running_loop().create_task(again, name="cnstra durable wait")
            return
        self._forget(live)
        handle.end(live.outcome, live.exception)

    def _forget(self, live: Live) -> None:
        self._live.pop(live.key, None)
        handle = self._handles.pop(live.key, None)
        if handle is not None and self._by_id.get(handle.id) is handle:
            del self._by_id[handle.id]
        if not self._live:
            self._no_runs.set()

    async def _when_back(self, handle: DurableRun, live: Live) -> None:
        """Take a run up again that the store was away under, as soon as that is back."""
        error = live.exception
        try:
            await asyncio.sleep(AGAIN)
            while not await self._is_back(handle):  # noqa: ASYNC110 - nothing tells when a store is back
                await asyncio.sleep(AGAIN)
        except DurableError as problem:
            error = StimulationAborted(problem)
        finally:
            del self._waiting[handle]
            if handle not in self._handles.values():
                if self._by_id.get(handle.id) is handle:
                    del self._by_id[handle.id]
                handle.end("aborted", error)
                self._no_runs.set()

    async def _is_back(self, handle: DurableRun) -> bool:
        """Whether the run goes on here, or has ended; False if the store is still away.

        Raises:
            DurableError: it cannot go on here.
        """
        try:
            async with self.one_at_a_time(handle.id):
                # Unless recover() was faster.
                if handle in self._handles.values() or handle.read(await self.row(handle.id)):
                    return True
                for candidate in await self.candidates(handle.id):
                    if await self.take_over(candidate) is not None:
                        return True
                if handle.read(await self.row(handle.id)):
                    return True
        except StoreUnavailableError:
            return False
        raise LeaseLostError(f"run {handle.id!r} was taken over by another process while the store was away")

    def _cancel_here(self, reasons: Mapping[int, str]) -> None:
        for key, reason in reasons.items():
            live = self._live.get(key)
            if live is not None and live.stimulation is not None:
                live.stimulation.cancel(reason)


class _Turnstile:
    """A lock per run id, there as long as somebody wants it."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], run_id: str) -> None:
        self._locks = locks
        self._run_id = run_id

    async def __aenter__(self) -> None:
        lock, count = self._locks.get(self._run_id) or (asyncio.Lock(), 0)
        self._locks[self._run_id] = (lock, count + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(lock)
            raise

    async def __aexit__(self, *_: object) -> None:
        lock, _count = self._locks[self._run_id]
        lock.release()
        self._leave(lock)

    def _leave(self, lock: asyncio.Lock) -> None:
        _, count = self._locks[self._run_id]
        if count == 1:
            del self._locks[self._run_id]
        else:
            self._locks[self._run_id] = (lock, count - 1)
