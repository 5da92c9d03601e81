"""PostgreSQL as a server: what is told when it cannot be used, and that it is used again when it can be."""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import quote

import pytest

from cnstra.durable import SchemaTooNewError, Store, StoreCorruptError, StoreUnavailableError
from cnstra.durable.port import Increment, RunEnd
from cnstra.durable.postgres import PostgresStore

from .postgres import Wire, administrator, named, on_postgres, opened, postgres_url, schema, terminate
from .store_bench import begin, change, commit, finish, row, takeover

__all__ = ["schema"]

pytestmark = pytest.mark.once


# -- what is wrong with a server


def test_what_keeps_it_from_connecting_is_told_without_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = postgres_url().partition("@")[2].partition("/")[0]

    async def main() -> None:
        for url, words in (
            (f"postgresql://postgres:secret@{place}/no_such_database", "does not exist"),
            (f"postgresql://no_such_role:secret@{place}/test", "does not exist"),
            ("postgresql://postgres:secret@127.0.0.1:1/test", "refused"),
            ("postgresql://postgres:secret@no-such-host.invalid/test", "no-such-host"),
            (f"postgresql://postgres:secret@{place}/test?connect_timeout=soon", "connect_timeout"),
        ):
            store = Store.open(url)
            with pytest.raises(StoreUnavailableError, match=words) as caught:
                await store.connect()
            assert store.url in str(caught.value)
            assert "secret" not in str(caught.value)
            assert "secret" not in repr(caught.value.__cause__)
            with pytest.raises(StoreUnavailableError, match="not open"):
                await store.find("run")
            await store.close()

    asyncio.run(main())
    assert "secret" not in caplog.text


def test_a_server_that_is_read_only_is_not_available(schema: str) -> None:
    read_only = f"{postgres_url()}?options={quote('-c default_transaction_read_only=on')}"

    async def main() -> None:
        with pytest.raises(StoreUnavailableError, match="read-only"):
            await PostgresStore(read_only, schema=schema).connect()
        async with opened(schema) as store, opened(schema, read_only) as other:
            claim = await begin(store)
            with pytest.raises(StoreUnavailableError, match="read-only"):
                await other.commit([Increment(claim.key, claim.fence, added=[row(1)])])
            with pytest.raises(StoreUnavailableError, match="read-only"):
                await other.register("owner", 60)
            assert (await other.find("run")) == (await store.find("run"))

    asyncio.run(main())


def test_what_a_newer_cnstra_has_written_is_left_alone(schema: str) -> None:
    async def main() -> None:
        async with opened(schema):
            pass
        with administrator() as connection:
            connection.execute(f'INSERT INTO "{schema}".cnstra_schema VALUES (99, 0)'.encode())
        with pytest.raises(SchemaTooNewError, match="99"):
            await PostgresStore(postgres_url(), schema=schema).connect()

    asyncio.run(main())


def test_other_tables_are_no_store(schema: str) -> None:
    async def main() -> None:
        with administrator() as connection:
            connection.execute(f'CREATE SCHEMA "{schema}"'.encode())
            connection.execute(f'CREATE TABLE "{schema}".cnstra_schema (words text)'.encode())
        with pytest.raises(StoreCorruptError, match="its tables"):
            await PostgresStore(postgres_url(), schema=schema).connect()
        with administrator() as connection:
            connection.execute(f'DROP TABLE "{schema}".cnstra_schema'.encode())
        async with opened(schema) as store:
            claim = await begin(store)
            with administrator() as connection:
                connection.execute(f'DROP TABLE "{schema}".cnstra_tasks'.encode())
            with pytest.raises(StoreCorruptError, match="its tables"):
                await store.frontier(claim.key)
            with pytest.raises(StoreCorruptError, match="its tables"):
                await store.commit([Increment(claim.key, claim.fence, added=[row(1)])])

    asyncio.run(main())


# -- connections that break


def test_connections_that_the_server_has_ended_are_replaced(schema: str) -> None:
    async def main() -> None:
        async with opened(schema, named(schema)) as store:
            claim = await begin(store)
            store.beat("owner", 60)
            for seq in (1, 2):
                assert terminate(schema) >= 3
                # None of these notices.
                await commit(store, claim, added=[row(seq)])
                assert await store.find("run") is not None
                assert store.beat("owner", 60).cancels == {}
            assert terminate(schema) >= 3
            async with store.transaction() as scope:
                assert await scope.commit(Increment(claim.key, claim.fence, added=[row(3)]))
            assert len((await store.frontier(claim.key)).tasks) == 3
        assert terminate(schema) == 0

    asyncio.run(main())


