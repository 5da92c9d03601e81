"""An event as the log has it: the event itself, and where and when it was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

__all__ = ["Appended", "Recorded"]

E_co = TypeVar("E_co", covariant=True)


# A Struct: one is made of every event that is read, and a frozen dataclass is much dearer to make. What is read from a
# log is in no reference cycle.
class Recorded(msgspec.Struct, Generic[E_co], frozen=True, gc=False):
    """One event of the log.

    Attributes:
        event: what happened.
        position: its place in the log, counted from 1. Positions grow in the order in which events become visible;
            there may be gaps.
        aggregate: the name of the aggregate's kind.
        id: the aggregate.
        version: its place in the events of that aggregate: 1, 2, 3, without gaps.
        recorded_at: when it was decided, in seconds since the epoch, by the clock of the process that did it.
        command_id: of the command that it comes from; one that was made up if that had none.
    """

    event: E_co
    position: int
    aggregate: str
    id: str
    version: int
    recorded_at: float
    command_id: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What a command did, as the payload of its aggregate's ``appended`` signal.

    Attributes:
        aggregate: the name of the aggregate's kind.
        id: the aggregate.
        version: how many events that aggregate had then.
        position: of the last event in the log, for ``Projection.caught_up``. Of a command that caused none, or was
            applied before, the end of the log: whoever has seen that has seen what the command depended on.
        events: how many events it caused.
        duplicate: whether it had been applied before, and was only reported again.
        command_id: its id; one that was made up if it had none.
    """

    aggregate: str
    id: str
    version: int
    position: int
    events: int
    duplicate: bool
    command_id: str
