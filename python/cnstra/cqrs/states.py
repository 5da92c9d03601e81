"""The states of aggregates: remembered, brought up to date from the log, and now and then kept as a snapshot."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent

from .events import EventTypes, untyped
from .recorders import Recorders

__all__ = ["NEW", "Evolve", "SnapshotType", "State", "States"]

Evolve = Callable[[Any, Any], Any]

_log = logging.getLogger("cnstra")
_TOPIC: Final = "$snapshot"


class State(NamedTuple):
    """What an aggregate is after so many events; None before the first."""

    version: int
    value: Any


NEW: Final = State(0, None)


class _Snapshot(msgspec.Struct):
    """A stored snapshot: when it was taken, of which version of the state's class, and the state."""

    t: float
    v: int
    s: msgspec.Raw


class SnapshotType:
    """How the state of one kind of aggregate is kept.

    Args:
        aggregate: whose, for messages.
        cls: the class of the state, with ``class_version: ClassVar[int]`` if that is not 1. A snapshot of another
            version, or one that cannot be read, is passed over: the log has it all.
        every: how many events apart they are.

    Raises:
        TypeError: states of that class would not come back as they are.
    """

    def __init__(self, aggregate: str, cls: Any, every: int) -> None:
        problem = untyped(cls)
        if problem is not None:
            raise TypeError(f"aggregate {aggregate!r} cannot have snapshots of its state: {problem}")
        self.every = every
        self._version: int = getattr(cls, "class_version", 1)
        self._decode = msgspec.json.Decoder(cls).decode

    def encode(self, value: Any) -> bytes:
        """A state as the bytes of a snapshot.

        Raises:
            ValueError: it would not come back as it is.
        """
        raw = msgspec.Raw(msgspec.json.encode(value))
        if self._decode(raw) != value:
            raise ValueError(f"{value!r} would not come back as it is")
        return msgspec.json.encode(_Snapshot(time.time(), self._version, raw))

    def decode(self, stored: StoredEvent) -> Any:
        """The state of a snapshot; None if it cannot be used."""
        try:
            found = msgspec.json.decode(stored.state, type=_Snapshot)
            return self._decode(found.s) if found.v == self._version else None
        except msgspec.MsgspecError:
            return None


class States:
    """The states that a process remembers, by stream; those that were not needed for the longest time are forgotten.

    One thread uses it.

    Args:
        recorders: where the events are.
        types: how to read them.
        size: how many states are remembered.
    """

    def __init__(self, recorders: Recorders, types: EventTypes, size: int) -> None:
        self._recorders = recorders
        self._types = types
        self._size = size
        self._known: OrderedDict[str, State] = OrderedDict()

    def remembered(self, stream: str) -> State | None:
        """What this process knows; others may have gone on since."""
        known = self._known.get(stream)
        if known is not None:
            self._known.move_to_end(stream)
        return known

    def remember(self, stream: str, state: State) -> None:
        """Keep a state that is in the log."""
        self._known[stream] = state
        self._known.move_to_end(stream)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def forget(self, stream: str) -> None:
        """Read it anew next time."""
        self._known.pop(stream, None)

    def current(self, stream: str, evolve: Evolve, snapshots: SnapshotType | None) -> State:
        """The state as the log has it now; remembered from now on.

        Raises:
            UnknownEventError: an event cannot be read.
            EventStoreUnavailableError: the log cannot be.
            Exception: what ``evolve`` raises.
        """
        version, value = self._known.get(stream) or self._snapshot(stream, snapshots)
        with self._recorders.problems():
            stored = self._recorders.events.select_events(stream, gt=version)
        for row in stored:
            value = evolve(value, self._types.decode(row, None).event)
            version = row.originator_version
        state = State(version, value)
        if version:
            self.remember(stream, state)
        return state

    def _snapshot(self, stream: str, snapshots: SnapshotType | None) -> State:
        if snapshots is None:
            return NEW
        with self._recorders.problems():
            found = self._recorders.snapshots.select_events(stream, desc=True, limit=1)
        value = snapshots.decode(found[0]) if found else None
        return NEW if value is None else State(found[0].originator_version, value)

    def keep_snapshot(self, stream: str, state: State, before: int, snapshots: SnapshotType | None) -> None:
        """Take a snapshot if it is due. What goes wrong is logged: the events are what counts, and they are stored."""
        if snapshots is None or state.version // snapshots.every == before // snapshots.every:
            return
        try:
            stored = StoredEvent(stream, state.version, _TOPIC, snapshots.encode(state.value))
            self._recorders.snapshots.insert_events([stored])
        except IntegrityError:
            pass  # another process has it
        except Exception:
            _log.warning("no snapshot of %s at version %d could be taken", stream, state.version, exc_info=True)
