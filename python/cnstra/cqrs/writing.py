"""The thread that applies commands: it loads, decides and appends, many commands in one transaction.

Commands that arrive while it is busy are one batch: each is decided on what those before it in the batch have made of
the aggregate, and all their events are appended at once. If that fails because one of them is in conflict with another
process, they are appended one by one.

A command that has an id leaves a marker, an event of the stream ``$command/...`` in the same transaction: a second one
with that id finds its key taken. Other commands have an id made up for them, by which the thread recognises its own
events when an append whose answer was lost was repeated.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent

from .errors import CommandIdError, EventStoreUnavailableError
from .events import EventTypes
from .recorded import Appended
from .recorders import Recorders
from .states import NEW, Evolve, SnapshotType, State, States

__all__ = ["Applied", "Command", "Conflict", "Writer"]

_MARKER: Final = "$command"
# Events in one transaction; what comes after has the next.
_BATCH: Final = 1000


class Conflict(Exception):  # noqa: N818 - never leaves the package
    """Another process has appended to the aggregate in between: decide again."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a command did, with its events."""

    appended: Appended
    events: Sequence[Any]


class _Mark(msgspec.Struct):
    """What the marker of a command says: its kind, the aggregate, and which of its events are the command's."""

    kind: str
    stream: str
    after: int
    events: int


_encode_mark: Final = msgspec.json.Encoder().encode
_decode_mark: Final = msgspec.json.Decoder(_Mark).decode


@dataclass(eq=False, slots=True)
class Command:
    """One command on its way through the thread.

    Attributes:
        aggregate, id: for which aggregate.
        kind: of which kind it is, for its marker.
        command_id: its id.
        has_id: whether that is its own, so that it leaves a marker.
        decide: gives the events from the state, or raises.
        is_new: the aggregate is taken to have no events, without a look.
        evolve, snapshots: of the aggregate.
        done: where the outcome goes: an ``Applied`` or an exception.
    """

    aggregate: str
    id: str
    kind: str
    command_id: str
    has_id: bool
    decide: Callable[[State], Sequence[Any]]
    is_new: bool
    evolve: Evolve
    snapshots: SnapshotType | None
    done: asyncio.Future[Applied]
    loop: asyncio.AbstractEventLoop
    stream: str = field(init=False)
    marker: str = field(init=False)

    def __post_init__(self) -> None:
        self.stream = f"{self.aggregate}/{self.id}"
        self.marker = f"{_MARKER}/{self.aggregate}/{self.command_id}"


@dataclass(slots=True)
class _Decided:
    """A command whose events are known and not appended yet."""

    command: Command
    before: State
    after: State
    events: Sequence[Any]
    stored: list[StoredEvent]


