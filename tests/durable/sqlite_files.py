"""Stores on files, for the tests of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnstra.durable.sqlite import SqliteStore

# Their asserts are to tell what they compare; it has to be said before they are imported.
pytest.register_assert_rewrite(
    *(f"{__package__}.store_{part}" for part in ("bench", "ownership", "takeovers", "increments", "record"))
)

from .store_bench import inline  # noqa: E402 - after the line above

__all__ = ["locked", "on_file", "read"]


@contextmanager
def on_file(file: Path, **options: Any) -> Iterator[SqliteStore]:
    """A store, open."""
    store = SqliteStore(f"sqlite:///{file}", **options)
    inline(store.connect())
    try:
        yield store
    finally:
        inline(store.close())


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """While somebody else writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def read(file: Path, sql: str) -> list[Any]:
    """What somebody else reads: what is committed."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()
