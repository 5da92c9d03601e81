"""CQRS: commands change aggregates through their events, events feed read models, queries read those.

What the package is made of, from the bottom up; nothing imports what stands below it here:

    errors, recorded    what can go wrong; an event as the log has it, and what a command did, as data
    events              event classes as bytes: versions, upcasts, and nothing that a row names is imported
    recorders, postgres_recorders    the recorders of the eventsourcing package, by URL
    waking              telling those who follow the log that it has grown
    states              the states of aggregates: remembered, read, kept as snapshots
    writing             the thread that applies commands, many in one transaction
    store               the event store
    aggregate           aggregates and their neurons

It needs the extra ``cnstra[cqrs]``, and ``cnstra[postgres]`` for PostgreSQL.
"""

from __future__ import annotations

from .aggregate import Aggregate
from .errors import (
    AggregateExistsError,
    CommandError,
    CommandIdError,
    ConflictError,
    CqrsError,
    EventEncodingError,
    EventStoreUnavailableError,
    EventStoreUrlError,
    EventTypeError,
    UnknownAggregateError,
    UnknownEventError,
    UnknownEventVersionError,
)
from .recorded import Appended, Recorded
from .store import EventStore

__all__ = [
    "Aggregate",
    "AggregateExistsError",
    "Appended",
    "CommandError",
    "CommandIdError",
    "ConflictError",
    "CqrsError",
    "EventEncodingError",
    "EventStore",
    "EventStoreUnavailableError",
    "EventStoreUrlError",
    "EventTypeError",
    "Recorded",
    "UnknownAggregateError",
    "UnknownEventError",
    "UnknownEventVersionError",
]
