"""One activation as a recording notes it, and the rows that a store gets of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .errors import EncodingError
from .port import Change, Row
from .records import TaskStatus

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["Noted"]


class Noted:
    """One activation, until it is finished and stored."""

    __slots__ = (
        "attempt", "cause", "children", "collateral", "dendrite", "duration", "entered", "error", "hop", "id", "input",
        "is_kept", "is_stored", "joined", "neuron", "outputs", "parent", "place", "predicted", "problem", "recording",
        "seq", "started", "status", "traceback", "trusted",
    )  # fmt: skip

    def __init__(
        self,
        recording: Recording,
        seq: int,
        id_: str,
        cause: int | None,
        place: int,
        names: tuple[str, str, int],
        hop: int,
    ) -> None:
        self.recording = recording
        self.seq = seq
        self.id = id_
        self.cause = cause
        self.place = place
        self.neuron, self.collateral, self.dendrite = names
        self.hop = hop
        self.attempt = recording.attempt
        self.status: TaskStatus = "pending"
        self.input: bytes | None = None
        self.outputs: bytes | None = None
        self.error: str | None = None
        self.traceback: str | None = None
        self.started: float | None = None  # by the wall clock
        self.entered = 0.0  # by the monotonic one
        self.duration: float | None = None
        self.joined: tuple[Noted, ...] = ()
        self.parent: Noted | None = None  # its cause, where the store has to keep that one's outputs for it
        self.children = 0  # how many unfinished ones need its outputs
        self.is_kept = False  # an unfinished join has taken its signal over, and may have to be run again
        self.is_stored = False
        # Of a transactional one: its finish, with what it caused, is committed, whatever the engine makes of it.
        self.trusted = False
        # Why what was enqueued cannot be stored: it fails when it is entered, and is not stored before.
        self.problem: EncodingError | None = None
        self.predicted: list[Noted] = []

    @property
    def needs_commit(self) -> bool:
        """Whether no commit of its cause has told the store of it: a join's activation, or one that was enqueued."""
        return self.cause is None or bool(self.joined)

    def settle_clock(self) -> None:
        """It is over: that took as long as it took."""
        if self.entered:
            self.duration = time.monotonic() - self.entered

    def row(self) -> Row:
        joined = ",".join(str(part.seq) for part in self.joined) if self.joined else None
        return Row(
            self.seq, self.id, self.cause, self.place, self.neuron, self.collateral, self.dendrite, self.hop,
            self.attempt, self.status, self.input, self.outputs, self.error, self.traceback, self.started,
            self.duration, joined,
        )  # fmt: skip

    def change(self) -> Change:
        return Change(
            self.attempt, self.status, self.outputs, self.error, self.traceback, self.started, self.duration, self.seq
        )
