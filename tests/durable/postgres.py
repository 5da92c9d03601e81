"""The PostgreSQL server that tests use, schemas in it that are gone afterwards, and a line to it that can be cut."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, Self
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cnstra.durable.postgres import PostgresStore

__all__ = [
    "Wire",
    "administrator",
    "fresh_schema",
    "named",
    "on_postgres",
    "opened",
    "postgres_url",
    "schema",
    "terminate",
]


# Whoever uses this uses these as well, and their asserts are to tell what they compare.
pytest.register_assert_rewrite(
    *(f"{__package__}.store_{part}" for part in ("bench", "ownership", "takeovers", "increments", "record"))
)


@cache
def postgres_url() -> str:
    """Where it is: CNSTRA_TEST_POSTGRES, or on this machine.

    The test is skipped if no server answers there, and fails where that cannot be meant: CNSTRA_CI is set.
    """
    url = os.environ.get("CNSTRA_TEST_POSTGRES") or "postgresql://postgres@127.0.0.1:5432/test"
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL: {' '.join(str(error).split())}; CNSTRA_TEST_POSTGRES says where one is"
        if os.environ.get("CNSTRA_CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return url


@contextmanager
def administrator() -> Generator[psycopg.Connection[Any]]:
    """A connection to it, for a look behind a store's back."""
    with psycopg.connect(postgres_url(), autocommit=True) as connection:
        yield connection


@contextmanager
def fresh_schema(name: str = "cnstra test") -> Generator[str]:
    """The name of a schema that does not exist; what is made of it is dropped."""
    name = f"{name} {secrets.token_hex(6)}"
    try:
        yield name
    finally:
        with administrator() as connection:
            # Whoever a test has left in a transaction there would be waited for.
            connection.execute("SET lock_timeout = '10s'")
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def schema() -> Iterator[str]:
    """A schema of the test's own."""
    with fresh_schema() as name:
        yield name


@asynccontextmanager
async def opened(schema: str, url: str | None = None, **options: Any) -> AsyncGenerator[PostgresStore]:
    """A store that is connected."""
    store = PostgresStore(url or postgres_url(), schema=schema, **options)
    await store.connect()
    try:
        yield store
    finally:
        await store.close()


def on_postgres(schema: str, case: Callable[[PostgresStore], Awaitable[None]], **options: Any) -> None:
    """A test of a coroutine that takes one."""

    async def main() -> None:
        async with opened(schema, **options) as store:
            await case(store)

    asyncio.run(main())


def named(name: str) -> str:
    """The URL, with a name by which the server knows the connections."""
    return f"{postgres_url()}?application_name={quote(name)}"


def terminate(name: str) -> int:
    """End the connections of that name, as an administrator or a restart would."""
    with administrator() as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = %s", [name]
        ).fetchone()
    assert ended is not None
    return int(ended[0])


class Wire:
    """Between a store and the server: it can be cut, and lose answers. Connections through it are not encrypted.

    Use it as ``async with``; everything happens on the loop of the test.
    """

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._losing: bytes | None = None
        self._passes_on = self._is_for_good = False

    @property
    def url(self) -> str:
        parts = conninfo_to_dict(postgres_url())
        return f"postgresql://{parts['user']}:secret@127.0.0.1:{self._port}/{parts['dbname']}?sslmode=disable"

    def lose_answer_to(self, words: bytes, *, for_good: bool = False) -> None:
        """What the server answers to the next message with these words in it is not passed on: the line is cut, and no
        other can be had any more if it is ``for_good``."""
        self._losing, self._passes_on, self._is_for_good = words, True, for_good

    def lose(self, words: bytes) -> None:
        """The next message with these words in it does not reach the server: the line is cut."""
        self._losing, self._passes_on, self._is_for_good = words, False, False

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Cut every line, and take no new ones."""
        if self._server is not None:
            self._server.close()
        for end in list(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        parts = conninfo_to_dict(postgres_url())
        to_reader, to_writer = await asyncio.open_connection(str(parts["host"]), int(parts["port"] or 5432))
        ends = {writer, to_writer}
        self._ends |= ends
        lost = False

        async def forth() -> None:
            nonlocal lost
            while data := await reader.read(1 << 16):
                if self._losing is not None and self._losing in data:
                    self._losing, lost = None, True
                    if self._is_for_good and self._server is not None:
                        self._server.close()
                    if not self._passes_on:
                        return
                to_writer.write(data)

        async def back() -> None:
            while data := await to_reader.read(1 << 16):
                if lost:
                    return
                writer.write(data)

        try:
            flows = [asyncio.ensure_future(forth()), asyncio.ensure_future(back())]
            await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
            for flow in flows:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)
        finally:
            for end in ends:
                end.transport.abort()
            self._ends -= ends
            self._tasks.discard(task)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()
