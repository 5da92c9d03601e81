"""From the URL of an event store to the recorders of the eventsourcing package, and from their errors to ours."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

try:
    from eventsourcing import persistence
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"the CQRS kit needs {missing.name}: pip install 'cnstra[cqrs]'", name=missing.name
    ) from missing
from eventsourcing.persistence import AggregateRecorder, ApplicationRecorder

from cnstra.durable import StoreUrlError

from .connecting import shown
from .errors import EventStoreUnavailableError, EventStoreUrlError

__all__ = ["Recorders", "open_recorders"]

# What the package calls its tables, and the channel on which it tells of new events.
_EVENTS: Final = "stored_events"
_SNAPSHOTS: Final = "stored_snapshots"

# Seconds for which a command waits while others write the file.
_LOCK_TIMEOUT: Final = 10
# Seconds for one attempt to connect; the package makes ten in a row before a server counts as away.
_CONNECT_TIMEOUT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Recorders:
    """An open event store.

    Attributes:
        url: what messages call it; without a password.
        events, snapshots: the recorders of the package. Snapshots have a table of their own.
        channel: where PostgreSQL tells of new events: how to connect, and the name; None elsewhere.
        close: closes all connections.
    """

    url: str
    events: ApplicationRecorder
    snapshots: AggregateRecorder
    close: Callable[[], None]
    channel: tuple[Mapping[str, Any], str] | None = field(default=None)

    @contextmanager
    def problems(self) -> Generator[None]:
        """Errors of the package that leave this are told as what is wrong with the store, other than IntegrityError."""
        try:
            yield
        except persistence.IntegrityError:
            raise
        except persistence.PersistenceError as error:
            raise EventStoreUnavailableError(f"event store {self.url} cannot be used: {_words(error)}") from error


def open_recorders(url: str, *, pool_size: int) -> Recorders:
    """Open the event store that a URL names, and make its tables if they are not there.

    Raises:
        EventStoreUrlError: it names none.
        EventStoreUnavailableError: it cannot be used.
    """
    if url in ("memory:", "memory://"):
        return _in_memory()
    try:
        match url.partition("://")[0]:
            case "sqlite":
                return _on_sqlite(url, pool_size)
            case "postgresql" | "postgres":
                return _on_postgres(url, pool_size)
            case _:
                pass
    except StoreUrlError as error:
        raise EventStoreUrlError(str(error)) from None
    raise EventStoreUrlError(
        f"{shown(url)!r} names no event store: use sqlite:///path/to/events.db, postgresql://user@host/database or "
        f"memory:"
    )


def _in_memory() -> Recorders:
    from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder

    return Recorders("memory:", POPOApplicationRecorder(), POPOAggregateRecorder(), lambda: None)


def _on_sqlite(url: str, pool_size: int) -> Recorders:
    from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteApplicationRecorder, SQLiteDatastore

    from cnstra.durable.sqlite_opening import file_of

    datastore = SQLiteDatastore(
        str(file_of(url)), lock_timeout=_LOCK_TIMEOUT, pool_size=pool_size, originator_id_type="text"
    )
    events = SQLiteApplicationRecorder(datastore, _EVENTS)
    snapshots = SQLiteAggregateRecorder(datastore, _SNAPSHOTS)
    opened = Recorders(url, events, snapshots, datastore.close)
    try:
        with opened.problems():
            events.create_table()
            snapshots.create_table()
    except BaseException:
        datastore.close()
        raise
    return opened


def _on_postgres(url: str, pool_size: int) -> Recorders:
    # In this order: it says what to install.
    from cnstra.durable.postgres_opening import parse
    from cnstra.durable.postgres_opening import shown as shown_parameters

    from .postgres_recorders import open_postgres

    parameters = parse(url)
    name = shown_parameters(parameters)
    datastore, events, snapshots = open_postgres(
        name, {**parameters, "connect_timeout": 5}, (_EVENTS, _SNAPSHOTS), pool_size, _CONNECT_TIMEOUT, _LOCK_TIMEOUT
    )
    return Recorders(name, events, snapshots, datastore.close, (parameters, _EVENTS))


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
