"""CQRS: commands change aggregates through their events, events feed read models, queries read those.

What the package is made of, from the bottom up; nothing imports what stands below it here:

    extra               what has to be installed
    errors, recorded    what can go wrong; an event as the log has it, and what a command did, as data
    connecting          what is declared with a URL and connects when it is first used
    events              event classes as bytes: versions, upcasts, and nothing that a row names is imported
    recorders, postgres_recorders    the recorders of the eventsourcing package, by URL
    waking              telling those who follow the log that it has grown
    states              the states of aggregates: remembered, read, kept as snapshots
    writing             the thread that applies commands, many in one transaction
    store               the event store
    aggregate           aggregates and their neurons
    engines, read_models    the database of the read models, by URL, and the threads in which it is used
    tables, statements, write    what a projection writes to, and with
    positions           how far projections have got, in that database
    advancing           one step along the log: events, what they write, and the position, in one transaction
    live, following, rebuilding, lag    a projection at work: inline or following, made anew, and how far behind
    bindings, projection    projections and their neurons
    queries             neurons that read the read models

It needs the extra ``cnstra[cqrs]``, and ``cnstra[postgres]`` for PostgreSQL.
"""

from __future__ import annotations

from . import extra as extra
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
    PositionError,
    ProjectionError,
    ProjectionHaltedError,
    ProjectionTableError,
    ReadModelError,
    ReadModelUnavailableError,
    ReadModelUrlError,
    UnknownAggregateError,
    UnknownEventError,
    UnknownEventVersionError,
)
from .lag import Lag
from .positions import Parked
from .projection import Projection, Updated
from .queries import Queries
from .read_models import ReadModels
from .rebuilding import Progress
from .recorded import Appended, Recorded
from .store import EventStore
from .write import Write

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
    "Lag",
    "Parked",
    "PositionError",
    "Progress",
    "Projection",
    "ProjectionError",
    "ProjectionHaltedError",
    "ProjectionTableError",
    "Queries",
    "ReadModelError",
    "ReadModelUnavailableError",
    "ReadModelUrlError",
    "ReadModels",
    "Recorded",
    "UnknownAggregateError",
    "UnknownEventError",
    "UnknownEventVersionError",
    "Updated",
    "Write",
]