class Writer:
    """The thread, and the commands that wait for it.

    Args:
        recorders: the event store.
        types: its event classes.
        cache_size: how many aggregates are remembered.
        appended: told the last position of every append.
    """

    def __init__(
        self, recorders: Recorders, types: EventTypes, cache_size: int, appended: Callable[[int], None]
    ) -> None:
        self._recorders = recorders
        self._types = types
        self._states = States(recorders, types, cache_size)
        self._appended = appended
        self._waiting: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._outcomes: list[tuple[Command, Applied | BaseException]] = []
        self._thread = threading.Thread(target=self._work, name="cnstra event store writer", daemon=True)
        self._thread.start()

    def submit(self, command: Command) -> None:
        """Hand a command over; its future is settled on its loop."""
        self._waiting.put(command)

    def close(self) -> None:
        """Apply what is waiting, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    # -- in the thread

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            commands = [command for command in batch if command is not None]
            try:
                self._apply(commands)
            except BaseException as error:
                # Whatever that was, nobody is left waiting.
                answered = {id(command) for command, _ in self._outcomes}
                self._outcomes += [(command, error) for command in commands if id(command) not in answered]
            self._answer()
            if len(commands) < len(batch):
                return

    def _answer(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Command, Applied | BaseException]]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome[0].loop, []).append(outcome)
        for loop, its_own in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle, its_own)
            except RuntimeError:
                pass  # the loop is closed, and with it all who waited

    def _apply(self, commands: list[Command]) -> None:
        while commands:
            later: list[Command] = []
            decided: list[_Decided] = []
            # What the commands before in this batch make of their aggregates; nothing of it is stored yet.
            ahead: dict[str, State] = {}
            ids: set[str] = set()
            for command in commands:
                if command.has_id and command.marker in ids:
                    later.append(command)  # the same command twice: the second is to find the first one's marker
                    continue
                found = self._decide(command, ahead.get(command.stream))
                if found is not None:
                    decided.append(found)
                    ids.add(command.marker)
                    if found.stored:
                        ahead[command.stream] = found.after
            self._append(decided)
            commands = later

    def _decide(self, command: Command, ahead: State | None) -> _Decided | None:
        """What the command comes to; None if it has its outcome already."""
        try:
            if ahead is not None:
                before, events = self._decide_on(command, ahead)
            else:
                known = self._states.remembered(command.stream) or (NEW if command.is_new else None)
                before, events = self._decide_on(command, known)
            after, stored = self._encode(command, before, events)
        except Exception as error:
            self._refuse(command, error)
            return None
        if not stored:
            self._outcomes.append((command, self._without_events(command, before)))
            return None
        return _Decided(command, before, after, events, stored)

    def _decide_on(self, command: Command, known: State | None) -> tuple[State, Sequence[Any]]:
        """The state that was decided on, and the events.

        A state that is only remembered is good enough for events: appending them shows whether it was the last one.
        An error, or no events, needs a look at the log.
        """
        error: Exception | None = None
        if known is not None:
            try:
                events = command.decide(known)
            except Exception as raised:
                error = raised
            else:
                if events:
                    return known, events
        now = self._states.current(command.stream, command.evolve, command.snapshots)
        if known is not None and now.version <= known.version:
            if error is not None:
                raise error
            return known, ()
        return now, command.decide(now)

    def _encode(self, command: Command, before: State, events: Sequence[Any]) -> tuple[State, list[StoredEvent]]:
        stored: list[StoredEvent] = []
        if command.has_id:
            mark = _Mark(command.kind, command.stream, before.version, len(events))
            stored.append(StoredEvent(command.marker, 1, _MARKER, _encode_mark(mark)))
        version, value, now = before.version, before.value, time.time()
        for event in events:
            version += 1
            stored.append(self._types.encode(command.stream, version, event, now, command.command_id))
            value = command.evolve(value, event)
        return State(version, value), stored

    def _append(self, decided: list[_Decided]) -> None:
        if not decided:
            return
        try:
            with self._recorders.problems():
                positions = self._recorders.events.insert_events([row for one in decided for row in one.stored])
        except IntegrityError as error:
            if len(decided) == 1:
                self._resolve(decided[0], error)
                return
            for one in decided:
                # Decided anew: what those before it came to is not certain any more.
                self._states.forget(one.command.stream)
                self._apply([one.command])
            return
        except EventStoreUnavailableError as error:
            for one in decided:
                self._states.forget(one.command.stream)
                # One for each: they are raised in different places.
                self._outcomes.append((one.command, EventStoreUnavailableError(*error.args)))
            return
        assert positions
        last = iter(positions)
        for one in decided:
            position = 0
            for _ in one.stored:
                position = next(last)
            self._states.remember(one.command.stream, one.after)
            self._outcomes.append((one.command, _applied(one.command, one.after.version, position, one.events)))
        self._appended(positions[-1])
        # Nobody waits for a snapshot.
        self._answer()
        for one in decided:
            if one.events:
                self._states.keep_snapshot(one.command.stream, one.after, one.before.version, one.command.snapshots)

    # -- what did not go straight

    def _refuse(self, command: Command, error: Exception) -> None:
        """The author's code said no, unless the command was applied before and could not be applied again."""
        try:
            before = self._applied_before(command) if command.has_id else None
        except Exception as other:
            self._outcomes.append((command, other))
            return
        self._outcomes.append((command, error if before is None else before))

    def _resolve(self, decided: _Decided, error: IntegrityError) -> None:
        """A key was taken: the command was applied before, or others have appended to the aggregate."""
        command = decided.command
        self._states.forget(command.stream)
        try:
            before = self._applied_before(command) if command.has_id else self._own(decided)
        except Exception as other:
            self._outcomes.append((command, other))
            return
        if before is None:
            conflict = Conflict()
            conflict.__cause__ = error
            self._outcomes.append((command, conflict))
        else:
            self._outcomes.append((command, before))

    def _applied_before(self, command: Command) -> Applied | None:
        """What the marker of the command says that it did; None if there is none.

        Raises:
            CommandIdError: the id belongs to another.
        """
        events = self._recorders.events
        with self._recorders.problems():
            markers = events.select_events(command.marker, limit=1)
            if not markers:
                return None
            mark = _decode_mark(markers[0].state)
            if (mark.kind, mark.stream) != (command.kind, command.stream):
                raise CommandIdError(
                    f"command id {command.command_id!r} was used for {mark.kind!r} on {mark.stream}, and cannot be for "
                    f"{command.kind!r} on {command.stream}: every command needs an id of its own"
                )
            last = mark.after + mark.events
            rows = events.select_events(command.stream, gt=mark.after, lte=last) if mark.events else ()
            end = events.max_notification_id() or 0
        return _applied(command, last, end, [self._types.decode(row, None).event for row in rows], duplicate=True)

    def _own(self, decided: _Decided) -> Applied | None:
        """The outcome of an append that is in conflict with itself: its answer was lost, and it was repeated."""
        command, events = decided.command, self._recorders.events
        with self._recorders.problems():
            rows = events.select_events(command.stream, gt=decided.before.version, limit=1)
            if not rows or self._types.decode(rows[0], None).command_id != command.command_id:
                return None
            end = events.max_notification_id() or 0
        return _applied(command, decided.after.version, end, decided.events)

    def _without_events(self, command: Command, before: State) -> Applied | BaseException:
        try:
            with self._recorders.problems():
                end = self._recorders.events.max_notification_id() or 0
        except EventStoreUnavailableError as error:
            return error
        return _applied(command, before.version, end, ())


def _applied(
    command: Command, version: int, position: int, events: Sequence[Any], *, duplicate: bool = False
) -> Applied:
    return Applied(
        Appended(command.aggregate, command.id, version, position, len(events), duplicate, command.command_id), events
    )


def _settle(outcomes: Sequence[tuple[Command, Applied | BaseException]]) -> None:
    """On the loop: tell those who wait."""
    for command, outcome in outcomes:
        if command.done.done():
            continue  # it was cancelled; what is appended stays
        if isinstance(outcome, BaseException):
            command.done.set_exception(outcome)
        else:
            command.done.set_result(outcome)
