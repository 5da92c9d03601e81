"""Transactional neurons on PostgreSQL: on a connection of their own, with what tells of them (promise 4)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from cnstra import CNS, Axon, Collateral, Signal, StimulationAborted, StimulationFailed, collateral, neuron
from cnstra.durable import Durable, LeaseLostError, Store, current_activation, current_transaction

from .crashing import Death, MortalPostgres, Way
from .postgres import administrator, fresh_schema, postgres_url


class Parts(Axon[int]):
    booked: Collateral[int]
    asked: Collateral[int]


class Bank:
    """A neuron that asks another one to book, in a schema with a table for that.

    Attributes:
        does: awaited by the handler after it has written, with the number and the context; not by an offloaded one.
    """

    def __init__(self, schema: str, *, offload: bool) -> None:
        self.schema = schema
        with administrator() as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
            connection.execute(
                f'CREATE TABLE "{schema}".booked (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)'.encode()
            )
        insert = f'INSERT INTO "{schema}".booked VALUES (%s)'.encode()
        self.ask, self.axon, self.heard = collateral("ask", int), Parts(), list[int]()
        self.threads: set[int] = set()
        asker = neuron("asker", {"asked": self.axon.asked})
        self.bank = neuron("bank", {"booked": self.axon.booked}, offload=offload)
        listener = neuron("listener").dendrite(collateral=self.axon.booked, response=self.heard.append)

        @asker.dendrite(self.ask)
        async def on_ask(count: int) -> list[Signal[int]]:
            await asyncio.sleep(0)
            return [self.axon.asked.create_signal(number) for number in range(count)]

        async def on_asked(number: int, axon: Any, ctx: Any) -> Signal[int]:
            ctx.set((ctx.get() or 0) + 1)
            await current_transaction().execute(insert, (number,))
            await self.does(number, ctx)
            return self.axon.booked.create_signal(number)

        def on_asked_in_a_thread(number: int, axon: Any, ctx: Any) -> Signal[int]:
            self.threads.add(threading.get_ident())
            ctx.set((ctx.get() or 0) + 1)
            current_transaction().execute(insert, (number,))
            return self.axon.booked.create_signal(number)

        self.bank.dendrite(collateral=self.axon.asked, response=on_asked_in_a_thread if offload else on_asked)
        self.cns = CNS([asker, self.bank, listener])

    async def does(self, number: int, ctx: Any) -> None:
        """Nothing, unless a test sets something."""

    def store(self, death: Death | None = None, **options: Any) -> MortalPostgres:
        return MortalPostgres(Store.open(postgres_url(), schema=self.schema), death, **options)

    def durable(self, store: Store | None = None, **options: Any) -> Durable:
        return Durable(
            self.cns, store or self.store(lease=30), transactional=[self.bank], **{"commit_interval": 0, **options}
        )

    def rows(self) -> list[int]:
        with administrator() as connection:
            return [
                number
                for (number,) in connection.execute(f'SELECT number FROM "{self.schema}".booked ORDER BY 1'.encode())
            ]


@pytest.fixture
def make_bank() -> Iterator[Callable[..., Bank]]:
    with fresh_schema() as schema:
        yield lambda *, offload=False: Bank(schema, offload=offload)


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("volume", ["full", "frontier"])
@pytest.mark.parametrize("way", ["before", "between", "after"])
@pytest.mark.parametrize("write", [2, 3, 4, 5])
def test_written_and_finished_or_neither(
    make_bank: Callable[..., Bank], offload: bool, volume: Any, way: Way, write: int
) -> None:
    bank = make_bank(offload=offload)

    async def main() -> None:
        store = bank.store(Death(write, way))
        async with bank.durable(store, volume=volume) as durable:
            run = await durable.start(bank.ask.create_signal(2), run_id="r")
            await asyncio.gather(run, return_exceptions=True)
        before = bank.rows()
        async with bank.durable(volume=volume) as durable:
            if volume == "full":
                tasks = (await durable.tasks("r")).items
                assert sorted(one.input for one in tasks if (one.neuron, one.status) == ("bank", "finished")) == before
            await asyncio.gather(*await durable.recover())
            assert (await durable.run("r")).status == "completed"
            left = (await durable.tasks("r")).items
            assert {one.status for one in left} <= {"finished"}
            # Of one that has died between two transactions the cause of both may stay.
            assert len(left) == 5 if volume == "full" else len(left) <= 1
        assert bank.rows() == [0, 1]
        assert set(bank.heard) == {0, 1}
        assert threading.get_ident() not in bank.threads

    asyncio.run(main())


def test_an_exception_undoes_it_and_retry_does_it_once(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank()

    async def main() -> None:
        async def fail(number: int, ctx: Any) -> None:
            if number == 1 and current_activation().attempt == 1:
                raise ConnectionError("no line to the other bank")

        bank.does = fail  # type: ignore[method-assign]
        async with bank.durable() as durable:
            with pytest.raises(StimulationFailed) as failed:
                await (await durable.start(bank.ask.create_signal(3), run_id="r"))
            assert [type(error) for error in failed.value.exceptions] == [ConnectionError]
            assert bank.rows() == [0, 2]
            await (await durable.retry("r"))
        assert bank.rows() == [0, 1, 2]
        assert sorted(bank.heard) == [0, 1, 2]

    asyncio.run(main())


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("volume", ["full", "frontier"])
def test_so_does_what_the_commit_refuses(make_bank: Callable[..., Bank], offload: bool, volume: Any) -> None:
    bank = make_bank(offload=offload)

    async def main() -> None:
        with administrator() as connection:
            connection.execute(f'INSERT INTO "{bank.schema}".booked VALUES (1)'.encode())
        async with bank.durable(volume=volume) as durable:
            run = await durable.start(bank.ask.create_signal(3), run_id="r")
            with pytest.raises(StimulationFailed) as failed:
                await run
            assert [type(error) for error in failed.value.exceptions] == [psycopg.errors.UniqueViolation]
            assert sorted(bank.heard) == [0, 2]
            with administrator() as connection:
                connection.execute(f'DELETE FROM "{bank.schema}".booked WHERE number = 1'.encode())
            await (await durable.retry("r"))
            assert (await durable.run("r")).status == "completed"
        assert bank.rows() == [0, 1, 2]
        assert sorted(bank.heard) == [0, 1, 2]

    asyncio.run(main())


@pytest.mark.parametrize("offload", [False, True])
def test_what_the_commit_refuses_keeps_its_context(make_bank: Callable[..., Bank], offload: bool) -> None:
    bank = make_bank(offload=offload)

    async def main() -> None:
        with administrator() as connection:
            connection.execute(f'INSERT INTO "{bank.schema}".booked VALUES (0)'.encode())
        async with bank.durable() as durable:
            with pytest.raises(StimulationFailed):
                await (await durable.start(bank.ask.create_signal(1), run_id="r"))
            row = await durable.store.find("r")
            assert row is not None
            # As that of any other handler that sets it and fails.
            assert (await durable.store.frontier(row.key)).contexts == {"bank": b"\x01"}

    asyncio.run(main())


def test_a_cause_stays_until_what_it_caused_is_committed(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank()

    async def main() -> None:
        store = bank.store()
        reached = asyncio.Event()

        async def hold() -> None:
            # Others are committed meanwhile; then the process dies, with this neither written nor finished.
            reached.set()
            await other_done.wait()
            await asyncio.sleep(0.05)
            store.die()

        store.before_commit = hold  # type: ignore[method-assign]
        other, other_done = neuron("other"), asyncio.Event()

        @other.dendrite(bank.ask)
        async def on_ask(count: int) -> None:
            await reached.wait()
            other_done.set()

        cns = CNS([*bank.cns.neurons, other])
        options: Any = {"transactional": [bank.bank], "volume": "frontier", "commit_interval": 0}
        async with Durable(cns, store, **options) as durable:
            run = await durable.start(bank.ask.create_signal(1), run_id="r")
            with pytest.raises(StimulationAborted):
                await run
        assert bank.rows() == []
        async with Durable(cns, bank.store(), **options) as durable:
            (run,) = await durable.recover()
            await run
            assert (await durable.run("r")).status == "completed"
            assert not (await durable.tasks("r")).items
        assert bank.rows() == [0]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["cancel", "abort"])
def test_a_cancelled_one_has_not_written(make_bank: Callable[..., Bank], way: str) -> None:
    bank = make_bank()

    async def main() -> None:
        begun, goes_on = asyncio.Event(), asyncio.Event()

        async def hold(number: int, ctx: Any) -> None:
            begun.set()
            await goes_on.wait()

        bank.does = hold  # type: ignore[method-assign]
        async with bank.durable() as durable:
            run = await durable.start(bank.ask.create_signal(1), run_id="r")
            await begun.wait()
            assert run.stimulation is not None
            if way == "cancel":
                await run.cancel("enough")
            else:
                run.stimulation.abort("enough")
            goes_on.set()
            with pytest.raises(StimulationAborted, match="enough"):
                await run
            assert (await durable.run("r")).status == "aborted"
            # What was aborted runs to its end, and counts.
            assert bank.rows() == ([] if way == "cancel" else [0])
            await (await durable.retry("r"))
        assert bank.rows() == [0]
        assert bank.heard == [0]

    asyncio.run(main())


def test_who_has_lost_the_lease_writes_nothing(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank()

    async def main() -> None:
        begun, goes_on = asyncio.Event(), asyncio.Event()

        async def hold(number: int, ctx: Any) -> None:
            if current_activation().attempt == 1:
                begun.set()
                await goes_on.wait()

        bank.does = hold  # type: ignore[method-assign]
        async with bank.durable(bank.store(lease=0)) as away, bank.durable() as other:
            run = await away.start(bank.ask.create_signal(1), run_id="r")
            await begun.wait()
            taking = asyncio.ensure_future(other.recover())
            # It waits for the row of the run, which the transaction of the other one may have locked, or not.
            await asyncio.sleep(0.1)
            goes_on.set()
            runs = await taking
            with pytest.raises(StimulationAborted) as aborted:
                await run
            assert isinstance(aborted.value.reason, LeaseLostError)
            await asyncio.gather(*runs)
            assert (await other.run("r")).status == "completed"
        assert bank.rows() == [0]
        assert bank.heard == [0]

    asyncio.run(main())


def test_an_entry_may_be_one(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank()

    async def main() -> None:
        async with bank.durable() as durable:
            await (await durable.start([bank.axon.asked.create_signal(number) for number in range(20)]))
        assert bank.rows() == sorted(bank.heard) == [*range(20)]

    asyncio.run(main())


def test_a_plain_function_on_the_loop_cannot_be_one(make_bank: Callable[..., Bank]) -> None:
    go = collateral("go", int)
    plain = neuron("plain").dendrite(collateral=go, response=lambda number: None)
    make_bank()
    with pytest.raises(TypeError, match="'plain': its handler on 'go' is a plain function"):
        Durable(CNS([plain]), Store.open(postgres_url()), transactional=[plain])
