"""The event store: the log of everything that happened, and the only place where commands write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self

from .errors import EventStoreUrlError
from .events import EventTypes
from .recorded import Recorded
from .recorders import Recorders, open_recorders, shown
from .waking import Waking
from .writing import Applied, Command, Writer

__all__ = ["EventStore"]


class EventStore:
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
        if url is not None and not isinstance(url, str):
            raise TypeError(f"the URL of an event store must be a str, not {type(url).__name__}")
        for name, value in (("cache_size", cache_size), ("pool_size", pool_size)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._url = url
        self._cache_size = cache_size
        self._pool_size = pool_size
        self._types = EventTypes()
        self._lock = threading.RLock()
        self._open: _Open | None = None
        self._listeners: list[Callable[[int], None]] = []

    @property
    def url(self) -> str | None:
        """Where it is, without user and password; None if it has not been told yet."""
        return None if self._url is None else shown(self._url)

    # -- life

    def connect(self, url: str | None = None) -> None:
        """Connect, and make the tables if they are not there. It is also done by whatever first needs it.

        Cost: blocks.

        Args:
            url: where it is, instead of what it was made with.

        Raises:
            RuntimeError: it is connected to another place: ``close`` it first.
            EventStoreUrlError: the URL names no event store, or there is none.
            EventStoreUnavailableError: the store cannot be used.
        """
        with self._lock:
            if url is not None and url != self._url:
                if self._open is not None:
                    raise RuntimeError(f"event store {self.url} is connected: close() it before it gets another URL")
                self._url = url
            if self._open is None:
                self._opened()

    def close(self) -> None:
        """Apply what is waiting, and disconnect. It can be connected again.

        Cost: blocks.
        """
        with self._lock:
            was, self._open = self._open, None
        if was is not None:
            was.close()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> _Open:
        found = self._open
        if found is None:
            with self._lock:
                found = self._open
                if found is None:
                    if self._url is None:
                        raise EventStoreUrlError(
                            "the event store has no URL: give it one, EventStore(url), or connect(url) first"
                        )
                    found = self._open = _Open(
                        open_recorders(self._url, pool_size=self._pool_size), self._types, self._cache_size, self._tell
                    )
        return found

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

        Cost: blocks; one statement, and about a microsecond an event.

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
        recorders = self._opened().recorders
        with recorders.problems():
            return recorders.events.max_notification_id() or 0

    def wait_for_append(self, after: int, timeout: float) -> None:
        """Return when the log may have grown beyond a position, or after some seconds.

        Own appends and PostgreSQL tell at once; a SQLite file is looked at every 50 ms. For threads that follow.

        Cost: blocks.
        """
        self._opened().waking.wait(after, timeout)

    def add_append_listener(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call a function with the last position whenever this process has appended, in the thread that has.

        Returns:
            What removes it.
        """
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

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

    def _tell(self, position: int) -> None:
        for listener in tuple(self._listeners):
            listener(position)

    def __repr__(self) -> str:
        return f"<EventStore {self.url or 'without a URL'}>"


class _Open:
    """What there is while it is connected."""

    def __init__(self, recorders: Recorders, types: EventTypes, cache_size: int, tell: Callable[[int], None]) -> None:
        self.recorders = recorders
        self.waking = Waking(self._end, recorders.channel)
        self.writer = Writer(recorders, types, cache_size, self._appended)
        self._tell = tell

    def _end(self) -> int:
        with self.recorders.problems():
            return self.recorders.events.max_notification_id() or 0

    def _appended(self, position: int) -> None:
        self.waking.appended(position)
        self._tell(position)

    def close(self) -> None:
        self.writer.close()
        self.waking.close()
        self.recorders.close()
