"""The store in PostgreSQL: what every store does, its URLs, and what it keeps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from cnstra.durable import (
    Store,
    StoreBusyError,
    StoreError,
    StoreUrlError,
)
from cnstra.durable.port import Increment, RunEnd
from cnstra.durable.postgres import PostgresStore

from .postgres import administrator, named, on_postgres, opened, postgres_url, schema, terminate
from .store_bench import begin, change, commit, finish, row, takeover
from .store_conformance import StoreConformance

__all__ = ["schema"]

pytestmark = pytest.mark.once


class TestPostgresStoreConforms(StoreConformance):
    @pytest.fixture(autouse=True)
    def _in_a_schema(self, schema: str) -> None:
        self._schema = schema

    async def store(self, place: Path) -> Store:
        store = Store.open(postgres_url(), schema=self._schema, pool_size=4)
        await store.connect()
        return store

    def test_a_mistake_in_one_increment_undoes_all(self, tmp_path: Path) -> None:
        """Not as for other stores: a task that is there already is none, since the answer to the first may be lost."""

        async def case(store: PostgresStore) -> None:
            claims = [await begin(store, f"run {number}") for number in range(2)]
            nameless: Any = None
            batch = [
                Increment(claims[0].key, 1, added=[row(1)], contexts={"a": b"1"}, end=RunEnd("completed", None)),
                Increment(claims[1].key, 1, added=[row(1, neuron=nameless)]),
            ]
            with pytest.raises(StoreError, match="null value"):
                await store.commit(batch)
            assert [run.status for run in await store.list_runs()] == ["running"] * 2
            assert await store.list_tasks(claims[0].key) == ([], {})
            await commit(store, claims[0], added=[row(1)])

        on_postgres(self._schema, case)


# -- URLs and options


def test_a_url_is_shown_without_password() -> None:
    for url, shown in (
        ("postgresql://me:secret@host:5433/runs?sslmode=require&password=secret", "postgresql://me@host:5433/runs"),
        ("postgres://host/runs", "postgresql://host/runs"),
        ("postgresql://me:secret@[::1]:5433/runs", "postgresql://me@[::1]:5433/runs"),
        ("postgresql://one:1,two:2/runs", "postgresql://one:1,two:2/runs"),
        ("postgresql://one,two/runs?port=1", "postgresql://one:1,two:1/runs"),
        ("postgresql:///runs?host=/run/postgresql", "postgresql://%2Frun%2Fpostgresql/runs"),
        ("postgresql://m%40e:se%2Fcret@host/ru%20ns", "postgresql://m%40e@host/ru%20ns"),
        ("postgresql://", "postgresql:///"),
    ):
        store = Store.open(url)
        assert store.url == shown
        assert repr(store) == f"<Store {shown}>"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec%zzret@host/runs",
        "postgresql://me:secret@secret@host/runs",
        "postgresql://me:sec/secret@host/runs",
        "postgresql://me:12/secret@host/runs",
        "postgresql://me:secret@[::1/runs",
        "postgresql://me:secret@host:99999/runs",
        "postgresql://me:secret@host:secret/runs",
        "postgresql://me:secret@host/runs?secret=1",
    ],
)
def test_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_options_are_checked() -> None:
    url = "postgresql://host/runs"
    wrong: Any
    for wrong in (None, b"runs"):
        with pytest.raises(TypeError, match="schema must be a str"):
            PostgresStore(url, schema=wrong)
    for name in ("", "a\0b", "ä" * 32):
        with pytest.raises(ValueError, match="schema must"):
            PostgresStore(url, schema=name)
    for wrong in (True, 2.5, "3"):
        with pytest.raises(TypeError, match="pool_size must be an int"):
            PostgresStore(url, pool_size=wrong)
    with pytest.raises(ValueError, match="pool_size must be at least 1"):
        PostgresStore(url, pool_size=0)
    with pytest.raises(TypeError, match="synchronous"):
        Store.open(url, synchronous="full")


def test_without_psycopg_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from cnstra.durable import Store\n"
        "try: Store.open('postgresql://host/runs')\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'cnstra[postgres]'" in done.stdout


# -- schemas


@pytest.mark.parametrize("name", ['quo"ted', "with space; DROP", "cnstra_ {0} %s $1", "ümläut'"])
def test_a_schema_may_have_any_name(name: str, schema: str) -> None:
    # The name of the fixture is part of it, so that it can be dropped.
    whole = f"{name} {schema.rpartition(' ')[2]}"

    async def case(store: PostgresStore) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)], contexts={"a": b"1"})
        await finish(store, claim)
        assert [task.seq for task in (await store.frontier(claim.key)).tasks] == [1]
        assert await store.prune(older_than=None, keep_last=None) == 1
        async with store.transaction() as scope:
            # Handlers see the database as they always do.
            found = await (await scope.connection.execute("SHOW search_path")).fetchone()
            assert found == ('"$user", public',)

    try:
        on_postgres(whole, case)
    finally:
        with administrator() as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(
                psycopg.sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(psycopg.sql.Identifier(whole))
            )


def test_several_may_make_a_schema_at_once(schema: str) -> None:
    stores = [PostgresStore(postgres_url(), schema=schema) for _ in range(6)]

    async def main() -> None:
        try:
            await asyncio.gather(*(store.connect() for store in stores))
            claims = [await begin(store, f"run {number}") for number, store in enumerate(stores)]
            assert len({claim.key for claim in claims}) == 6
        finally:
            for store in stores:
                await store.close()

    asyncio.run(main())
    with administrator() as connection:
        found = connection.execute(f'SELECT number FROM "{schema}".cnstra_schema'.encode()).fetchall()
    assert found == [(1,)]


def test_nothing_is_written_where_nothing_is_missing(schema: str) -> None:
    async def main() -> None:
        async with opened(schema):
            pass
        with administrator() as connection:
            connection.execute(f'REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC'.encode())
            before = connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()
        async with opened(schema, f"{postgres_url()}?options={quote('-c default_transaction_read_only=on')}"):
            pass
        assert before == (None,)

    asyncio.run(main())


# -- owners


def test_a_beat_waits_for_a_lock_a_second_and_no_longer(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        await store.register("owner", 60)
        with administrator() as connection, connection.transaction():
            connection.execute(f'LOCK TABLE "{schema}".cnstra_owners'.encode())
            begun = time.monotonic()
            with pytest.raises(StoreBusyError):
                await asyncio.to_thread(store.beat, "owner", 60)
            assert 0.8 < time.monotonic() - begun < 5
        assert store.beat("owner", 60).cancels == {}

    on_postgres(schema, case)


def test_a_store_may_be_closed_during_a_beat(schema: str) -> None:
    async def main() -> None:
        store = PostgresStore(named(schema), schema=schema)
        await store.connect()
        store.beat("owner", 60)
        with administrator() as connection, connection.transaction():
            connection.execute(f'LOCK TABLE "{schema}".cnstra_owners'.encode())
            beating = asyncio.create_task(asyncio.to_thread(store.beat, "owner", 60))
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            await store.close()
            assert time.monotonic() - begun < 0.5
        await beating
        assert terminate(schema) == 0

    asyncio.run(main())


def test_of_two_that_claim_the_same_runs_each_gets_its_own(schema: str) -> None:
    async def main() -> None:
        async with opened(schema) as store, opened(schema) as other:
            claims = [await begin(store, f"run {number}", lease=-1) for number in range(60)]
            wanted = [takeover(claim) for claim in claims]
            found = await asyncio.gather(
                *(place.claim(f"owner {place is store}", wanted, [], []) for place in (store, other, store, other))
            )
            taken = [claim for part in found for claim in part]
            assert sorted(claim.key for claim in taken) == [claim.key for claim in claims]
            assert {claim.fence for claim in taken} == {2}
            for claim in taken:
                await commit(store, claim, added=[row(1)])
            refused = await store.commit([Increment(claim.key, claim.fence, added=[row(2)]) for claim in claims])
            assert refused == {claim.key for claim in claims}

    asyncio.run(main())


def test_pruning_takes_all_there_is(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnstra.durable.postgres._PRUNED_AT_ONCE", 3)

    async def case(store: PostgresStore) -> None:
        for number in range(8):
            claim = await begin(store, f"run {number}")
            await commit(store, claim, added=[row(1)], contexts={"a": b"1"}, end=RunEnd("completed", None))
        assert await store.prune(older_than=None, keep_last=1) == 7
        assert [run.run_id for run in await store.list_runs()] == ["run 7"]
        with administrator() as connection:
            for table in ("tasks", "contexts", "attempts", "entries"):
                found = connection.execute(f'SELECT count(*) FROM "{schema}".cnstra_{table}'.encode()).fetchone()
                assert found == (1,)

    on_postgres(schema, case)


# -- what is stored


def test_words_that_a_database_cannot_hold_are_stored_all_the_same(schema: str) -> None:
    words = "NUL \0, half a pair \ud800, € and 😀"
    stored = "NUL \\0, half a pair \\ud800, € and 😀"

    async def case(store: PostgresStore) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1, status="failed", error=words, traceback=words)], hops=1)
        await commit(store, claim, added=[row(2)], changed=[change(1, status="failed", error=words, traceback=words)])
        (task, _), _ = await store.list_tasks(claim.key)
        assert (task.error, task.traceback) == (stored, stored)
        await store.request_cancel("run", words)
        await finish(store, claim, "failed", words)
        found = await store.find("run")
        assert found is not None
        assert (found.error, found.cancel) == (stored, stored)
        (attempt,) = await store.list_attempts(claim.key)
        assert attempt.error == stored

    on_postgres(schema, case)


def test_rows_of_every_size_come_back_as_they_were(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await begin(store, entry=b"\0" * 3_000_000, tags=("a,b", '{"c"}', ""), scope="")
        rows = [
            row(1, cause=None, input=b"", hop=2**31 - 1, id="", joined=""),
            row(2**40, cause=2**39, outputs=bytes(range(256)) * 10_000, started=1e9 + 1e-6, duration=0.0),
        ]
        await commit(store, claim, added=rows, contexts={"": b"", "ä'\"": b"\0" * 100_000})
        assert (await store.list_tasks(claim.key))[0] == rows
        assert (await store.frontier(claim.key)).contexts == {"": b"", "ä'\"": b"\0" * 100_000}
        found = await store.find("run")
        assert found is not None
        assert (len(found.entry), found.tags, found.scope) == (3_000_000, ("a,b", '{"c"}', ""), "")

    on_postgres(schema, case)


def test_threads_are_not_needed_for_it(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)])
        async with store.transaction():
            pass

    before = threading.active_count()
    on_postgres(schema, case)
    assert threading.active_count() == before
