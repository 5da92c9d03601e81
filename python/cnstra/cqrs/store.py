"""The event store: the log of everything that happened, and the only place where commands write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from .connecting import Connecting
from .errors import EventStoreUrlError
from .events import EventTypes
from .recorded import Recorded
from .recorders import Recorders, open_recorders
from .waking import Waking
from .writing import Applied, Command, Writer

__all__ = ["EventStore"]


class EventStore(Connecting["_Open"]):
    """The log of events, in a SQLite file or a PostgreSQL database, kept by the recorders of the eventsourcing package.

    It is declared, like the engines of SQLAlchemy, and connects when it is first used. Aggregates append to it,
    projections follow it; it knows the event classes of the aggregates that were declared with it, and reads no others.

    Args:
        url: ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db``, ``postgresql://user@host/database`` (its
            tables are in the schema that the connection makes new tables in) or ``memory:``. None has it given to
            ``connect`` later.
        cache_size: how many states of aggregates a process remembers. A remembered state saves reading, and is never
            trusted: what is decided on it is only appended if nobody else has appended in between.
        pool_size: how many connections there are at most.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.

    Cost: commands are applied by one thread, those that are waiting together in one transaction.

    Example:
        >>> from cnstra.cqrs import EventStore
        >>> with EventStore("memory:") as store:
        ...     store.end(), store.read(0)
        (0, [])
    """

    def __init__(self, url: str | None = None, *, cache_size: int = 10_000, pool_size: int = 5) -> None:
        super().__init__("an event store", url)
        for name, value in (("cache_size", cache_size), ("pool_size", pool_size)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._cache_size = cache_size
        self._pool_size = pool_size
        self._types = EventTypes()

    def _make(self, url: str | None) -> _Open:
        if url is None:
            raise EventStoreUrlError("the event store has no URL: give it one, EventStore(url), or connect(url) first")
        return _Open(open_recorders(url, pool_size=self._pool_size), self._types, self._cache_size)

    def _connected_already(self) -> str:
        return f"event store {self.url} is connected: close() it before it gets another URL"

    def _end(self, was: _Open) -> None:
        was.close()

    # -- reading

    def read(
        self,
        after: int,
        *,
        limit: int = 1000,
        through: int | None = None,
        types: Collection[type[Any]] | None = None,
    ) -> list[Recorded[Any]]:
        """Events of the log, in order.

        Cost: blocks; one statement, and the decoding of what it gives.

        Args:
            after: the position that they come after; 0 begins at the start.
            limit: how many at most.
            through: the last position that is looked at; None reads on to the end.
            types: only events of these classes, declared ones; what is stored of others is not even looked at.

        Raises:
            UnknownEventError: an event cannot be read; ``position`` tells where it is.
            EventStoreUrlError, EventStoreUnavailableError: the store cannot be used.
        """
        opened = self._opened()
        # Without a topic the package takes all.
        if types is not None and not types:
            return []
        topics = [] if types is None else self._types.topics(types)
        with opened.recorders.problems():
            rows = opened.recorders.events.select_notifications(after, limit, through, topics, inclusive_of_start=False)
        # The markers of commands have topics that begin so.
        return [self._types.decode(row, row.id) for row in rows if not row.topic.startswith("$")]

    def end(self) -> int:
        """The position of the last thing that was appended, 0 if nothing was.

        Cost: blocks; one statement.

        Raises:
            EventStoreUrlError, EventStoreUnavailableError: the store cannot be used.
        """
        return self._opened().end()

    def wait_for_append(self, after: int, timeout: float) -> None:
        """Return when the log may have grown beyond a position, or after some seconds.

        Own appends and PostgreSQL tell at once; a SQLite file is looked at every 50 ms. For threads that follow.

        Cost: blocks.
        """
        self._opened().waking.wait(after, timeout)

    # -- for aggregates

    def declare(self, cls: type[Any]) -> None:
        """Make an event class known; aggregates do it for theirs.

        Raises:
            EventTypeError: it cannot be stored, or has the topic of another class.
        """
        self._types.add(cls)

    async def apply(self, command: Callable[[asyncio.Future[Applied]], Command]) -> Applied:
        """Hand a command to the thread that applies them, and wait for what it comes to."""
        opened = self._open
        if opened is None:
            opened = await asyncio.to_thread(self._opened)
        made = command(asyncio.get_running_loop().create_future())
        opened.writer.submit(made)
        return await made.done


class _Open:
    """What there is while it is connected."""

    def __init__(self, recorders: Recorders, types: EventTypes, cache_size: int) -> None:
        self.recorders = recorders
        self.waking = Waking(self.end, recorders.channel)
        self.writer = Writer(recorders, types, cache_size, self.waking.appended)

    def end(self) -> int:
        with self.recorders.problems():
            return self.recorders.events.max_notification_id() or 0

    def close(self) -> None:
        self.writer.close()
        self.waking.close()
        self.recorders.close()
