"""Stores for the tests of durable runs: each test runs on every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cnstra.durable import Store

OpenStore = Callable[..., Store]


# On PostgreSQL with one engine only: one server, which some tests restart, serves one pass at a time.
@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens a store on the same data each time, as another process would; the one in memory is one object."""
    if request.param == "memory":
        memory = Store.open("memory://")
        yield lambda **_: memory
    elif request.param == "sqlite":
        yield lambda **options: Store.open(f"sqlite:///{tmp_path}/runs.db", **options)
    else:
        from .postgres import fresh_schema, postgres_url

        with fresh_schema() as schema:
            yield lambda **options: Store.open(postgres_url(), schema=schema, **options)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> OpenStore:
    """The same on SQLite alone."""

    def open_again(**options: Any) -> Store:
        return Store.open(f"sqlite:///{tmp_path}/runs.db", **options)

    return open_again
