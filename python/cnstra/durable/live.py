"""A run that goes on in this process: between the engine, which runs it, and the journal, which writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any, Literal

from cnstra import Drain, Response, Stimulation, StimulationAborted, StimulationFailed

from .errors import LeaseLostError, StoreError
from .errors_as_text import describe, storable
from .journal import Journal
from .port import Increment, RunEnd
from .recording import Recording

__all__ = ["Live", "Released", "Sync"]

Sync = Literal["turn", "hop", "end"]

# How many activations may have changed since the last commit before what they cause waits for one.
_BACKLOG = 10_000


class Released(Exception):  # noqa: N818 - a reason, not an error
    """The reason with which the runs of a process are stopped that lets go of them: they are not over."""


class Live:
    """Listens to one run, and has it written.

    Args:
        recording: what is noted of it.
        journal: who writes it.
        sync: when: after each turn, before anything is caused, or at its end.
        transactional: names of the neurons whose activations may start only when their cause is committed.
        failed: what failed in earlier attempts, so that this one cannot end better; what the engine does not hear of
            is added.
        ended: called with this when nothing more comes of it here.
    """

    def __init__(
        self,
        recording: Recording,
        journal: Journal,
        sync: Sync,
        transactional: Collection[str],
        failed: list[Exception],
        ended: Callable[[Live], object],
    ) -> None:
        self.key = recording.key
        self.fence = recording.fence
        self.recording = recording
        self.stimulation: Stimulation | None = None
        # What became of it, as its handle tells: set once nothing more comes of it here.
        self.outcome: Literal["running", "completed", "failed", "aborted"] = "running"
        self.exception: StimulationFailed | StimulationAborted | None = None
        # Activations whose handlers have had a savepoint, by their number: whether what they wrote stands.
        self.savepoints: dict[int | None, bool] = {}
        self._journal = journal
        self._sync = sync
        self._transactional = transactional
        self._failed = failed
        self._ended = ended
        self._stop: Exception | None = None
        self._is_last = False  # whether nothing comes after what was taken last

    @property
    def stopped_by(self) -> Exception | None:
        """Why nothing of it is written any more; None if it is."""
        return self._stop

    def is_of(self, stimulation: Stimulation) -> bool:
        """Whether that is the run; the first that asks is, since no other begins before one of its handlers."""
        if self.stimulation is None:
            self.stimulation = stimulation
        return self.stimulation is stimulation

    # -- the engine's side

    def on_response(self, response: Response) -> asyncio.Future[None] | None:
        """Note what happened; what it causes may have to wait for a commit."""
        recording = self.recording
        causes = recording.answered(response)
        if self.savepoints and response.output_index + 1 >= response.output_count and response.task is not None:
            wrote = self.savepoints.pop(response.task.id, None)
            if wrote is not None:
                self._journal.announced(self, spoilt=wrote and response.error is not None)
        if not causes:
            return None
        if (
            (self._sync == "hop" and response.task is not None)
            or (self._transactional and any(task.neuron.name in self._transactional for task in response.caused))
            or (recording.backlog > _BACKLOG and self._sync != "end")
        ):
            return self._journal.committed_with(self)
        return None

    def on_drain(self, drain: Drain) -> None:
        """A turn is over."""
        stimulation = self.stimulation = drain.stimulation
        if self._stop is not None and not stimulation.done():
            # It was to be stopped when nobody had the run in hand yet.
            stimulation.cancel(self._stop)
        self.recording.reconcile(drain)
        # With nothing active the run is most likely over, and somebody awaits that. What is pending then may be what an
        # abort has left undone.
        self._journal.ask(self, is_urgent=not drain.active_activations)

    # -- the journal's side

    def take(self) -> Increment | None:
        """What is to be written now."""
        assert self.stimulation is not None
        over = self.stimulation.done()
        if self.outcome != "running" or self._stop is not None:
            if over:
                self._finish()
            return None
        if self._sync == "end" and not over and not self._journal.is_waited_for(self):
            return None
        self._failed += self.recording.contexts.settle()
        end = self._end() if over else None
        increment = self.recording.take(end)
        if increment.is_empty:
            if over:
                self._finish()
            return None
        # A run may end while what was taken before is being written.
        self._is_last = over
        return increment

    def written(self, increment: Increment) -> None:
        """It is in the store."""
        if self._is_last:
            self._finish()

    def refused(self) -> None:
        """The run belongs to somebody else."""
        self.stop(
            LeaseLostError(f"run {self.recording.run_id!r} was taken over by another process while this one was away")
        )

    def stopped(self, error: StoreError) -> None:
        """The store could not be written."""
        self.stop(error)

    def refuse_soon(self) -> None:
        """The same, from a handler, of whatever thread."""
        self._journal.call_soon(self.refused)

    async def committed(self) -> None:
        """Wait until all that has happened in the run up to now is in the store."""
        await self._journal.committed_with(self)

    def wait_committed(self) -> None:
        """The same, from a worker thread."""
        self._journal.wait(self.committed)

    async def savepoint(self) -> tuple[AbstractContextManager[Any], Any]:
        """Begin the savepoint of a handler: see ``Journal.savepoint``."""
        return await self._journal.savepoint(self)

    async def told_of_cancel(self) -> None:
        """See ``Journal.told_of_cancel``."""
        await self._journal.told_of_cancel()

    def undone(self, number: int | None) -> None:
        """Nothing stands of what the handler of an activation wrote, if it had a savepoint at all."""
        if self.savepoints.pop(number, None) is not None:
            self._journal.announced(self, spoilt=False)

    def store_failed(self, error: StoreError) -> None:
        """A transactional handler could not do its work for what is wrong with the store. That is no failure of its
        own: it is done when the run goes on."""
        self.stop(error)

    def wait_store_failed(self, error: StoreError) -> None:
        """The same, from a worker thread."""

        async def fail() -> None:
            self.store_failed(error)

        self._journal.wait(fail)

    def stop(self, reason: Exception) -> None:
        """Nothing of it is to be written any more."""
        if self._stop is None:
            self._stop = reason
        stimulation = self.stimulation
        if stimulation is None:
            return
        if not stimulation.done():
            stimulation.cancel(reason)
        if stimulation.done():
            self._finish()

    def release(self) -> None:
        """This process lets go of it: what has been done is written, and the run is not over."""
        assert self.stimulation is not None
        self.stimulation.cancel(Released("the process lets go of its runs; recover() continues them"))

    # -- the end

    def _end(self) -> RunEnd | None:
        """How the run ended; None if it was only interrupted here, and is to be continued."""
        assert self.stimulation is not None
        error = self.stimulation.exception()
        if isinstance(error, StimulationAborted):
            reason = error.reason
            # A process that shuts down cancels everything: that is nobody's decision on the run.
            if isinstance(reason, Released) or (
                isinstance(reason, BaseException) and not isinstance(reason, Exception)
            ):
                return None
            return RunEnd("aborted", describe(error) if reason is None else f"{type(error).__name__}: {_short(reason)}")
        if error is not None or self._failed:
            return RunEnd("failed", describe(self._failure(error)))
        return RunEnd("completed", None)

    def _failure(self, error: StimulationFailed | None) -> StimulationFailed:
        """The run's failure, with what failed in earlier attempts."""
        if not self._failed:
            assert error is not None
            return error
        errors = [*self._failed, *(error.exceptions if error is not None else ())]
        return StimulationFailed(f"the run failed, with {len(errors)} errors over its attempts", errors)

    def _finish(self) -> None:
        if self.outcome != "running":
            return
        assert self.stimulation is not None
        error = self.stimulation.exception()
        if self._stop is not None:
            # Also of one that had ended already, when its last commit was not to be.
            if not isinstance(error, StimulationAborted):
                error = StimulationAborted(self._stop)
                error.__cause__ = self._stop
            self.outcome = "aborted"
        elif isinstance(error, StimulationAborted):
            self.outcome = "aborted"
        elif error is not None or self._failed:
            error = self._failure(error)
            self.outcome = "failed"
        else:
            self.outcome = "completed"
        self.exception = error
        self._ended(self)


def _short(reason: Any) -> str:
    return describe(reason) if isinstance(reason, BaseException) else storable(str(reason))
