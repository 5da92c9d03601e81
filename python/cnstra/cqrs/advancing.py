"""One step of a projection along the log: a page of events, what they write, and the position, in one transaction.

The position is read under the lock that whoever moves it holds to the end of the transaction: however many processes
and threads advance one projection, and wherever they die, an event is applied once.

A batch is applied at one go, its rows gathered. If anything is wrong with it, it is rolled back and applied event by
event, each in a savepoint: so the event at fault is known, and what came before it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from .engines import Engines, is_unavailable, words
from .errors import PositionError, ProjectionHaltedError, ReadModelError, UnknownEventError
from .positions import Parked, Standing, Target, add_parked, halt, lock_standing, move
from .recorded import Recorded
from .statements import Goal
from .store import EventStore
from .write import Write, WriteTables

__all__ = [
    "Advancer",
    "Apply",
    "Definition",
    "OnError",
    "Step",
    "UndigestedError",
    "culprit_of",
    "halted_error",
]

OnError: TypeAlias = Literal["halt", "park"]


@dataclass(frozen=True, slots=True)
class Apply:
    """What is called for the events of an aggregate.

    Attributes:
        handler: the function.
        takes_recorded: whether its third argument is where and when the event was recorded.
    """

    handler: Callable[..., None]
    takes_recorded: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """What a projection was declared with.

    Attributes:
        name: the projection's.
        tables: that it writes to.
        handlers: by the name of an aggregate.
        types: the event classes of these aggregates.
        store: where the log is.
        batch: events in one transaction.
        on_error: what becomes of an event that cannot be digested.
    """

    name: str
    tables: tuple[Table, ...]
    handlers: Mapping[str, Apply]
    types: tuple[type[Any], ...]
    store: EventStore
    batch: int
    on_error: OnError


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to.

    Attributes:
        position: that was reached.
        events: how many were read for that.
        is_last: whether there was nothing more to read.
    """

    position: int
    events: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the log.

    Attributes:
        events: of the classes that the projection binds.
        position: up to which that is all.
        broken: what cannot be read right behind it; None if nothing is known of such.
        is_last: whether there was nothing more.
    """

    events: Sequence[Recorded[Any]]
    position: int
    broken: UnknownEventError | None
    is_last: bool


class UndigestedError(Exception):
    """Something in the batch is wrong; the transaction is rolled back."""


class Advancer:
    """Moves a projection, or its rebuild, along the log. Used by one thread.

    Args:
        definition: of the projection.
        target: which of the two.
        engines: of the read models.
        tables: where the rows go, by declared table.
        description: what they are declared as, if others may have made them otherwise meanwhile.
    """

    def __init__(
        self,
        definition: Definition,
        target: Target,
        engines: Engines,
        tables: Mapping[Table, Table],
        *,
        description: str | None = None,
    ) -> None:
        self._definition = definition
        self._target: Target = target
        self._engines = engines
        self._description = description
        dialect = engines.writer.dialect
        self._tables = WriteTables(
            definition.name, {declared: Goal(declared, table, dialect) for declared, table in tables.items()}
        )

    def step(self, through: int | None = None, *, wait: bool = True) -> Step | None:
        """Apply the next batch.

        Cost: blocks.

        Args:
            through: the last position to look at; None goes to the end of the log.
            wait: while another has the projection; otherwise the answer is None then.

        Raises:
            ProjectionHaltedError: it has met an event that it cannot digest, now or before.
            PositionError: it has got further than the log.
            ReadModelUnavailableError, EventStoreUnavailableError: a database cannot be used. Nothing has changed.
        """
        try:
            with self._engines.writing() as connection:
                standing = lock_standing(connection, self._definition.name, self._target, wait=wait)
                if standing is None:
                    return None
                outcome = self._apply_at_once(connection, standing, through)
        except (UndigestedError, DBAPIError):
            with self._engines.writing() as connection:
                standing = lock_standing(connection, self._definition.name, self._target)
                if standing is None:
                    return None
                outcome = self._apply_one_by_one(connection, standing, through)
        # What is in the read model by now has been committed, the halt as well.
        if isinstance(outcome, _Halted):
            raise outcome.error from outcome.cause
        return outcome

    def finish(self, connection: Connection, position: int) -> int:
        """Apply all that is left behind a position, in a transaction that others have begun.

        Returns:
            The position that was reached.

        Raises:
            UndigestedError: there is an event that cannot be digested. The transaction has to be rolled back.
        """
        while True:
            page = self._page(position, None)
            self._digest(connection, page.events)
            if page.broken is not None:
                raise UndigestedError from page.broken
            position = page.position
            if page.is_last:
                return position

    # -- the log

    def _page(self, after: int, through: int | None) -> Page:
        store, types, limit = self._definition.store, self._definition.types, self._definition.batch
        # What is appended while this reads would be passed over, were the end not looked at before.
        end = store.end() if through is None else through
        try:
            events = store.read(after, limit=limit, through=end, types=types)
            if through is not None and len(events) < limit and not (events and events[-1].position == through):
                # Nothing that is bound is at the position that was asked for: it may not be there at all.
                end = min(through, store.end())
                events = store.read(after, limit=limit, through=end, types=types)
        except UnknownEventError as error:
            if error.position is None:
                raise
            return self._page_before(after, error, error.position)
        if end < after and through is None:
            raise PositionError(
                f"projection {self._definition.name!r} is at position {after}, and the log of {store.url} ends at "
                f"{end}: it was made from another log; rebuild it"
            )
        if len(events) == limit:
            return Page(events, events[-1].position, None, False)
        return Page(events, max(after, end), None, True)

    def _page_before(self, after: int, error: UnknownEventError, position: int) -> Page:
        """The events before one that cannot be read."""
        definition = self._definition
        events = definition.store.read(after, limit=definition.batch, through=position - 1, types=definition.types)
        if error.stream.partition("/")[0] not in definition.handlers:
            return Page(events, position, None, False)
        return Page(events, position - 1, error, False)

    # -- a batch

    def _apply_at_once(self, connection: Connection, standing: Standing, through: int | None) -> Step | _Halted:
        if standing.is_halted:
            return _Halted(halted_error(self._definition.name, standing), None)
        if self._description is not None and self._description != standing.tables:
            raise ReadModelError(
                f"projection {self._definition.name!r} is being rebuilt by a program that declares its tables otherwise"
            )
        if through is not None and standing.position >= through:
            return Step(standing.position, 0, True)
        page = self._page(standing.position, through)
        self._digest(connection, page.events)
        return self._move(connection, standing, page)

    def _digest(self, connection: Connection, events: Sequence[Recorded[Any]]) -> None:
        handlers = self._definition.handlers
        write = Write(connection, self._tables)
        try:
            for recorded in events:
                apply = handlers.get(recorded.aggregate)
                if apply is None:
                    continue  # aggregates may share a class of events
                if apply.takes_recorded:
                    apply.handler(recorded.event, write, recorded)
                else:
                    apply.handler(recorded.event, write)
            write.flush()
        except Exception as error:
            if is_unavailable(error):
                raise
            raise UndigestedError from error

    def _move(self, connection: Connection, standing: Standing, page: Page) -> Step | _Halted:
        position, events = page.position, len(page.events)
        if page.broken is not None:
            position += 1
            aggregate, _, key = page.broken.stream.partition("/")
            halted = self._refuse(
                connection, culprit(position, aggregate, key, page.broken.topic, page.broken), page.broken
            )
            if halted is not None:
                return halted
        if position != standing.position:
            move(connection, self._definition.name, self._target, position)
        return Step(position, events, page.is_last)

    def _apply_one_by_one(self, connection: Connection, standing: Standing, through: int | None) -> Step | _Halted:
        """The batch again, to find the event that is at fault."""
        if standing.is_halted:
            return _Halted(halted_error(self._definition.name, standing), None)
        if connection.dialect.name == "postgresql":
            # What is only checked at the commit would belong to no event.
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        page = self._page(standing.position, through)
        for recorded in page.events:
            error = self.apply_one(connection, recorded)
            if error is not None:
                halted = self._refuse(connection, culprit_of(recorded, error), error)
                if halted is not None:
                    return halted
        return self._move(connection, standing, page)

    def apply_one(self, connection: Connection, recorded: Recorded[Any]) -> Exception | None:
        """Apply one event; if that goes wrong nothing of it stays, and the error is returned."""
        savepoint = connection.begin_nested()
        try:
            self._digest(connection, [recorded])
        except UndigestedError as error:
            savepoint.rollback()
            cause = error.__cause__
            return cause if isinstance(cause, Exception) else error
        savepoint.commit()
        return None

    def _refuse(self, connection: Connection, parked: Parked, error: Exception) -> _Halted | None:
        """Park an event, or halt at it."""
        definition = self._definition
        if definition.on_error == "park":
            add_parked(connection, definition.name, self._target, parked)
            return None
        halt(connection, definition.name, self._target, parked.position, parked.error)
        return _Halted(ProjectionHaltedError(definition.name, parked.position, parked.error), error)


@dataclass(frozen=True, slots=True)
class _Halted:
    """What the step came to is an error, once its transaction is committed."""

    error: ProjectionHaltedError
    cause: Exception | None


def halted_error(name: str, standing: Standing) -> ProjectionHaltedError:
    """What those are told who meet a halted projection."""
    return ProjectionHaltedError(name, standing.failed_position or standing.position + 1, standing.error or "")


def culprit_of(recorded: Recorded[Any], error: BaseException) -> Parked:
    """An event that a handler or the database did not take."""
    event: object = recorded.event
    cls = type(event)
    topic = str(getattr(cls, "topic", cls.__name__))
    return culprit(recorded.position, recorded.aggregate, recorded.id, topic, error)


def culprit(position: int, aggregate: str, key: str, topic: str, error: BaseException) -> Parked:
    """An event that could not be digested, and why."""
    return Parked(position, aggregate, key, topic, f"{type(error).__name__}: {words(error)}", time.time())
