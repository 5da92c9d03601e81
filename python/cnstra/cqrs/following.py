"""Following the log: a projection that goes on by itself, whatever process appends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from .advancing import halted_error
from .errors import EventStoreUnavailableError, ReadModelUnavailableError
from .live import Live
from .read_models import in_thread

__all__ = ["Trouble", "follow", "until_caught_up"]

# Seconds that one wait for the log takes at most: for so long a follower that is stopped is not.
_WAIT: Final = 0.25
# Seconds after which one that stands by looks again.
_STAND_BY: Final = 0.1
# Seconds between two attempts while a database is away, at first and at most.
_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 5.0
# Likewise between two looks for a position that another process advances to.
_FIRST_LOOK: Final = 0.002
_LAST_LOOK: Final = 0.1

Trouble = Callable[[ReadModelUnavailableError | EventStoreUnavailableError], object]


async def follow(live: Live, on_trouble: Trouble | None) -> None:
    """Apply what is in the log, and what comes, until it is cancelled."""
    threads, store = live.models, live.definition.store
    pause = _FIRST_PAUSE
    while True:
        try:
            step = await live.in_its_thread(lambda: live.step(wait=False))
            pause = _FIRST_PAUSE
            if step is None:
                await asyncio.sleep(_STAND_BY)
            elif step.is_last:
                executor = threads.thread(f"follower of {live.definition.name}")
                await in_thread(executor, partial(store.wait_for_append, step.position, _WAIT))
        except (ReadModelUnavailableError, EventStoreUnavailableError) as error:
            if on_trouble is None:
                raise
            on_trouble(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)


async def until_caught_up(live: Live, position: int, timeout: float | None) -> None:  # noqa: ASYNC109 - it says more
    """Wait until a position is in the read model, whoever applies it."""
    deadline = None if timeout is None else time.monotonic() + timeout
    name = live.definition.name
    is_in_log, pause = False, _FIRST_LOOK
    with live.waiting(position) as told:
        while live.reached < position:
            standing = await live.reading(partial(live.look, time.monotonic()))
            reached = 0 if standing is None else standing.position
            if reached >= position:
                return
            if standing is not None and standing.is_halted:
                raise halted_error(name, standing)
            if not is_in_log:
                is_in_log = await live.reading(partial(live.is_in_log, position))
                if not is_in_log:
                    raise live.beyond(position, await live.reading(live.definition.store.end))
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(
                    f"projection {name!r} has not reached position {position} within {timeout:g} s: it is at {reached}"
                )
            try:
                await asyncio.wait_for(told.wait(), left)
            except TimeoutError:
                pause = min(1.5 * pause, _LAST_LOOK)
