"""Transactional handlers on PostgreSQL: what they write and what tells of it is committed together, or neither is."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from cnstra.durable import StoreUnavailableError
from cnstra.durable.port import Claim, Increment
from cnstra.durable.postgres import PostgresStore

from .postgres import Wire, administrator, named, on_postgres, opened, schema, terminate
from .store_bench import begin, change, commit, row, takeover

__all__ = ["schema"]

pytestmark = pytest.mark.once


async def with_table(store: PostgresStore, schema: str) -> Claim:
    """A run with a pending task, and a table for what handlers write."""
    claim = await begin(store)
    await commit(store, claim, added=[row(1)])
    with administrator() as connection:
        connection.execute(f'CREATE TABLE "{schema}".paid (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)'.encode())
    return claim


def pays(schema: str, number: int = 1) -> bytes:
    return f'INSERT INTO "{schema}".paid VALUES ({number})'.encode()


def written(schema: str) -> list[int]:
    with administrator() as connection:
        return [number for (number,) in connection.execute(f'SELECT id FROM "{schema}".paid ORDER BY id'.encode())]


def finished(claim: Claim) -> Increment:
    return Increment(claim.key, claim.fence, added=[row(2)], changed=[change(1, outputs=b"needle")], hops=2)


async def handle(store: PostgresStore, schema: str, increment: Increment) -> bool:
    """What a handler does: write the number of the task that it causes, and commit."""
    async with store.transaction() as scope:
        await scope.connection.execute(pays(schema, increment.added[0].seq))
        return await scope.commit(increment)


def handle_in_a_thread(store: PostgresStore, schema: str, increment: Increment) -> bool:
    """The same in a worker thread."""
    with store.blocking_transaction() as scope:
        scope.connection.execute(pays(schema, increment.added[0].seq))
        return scope.commit(increment)


async def statuses(store: PostgresStore, claim: Claim) -> list[str]:
    return [task.status for task in (await store.list_tasks(claim.key))[0]]


def test_both_are_committed(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            # Savepoints are the handler's own business.
            with pytest.raises(psycopg.errors.UndefinedTable):
                async with scope.connection.transaction():
                    await scope.connection.execute(b"SELECT FROM nowhere")
            assert (written(schema), await statuses(store, claim)) == ([], ["pending"])
            assert await scope.commit(finished(claim)) is True
            assert (written(schema), await statuses(store, claim)) == ([1], ["finished", "pending"])
        assert (written(schema), await statuses(store, claim)) == ([1], ["finished", "pending"])

    on_postgres(schema, case)


def test_both_are_committed_in_a_thread(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)

        assert await asyncio.to_thread(handle_in_a_thread, store, schema, finished(claim)) is True
        assert (written(schema), await statuses(store, claim)) == ([2], ["finished", "pending"])

    on_postgres(schema, case)


def test_neither_is_if_the_run_is_another_owners(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        assert len(await store.claim("other", [takeover(claim)], [], ["owner"])) == 1
        assert await handle(store, schema, finished(claim)) is False
        assert await asyncio.to_thread(handle_in_a_thread, store, schema, finished(claim)) is False
        assert (written(schema), await statuses(store, claim)) == ([], ["pending"])

    on_postgres(schema, case)


def test_neither_is_if_the_handler_fails_or_does_not_commit(schema: str) -> None:
    async def failing(store: PostgresStore, error: Exception) -> None:
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            raise error

    def failing_in_a_thread(store: PostgresStore, error: Exception) -> None:
        with store.blocking_transaction() as scope:
            scope.connection.execute(pays(schema))
            raise error

    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        for error in (RuntimeError("no"), psycopg.Rollback()):
            with pytest.raises(type(error)):
                await failing(store, error)
            with pytest.raises(type(error)):
                failing_in_a_thread(store, error)
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
        with store.blocking_transaction() as blocking:
            blocking.connection.execute(pays(schema))
        assert (written(schema), await statuses(store, claim)) == ([], ["pending"])

    on_postgres(schema, case)


def test_a_handler_cannot_end_the_transaction(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            for end in (scope.connection.commit, scope.connection.rollback):
                with pytest.raises(psycopg.ProgrammingError, match="forbidden"):
                    await end()
            assert await scope.commit(finished(claim))
        async with store.transaction() as scope:
            await scope.connection.execute(b"ROLLBACK")
            with pytest.raises(psycopg.ProgrammingError, match="must not execute COMMIT or ROLLBACK"):
                await scope.commit(Increment(claim.key, claim.fence, added=[row(3)]))
        with store.blocking_transaction() as blocking:
            with pytest.raises(psycopg.ProgrammingError, match="forbidden"):
                blocking.connection.commit()
            blocking.connection.execute(b"COMMIT")
            with pytest.raises(psycopg.ProgrammingError, match="must not execute COMMIT or ROLLBACK"):
                blocking.commit(Increment(claim.key, claim.fence, added=[row(3)]))
        assert (written(schema), await statuses(store, claim)) == ([1], ["finished", "pending"])

    on_postgres(schema, case)


def test_what_a_handler_is_to_blame_for_is_raised_as_it_is(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        async with store.transaction() as scope:
            with pytest.raises(psycopg.errors.UndefinedTable):
                await scope.connection.execute(b"SELECT FROM nowhere")
            # It has swallowed that, outside a savepoint.
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                await scope.commit(finished(claim))
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            await scope.connection.execute(pays(schema))
            with pytest.raises(psycopg.errors.UniqueViolation):
                await scope.commit(finished(claim))
        with store.blocking_transaction() as blocking:
            blocking.connection.execute(pays(schema))
            blocking.connection.execute(pays(schema))
            with pytest.raises(psycopg.errors.UniqueViolation):
                blocking.commit(finished(claim))
        assert (written(schema), await statuses(store, claim)) == ([], ["pending"])
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            nested = scope.connection.transaction()
            await nested.__aenter__()
            with pytest.raises(psycopg.ProgrammingError):
                await scope.commit(finished(claim))
        assert (written(schema), await statuses(store, claim)) == ([], ["pending"])

    on_postgres(schema, case)


def test_what_a_handler_sets_for_itself_is_not_for_the_next(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        first: Any = None
        for _ in range(2):
            async with store.transaction() as scope:
                assert first in (None, scope.connection)
                first = scope.connection
                assert await (await first.execute(b"SELECT 1 AS one")).fetchone() == (1,)
                first.row_factory = dict_row
                first.cursor_factory = psycopg.AsyncRawCursor
                assert await (await first.execute(b"SELECT $1::int AS one", [1])).fetchone() == {"one": 1}
        await begin(store)
        async with store.transaction() as scope:
            scope.connection.row_factory = dict_row
            claim = await store.find("run")
            assert claim is not None
            assert await scope.commit(Increment(claim.key, claim.fence, added=[row(1)]))

    on_postgres(schema, case, pool_size=1)


def test_a_cancelled_handler_leaves_nothing_and_nothing_broken(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)

        async def handler(begun: asyncio.Event, statement: bytes) -> None:
            async with store.transaction() as scope:
                await scope.connection.execute(pays(schema))
                begun.set()
                await scope.connection.execute(statement)
                await asyncio.sleep(60)

        for statement in (b"SELECT 1", b"SELECT pg_sleep(60)"):
            begun = asyncio.Event()
            task = asyncio.create_task(handler(begun, statement))
            await begun.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # With one connection, this has the same, or would wait for it in vain.
            async with store.transaction() as scope:
                await scope.connection.execute(pays(schema))
        assert (written(schema), await statuses(store, claim)) == ([], ["pending"])
        async with store.transaction() as scope:
            await scope.connection.execute(pays(schema))
            assert await scope.commit(finished(claim))
        assert (written(schema), await statuses(store, claim)) == ([1], ["finished", "pending"])

    on_postgres(schema, case, pool_size=1)


def test_a_commit_that_is_cancelled_is_done_or_not(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)

        outcomes: list[bool] = []
        for number in range(2, 60):
            task = asyncio.create_task(handle(store, schema, Increment(claim.key, claim.fence, added=[row(number)])))
            await asyncio.sleep(number / 10_000)
            task.cancel()
            try:
                outcomes.append(await task)
            except asyncio.CancelledError:
                outcomes.append(False)
        tasks, _ = await store.list_tasks(claim.key)
        assert written(schema) == [task.seq for task in tasks if task.seq > 1]
        assert {number for number, done in enumerate(outcomes, 2) if done} <= {task.seq for task in tasks}

    on_postgres(schema, case, pool_size=2)


def test_more_than_there_are_connections_wait(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        running = most = 0

        async def handler(number: int) -> None:
            nonlocal running, most
            async with store.transaction() as scope:
                running += 1
                most = max(most, running)
                await scope.connection.execute(pays(schema, number))
                # What the store does for itself is not kept from it.
                assert await store.find("run") is not None
                await asyncio.sleep(0.01)
                running -= 1
                assert await scope.commit(Increment(claim.key, claim.fence, added=[row(number)]))

        async with store.transaction(), store.transaction():
            waiting = asyncio.create_task(handler(1000))
            others = [asyncio.create_task(handler(number)) for number in range(2, 12)]
            await asyncio.sleep(0.05)
            assert running == 0
            waiting.cancel()
        await asyncio.gather(*others)
        assert most == 2
        assert written(schema) == list(range(2, 12))

    on_postgres(schema, case, pool_size=2)


def test_more_threads_than_there_are_connections_wait(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claim = await with_table(store, schema)
        lock, running, most = threading.Lock(), 0, 0

        def handler(number: int) -> bool:
            nonlocal running, most
            with store.blocking_transaction() as scope:
                with lock:
                    running += 1
                    most = max(most, running)
                scope.connection.execute(pays(schema, number))
                time.sleep(0.02)
                with lock:
                    running -= 1
                return scope.commit(Increment(claim.key, claim.fence, added=[row(number)]))

        done = await asyncio.gather(*(asyncio.to_thread(handler, number) for number in range(2, 8)))
        assert (done, most) == ([True] * 6, 2)
        assert written(schema) == list(range(2, 8))

    on_postgres(schema, case, pool_size=2)


# -- connections that break


def test_neither_is_if_the_connection_breaks_before(schema: str) -> None:
    async def main() -> None:
        async with opened(schema, named(schema)) as store:
            claim = await with_table(store, schema)

            def handler() -> None:
                with store.blocking_transaction() as scope:
                    scope.connection.execute(pays(schema))
                    terminate(schema)
                    with pytest.raises(StoreUnavailableError, match="undone"):
                        scope.commit(finished(claim))

            async with store.transaction() as scope:
                await scope.connection.execute(pays(schema))
                terminate(schema)
                with pytest.raises(StoreUnavailableError, match="undone"):
                    await scope.commit(finished(claim))
            async with store.transaction() as scope:
                terminate(schema)
                with pytest.raises(psycopg.OperationalError):
                    await scope.connection.execute(pays(schema))
            await asyncio.to_thread(handler)
            assert (written(schema), await statuses(store, claim)) == ([], ["pending"])
            async with store.transaction() as scope:
                await scope.connection.execute(pays(schema))
                assert await scope.commit(finished(claim))
            assert written(schema) == [1]

    asyncio.run(main())


@pytest.mark.parametrize("words", [b"needle", b"COMMIT"])
@pytest.mark.parametrize("is_blocking", [False, True])
def test_the_store_finds_out_what_became_of_it(schema: str, words: bytes, is_blocking: bool) -> None:
    is_done = words == b"COMMIT"

    async def main() -> None:
        async with Wire() as wire, opened(schema, wire.url) as store:
            claim = await with_table(store, schema)

            given = store, schema, finished(claim)
            wire.lose_answer_to(words)
            calling = asyncio.to_thread(handle_in_a_thread, *given) if is_blocking else handle(*given)
            if is_done:
                assert await calling is True
            else:
                with pytest.raises(StoreUnavailableError, match="undone"):
                    await calling
            expected = ([2], ["finished", "pending"]) if is_done else ([], ["pending"])
            assert (written(schema), await statuses(store, claim)) == expected

    asyncio.run(main())


def test_a_transaction_that_was_lost_with_its_commit_is_undone(schema: str) -> None:
    async def main() -> None:
        async with Wire() as wire, opened(schema, wire.url) as store:
            claim = await with_table(store, schema)
            wire.lose(b"COMMIT")
            with pytest.raises(StoreUnavailableError, match="undone"):
                await handle(store, schema, finished(claim))
            assert (written(schema), await statuses(store, claim)) == ([], ["pending"])

    asyncio.run(main())


def test_if_nothing_tells_it_says_so(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnstra.durable.postgres_transactions._PATIENCE", 0.3)

    async def main() -> None:
        async with Wire() as wire, opened(schema, wire.url) as store:
            claim = await with_table(store, schema)
            wire.lose_answer_to(b"COMMIT", for_good=True)
            with pytest.raises(StoreUnavailableError, match="nothing tells whether"):
                await handle(store, schema, finished(claim))
            await wire.down()
            await wire.up()
            assert (written(schema), await statuses(store, claim)) == ([2], ["finished", "pending"])

    asyncio.run(main())
