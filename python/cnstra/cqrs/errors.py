"""What can go wrong with the CQRS kit; every one of these is a ``cnstra.CnstraError``.

CqrsError
├── EventTypeError(TypeError)            a class cannot be stored as an event: known when it is declared
├── EventEncodingError(ValueError)       an event cannot be stored as its class says
├── UnknownEventError                    the log has an event that no class is declared for
│     └── UnknownEventVersionError       ... or of a version that the class does not know
├── EventStoreUrlError(ValueError)       the URL names no event store, or there is none
├── EventStoreUnavailableError           it cannot be reached, is locked, full or read-only
├── CommandError                         a command was not applied
│     ├── ConflictError                  others changed the aggregate each time it was tried
│     ├── UnknownAggregateError(LookupError)
│     ├── AggregateExistsError
│     └── CommandIdError                 the id belongs to another command
├── PositionError(ValueError)            no event of the log is at that position yet
├── ProjectionError                      a projection cannot be run
│     ├── ProjectionHaltedError          it has met an event that it cannot digest, and waits to be resumed
│     └── ProjectionTableError(ValueError)   a table is not one that it may write to, or that can be rebuilt
└── ReadModelError                       the read models cannot be used as they are
      ├── ReadModelUrlError(ValueError)  the URL names no database for them, or there is none
      └── ReadModelUnavailableError      their database cannot be reached, is locked, full or read-only
"""

from __future__ import annotations

from cnstra import CnstraError

__all__ = [
    "AggregateExistsError",
    "CommandError",
    "CommandIdError",
    "ConflictError",
    "CqrsError",
    "EventEncodingError",
    "EventStoreUnavailableError",
    "EventStoreUrlError",
    "EventTypeError",
    "PositionError",
    "ProjectionError",
    "ProjectionHaltedError",
    "ProjectionTableError",
    "ReadModelError",
    "ReadModelUnavailableError",
    "ReadModelUrlError",
    "UnknownAggregateError",
    "UnknownEventError",
    "UnknownEventVersionError",
]


class CqrsError(CnstraError):
    """The base of everything that the CQRS kit raises by itself."""


class EventTypeError(CqrsError, TypeError):
    """A class cannot be stored as an event, or an event is of a class that was not declared; the message names it."""


class EventEncodingError(CqrsError, ValueError):
    """An event cannot be stored, or would not come back as it is; the message names its class and what is wrong."""


class UnknownEventError(CqrsError):
    """The log has an event that cannot be read: no class is declared for it, or its state is not what the class says.

    Attributes:
        stream: the aggregate that it belongs to, as ``name/id``.
        version: its place in that aggregate's events, counted from 1.
        topic: the name that it was stored under.
        position: its place in the log, counted from 1; None where an aggregate was loaded, whose events are read
            without their positions.
    """

    def __init__(self, problem: str, *, stream: str, version: int, topic: str, position: int | None) -> None:
        self.stream, self.version, self.topic, self.position = stream, version, topic, position
        where = f"event {version} of {stream}"
        if position is not None:
            where += f", at position {position} of the log"
        super().__init__(f"{where}, {topic!r}: {problem}")


class UnknownEventVersionError(UnknownEventError):
    """The log has an event of a version that its class does not know: newer code has written it."""


class EventStoreUrlError(CqrsError, ValueError):
    """The URL names no kind of event store that there is, is not complete, or none was given."""


class EventStoreUnavailableError(CqrsError):
    """The event store cannot be used now: not reachable, locked, full, or read-only; the message names it.

    What was going to be appended may have been, if the connection was lost before the answer came. A command with an
    id can be sent again: it is applied once.
    """


class CommandError(CqrsError):
    """The base of errors for which a command was not applied."""


class ConflictError(CommandError):
    """Others appended to the aggregate between each reading and writing of this command, as often as it was tried."""


class UnknownAggregateError(CommandError, LookupError):
    """The command is for an aggregate that has no events."""


class AggregateExistsError(CommandError):
    """The command creates an aggregate, and there is one of that id already."""


class CommandIdError(CommandError):
    """The command has an id that another command had, for another aggregate or of another kind."""


class PositionError(CqrsError, ValueError):
    """A position lies beyond the end of the log; the message tells both."""


class ProjectionError(CqrsError):
    """The base of errors for which a projection cannot be run; the message names it."""


class ProjectionHaltedError(ProjectionError):
    """A projection has met an event that it cannot digest. It stays there until it is resumed.

    What came before the event is in the read model. The error that the event led to is the ``__cause__`` where the
    projection was halted; others that meet the halted projection have it only in words.

    Attributes:
        projection: its name.
        position: of the event.
        error: what went wrong, in words.
    """

    def __init__(self, projection: str, position: int, error: str) -> None:
        self.projection, self.position, self.error = projection, position, error
        super().__init__(
            f"projection {projection!r} is halted at position {position} of the log: {error}; mend it and resume() it, "
            f"or rebuild() it, or declare it with on_error='park'"
        )


class ProjectionTableError(ProjectionError, ValueError):
    """A table cannot be one of a projection, or a statement is on one that the projection was not given."""


class ReadModelError(CqrsError):
    """The tables of a projection are not as they were declared, or not as it left them."""


class ReadModelUrlError(ReadModelError, ValueError):
    """The URL names no database that read models can be in, or none was given."""


class ReadModelUnavailableError(ReadModelError):
    """The read models cannot be used now: not reachable, locked, full, or read-only; the message names them.

    Nothing is lost: what was not committed is read from the log again.
    """
