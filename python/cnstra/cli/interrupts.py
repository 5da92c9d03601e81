"""Stopping at a good place: the first Ctrl-C asks, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """A context in which SIGINT, SIGTERM and SIGHUP ask for a stop instead of making one.

    Work in batches looks at ``received`` between two of them. A second signal raises KeyboardInterrupt wherever the
    program is: for somebody who does not want to wait for the end of a batch. Handlers belong to the main thread; in
    another one this does nothing.

    Args:
        asked: called at the first signal, wherever the program is then, as a handler of signals is.

    Example:
        >>> with Interrupts() as interrupts:
        ...     interrupts.received is None
        True
    """

    def __init__(self, asked: Callable[[], object] | None = None) -> None:
        self.received: int | None = None
        # Called at the second signal, by who can do better than with an exception anywhere; that comes with the third.
        self.insisted: Callable[[], object] | None = None
        self._asked = asked
        self._before: list[tuple[int, Callable[[int, FrameType | None], Any] | int | None]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                # What whoever started us has switched off stays off: nohup does that to SIGHUP.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before.append((number, signal.signal(number, self._receive)))
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            number, handler = self._before.pop()
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            if self._asked is not None:
                self._asked()
        elif self.insisted is not None:
            insisted, self.insisted = self.insisted, None
            insisted()
        else:
            raise KeyboardInterrupt
