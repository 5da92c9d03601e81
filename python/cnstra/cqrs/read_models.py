"""The database of the read models, and the threads in which it is used: none of that happens on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

from .connecting import Connecting
from .engines import Engines, open_engines
from .errors import ReadModelUrlError

__all__ = ["ReadModels", "in_thread"]

T = TypeVar("T")

_READERS: Final = 4


class ReadModels(Connecting[Engines]):
    """A database that projections write to and queries read from: a SQLite file, or PostgreSQL, by SQLAlchemy.

    It is declared, like the engines of SQLAlchemy, and connects when it is first used. Every projection writes in a
    thread of its own; queries are answered in others, on connections that cannot write.

    Args:
        url: ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db``, ``postgresql://user@host/database`` (its
            tables are in the schema that the connection makes new tables in) or ``memory:``. None has it given to
            ``connect`` later.
        readers: how many queries are answered at once.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.

    Example:
        >>> from cnstra.cqrs import ReadModels
        >>> models = ReadModels("sqlite:///shop-models.db")
        >>> models
        <ReadModels sqlite:///shop-models.db>
    """

    def __init__(self, url: str | None = None, *, readers: int = _READERS) -> None:
        super().__init__("read models", url)
        if not isinstance(readers, int) or isinstance(readers, bool):
            raise TypeError(f"readers must be an int, not {type(readers).__name__}")
        if readers < 1:
            raise ValueError(f"readers must be at least 1, not {readers}")
        self._readers = readers
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._tables: dict[str, str] = {}

    def connect(self, url: str | None = None) -> None:
        """See ``Connecting.connect``. What is made there connects late: this looks whether the database is there."""
        super().connect(url)
        with self.engines.reading():
            pass

    def close(self) -> None:
        """See ``Connecting.close``; the threads finish what they are at before."""
        with self._lock:
            threads, self._threads = self._threads, {}
        for executor in threads.values():
            executor.shutdown()
        super().close()

    def _make(self, url: str | None) -> Engines:
        if url is None:
            raise ReadModelUrlError(
                "the read models have no URL: give them one, ReadModels(url), or connect(url) before they are used"
            )
        return open_engines(url, readers=self._readers)

    def _connected_already(self) -> str:
        return f"read models {self.url} are connected: close() them before they get another URL"

    def _end(self, was: Engines) -> None:
        was.close()

    # -- for projections and queries

    @property
    def engines(self) -> Engines:
        """The engines, made if need be; other ones after each ``close``."""
        return self._opened()

    def thread(self, name: str) -> Executor:
        """The one thread of that name."""
        return self._executor(name, 1)

    def reading_threads(self) -> Executor:
        """Those in which queries are answered."""
        return self._executor("read", self._readers)

    def _executor(self, name: str, size: int) -> Executor:
        found = self._threads.get(name)
        if found is None:
            with self._lock:
                found = self._threads.get(name)
                if found is None:
                    found = self._threads[name] = ThreadPoolExecutor(size, thread_name_prefix=f"cnstra {name}")
        return found

    def claim(self, table: str, projection: str) -> None:
        """A table is written by one projection, or a rebuild of one would take away what the other has written.

        Raises:
            ValueError: another has it.
        """
        owner = self._tables.setdefault(table, projection)
        if owner != projection:
            raise ValueError(
                f"table {table!r} belongs to projection {owner!r} and cannot be one of {projection!r} as well: give "
                f"each projection tables of its own"
            )


async def in_thread(executor: Executor, work: Callable[[], T]) -> T:
    """What the work comes to, in a thread. Whoever is cancelled meanwhile goes when the thread is done with it."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen
        raise
