"""The handle of a durable run, whoever runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal, final

from cnstra import Stimulation, StimulationAborted, StimulationError, StimulationFailed

from .errors import RecordedError, UnknownRunError
from .patience import patiently
from .port import RunRow, Store

__all__ = ["DurableRun"]

_log = logging.getLogger("cnstra.durable")

Outcome = Literal["scheduled", "running", "completed", "failed", "aborted"]
Ending = tuple[Outcome, "StimulationFailed | StimulationAborted | None"]


@final
class DurableRun:
    """One run. Made by ``start``, ``recover``, ``retry``, ``clone``, ``schedule`` and ``find`` of a ``Durable``.

    Awaiting it waits until it has ended and that is in the store, and raises what ``exception()`` returns. Of a run
    that another process has, it follows the store: it looks again and again, every half second at most.

    A run that fails here and that nobody has looked at is logged on ``cnstra.durable`` when its handle is collected.
    """

    __slots__ = (
        "__weakref__",
        "_cancel",
        "_ended",
        "_ending",
        "_follower",
        "_is_observed",
        "_store",
        "id",
        "stimulation",
    )

    id: str
    """The id of the run."""
    stimulation: Stimulation | None
    """The run in the engine, if it goes on in this process."""

    def __init__(self, run_id: str, store: Store, cancel: Callable[[str, str], Awaitable[bool]]) -> None:
        self.id = run_id
        self.stimulation = None
        self._store = store
        self._cancel = cancel
        self._ending: Ending | None = None
        self._ended: asyncio.Future[None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._is_observed = False

    # -- what the caller sees

    def done(self) -> bool:
        """Whether it has ended, as far as this handle has heard."""
        return self._ending is not None

    @property
    def outcome(self) -> Outcome:
        """What has become of it, as far as this handle has heard; ``aborted`` too if this process has lost it or let
        go."""
        return "running" if self._ending is None else self._ending[0]

    def exception(self) -> StimulationFailed | StimulationAborted | None:
        """What it ended with, None if it completed.

        Of a run that ended in another process or earlier, the errors in it are ``RecordedError``.

        Raises:
            StimulationError: it has not ended.
        """
        if self._ending is None:
            raise StimulationError(f"run {self.id!r} has not ended: await it")
        self._is_observed = True
        return self._ending[1]

    def raise_for_failure(self) -> None:
        """Raise what ``exception`` returns; nothing happens if it completed."""
        error = self.exception()
        if error is not None:
            raise error.with_traceback(None)

    async def cancel(self, reason: str = "cancelled") -> bool:
        """Have it cancelled, wherever it is: see ``Durable.cancel``."""
        return await self._cancel(self.id, reason)

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        self._is_observed = True
        if self._ending is None:
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            if self.stimulation is None and self._follower is None:
                self._follower = asyncio.create_task(self._follow(), name=f"cnstra durable follower of {self.id}")
            if self._follower is None:
                await asyncio.shield(self._ended)
            else:
                # The follower may fail by itself: the store may be gone, or the run pruned.
                await asyncio.wait([self._follower, self._ended], return_when=asyncio.FIRST_COMPLETED)
                if self._ending is None:
                    follower, self._follower = self._follower, None
                    follower.result()
        self.raise_for_failure()

    async def _follow(self) -> None:
        pause = 0.02
        while self._ending is None:
            row = await patiently(lambda: self._store.find(self.id))
            if row is None:
                raise UnknownRunError(f"run {self.id!r} is not in {self._store.url} any more")
            if not self.read(row):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.5)

    # -- what the rest of the package tells it

    def read(self, row: RunRow) -> bool:
        """Take over what the store says; tells whether it has ended."""
        if row.status == "completed":
            self.end(row.status, None)
        elif row.status == "failed":
            self.end(
                row.status, StimulationFailed(f"run {self.id!r} has failed", [RecordedError(row.error or "unknown")])
            )
        elif row.status == "aborted":
            self.end(row.status, StimulationAborted(row.error))
        else:
            return False
        self._is_observed = True  # it is no news
        return True

    def end(self, outcome: Outcome, error: StimulationFailed | StimulationAborted | None) -> None:
        """It has ended."""
        if self._ending is None:
            self._ending = (outcome, error)
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)

    def __del__(self) -> None:
        ending = getattr(self, "_ending", None)
        if ending is not None and ending[0] == "failed" and not self._is_observed:
            _log.error("run %r failed and nobody looked at it: await it", self.id, exc_info=ending[1])

    def __repr__(self) -> str:
        return f"<DurableRun {self.id!r} {self.outcome}>"
