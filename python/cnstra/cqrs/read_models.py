"""The database of the read models, and the threads in which it is used: none of that happens on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, TypeVar

from .engines import Engines, open_engines, shown
from .errors import ReadModelUrlError

__all__ = ["ReadModels", "in_thread"]

T = TypeVar("T")

_READERS: Final = 4


class ReadModels:
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
        if url is not None and not isinstance(url, str):
            raise TypeError(f"the URL of read models must be a str, not {type(url).__name__}")
        if not isinstance(readers, int) or isinstance(readers, bool):
            raise TypeError(f"readers must be an int, not {type(readers).__name__}")
        if readers < 1:
            raise ValueError(f"readers must be at least 1, not {readers}")
        self._url = url
        self._readers = readers
        self._lock = threading.RLock()
        self._open: Engines | None = None
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._tables: dict[str, str] = {}

    @property
    def url(self) -> str | None:
        """Where they are, without user and password; None if it has not been told yet."""
        return None if self._url is None else shown(self._url)

    # -- life

    def connect(self, url: str | None = None) -> None:
        """Look whether the database is there. What first needs it would do so as well.

        Cost: blocks.

        Args:
            url: where they are, instead of what this was made with.

        Raises:
            RuntimeError: it is connected to another place: ``close`` it first.
            ReadModelUrlError: the URL names no database, or there is none.
            ReadModelUnavailableError: the database cannot be used.
        """
        with self._lock:
            if url is not None and url != self._url:
                if self._open is not None:
                    raise RuntimeError(
                        f"read models {self.url} are connected: close() them before they get another URL"
                    )
                self._url = url
            with self.engines.reading():
                pass

    def close(self) -> None:
        """Finish what the threads are at, and disconnect. It can be connected again.

        Cost: blocks.
        """
        with self._lock:
            was, self._open = self._open, None
            threads, self._threads = self._threads, {}
        for executor in threads.values():
            executor.shutdown()
        if was is not None:
            was.close()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- for projections and queries

    @property
    def engines(self) -> Engines:
        """The engines, made if need be; other ones after each ``close``."""
        found = self._open
        if found is None:
            with self._lock:
                found = self._open
                if found is None:
                    if self._url is None:
                        raise ReadModelUrlError(
                            "the read models have no URL: give them one, ReadModels(url), or connect(url) before they "
                            "are used"
                        )
                    found = self._open = open_engines(self._url, readers=self._readers)
        return found

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

    def __repr__(self) -> str:
        return f"<ReadModels {self.url or 'without a URL'}>"


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
