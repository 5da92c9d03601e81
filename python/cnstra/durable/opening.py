"""From a URL to a store; each kind is a module that is imported only when it is wanted."""

from __future__ import annotations

from typing import Any

from .errors import StoreUrlError
from .port import Store

__all__ = ["open_store"]


def open_store(url: str, options: dict[str, Any]) -> Store:
    """The store that a URL names; see ``Store.open``."""
    if not isinstance(url, str):
        raise TypeError(f"the URL of a store must be a str, not {type(url).__name__}")
    scheme, separator, _ = url.partition("://")
    if separator:
        match scheme:
            case "memory":
                from .memory import MemoryStore

                return MemoryStore(url, **options)
            case "sqlite":
                from .sqlite import SqliteStore

                return SqliteStore(url, **options)
            case "postgresql" | "postgres":
                from .postgres import PostgresStore

                return PostgresStore(url, **options)
            case _:
                pass
    shown = url.rpartition("@")[2]  # never a password
    raise StoreUrlError(
        f"{shown!r} names no store: use sqlite:///path/to/runs.db, postgresql://user@host/database or memory://"
    )
