"""What ``memory`` keeps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .port import NewRun, Row, RunEnd
from .records import AttemptStatus, RunStatus

__all__ = ["MemoryAttempt", "MemoryRun"]


@dataclass(slots=True)
class MemoryAttempt:
    """One attempt at a run."""

    number: int
    owner: str
    started: float
    status: AttemptStatus = "running"
    ended: float | None = None
    hops: int = 0
    error: str | None = None


@dataclass(slots=True)
class MemoryRun:
    """One run with all that is its own."""

    key: int
    new: NewRun
    status: RunStatus
    owner: str | None
    fingerprint: str
    created: float
    updated: float
    fence: int = 0
    hops: int = 0
    crashes: int = 0
    # Of all tasks that there ever were.
    last_seq: int = 0
    error: str | None = None
    cancel: str | None = None
    attempts: list[MemoryAttempt] = field(default_factory=list[MemoryAttempt])
    tasks: dict[int, Row] = field(default_factory=dict[int, Row])
    contexts: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("scheduled", "running")

    def end_attempt(self, status: AttemptStatus, error: str | None, now: float) -> None:
        """End the attempt that goes on, if one does."""
        for attempt in self.attempts:
            if attempt.ended is None:
                attempt.status, attempt.error, attempt.ended, attempt.hops = status, error, now, self.hops

    def end(self, end: RunEnd, now: float) -> None:
        """End the run itself."""
        self.status, self.error, self.owner, self.updated = end.status, end.error, None, now
        if end.status == "aborted":
            self.tasks |= {
                seq: row._replace(status="aborted") for seq, row in self.tasks.items() if row.status == "pending"
            }

    def outputs_of_causes(self, rows: Sequence[Row]) -> dict[int, bytes]:
        """The outputs of what caused these tasks, by seq, as far as they are there."""
        causes = {row.cause for row in rows if row.cause}
        return {
            seq: outputs
            for seq in causes
            if (cause := self.tasks.get(seq)) is not None and (outputs := cause.outputs) is not None
        }
