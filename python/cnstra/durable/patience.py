"""Waiting for a store: short at first, longer each time, with some chance in it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from time import monotonic
from typing import Any, TypeVar

from .errors import StoreBusyError, StoreUnavailableError

__all__ = ["AGAIN", "Pauses", "now", "once_there", "patiently", "see_through"]

_log = logging.getLogger("cnstra.durable")

T = TypeVar("T")

AGAIN = 0.5
"""Seconds between two looks at a store that was away: it may have room for small things, and none for more."""


class Pauses(Iterator[float]):
    """Seconds to wait between one try and the next: from a millisecond to a fifth of a second, each with jitter.

    Args:
        limit: seconds after which ``is_over`` tells that it has been long enough.
    """

    def __init__(self, limit: float = 30.0) -> None:
        self._pause = 0.001
        self._end = monotonic() + limit

    @property
    def is_over(self) -> bool:
        return monotonic() > self._end

    def __next__(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 1.6, 0.2)
        return pause * random.uniform(0.5, 1.0)


async def patiently(call: Callable[[], Awaitable[T]], limit: float = 30.0) -> T:
    """Await what ``call()`` gives, again while the store is busy; after ``limit`` seconds its StoreBusyError gets
    out."""
    pauses = Pauses(limit)
    while True:
        try:
            return await call()
        except StoreBusyError:
            if pauses.is_over:
                raise
        await asyncio.sleep(next(pauses))


async def once_there(call: Callable[[], Awaitable[T]], *, waits: bool) -> T:
    """Await what ``call()`` gives, and if it ``waits``, again and again while the store is away."""
    told = False
    while True:
        try:
            return await call()
        except StoreUnavailableError as error:
            if not waits:
                raise
            if not told:
                told = True
                _log.warning("%s; what is to be started waits for it", error)
        await asyncio.sleep(AGAIN)


async def see_through(coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Await something to its end although somebody cancels the waiting; tells whether somebody did.

    Who insists, and cancels again, cancels it.
    """
    task, cancels = asyncio.ensure_future(coroutine), 0
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancels += 1
            if cancels > 1:
                task.cancel()
    if not task.cancelled():
        task.result()
    return cancels > 0


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never suspends: a call of an inline store."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("an inline store must not suspend")
