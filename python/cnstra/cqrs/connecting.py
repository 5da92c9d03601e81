"""What is declared with a URL, and connects when it is first used: the event store and the read models."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["Connecting", "first_schema", "shown"]

T = TypeVar("T")


class Connecting(ABC, Generic[T]):
    """A database by its URL; ``T`` is what there is while it is connected.

    Args:
        kind: what errors call it.
        url: where it is; None has it given to ``connect`` later.

    Raises:
        TypeError: the URL is no str.
    """

    def __init__(self, kind: str, url: str | None) -> None:
        if url is not None and not isinstance(url, str):
            raise TypeError(f"the URL of {kind} must be a str, not {type(url).__name__}")
        self._url = url
        self._lock = threading.RLock()
        self._open: T | None = None

    @abstractmethod
    def _make(self, url: str | None) -> T:
        """Connect; it blocks. Raises what tells that there is no URL, or what is wrong with it."""

    @abstractmethod
    def _end(self, was: T) -> None:
        """Finish what is going on, and disconnect; it blocks."""

    @abstractmethod
    def _connected_already(self) -> str:
        """What those are told who give it another URL while it is connected."""

    @property
    def url(self) -> str | None:
        """Where it is, without user and password; None if it has not been told yet."""
        return None if self._url is None else shown(self._url)

    def connect(self, url: str | None = None) -> None:
        """Connect. It is also done by whatever first needs it.

        Cost: blocks.

        Args:
            url: where it is, instead of what it was made with.

        Raises:
            RuntimeError: it is connected to another place: ``close`` it first.
            EventStoreUrlError, ReadModelUrlError: the URL names no such database, or there is none.
            EventStoreUnavailableError, ReadModelUnavailableError: the database cannot be used.
        """
        with self._lock:
            if url is not None and url != self._url:
                if self._open is not None:
                    raise RuntimeError(self._connected_already())
                self._url = url
            self._opened()

    def close(self) -> None:
        """Finish what is going on, and disconnect. It can be connected again.

        Cost: blocks.
        """
        with self._lock:
            was, self._open = self._open, None
        if was is not None:
            self._end(was)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> T:
        found = self._open
        if found is None:
            with self._lock:
                found = self._open
                if found is None:
                    found = self._open = self._make(self._url)
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url or 'without a URL'}>"


def shown(url: str) -> str:
    """A URL without its user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"


def first_schema(search_path: str) -> str:
    """The first schema of a search path of PostgreSQL, as it was written there: ``$user`` is never made."""
    return search_path.split(",", maxsplit=1)[0].strip().strip('"')
