"""Which neurons can be transactional, where, and what they have to do with the rest of the graph (promise 4)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cnstra import CNS, Axon, Collateral, Signal, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import Durable, Store, StoreUnavailableError, current_transaction

from .crashing import Death, MortalSqlite
from .sqlite_files import locked


def write(number: int) -> None:
    current_transaction().execute("INSERT INTO written VALUES (?)", (number,))


async def write_later(number: int) -> None:
    write(number)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a table to write into."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE written (number INTEGER)")
    return path


def written(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM written ORDER BY number")]


def open_on(file: Path) -> Store:
    return Store.open(f"sqlite:///{file}")


def test_what_cannot_be_one_is_refused_at_once(file: Path) -> None:
    go = collateral("go", int)
    plain = neuron("plain").dendrite(collateral=go, response=write)
    later = neuron("later").dendrite(collateral=go, response=write_later)
    worker = neuron("worker", offload=True).dendrite(collateral=go, response=write)
    cns, store = CNS([plain, later, worker]), open_on(file)
    refused: tuple[tuple[Any, Store, str], ...] = (
        ([later], store, "'later': its handler on 'go' is async"),
        (["worker"], store, "'worker': its handler on 'go' runs in a worker thread"),
        (["nobody"], store, "no neuron 'nobody'"),
        ([neuron("plain")], store, "no neuron 'plain'"),
        (["plain"], Store.open("memory://"), "has no transactions"),
        ("plain", store, "a list of neurons"),
    )
    for neurons, store_, words in refused:
        with pytest.raises(TypeError, match=words):
            Durable(cns, store_, transactional=neurons)


def test_what_turns_out_to_be_async_fails(file: Path) -> None:
    async def main() -> None:
        go = collateral("go", int)

        def sneak(number: int) -> Any:
            return write_later(number)

        sneaky = neuron("sneaky").dendrite(collateral=go, response=sneak)
        async with Durable(CNS([sneaky]), open_on(file), transactional=[sneaky]) as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(go.create_signal(1)))
            (error,) = failed.value.exceptions
            assert isinstance(error, TypeError)
            assert "it must write and return" in str(error)
        assert not written(file)

    asyncio.run(main())


def test_it_needs_a_durable_run(file: Path) -> None:
    async def main() -> None:
        go, nested = collateral("go", int), collateral("nested", int)
        writer = neuron("writer").dendrite(collateral=nested, response=write)
        starter = neuron("starter")

        @starter.dendrite(go)
        async def on_go(number: int, axon: Any, ctx: Any) -> None:
            await ctx.cns.stimulate(nested.create_signal(number))

        cns = CNS([writer, starter])
        with pytest.raises(StimulationFailed) as failed:
            await cns.stimulate(nested.create_signal(1))
        assert [type(error) for error in failed.value.exceptions] == [LookupError]
        async with Durable(cns, open_on(file), transactional=[writer]) as durable:
            # In a run of its own it would not be part of this one's commit.
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(go.create_signal(1)))
            ((error,),) = [one.exceptions for one in failed.value.exceptions if isinstance(one, StimulationFailed)]
            assert isinstance(error, LookupError)
            assert "it can only be activated in a durable run" in str(error)
            await (await durable.start(nested.create_signal(2)))
        assert written(file) == [2]

    asyncio.run(main())


def test_only_in_it_there_is_a_transaction(file: Path) -> None:
    async def main() -> None:
        go = collateral("go", int)
        plain = neuron("plain").dendrite(collateral=go, response=write)
        with pytest.raises(LookupError, match="transactional="):
            current_transaction()
        async with Durable(CNS([plain]), open_on(file)) as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(go.create_signal(1)))
            assert [type(error) for error in failed.value.exceptions] == [LookupError]

    asyncio.run(main())


def test_a_locked_file_is_waited_for(file: Path) -> None:
    async def main() -> None:
        go = collateral("go", int)
        writer = neuron("writer").dendrite(collateral=go, response=write)
        async with Durable(CNS([writer]), open_on(file), transactional=[writer]) as durable:
            # Recorded and entered before somebody else has the lock.
            run = await durable.start([], run_id="warm")
            await run
            starting = asyncio.ensure_future(durable.start(go.create_signal(1), run_id="r"))
            with locked(file):
                await asyncio.sleep(0.05)
                assert not starting.done()
            await (await starting)
            assert (await durable.run("r")).status == "completed"
        assert written(file) == [1]

    asyncio.run(main())


def test_a_cancelled_one_that_waits_for_the_lock_has_not_written(file: Path) -> None:
    async def main() -> None:
        class Works(Axon[int]):
            work: Collateral[int]

        go, axon = collateral("go", int), Works()
        starter, writer = neuron("starter", axon), neuron("writer")
        writer.dendrite(collateral=axon.work, response=write)
        goes_on = asyncio.Event()

        @starter.dendrite(go)
        async def on_go(number: int) -> Signal[int]:
            await goes_on.wait()
            return axon.work.create_signal(number)

        async with Durable(CNS([starter, writer]), open_on(file), transactional=[writer]) as durable:
            run = await durable.start(go.create_signal(1), run_id="r")
            await asyncio.sleep(0.01)
            with locked(file):
                goes_on.set()
                await asyncio.sleep(0.05)
                await run.cancel("enough")
                await asyncio.sleep(0.05)
            with pytest.raises(StimulationAborted, match="enough"):
                await run
            assert (await durable.run("r")).status == "aborted"
            assert not written(file)
            await (await durable.retry("r"))
        assert written(file) == [1]

    asyncio.run(main())


def test_a_join_may_be_one(tmp_path: Path) -> None:
    file = tmp_path / "bank.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE totals (total INTEGER UNIQUE)")

    class Parts(Axon[int]):
        part: Collateral[int]

    async def main() -> None:
        go, axon = collateral("go", int), Parts()
        splitter, summer = neuron("splitter", axon), neuron("summer")

        @splitter.dendrite(go)
        async def on_go(count: int) -> list[Signal[int]]:
            await asyncio.sleep(0)
            return [axon.part.create_signal(number) for number in range(count)]

        @summer.join(axon.part)
        def on_parts(parts: list[int]) -> None:
            current_transaction().execute("INSERT INTO totals VALUES (?)", (sum(parts),))

        cns = CNS([splitter, summer])
        for write in range(1, 7):
            for way in ("before", "between", "after"):
                died = MortalSqlite(Store.open(f"sqlite:///{file}"), Death(write, way))
                signals = [go.create_signal(count) for count in (3, 4)]
                for store in (died, Store.open(f"sqlite:///{file}")):
                    async with Durable(cns, store, transactional=["summer"], commit_interval=0) as durable:
                        try:
                            await (await durable.start(signals, run_id=f"{write} {way}"))
                        except (StimulationAborted, StoreUnavailableError):
                            assert died.is_dead
                with closing(sqlite3.connect(file)) as connection:
                    assert connection.execute("SELECT total FROM totals").fetchall() == [(9,)], (write, way)
                    connection.execute("DELETE FROM totals")
                    connection.commit()

    asyncio.run(main())