def test_a_call_that_was_under_way_fails_and_the_next_does_not(schema: str) -> None:
    async def main() -> None:
        async with opened(schema, named(schema)) as store:
            claim = await begin(store)
            increment = Increment(claim.key, claim.fence, added=[row(1)])
            with administrator() as connection, connection.transaction():
                connection.execute(f'LOCK TABLE "{schema}".cnstra_runs'.encode())
                calls = [asyncio.ensure_future(call) for call in (store.commit([increment]), store.find("run"))]
                await asyncio.sleep(0.2)
                assert not any(call.done() for call in calls)
                terminate(schema)
                for call in calls:
                    with pytest.raises(StoreUnavailableError, match="connection was lost"):
                        await call
            assert await store.commit([increment]) == frozenset()
            assert await store.find("run") is not None

    asyncio.run(main())


def test_a_server_that_is_away_is_told_at_once_and_used_again_at_once(schema: str) -> None:
    async def main() -> None:
        async with Wire() as wire, opened(schema, wire.url) as store:
            claim = await begin(store)
            await wire.down()
            for _ in range(3):
                begun = time.monotonic()
                for call in (store.find("run"), store.commit([Increment(claim.key, 1, added=[row(1)])])):
                    with pytest.raises(StoreUnavailableError, match="refused") as caught:
                        await call
                    assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
                with pytest.raises(StoreUnavailableError, match="refused"):
                    async with store.transaction():
                        pass
                assert time.monotonic() - begun < 5
            await wire.up()
            await commit(store, claim, added=[row(1)])
            assert await store.find("run") is not None

    asyncio.run(main())


def test_a_commit_whose_answer_was_lost_can_be_made_again(schema: str) -> None:
    async def main() -> None:
        async with Wire() as wire, opened(schema, wire.url) as store, opened(schema) as other:
            claims = [await begin(store, f"run {number}") for number in range(4)]
            await commit(store, claims[0], added=[row(1), row(2), row(3)], contexts={"a": b"1", "b": b"1"})
            batch = [
                Increment(
                    claims[0].key, 1, [row(4), row(5)], [change(1, outputs=b"needle")], [2], {"a": None, "b": b"2"}, 3
                ),
                Increment(claims[1].key, 1, added=[row(1)], end=RunEnd("failed", "a\0b")),
                Increment(claims[2].key, 1, added=[row(1)], end=RunEnd("aborted", None)),
                Increment(claims[3].key, 1, added=[row(1)]),
            ]
            wire.lose_answer_to(b"needle")
            with pytest.raises(StoreUnavailableError, match="connection was lost"):
                await store.commit(batch)
            # It was written.
            written = [await other.find(f"run {number}") for number in range(4)]
            assert [run and run.status for run in written] == ["running", "failed", "aborted", "running"]
            tasks = [await other.list_tasks(claim.key) for claim in claims]
            # Meanwhile another has taken over one of them.
            assert len(await other.claim("other", [takeover(claims[3])], [], ["owner"])) == 1
            assert await store.commit(batch) == {claims[3].key}
            assert [await other.list_tasks(claim.key) for claim in claims] == tasks
            assert [task.seq for task in tasks[0][0]] == [1, 3, 4, 5]
            assert (await other.frontier(claims[0].key)).contexts == {"b": b"2"}
            for number in (1, 2):
                assert await other.find(f"run {number}") == written[number]

    asyncio.run(main())


def test_an_end_that_others_gave_it_does_not_count_as_written(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        end = RunEnd("aborted", "not needed")
        given_up = await begin(store, "given up")
        cancelled = await begin(store, "cancelled", owner="late", lease=-1)
        assert await store.give_up([takeover(given_up)], end) == 1
        await store.request_cancel("cancelled", "not needed")
        ended = await begin(store, "ended")
        await finish(store, ended, "aborted", "not needed")
        batch = [Increment(claim.key, claim.fence, end=end) for claim in (given_up, cancelled, ended)]
        assert await store.commit(batch) == {given_up.key, cancelled.key}
        other_end = Increment(ended.key, ended.fence, end=RunEnd("aborted", "something else"))
        assert await store.commit([other_end]) == {ended.key}
        assert await store.commit([Increment(ended.key, ended.fence, added=[row(1)])]) == {ended.key}

    on_postgres(schema, case)


def test_a_commit_that_is_cancelled_leaves_the_store_usable(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await begin(store)
        with administrator() as connection, connection.transaction():
            connection.execute(f'LOCK TABLE "{schema}".cnstra_runs'.encode())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.commit([Increment(claim.key, 1, added=[row(1)])]), 0.1)
        assert await store.list_tasks(claim.key) == ([], {})
        await commit(store, claim, added=[row(1)])

    on_postgres(schema, case)


def test_closing_leaves_no_connection(schema: str) -> None:
    async def main() -> None:
        async with opened(schema, named(schema)) as store:
            await begin(store)
            store.beat("owner", 60)
            async with store.transaction():
                pass
            with store.blocking_transaction():
                pass
            async with store.transaction() as scope:
                await store.close()
                # What is under way goes on to its end.
                await scope.connection.execute("SELECT 1")
        with pytest.raises(StoreUnavailableError, match="not open"):
            store.beat("owner", 60)
        await store.connect()
        assert await store.find("run") is not None
        await store.close()
        assert terminate(schema) == 0

    asyncio.run(main())
