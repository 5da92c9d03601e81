"""Listeners that hear all runs of a CNS, and of those that ``with_middleware`` makes of it (S6, S7)."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

__all__ = ["Listeners"]


class Listeners:
    """Listeners in order of registration; in a tuple, so that a snapshot is a reference."""

    __slots__ = ("_lock", "entries")

    def __init__(self) -> None:
        self.entries: tuple[tuple[object, Any], ...] = ()
        self._lock = Lock()

    def add(self, listener: Callable[[Any], Any]) -> Callable[[], None]:
        """Add one; returns what removes it."""
        if not callable(listener):
            raise TypeError(f"a listener must be callable, not {type(listener).__name__}")
        entry = (object(), listener)
        with self._lock:
            self.entries = (*self.entries, entry)

        def remove() -> None:
            with self._lock:
                self.entries = tuple(e for e in self.entries if e is not entry)

        return remove
