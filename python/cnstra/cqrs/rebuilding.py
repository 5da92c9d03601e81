"""Rebuilding a projection: the whole log once more, into fresh tables that take the place of the live ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.exc import DBAPIError

from .advancing import Advancer, Step, UndigestedError
from .engines import words
from .errors import ReadModelError
from .live import Live, prepare
from .positions import LIVE, REBUILD, insert_standing, lock_standing, move, remove, take_over
from .read_models import in_thread
from .tables import create_missing, described, drop, shadow_of, swap

__all__ = ["Progress", "rebuild"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is.

    Attributes:
        position: up to which the log was applied.
        end: of the log.
        events: how many were applied since this process began, or went on, with it.
    """

    position: int
    end: int
    events: int


async def rebuild(live: Live, progress: Callable[[Progress], object] | None, *, restart: bool) -> int:
    """Rebuild a projection, or go on with that; the position that was reached."""
    name, store = live.definition.name, live.definition.store
    thread = live.models.thread(f"rebuild of {name}")
    work = await in_thread(thread, lambda: _Rebuild(live, restart=restart))
    events = 0
    while True:
        step = await in_thread(thread, work.step)
        if step is not None:
            events += step.events
            if progress is not None:
                end = step.position if step.is_last else await in_thread(thread, store.end)
                progress(Progress(step.position, max(end, step.position), events))
            if not step.is_last:
                continue
            position = await in_thread(thread, work.swap)
            if position is None:
                continue
        else:
            # Another process was at it as well, and has swapped.
            standing = await in_thread(thread, live.standing)
            position = 0 if standing is None else standing.position
        live.tell(position)
        return position


class _Rebuild:
    """One rebuild, as far as this process is concerned: what it has done is in the database. Its methods block."""

    def __init__(self, live: Live, *, restart: bool) -> None:
        self._name = live.definition.name
        self._tables = live.definition.tables
        self._engines = live.models.engines
        self._shadows: dict[Table, Table] = {table: shadow_of(table) for table in self._tables}
        live.definition.store.connect()  # as for the live tables
        with self._engines.writing() as connection:
            prepare(connection)
            self._description = described(self._tables, connection)
            standing = lock_standing(connection, self._name, REBUILD)
            end = live.definition.store.end()
            if standing is not None and (
                restart or standing.tables != self._description or standing.position > end or self._is_gone(connection)
            ):
                standing = None
            if standing is None:
                remove(connection, self._name, REBUILD)
                drop(connection, list(self._shadows.values()))
                create_missing(connection, list(self._shadows.values()))
                insert_standing(connection, self._name, REBUILD, self._description)
            elif standing.is_halted:
                move(connection, self._name, REBUILD, standing.position)
        self._advancer = Advancer(live.definition, REBUILD, self._engines, self._shadows, description=self._description)

    def _is_gone(self, connection: Connection) -> bool:
        inspector = inspect(connection)
        return not all(inspector.has_table(shadow.name) for shadow in self._shadows.values())

    def step(self) -> Step | None:
        """Apply the next batch; None if there is no rebuild any more."""
        return self._advancer.step()

    def swap(self) -> int | None:
        """Apply what is left, while nobody else moves the projection, and swap; the position that was reached.

        None if there is an event that has to be dealt with before, or no rebuild any more: the next step will tell.
        """
        try:
            with self._engines.writing() as connection:
                # In this order wherever both are locked.
                live = lock_standing(connection, self._name, LIVE)
                standing = lock_standing(connection, self._name, REBUILD)
                if standing is None:
                    return None
                position = self._advancer.finish(connection, standing.position)
                if live is None:
                    insert_standing(connection, self._name, LIVE, self._description)
                swap(connection, self._tables)
                take_over(connection, self._name, position, self._description)
                return position
        except UndigestedError:
            return None
        except DBAPIError as error:
            raise ReadModelError(
                f"the tables of projection {self._name!r} cannot be swapped: {words(error.orig or error)}; the rebuilt "
                f"ones stay beside them, and the next rebuild begins with the swap"
            ) from error
