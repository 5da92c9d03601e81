"""Which runs a list is of. Loads nothing of durable runs, which need not be installed for the help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .times import read_moment

if TYPE_CHECKING:
    from cnstra.durable import Page, Record, Run

__all__ = ["Filters", "Status"]

Status = Literal["scheduled", "running", "completed", "failed", "aborted"]


@dataclass(frozen=True, slots=True)
class Filters:
    """All of this holds that is not None.

    Attributes:
        status, scope, tag: as of ``Record.runs``.
        since: a point in time, or a length of time before now, as text.
        limit: how many at most.
    """

    status: Status | None
    scope: str | None
    tag: str | None
    since: str | None
    limit: int

    def earliest(self, now: float) -> float | None:
        """Seconds since the epoch, None if that is no matter. Raises CommandError if ``since`` is no time."""
        return None if self.since is None else read_moment(self.since, "--since", now)

    async def page(self, record: Record, now: float, cursor: str | None = None) -> Page[Run]:
        """The runs, the newest first."""
        return await record.runs(
            status=self.status,
            scope=self.scope,
            tag=self.tag,
            since=self.earliest(now),
            cursor=cursor,
            limit=self.limit,
        )
