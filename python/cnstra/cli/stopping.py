"""Stopping what waits on an event loop: a signal ends the waiting, and what is around it lets go in good order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import TypeVar

from .interrupts import Interrupts

__all__ = ["Stop", "Stopped", "stoppable"]

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - somebody's wish, not an error
    """A signal has asked for the end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


class Stop:
    """Waits for things until a signal comes; made by ``stoppable``."""

    def __init__(self, asked: asyncio.Event, interrupts: Interrupts) -> None:
        self._asked = asked
        self._interrupts = interrupts

    async def during(self, work: Awaitable[T]) -> T:
        """What the work comes to.

        Raises:
            Stopped: a signal came first; the work is cancelled.
        """
        task, asked = asyncio.ensure_future(work), asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
            self.check()
            return task.result()
        finally:
            task.cancel()
            asked.cancel()
            await asyncio.wait([task, asked])
            if not task.cancelled():
                task.exception()  # seen, should the signal have come with it

    async def sleep(self, seconds: float) -> None:
        """Wait. Raises Stopped if a signal comes first."""
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            pass
        self.check()

    def check(self) -> None:
        """Raise Stopped if a signal has come."""
        if self._interrupts.received is not None:
            raise Stopped(self._interrupts.received)


@contextmanager
def stoppable() -> Generator[Stop]:
    """Signals ask what is inside to stop; for coroutines."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    with Interrupts(lambda: loop.call_soon_threadsafe(asked.set)) as interrupts:
        yield Stop(asked, interrupts)
