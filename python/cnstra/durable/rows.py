"""What goes to a store and comes from it: rows of runs and tasks, increments of a run, and what is left to do in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from .records import RunStatus, TaskStatus

__all__ = [
    "FRONTIER",
    "Beat",
    "Candidate",
    "Change",
    "Claim",
    "Frontier",
    "Increment",
    "NewRun",
    "Row",
    "RunEnd",
    "RunRow",
    "Takeover",
]

# The statuses of the rows that are left to do.
FRONTIER = ("pending", "failed", "aborted")


class NewRun(NamedTuple):
    """A run that is to be recorded."""

    run_id: str
    root: str  # from which the ids of its activations are made
    entry: bytes
    options: bytes
    fingerprint: str
    scope: str | None
    tags: tuple[str, ...]
    due: float | None  # seconds since the epoch; None for a run that begins now


class Claim(NamedTuple):
    """A run that its owner may write from now on."""

    key: int
    run_id: str
    fence: int
    attempt: int
    root: str
    entry: bytes
    options: bytes
    entered: bool  # whether any task of it was ever recorded: if not, it begins with its entry
    last_seq: int  # the greatest of the tasks that are there or were when the run was last advanced; 0 if none
    hops: int


class RunRow(NamedTuple):
    """A run as it stands."""

    key: int
    run_id: str
    status: RunStatus
    root: str
    entry: bytes
    options: bytes
    fingerprint: str
    scope: str | None
    tags: tuple[str, ...]
    created: float
    updated: float
    due: float | None
    owner: str | None
    lease_until: float | None  # None if nobody owns it
    expired: bool  # nobody owns it, or whoever does has let the lease run out, by the store's clock
    fence: int
    attempt: int
    hops: int
    crashes: int  # attempts in a row that were lost without having committed anything
    error: str | None
    cancel: str | None


class Candidate(NamedTuple):
    """A run that may be taken over."""

    key: int
    run_id: str
    fence: int
    fingerprint: str
    entry: bytes
    owner: str | None
    crashes: int
    scheduled: bool  # it is due, and has never begun
    cancel: str | None


class Takeover(NamedTuple):
    """A candidate that is to be claimed, and what the graph is that it will run on."""

    key: int
    fence: int
    fingerprint: str


class Row(NamedTuple):
    """A task, in the order of the columns."""

    seq: int
    id: str
    cause: int | None
    place: int
    neuron: str
    collateral: str
    dendrite: int
    hop: int
    attempt: int
    status: TaskStatus
    input: bytes | None
    outputs: bytes | None
    error: str | None
    traceback: str | None
    started: float | None
    duration: float | None
    joined: str | None  # the seqs of what a join took over, as "3,4,9"


class Change(NamedTuple):
    """What becomes of a task that is stored already, in the order of the columns; ``seq`` last."""

    attempt: int
    status: TaskStatus
    outputs: bytes | None
    error: str | None
    traceback: str | None
    started: float | None
    duration: float | None
    seq: int


class RunEnd(NamedTuple):
    """How a run ended. With ``aborted`` the store turns its pending tasks into aborted ones."""

    status: Literal["completed", "failed", "aborted"]
    error: str | None


class Increment:
    """What happened in a run since its last commit; written whole or not at all.

    Attributes:
        key, fence: which run, and by which right.
        added: tasks that the store does not have.
        changed: tasks that it has.
        removed: the seqs of tasks that it is to forget (``volume="frontier"``).
        contexts: context values by neuron name; None forgets one.
        hops: the longest chain of the run so far.
        end: how it ended, None if it goes on.
        advance: whether the row of the run is to be brought up to date as well: ``hops``, ``updated``, and ``crashes``
            to 0. So it is with the first commit of an attempt, with the last, and once a second between them; the
            others only look at that row, and write nothing but what happened.
    """

    __slots__ = ("added", "advance", "changed", "contexts", "end", "fence", "hops", "key", "removed")

    def __init__(
        self,
        key: int,
        fence: int,
        added: Sequence[Row] = (),
        changed: Sequence[Change] = (),
        removed: Sequence[int] = (),
        contexts: Mapping[str, bytes | None] | None = None,
        hops: int = 0,
        end: RunEnd | None = None,
        advance: bool = True,
    ) -> None:
        self.key = key
        self.fence = fence
        self.added = added
        self.changed = changed
        self.removed = removed
        self.contexts: Mapping[str, bytes | None] = _NONE if contexts is None else contexts
        self.hops = hops
        self.end = end
        self.advance = advance

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.added or self.changed or self.removed or self.contexts) and self.end is None

    def __repr__(self) -> str:
        parts = (f"{len(self.added)} added", f"{len(self.changed)} changed", f"{len(self.removed)} removed")
        return f"<Increment of run {self.key}: {', '.join(parts)}{'' if self.end is None else f', {self.end.status}'}>"


_NONE: Mapping[str, bytes | None] = MappingProxyType({})


class Frontier(NamedTuple):
    """What is left to do in a run."""

    tasks: list[Row]  # status in FRONTIER, and those that unfinished joins took over (``joined``); by seq
    outputs: dict[int, bytes]  # of the tasks that caused these, by seq
    contexts: dict[str, bytes]


class Beat(NamedTuple):
    """What a heartbeat brings back."""

    cancels: dict[int, str]  # reasons by key, of the runs of this owner that somebody wants cancelled
