"""Transactional handlers on a store that goes away, is full or is busy under them: that is no failure of theirs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from cnstra import CNS, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import (
    Durable,
    DurableRun,
    LeaseLostError,
    Store,
    StoreUnavailableError,
    current_activation,
    current_transaction,
)
from cnstra.durable import owner as owning
from cnstra.durable.rows import Takeover

Policy = Literal["stop", "wait"]
policies = pytest.mark.parametrize("policy", ["stop", "wait"])

put = collateral("put", int)
put_in_thread = collateral("put_in_thread", int)


def rows_of(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return [value for (value,) in connection.execute(query)]
    finally:
        connection.close()


# -- SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, bytes BLOB)")
    connection.close()
    return path


def limit(store: Store, pages: int) -> None:
    """How large the file may be: a disk that is full, to SQLite."""
    connection: sqlite3.Connection = store._opened().connection  # type: ignore[attr-defined]
    connection.execute(f"PRAGMA max_page_count={pages}")


def pages_of(store: Store) -> int:
    (count,) = store._opened().connection.execute("PRAGMA page_count").fetchone()  # type: ignore[attr-defined]
    return int(count)


class WrappedError(Exception):
    """What a handler makes of an error of its database."""


@policies
@pytest.mark.parametrize("bytes_", [100_000, 30_000_000], ids=["in-the-commit", "in-the-handler"])
def test_a_full_disk_stops_a_run_and_fails_nothing(path: Path, policy: Policy, bytes_: int) -> None:
    keeper = neuron("keeper")

    @keeper.dendrite(put)
    def keep(number: int) -> None:
        current_transaction().execute("INSERT INTO kept VALUES (?, ?)", (number, bytes(bytes_)))

    async def main() -> None:
        store = Store.open(f"sqlite:///{path}")
        async with Durable(CNS([keeper]), store, transactional=[keeper], on_store_error=policy) as durable:
            await (await durable.start(put.create_signal(1), run_id="before"))
            limit(store, pages_of(store) + 3)
            run = await durable.start([put.create_signal(number) for number in (2, 3)], run_id="full")
            if policy == "wait":
                asyncio.get_running_loop().call_later(0.7, limit, store, 1_000_000)
                await run
            else:
                with pytest.raises(StimulationAborted) as aborted:
                    await run
                assert isinstance(aborted.value.reason, StoreUnavailableError), aborted.value.reason
                assert (await durable.run("full")).status == "running"
                assert {task.status for task in (await durable.tasks("full")).items} <= {"pending"}
                limit(store, 1_000_000)
                (run,) = await durable.recover()
                await run
            assert run.outcome == "completed"
            assert (await durable.run("full")).status == "completed"
        assert rows_of(path, "SELECT number FROM kept ORDER BY 1") == [1, 2, 3]

    asyncio.run(main())


def test_what_a_handler_does_wrong_stays_its_failure(path: Path) -> None:
    keeper = neuron("keeper")

    @keeper.dendrite(put)
    def keep(number: int) -> None:
        current_transaction().execute("INSERT INTO no_such_table VALUES (?)", (number,))

    async def main() -> None:
        store = Store.open(f"sqlite:///{path}")
        async with Durable(CNS([keeper]), store, transactional=[keeper]) as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(put.create_signal(1), run_id="one"))
            assert isinstance(failed.value.exceptions[0], sqlite3.OperationalError)
            assert (await durable.run("one")).status == "failed"

    asyncio.run(main())


def test_a_lease_is_renewed_while_handlers_keep_the_database_locked(path: Path) -> None:
    """The transactions of one follow the other so closely that nobody else gets the lock."""
    keeper = neuron("keeper")
    left: list[float] = []
    over = threading.Event()

    @keeper.dendrite(put)
    def keep(number: int) -> None:
        current_transaction().execute("INSERT INTO kept VALUES (?, NULL)", (number,))
        time.sleep(0.004)

    def watch() -> None:
        connection = sqlite3.connect(path)
        while not over.wait(0.05):
            query = "SELECT lease_until - (julianday('now') - 2440587.5) * 86400.0 FROM cnstra_owners"
            left.extend(value for (value,) in connection.execute(query))
        connection.close()

    async def main() -> None:
        store = Store.open(f"sqlite:///{path}")
        async with Durable(CNS([keeper]), store, transactional=[keeper], lease=1.0) as durable:
            watcher = threading.Thread(target=watch)
            watcher.start()
            end, number = time.monotonic() + 2.5, 0
            while time.monotonic() < end:
                signals = [put.create_signal(number + more) for more in range(10)]
                await (await durable.start(signals, run_id=str(number)))
                number += 10
            over.set()
            watcher.join()

    asyncio.run(main())
    assert left
    assert min(left) > 0, min(left)


# -- PostgreSQL


class Kept:
    """A table in PostgreSQL, and a graph that puts numbers into it; ``trouble`` befalls the first try of each."""

    def __init__(self, schema: str) -> None:
        from .postgres import administrator

        self.schema = schema
        self.tries: dict[str, int] = {}
        self._administrator = administrator
        with administrator() as there:
            there.execute(f'CREATE SCHEMA "{schema}"'.encode())
            there.execute(f'CREATE TABLE "{schema}".kept (number integer PRIMARY KEY)'.encode())
        keeper, self.catches = neuron("keeper"), False
        in_thread = neuron("in_thread", offload=True)

        @keeper.dendrite(put)
        async def keep(number: int) -> None:
            connection = current_transaction()
            id_ = current_activation().id
            self.tries[id_] = self.tries.get(id_, 0) + 1
            await connection.execute(f'INSERT INTO "{schema}".kept VALUES ({number})')
            if self.tries[id_] == 1:
                with administrator() as other:
                    other.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)".encode())
            if self.catches:
                try:
                    await connection.execute("SELECT 1")
                except Exception as error:
                    raise WrappedError from error

        @in_thread.dendrite(put_in_thread)
        def keep_in_thread(number: int) -> None:
            connection = current_transaction()
            id_ = current_activation().id
            self.tries[id_] = self.tries.get(id_, 0) + 1
            connection.execute(f'INSERT INTO "{schema}".kept VALUES ({number})')
            if self.tries[id_] == 1:
                with administrator() as other:
                    other.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)".encode())

        self.cns = CNS([keeper, in_thread])

    @asynccontextmanager
    async def durable(self, **options: Any) -> AsyncGenerator[Durable]:
        from .postgres import postgres_url

        store = Store.open(postgres_url(), schema=self.schema)
        async with Durable(self.cns, store, transactional=self.cns.neurons, **options) as durable:
            yield durable

    def numbers(self) -> list[int]:
        with self._administrator() as there:
            found = there.execute(f'SELECT number FROM "{self.schema}".kept ORDER BY 1'.encode())
            return [number for (number,) in found.fetchall()]


async def error_of(run: DurableRun) -> StimulationAborted | None:
    try:
        await run
    except StimulationAborted as aborted:
        return aborted
    return None


@policies
@pytest.mark.parametrize("how", ["async", "caught", "in a thread"])
def test_a_lost_connection_fails_no_handler(policy: Policy, how: str) -> None:
    from .postgres import fresh_schema

    async def main(kept: Kept) -> None:
        kept.catches = how == "caught"
        signals = put_in_thread if how == "in a thread" else put
        async with kept.durable(on_store_error=policy) as durable:
            run = await durable.start([signals.create_signal(number) for number in range(3)], run_id="lost")
            if policy == "wait":
                await run
            else:
                # Each recovery has the trouble of those that the one before it did not come to.
                for _ in range(4):
                    error = await error_of(run)
                    if error is None:
                        break
                    assert isinstance(error.reason, StoreUnavailableError), error.reason
                    assert (await durable.run("lost")).status == "running"
                    (run,) = await durable.recover()
            assert run.outcome == "completed"
            assert {task.status for task in (await durable.tasks("lost")).items} == {"finished"}
        assert kept.numbers() == [0, 1, 2]
        assert max(kept.tries.values()) > 1

    with fresh_schema() as schema:
        asyncio.run(main(Kept(schema)))


async def waits(durable: Durable, run: DurableRun) -> None:
    """Until a run waits for the store."""
    async with asyncio.timeout(10):
        while run not in durable._entered._waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def leave(kept: Kept) -> None:
    async with kept.durable(on_store_error="wait") as durable:
        await waits(durable, await durable.start(put.create_signal(2), run_id="left"))
        raise ZeroDivisionError


@pytest.mark.parametrize("is_done", [False, True])
def test_what_was_taken_over_while_the_store_was_away_is_the_others(
    monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    """A run waits for the store, and finds that another process was faster."""
    from .postgres import fresh_schema

    async def main(kept: Kept) -> None:
        async with kept.durable(on_store_error="wait") as one, kept.durable() as other:
            run = await one.start(put.create_signal(1), run_id="taken")
            assert await one.start(put.create_signal(1), run_id="taken") is run
            mine, others = one._entered, other._entered
            await waits(one, run)
            (found,) = await other._store.candidates(others.name, [], [mine.name])
            takeover = Takeover(found.key, found.fence, found.fingerprint)
            (claim,) = await other._store.claim(others.name, [takeover], [], [mine.name])
            if is_done:
                await (await others.resume(claim))
                await run
                assert run.outcome == "completed"
            else:
                with pytest.raises(StimulationAborted) as aborted:
                    await run
                assert isinstance(aborted.value.reason, LeaseLostError)
                await (await others.resume(claim))
            with pytest.raises(ZeroDivisionError):
                await leave(kept)
            # Who leaves waits no more, and the next process has what was left.
            assert (await other.run("left")).status == "running"
            (run,) = await other.recover()
            await run
        assert kept.numbers() == [1, 2]

    monkeypatch.setattr(owning, "AGAIN", 1.0)
    with fresh_schema() as schema:
        asyncio.run(main(Kept(schema)))
