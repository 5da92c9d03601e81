"""Transactional neurons on SQLite: what they write and what tells of it is one commit (promise 4)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cnstra import (
    CNS,
    Axon,
    Collateral,
    InvalidResponseError,
    MaxDurationError,
    Signal,
    StimulationAborted,
    StimulationFailed,
    collateral,
    neuron,
)
from cnstra.durable import Durable, EncodingError, Store, current_activation, current_transaction
from cnstra.durable.codecs import show_bytes

from .crashing import Death, MortalSqlite, Way


class Bank:
    """A file with a table, and a neuron that books into it; another one hears of what was booked.

    Attributes:
        does: called by the handler after it has written, with what it was given and the context.
        booked: what the other neuron has heard.
    """

    def __init__(self, directory: Path, *, limit: int | None = None, max_duration: float | None = None) -> None:
        self.file = directory / "bank.db"
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE booked (number INTEGER UNIQUE, attempt INTEGER, id TEXT)")
        self.does: Callable[[int, Any], Any] = lambda number, ctx: None
        self.booked: list[int] = []

        class Booked(Axon[int]):
            booked: Collateral[int]

        self.book, axon = collateral("book", int), Booked()
        bank = neuron("bank", axon, concurrency=limit, max_duration=max_duration)

        @bank.dendrite(self.book)
        def on_book(number: int, axon: Booked, ctx: Any) -> Signal[int]:
            activation = current_activation()
            current_transaction().execute(
                "INSERT INTO booked VALUES (?, ?, ?)", (number, activation.attempt, activation.id)
            )
            result = self.does(number, ctx)
            return axon.booked.create_signal(number) if result is None else result

        self.bank = bank
        self.listener = neuron("listener").dendrite(collateral=axon.booked, response=self.booked.append)
        self.cns = CNS([bank, self.listener])

    def open(self, store: Store | None = None, **options: Any) -> Durable:
        return Durable(self.cns, store or Store.open(f"sqlite:///{self.file}"), transactional=[self.bank], **options)

    def signals(self, *numbers: int) -> list[Signal[int]]:
        return [self.book.create_signal(number) for number in numbers]

    def rows(self) -> list[int]:
        """What is committed, as somebody else sees it."""
        with closing(sqlite3.connect(self.file)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM booked ORDER BY number")]

    async def statuses(self, durable: Durable, run_id: str = "r") -> list[tuple[str, str]]:
        return [(task.neuron, task.status) for task in (await durable.tasks(run_id)).items]


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
@pytest.mark.parametrize("volume", ["full", "frontier"])
@pytest.mark.parametrize("way", ["before", "between", "after"])
@pytest.mark.parametrize("write", [2, 3, 4])
def test_written_and_finished_or_neither(bank: Bank, sync: Any, volume: Any, way: Way, write: int) -> None:
    async def main() -> None:
        died = MortalSqlite(Store.open(f"sqlite:///{bank.file}"), Death(write, way))
        kind: Any = {"sync": sync, "volume": volume, "commit_interval": 0}
        async with bank.open(died, **kind) as durable:
            run = await durable.start(bank.signals(1, 2), run_id="r")
            await asyncio.gather(run, return_exceptions=True)
        before = bank.rows()
        async with bank.open(**kind) as durable:
            if volume == "full":
                tasks = (await durable.tasks("r")).items
                assert [one.input for one in tasks if (one.neuron, one.status) == ("bank", "finished")] == before
            runs = await durable.recover()
            await asyncio.gather(*runs)
            assert (await durable.run("r")).status == "completed"
        assert bank.rows() == [1, 2]
        assert set(bank.booked) == {1, 2}

    # A second INSERT of the same number would fail the run.
    asyncio.run(main())


@pytest.mark.parametrize("volume", ["full", "frontier"])
def test_an_exception_undoes_it_and_retry_does_it_once(bank: Bank, volume: Any) -> None:
    async def main() -> None:
        def fail(number: int, ctx: Any) -> None:
            if number == 2 and current_activation().attempt < 3:
                raise ConnectionError("no line to the other bank")

        bank.does = fail
        async with bank.open(volume=volume) as durable:
            run = await durable.start(bank.signals(1, 2, 3), run_id="r")
            for _ in range(2):
                with pytest.raises(StimulationFailed) as failed:
                    await run
                assert [str(error) for error in failed.value.exceptions] == ["no line to the other bank"]
                assert bank.rows() == [1, 3]
                run = await durable.retry("r")
            await run
            assert bank.rows() == [1, 2, 3]
            assert (await durable.run("r")).status == "completed"
        assert sorted(bank.booked) == [1, 2, 3]

    asyncio.run(main())


@pytest.mark.parametrize("answer", [3, [None], "theft"])
def test_an_answer_that_is_none_undoes_it(bank: Bank, answer: Any) -> None:
    async def main() -> None:
        stolen = collateral("stolen", int).create_signal(1) if answer == "theft" else answer
        bank.does = lambda number, ctx: stolen if number == 2 else None
        async with bank.open() as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bank.signals(1, 2, 3), run_id="r"))
            assert len(failed.value.exceptions) == 1
            if answer != "theft":
                assert isinstance(failed.value.exceptions[0], InvalidResponseError)
            assert bank.rows() == [1, 3]
            assert (await durable.run("r")).status == "failed"
            assert [status for _, status in await bank.statuses(durable)].count("failed") == 1

    asyncio.run(main())


def test_an_output_that_cannot_be_stored_undoes_it(bank: Bank) -> None:
    async def main() -> None:
        emitted: Any = bank.cns.network.get_collaterals()
        (booked,) = [one for one in emitted if one.name == "booked"]
        bank.does = lambda number, ctx: booked.create_signal("much") if number == 2 else None
        async with bank.open() as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bank.signals(1, 2, 3), run_id="r"))
            (error,) = failed.value.exceptions
            assert isinstance(error, EncodingError)
            assert "collateral 'booked'" in str(error)
        assert bank.rows() == [1, 3]

    asyncio.run(main())


def test_so_does_one_that_comes_too_late(tmp_path: Path) -> None:
    bank = Bank(tmp_path, max_duration=0.02)

    async def main() -> None:
        bank.does = lambda number, ctx: time.sleep(0.03) if number == 2 else None
        async with bank.open() as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bank.signals(1, 2, 3), run_id="r"))
            assert [type(error) for error in failed.value.exceptions] == [MaxDurationError]
            assert (await durable.run("r")).status == "failed"
        assert bank.rows() == [1, 3]

    asyncio.run(main())


def test_what_it_may_not_say(bank: Bank) -> None:
    async def main() -> None:
        statements = ("COMMIT", "ROLLBACK", "SAVEPOINT a", "PRAGMA synchronous=off", "DELETE FROM cnstra_runs")

        def say(number: int, ctx: Any) -> None:
            current_transaction().execute(statements[number])

        bank.does = say
        async with bank.open() as durable:
            run = await durable.start(bank.signals(*range(len(statements))), run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await run
            errors = failed.value.exceptions
            assert [type(error) for error in errors] == [sqlite3.ProgrammingError] * len(statements)
            assert all("a transactional handler cannot" in str(error) for error in errors)
        assert bank.rows() == []

    asyncio.run(main())


def test_two_runs_in_one_transaction_of_which_one_fails(bank: Bank) -> None:
    async def main() -> None:
        def fail(number: int, ctx: Any) -> None:
            if number == 2:
                raise ConnectionError

        bank.does = fail
        async with bank.open() as durable:
            runs = [await durable.start(bank.signals(number), run_id=f"r{number}") for number in (1, 2, 3)]
            # Nothing is committed before the loop goes round: all three are in it.
            assert bank.rows() == []
            results = await asyncio.gather(*runs, return_exceptions=True)
            assert [type(result) for result in results] == [type(None), StimulationFailed, type(None)]
            assert bank.rows() == [1, 3]
            runs_ = (await durable.runs()).items
            assert [run.status for run in runs_] == ["completed", "failed", "completed"]

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("sync", ["turn", "hop", "end"])
def test_a_run_that_its_handler_cancels_has_not_written_and_ends(bank: Bank, sync: Any, fails: bool) -> None:
    def cancel(number: int, ctx: Any) -> None:
        if number == 2:
            ctx.stimulation.cancel("enough")
            if fails:
                raise RuntimeError

    async def main() -> None:
        bank.does = cancel
        async with bank.open(sync=sync) as durable:
            other = await durable.start(bank.signals(7), run_id="other")
            run = await durable.start(bank.signals(1, 2, 3), run_id="r")
            await other
            with pytest.raises(StimulationAborted, match="enough"):
                await run
            ended = await durable.run("r")
            assert (ended.status, ended.error) == ("aborted", "StimulationAborted: enough")
            finished = [one.input for one in (await durable.tasks("r")).items if one.neuron == "bank" and one.outputs]
            assert bank.rows() == [*finished, 7]
            assert not await durable.recover()
            bank.does = lambda number, ctx: None
            await (await durable.retry("r"))
        assert bank.rows() == [1, 2, 3, 7]

    asyncio.run(main())


def test_an_aborted_one_has_written_what_it_wrote(bank: Bank) -> None:
    async def main() -> None:
        bank.does = lambda number, ctx: ctx.stimulation.abort("enough") if number == 2 else None
        async with bank.open() as durable:
            run = await durable.start(bank.signals(1, 2, 3), run_id="r")
            with pytest.raises(StimulationAborted, match="enough"):
                await run
            assert bank.rows() == [1, 2]
            assert (await durable.run("r")).status == "aborted"
            await (await durable.retry("r"))
        assert bank.rows() == [1, 2, 3]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["before", "between", "after"])
def test_contexts_are_part_of_it(bank: Bank, way: Way) -> None:
    async def main() -> None:
        def count(number: int, ctx: Any) -> None:
            ctx.set((ctx.get() or 0) + 1)

        bank.does = count
        # Created, and entered; then the first of them, and both if they share a transaction.
        died = MortalSqlite(Store.open(f"sqlite:///{bank.file}"), Death(3, way))
        async with bank.open(died, commit_interval=0) as durable:
            run = await durable.start(bank.signals(1, 2), run_id="r")
            await asyncio.gather(run, return_exceptions=True)
        store = Store.open(f"sqlite:///{bank.file}")
        await store.connect()
        row = await store.find("r")
        assert row is not None
        contexts = (await store.frontier(row.key)).contexts
        assert show_bytes(contexts["bank"]) == len(bank.rows()) if bank.rows() else not contexts
        await store.close()

    asyncio.run(main())
