"""Where the runs are: a store by its URL, a graph by its name, and what may be wrong with either."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any, TypeVar

from cnstra import CNS
from cnstra.durable import Durable, DurableError, Record, Store, StoreUrlError
from cnstra.durable.sqlite_opening import file_of

from .problems import CommandError
from .runnables import find_runnable

__all__ = ["VARIABLE", "connected", "durable_for", "finish", "open_record", "open_store"]

T = TypeVar("T")

VARIABLE = "CNSTRA_STORE"


def finish(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine to its end.

    Raises:
        CommandError: what durable runs say that goes wrong.
    """
    with _in_one_line():
        return asyncio.run(work())


def open_store(url: str | None) -> Store:
    """The store that ``--store`` or the environment names; it is there, and not connected.

    Raises:
        CommandError: neither names one, or there is none.
    """
    url = url or os.environ.get(VARIABLE)
    if not url:
        raise CommandError(f"which store? give --store URL, or set the environment variable {VARIABLE}", status=2)
    with _in_one_line():
        store = Store.open(url)
        _must_exist(store)
        return store


def open_record(url: str | None, app: str | None) -> tuple[Store, Record]:
    """What a store remembers, shown by the types of a graph if there is one.

    Args:
        url: of the store; None is that of the environment, or of the app if that is a Durable.
        app: ``MODULE:CNS``; None shows payloads as they are stored.
    """
    if app is None:
        store = open_store(url)
        return store, Record(store)
    durable = durable_for(url, app)
    return durable.store, durable


def durable_for(url: str | None, app: str) -> Durable:
    """What runs durable runs; it is not entered yet.

    Args:
        url: of the store; None is that of the environment, or of the app if that is a Durable.
        app: ``MODULE:CNS``.
    """
    found = find_runnable(app)
    if isinstance(found, CNS):
        store = open_store(url)
        with _in_one_line():
            return Durable(found, store)
    if url is not None:
        raise CommandError(f"{app} is a Durable, which has a store of its own: leave --store out", status=2)
    with _in_one_line():
        _must_exist(found.store)
    return found


@asynccontextmanager
async def connected(store: Store) -> AsyncGenerator[None]:
    """What is inside may use the store."""
    await store.connect()
    try:
        yield
    finally:
        await store.close()


def _must_exist(store: Store) -> None:
    """Connecting would make a store where there is none, and whoever asks for runs has only mistaken its name."""
    if not store.url.startswith("sqlite:"):
        return
    file = file_of(store.url)
    try:
        if not file.exists():
            raise CommandError(f"there is no store at {store.url}: {file} does not exist")
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'cnstra_schema'").fetchone()
    except (OSError, sqlite3.Error):
        return  # whatever it is, connecting says it better
    if tables == (0,):
        raise CommandError(f"there is no store at {store.url}: {file} is a database without one")


@contextmanager
def _in_one_line() -> Generator[None]:
    try:
        yield
    except StoreUrlError as error:
        raise CommandError(str(error), status=2) from error
    except DurableError as error:
        raise CommandError(str(error)) from error
