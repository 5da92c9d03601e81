"""A projection at work: its tables in the database, its thread, and how far it is known to have got."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from .advancing import Advancer, Definition, Step, culprit_of, halted_error
from .engines import Engines
from .errors import PositionError, ReadModelError, UnknownEventError
from .positions import (
    LIVE,
    Parked,
    Standing,
    add_parked,
    insert_standing,
    lock_standing,
    metadata,
    move,
    parked_rows,
    read_standing,
    remove_parked,
)
from .read_models import ReadModels, in_thread
from .tables import check_live, create_missing, described, one_at_a_time

__all__ = ["Live"]

T = TypeVar("T")


class Live:
    """What is behind a projection. Its methods block, but for those that are coroutines.

    Args:
        definition: of the projection.
        models: where its tables are.
    """

    def __init__(self, definition: Definition, models: ReadModels) -> None:
        self.definition = definition
        self.models = models
        self._lock = threading.Lock()
        self._waiting: set[_Waiting] = set()
        self._reached = 0
        self._wanted = 0
        # The end of the log when it was looked at last.
        self._end = 0
        # When the last look for the position began, and what it saw.
        self._looking = threading.Lock()
        self._looked: tuple[float, Standing | None] | None = None
        # What it has been prepared on; there are other engines after each close.
        self._engines: Engines | None = None
        self._advancer: Advancer | None = None

    @property
    def reached(self) -> int:
        """The position that is known to have been committed, without a look at the database."""
        return self._reached if self._engines is self.models.engines else 0

    async def in_its_thread(self, work: Callable[[], T]) -> T:
        """What the work comes to in the thread that writes this projection."""
        return await in_thread(self.models.thread(f"projection {self.definition.name}"), work)

    async def reading(self, work: Callable[[], T]) -> T:
        """What the work comes to in a thread that reads."""
        return await in_thread(self.models.reading_threads(), work)

    # -- on the way

    def step(self, through: int | None = None, *, wait: bool = True) -> Step | None:
        """Apply the next batch; see ``Advancer``. None while another process has the projection."""
        advancer = self._prepared()
        step = advancer.step(through, wait=wait)
        if step is not None:
            self.tell(step.position)
        elif self.standing() is None:
            raise ReadModelError(f"the position of projection {self.definition.name!r} is gone; rebuild it")
        return step

    def want(self, position: int) -> None:
        """Somebody is going to advance that far: whoever does so first can go on for all."""
        with self._lock:
            self._wanted = max(self._wanted, position)

    def advance_through(self, position: int) -> int:
        """Apply all events up to a position, which is in the log; the one that was reached.

        Raises:
            PositionError: the log ends before it.
        """
        while self.reached < position:
            step = self.step(max(self._wanted, position))
            if step is not None and step.is_last and step.position < position:
                raise self.beyond(position, step.position)
        return self._reached

    def beyond(self, position: int, end: int) -> PositionError:
        """The error of a position that is not in the log."""
        return PositionError(
            f"projection {self.definition.name!r}: position {position} lies beyond the end of the log of "
            f"{self.definition.store.url}, which is {end}"
        )

    def _prepared(self) -> Advancer:
        """Tables are made, and looked at, when they are first needed."""
        engines = self.models.engines
        if self._advancer is not None and engines is self._engines:
            return self._advancer
        definition = self.definition
        # A schema that both have to make is not to be waited for from inside a transaction that makes it.
        definition.store.connect()
        with engines.writing() as connection:
            prepare(connection)
            standing = lock_standing(connection, definition.name, LIVE)
            position = None if standing is None else standing.position
            # Not before: others may have gone on beyond it until the lock was had.
            end = definition.store.end()
            check_live(connection, definition.name, definition.tables, position)
            create_missing(connection, definition.tables)
            if standing is None:
                insert_standing(connection, definition.name, LIVE, described(definition.tables, connection))
            elif standing.position > end:
                raise PositionError(
                    f"projection {definition.name!r} is at position {standing.position}, and the log of "
                    f"{definition.store.url} ends at {end}: it was made from another log; rebuild it"
                )
        self._advancer = Advancer(definition, LIVE, engines, {table: table for table in definition.tables})
        with self._lock:
            self._reached, self._engines = position or 0, engines
        return self._advancer

    # -- how far it has got

    def standing(self) -> Standing | None:
        """What the database says; None if the projection has never begun."""
        engines = self.models.engines
        with engines.reading() as connection:
            try:
                return read_standing(connection, self.definition.name, LIVE)
            except DBAPIError:
                connection.rollback()
                if not inspect(connection).has_table("cnstra_projections"):
                    return None
                # Another process has made it in between; or whatever it was comes up once more.
                return read_standing(connection, self.definition.name, LIVE)

    def look(self, asked: float) -> Standing | None:
        """The same, for many who ask at once: one of them looks, and the answer is no older than the question.

        Args:
            asked: when, by ``time.monotonic``.
        """
        with self._looking:
            if self._looked is None or self._looked[0] < asked:
                began = time.monotonic()
                self._looked = (began, self.standing())
                if self._looked[1] is not None:
                    self.tell(self._looked[1].position)
            return self._looked[1]

    def is_in_log(self, position: int) -> bool:
        """Whether the log goes on so far; it is only looked at if that is not known."""
        if position > self._end:
            self._end = self.definition.store.end()
        return position <= self._end

    def tell(self, position: int) -> None:
        """It has got that far: wake those who wait for it."""
        with self._lock:
            self._reached = max(self._reached, position)
            ready = [waiting for waiting in self._waiting if waiting.position <= position]
        for waiting in ready:
            waiting.wake()

    @contextmanager
    def waiting(self, position: int) -> Generator[asyncio.Event]:
        """An event that is set when this process is told that the position was reached."""
        waiting = _Waiting(position)
        with self._lock:
            self._waiting.add(waiting)
        try:
            yield waiting.event
        finally:
            with self._lock:
                self._waiting.discard(waiting)

    # -- what could not be digested

    def resume(self) -> int:
        """Try the event again at which it is halted, if it is; the position that was reached."""
        self._prepared()
        with self.models.engines.writing() as connection:
            standing = lock_standing(connection, self.definition.name, LIVE)
            if standing is None or not standing.is_halted:
                return 0 if standing is None else standing.position
            move(connection, self.definition.name, LIVE, standing.position)
        return self.advance_through(standing.failed_position or standing.position + 1)

    def parked(self) -> list[Parked]:
        """What is parked."""
        if self.standing() is None:
            return []
        with self.models.engines.reading() as connection:
            return parked_rows(connection, self.definition.name, LIVE)

    def retry_parked(self) -> list[Parked]:
        """Apply what is parked, in the order of the log; what still cannot be."""
        advancer = self._prepared()
        name, store = self.definition.name, self.definition.store
        still: list[Parked] = []
        with self.models.engines.writing() as connection:
            standing = lock_standing(connection, name, LIVE)
            if standing is not None and standing.is_halted:
                raise halted_error(name, standing)
            for parked in parked_rows(connection, name, LIVE):
                error: Exception | None
                try:
                    found = store.read(
                        parked.position - 1, limit=1, through=parked.position, types=self.definition.types
                    )
                except UnknownEventError as unknown:
                    error, again = unknown, parked
                else:
                    if not found:
                        raise self.beyond(parked.position, store.end())
                    error, again = advancer.apply_one(connection, found[0]), parked
                    if error is not None:
                        again = culprit_of(found[0], error)
                if error is None:
                    remove_parked(connection, name, LIVE, [parked.position])
                else:
                    add_parked(connection, name, LIVE, again)
                    still.append(again)
        return still


class _Waiting:
    """Somebody on an event loop who waits for a position."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self.event.set)
        except RuntimeError:
            pass  # the loop is closed, and with it whoever waited


def prepare(connection: Connection) -> None:
    """Make the tables that positions are in, where they are not."""
    one_at_a_time(connection)
    metadata.create_all(connection)
