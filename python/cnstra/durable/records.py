"""What a store remembers, as data: runs, their attempts, and the tasks of these.

Points in time are seconds since the epoch (UTC), by the clock of the database; ``started`` and ``duration`` of a task
are by the clock of the process that ran it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

__all__ = ["Attempt", "AttemptStatus", "Page", "Run", "RunStatus", "Task", "TaskStatus"]

T = TypeVar("T")

RunStatus = Literal["scheduled", "running", "completed", "failed", "aborted"]
AttemptStatus = Literal["running", "completed", "failed", "aborted", "lost", "released"]
TaskStatus = Literal["pending", "finished", "failed", "aborted", "joined"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        id: chosen by whoever started it.
        status: ``scheduled`` until it is due, then ``running`` until it has ended, whether or not a process has it now.
        scope: what it was filed under, None if nothing.
        tags: words it was given.
        created, updated: when it was recorded, and when it was last written.
        due: when it is to be started; None if it was at once.
        owner: the process that has it, None if nobody does.
        lease_until: until when that process has it unless it says otherwise.
        attempt: the number of its last attempt; 0 if it has not begun.
        hops: the longest chain of activations so far.
        error: what it ended with, in words.
        fingerprint: of the graph that it last ran on.
        cancel_requested: the reason that somebody gave to cancel it, None if nobody did.
        entry: the signals it was started with, as ``{"collateral": name, "payload": …}``.
    """

    id: str
    status: RunStatus
    scope: str | None
    tags: tuple[str, ...]
    created: float
    updated: float
    due: float | None
    owner: str | None
    lease_until: float | None
    attempt: int
    hops: int
    error: str | None
    fingerprint: str
    cancel_requested: str | None
    entry: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a run: a stretch of it in one process.

    Attributes:
        number: counted from 1.
        owner: the process.
        status: ``lost`` if the process was gone when another took over, ``released`` if it let go in good order.
        started, ended: when; ``ended`` is None while it goes on.
        hops: the longest chain of activations it reached.
        error: what it ended with, in words.
    """

    number: int
    owner: str
    status: AttemptStatus
    started: float
    ended: float | None
    hops: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """One activation.

    Attributes:
        seq: its number in the run, over all attempts, in the order in which activations were caused.
        id: its stable id, the same whenever it is run again: ``current_activation().id``.
        cause: the ``seq`` of the activation that caused it; 0 for the entry, None if it was enqueued.
        place: which of its cause's outputs it answers, counted from 0.
        neuron, collateral, dendrite: what it activates, by name, and which dendrite of that neuron on it.
        hop: how far from the entry it lies, counted from 1.
        attempt: the number of the attempt that finished it; of a pending one, that caused it.
        status: ``joined`` if a join took its signal over.
        input: the payload that it answers; None too if the store does not have it any more.
        outputs: the signals that it emitted, as ``{"collateral": name, "payload": …}``.
        error, traceback: what it failed with, in words.
        started: when its handler was entered, None if it was not.
        duration: seconds until it had settled.
        joined: the ``seq`` of each activation whose signal it took over, if it is a join's.
    """

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
    input: Any
    outputs: tuple[dict[str, Any], ...]
    error: str | None
    traceback: str | None
    started: float | None
    duration: float | None
    joined: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where it goes on.

    Attributes:
        items: what is on this page.
        cursor: give it as ``cursor=`` for the next page; None if this is the last.
    """

    items: tuple[T, ...]
    cursor: str | None
