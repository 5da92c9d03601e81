"""How far a read model is behind the log."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .errors import UnknownEventError
from .live import Live

__all__ = ["Lag", "lag_of"]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a projection is behind the log.

    Attributes:
        position: all events up to there are in the read model.
        end: the last position of the log.
        behind: positions between the two; events that the projection does not bind count as well.
        seconds: how old the oldest event is that it binds and has not applied; 0 if there is none, and None if that
            event cannot be read.
    """

    position: int
    end: int
    behind: int
    seconds: float | None


def lag_of(live: Live) -> Lag:
    """How far it is behind; blocks."""
    standing, store = live.standing(), live.definition.store
    position = 0 if standing is None else standing.position
    end = store.end()
    seconds: float | None = 0.0
    try:
        oldest = store.read(position, limit=1, through=end, types=live.definition.types)
    except UnknownEventError:
        seconds = None
    else:
        if oldest:
            seconds = max(0.0, time.time() - oldest[0].recorded_at)
    return Lag(position, end, max(0, end - position), seconds)
