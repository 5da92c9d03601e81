"""The places of neurons with a ``concurrency``, shared by all runs of a CNS (S12).

A place passes from its holder straight to the first waiter, so that while anybody waits none is ever free.
Lock order: a run's lock may be held while one of these methods is called, never the other way round.
"""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Slots"]

H = TypeVar("H")


class Slots(Generic[H]):
    """The slots of one neuron. ``H`` is what holds or waits: an activation of some run, hashable."""

    __slots__ = ("_last_ticket", "_lock", "holders", "limit", "waiters")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: set[H] = set()
        self.waiters: dict[int, H] = {}  # by ticket; a dict keeps the order in which they came
        self._last_ticket = 0
        self._lock = Lock()

    def acquire(self, holder: H) -> int:
        """Take a place and return 0, or wait in line and return a ticket."""
        with self._lock:
            if len(self.holders) < self.limit:
                self.holders.add(holder)
                return 0
            self._last_ticket += 1
            self.waiters[self._last_ticket] = holder
            return self._last_ticket

    def release(self, holder: H) -> H | None:
        """Give a place back; whoever is returned has it from now on and must be told.

        None if nobody waits, or the place was given back before: who releases twice must not let in one more than the
        limit.
        """
        with self._lock:
            if holder not in self.holders:
                return None
            self.holders.remove(holder)
            if not self.waiters:
                return None
            ticket = next(iter(self.waiters))
            heir = self.waiters.pop(ticket)
            self.holders.add(heir)
            return heir

    def forget(self, ticket: int) -> bool:
        """Leave the line; False if the waiter has been served in the meantime.

        Then whoever released the place is about to tell it, and passes the place on when nobody waits for it any more.
        """
        with self._lock:
            return self.waiters.pop(ticket, None) is not None

    def held_by(self) -> set[H]:
        """A snapshot of the holders."""
        with self._lock:
            return set(self.holders)
