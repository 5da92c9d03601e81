"""Telling those who follow the log that it may have grown: own appends, word of PostgreSQL, a look now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["Waking"]

_log = logging.getLogger("cnstra")

# Seconds between two looks at a log that cannot tell of appends of other processes.
_POLL: Final = 0.05
# Seconds after which a line to the server that was lost is tried again.
_AGAIN: Final = 1.0


class Waking:
    """Where threads wait for the log to grow.

    Args:
        end: tells the last position of the log.
        channel: how to connect to PostgreSQL, and the channel on which it tells of appends; None polls.
    """

    def __init__(self, end: Callable[[], int], channel: tuple[Mapping[str, Any], str] | None) -> None:
        self._end = end
        self._channel = channel
        self._changed = threading.Condition()
        self._known = 0
        self._told = 0
        self._is_closed = False
        self._listener: threading.Thread | None = None

    def appended(self, position: int) -> None:
        """This process has appended up to there."""
        with self._changed:
            self._known = max(self._known, position)
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of all who wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._listener is not None:
            self._listener.join(_AGAIN)

    def wait(self, after: int, timeout: float) -> None:
        """Return when the log may have grown beyond a position, or after some seconds."""
        deadline = time.monotonic() + timeout
        if self._channel is not None:
            self._listen()
        told = self._told
        while True:
            # What was appended before the listener was there, or while its line was lost, is only seen by a look.
            end = self._end()
            with self._changed:
                self._known = max(self._known, end)
                left = deadline - time.monotonic()
                if self._known > after or self._told != told or self._is_closed or left <= 0:
                    return
                self._changed.wait(min(left, _POLL if self._channel is None else _AGAIN))

    def _listen(self) -> None:
        with self._changed:
            if self._listener is None:
                self._listener = threading.Thread(target=self._hear, name="cnstra event store listener", daemon=True)
                self._listener.start()

    def _hear(self) -> None:
        import psycopg
        from psycopg import sql

        assert self._channel is not None
        parameters, name = self._channel
        while not self._is_closed:
            try:
                with psycopg.connect(**parameters, autocommit=True) as connection:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
                    self._tell()
                    while not self._is_closed:
                        for _ in connection.notifies(timeout=0.2, stop_after=1):
                            self._tell()
            except psycopg.Error as error:
                _log.debug("no word of new events until the line is back: %s", error)
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed, _AGAIN)

    def _tell(self) -> None:
        with self._changed:
            self._told += 1
            self._changed.notify_all()
