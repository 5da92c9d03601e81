"""Commands: decided on the state of an aggregate, appended with optimistic concurrency, applied once."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import AggregateRecorder
from tests.cqrs.bank import Account, Bank, Deposit, Deposited, Events, Open, Opened, Withdraw, Withdrawn, evolve
from tests.durable.postgres import fresh_schema, postgres_url

from cnstra import CNS, Axon, Collateral, Dendrite, GraphError, Response, StimulationFailed, collateral
from cnstra.cqrs import (
    Aggregate,
    AggregateExistsError,
    Appended,
    CommandIdError,
    ConflictError,
    EventStore,
    EventStoreUnavailableError,
    EventStoreUrlError,
    UnknownAggregateError,
)
from cnstra.durable import Durable, Store

Case = Callable[[Bank], Coroutine[Any, Any, None]]


def on(url: str, case: Case, **options: Any) -> None:
    with EventStore(url) as store:
        asyncio.run(case(Bank(store, **options)))


def the_error(failed: pytest.ExceptionInfo[StimulationFailed]) -> BaseException:
    (error,) = failed.value.exceptions
    return error


def test_a_command_appends_its_events_and_emits_them_in_order_with_the_result_last(url: str) -> None:
    async def case(bank: Bank) -> None:
        heard: list[object] = []

        def hear(response: Response) -> None:
            if response.output_signal is not None:
                heard.append(response.output_signal.payload)

        await bank.cns.stimulate(bank.open.create_signal(Open("a", "Ada")), on_response=hear)
        await bank.cns.stimulate(bank.deposit.create_signal(Deposit("a", 5)), on_response=hear)
        opened, first_done, deposited, done = (one for one in heard if not isinstance(one, Open | Deposit))
        assert (opened, deposited) == (Opened("Ada"), Deposited(5))
        assert isinstance(first_done, Appended)
        assert isinstance(done, Appended)
        assert (first_done.version, done.version) == (1, 2)
        assert await bank.accounts.state("a") == Account("Ada", 5)
        first, second = bank.store.read(0)
        assert (first.event, first.aggregate, first.id, first.version) == (Opened("Ada"), "accounts", "a", 1)
        assert (second.event, second.version) == (Deposited(5), 2)
        assert first.position < second.position == bank.store.end()

    on(url, case)


def test_the_result_says_what_was_done(url: str) -> None:
    async def case(bank: Bank) -> None:
        opened = await bank.do(bank.open.create_signal(Open("a", "Ada")))
        assert (opened.aggregate, opened.id, opened.version, opened.events) == ("accounts", "a", 1, 1)
        assert not opened.duplicate
        nothing = await bank.do(bank.withdraw.create_signal(Withdraw("a", 0)))
        assert (nothing.version, nothing.events, nothing.position) == (1, 0, opened.position)

    on(url, case)


def test_what_the_author_refuses_is_not_appended(url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        with pytest.raises(StimulationFailed) as refused:
            await bank.do(bank.withdraw.create_signal(Withdraw("a", 1)))
        assert str(the_error(refused)).startswith("Ada has 0, not 1")
        assert len(bank.store.read(0)) == 1

    on(url, case)


def test_an_aggregate_is_unknown_or_exists(url: str) -> None:
    async def case(bank: Bank) -> None:
        with pytest.raises(StimulationFailed) as unknown:
            await bank.do(bank.deposit.create_signal(Deposit("a", 5)))
        assert isinstance(the_error(unknown), UnknownAggregateError)
        assert "accounts 'a' is unknown, and 'deposit' is for it" in str(the_error(unknown))
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        for _ in range(2):
            with pytest.raises(StimulationFailed) as exists:
                await bank.do(bank.open.create_signal(Open("a", "Bob")))
            assert isinstance(the_error(exists), AggregateExistsError)
        # Another process, which remembers nothing, finds out when it appends.
        with EventStore(url) as other:
            if url != "memory:":
                elsewhere = Bank(other)
                with pytest.raises(StimulationFailed) as exists:
                    await elsewhere.do(elsewhere.open.create_signal(Open("a", "Bob")))
                assert isinstance(the_error(exists), AggregateExistsError)

    on(url, case)


def test_a_command_with_an_id_is_applied_once_however_often_it_is_delivered(url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        put = bank.identified.create_signal(Deposit("a", 5, "x"))
        first = await bank.do(put)
        together = await asyncio.gather(*(bank.do(put) for _ in range(5)))
        assert not first.duplicate
        assert all(one.duplicate and one.version == 2 and one.events == 1 for one in together)
        assert await bank.accounts.state("a") == Account("Ada", 5)
        # It is told again what happened.
        heard: list[object] = []
        await bank.cns.stimulate(
            put, on_response=lambda r: heard.append(r.output_signal.payload) if r.output_signal else None
        )
        assert Deposited(5) in heard

    on(url, case)


def test_five_at_once_with_one_id_are_one(url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        put = bank.identified.create_signal(Deposit("a", 5, "x"))
        together = await asyncio.gather(*(bank.do(put) for _ in range(5)))
        assert sum(not one.duplicate for one in together) == 1
        assert await bank.accounts.state("a") == Account("Ada", 5)

    on(url, case)


def test_an_id_belongs_to_one_command(url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        await bank.do(bank.open.create_signal(Open("b", "Bob")))
        await bank.do(bank.identified.create_signal(Deposit("a", 5, "x")))
        with pytest.raises(StimulationFailed) as reused:
            await bank.do(bank.identified.create_signal(Deposit("b", 5, "x")))
        assert isinstance(the_error(reused), CommandIdError)
        assert "used for 'identified' on accounts/a" in str(the_error(reused))

    on(url, case)


def test_others_who_append_in_between_make_it_be_decided_anew(shared_url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        with EventStore(shared_url) as store:
            other = Bank(store)
            for _ in range(3):
                # Each remembers a state that the other has gone beyond.
                await bank.do(bank.deposit.create_signal(Deposit("a", 1)))
                await other.do(other.deposit.create_signal(Deposit("a", 1)))
            # A refusal is never made on what is only remembered.
            await other.do(other.deposit.create_signal(Deposit("a", 100)))
            await bank.do(bank.withdraw.create_signal(Withdraw("a", 50)))
        assert await bank.accounts.state("a") == Account("Ada", 56)

    on(shared_url, case)


def test_two_processes_and_many_commands_lose_nothing(shared_url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        with EventStore(shared_url) as store:
            other = Bank(store, retries=30)
            await asyncio.gather(
                *(one.do(one.deposit.create_signal(Deposit("a", 1))) for one in (bank, other) for _ in range(40))
            )
        assert await bank.accounts.state("a") == Account("Ada", 80)
        assert [one.version for one in bank.store.read(0)] == list(range(1, 82))

    on(shared_url, case, retries=30)


def test_a_command_that_is_always_in_conflict_fails_in_the_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    with EventStore(url) as store, EventStore(url) as others:
        axon, rival_axon = Events(), Events()
        touch = collateral("touch", Deposit)
        accounts = Aggregate("accounts", axon, evolve, store=store, retries=2)
        rival = Aggregate("accounts", rival_axon, evolve, store=others)
        tried = 0

        @rival.command(touch, of=lambda command: command.account, missing_ok=True)
        def also(command: Deposit, account: Account | None) -> Opened:
            return Opened("rival")

        rivals = CNS([rival.neuron])

        @accounts.command(touch, of=lambda command: command.account, missing_ok=True)
        def decide(command: Deposit, account: Account | None) -> Opened:
            nonlocal tried
            tried += 1
            rivals.run(touch.create_signal(command))
            return Opened("Ada")

        with pytest.raises(StimulationFailed) as failed:
            CNS([accounts.neuron]).run(touch.create_signal(Deposit("a", 0)))
        assert isinstance(the_error(failed), ConflictError)
        assert "each of the 3 times" in str(the_error(failed))
        assert tried == 3
        assert len(store.read(0)) == 3


def test_a_batch_in_which_one_is_refused_applies_the_others(url: str) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        runs = [bank.cns.stimulate(bank.deposit.create_signal(Deposit("a", 1))) for _ in range(10)]
        bad = bank.cns.stimulate(bank.withdraw.create_signal(Withdraw("a", 1000)))
        good = bank.cns.stimulate(bank.withdraw.create_signal(Withdraw("a", 10)))
        await asyncio.gather(*runs, good)
        with pytest.raises(StimulationFailed) as refused:
            await bad
        assert "not 1000" in str(the_error(refused))
        assert await bank.accounts.state("a") == Account("Ada", 0)

    on(url, case)


def test_snapshots_spare_reading_and_are_only_a_help(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"

    async def fill(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        for _ in range(12):
            await bank.do(bank.deposit.create_signal(Deposit("a", 1)))

    on(url, fill, snapshot_every=5)
    with sqlite3.connect(tmp_path / "events.db") as look:
        taken = [row[0] for row in look.execute("SELECT originator_version FROM stored_snapshots ORDER BY 1")]
        assert taken == [5, 10]
        look.execute("DELETE FROM stored_events WHERE originator_version < 10")
    look.close()

    async def read(bank: Bank) -> None:
        assert await bank.accounts.state("a") == Account("Ada", 12)

    on(url, read, snapshot_every=5)


def test_a_snapshot_that_fails_is_logged_and_the_command_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def case(bank: Bank) -> None:
        opened = bank.store._opened()
        snapshots: AggregateRecorder = opened.recorders.snapshots

        def fail(*_: object) -> None:
            raise OSError("no room")

        monkeypatch.setattr(snapshots, "insert_events", fail)
        with caplog.at_level(logging.WARNING, "cnstra"):
            assert (await bank.do(bank.open.create_signal(Open("a", "Ada")))).version == 1
            assert (await bank.do(bank.deposit.create_signal(Deposit("a", 1)))).version == 2
            # They are taken when the command has been answered.
            bank.store.close()
        assert caplog.text.count("no snapshot of accounts/a") == 2
        caplog.clear()

    on("memory:", case, snapshot_every=1)


def test_an_activation_of_a_durable_run_that_is_run_again_is_no_second_command(tmp_path: Path) -> None:
    """The process is lost after the append, before the record of the run has it."""
    runs = f"sqlite:///{tmp_path}/runs.db"
    lost = True

    def lose(dendrite: Dendrite[Any], handler: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(payload: object, axon: object, ctx: object) -> object:
            answer = await handler(payload, axon, ctx)
            if lost:
                raise RuntimeError("lost after the append")
            return answer

        return wrapped

    async def case(bank: Bank) -> None:
        nonlocal lost
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        cns = bank.cns.with_middleware(lose)
        async with Durable(cns, Store.open(runs)) as durable:
            run = await durable.start(bank.deposit.create_signal(Deposit("a", 5)), run_id="one")
            with pytest.raises(StimulationFailed):
                await run
            assert await bank.accounts.state("a") == Account("Ada", 5)
            lost = False
            await (await durable.retry("one"))
            assert (await durable.run("one")).status == "completed"
        assert await bank.accounts.state("a") == Account("Ada", 5)

    on(f"sqlite:///{tmp_path}/events.db", case)


def test_commands_do_not_block_the_loop(tmp_path: Path) -> None:
    async def case(bank: Bank) -> None:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
        lock = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        run = bank.cns.stimulate(bank.deposit.create_signal(Deposit("a", 5)))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not run.done()
        lock.execute("COMMIT")
        lock.close()
        await run

    on(f"sqlite:///{tmp_path}/events.db", case)


def test_a_store_that_is_away_says_so(tmp_path: Path) -> None:
    with pytest.raises(EventStoreUnavailableError, match="missing"):
        EventStore(f"sqlite:///{tmp_path}/missing/events.db").connect()
    with pytest.raises(EventStoreUrlError, match="names no event store"):
        EventStore("mysql://u:secret@h/d").connect()
    with pytest.raises(EventStoreUrlError, match="has no URL"):
        EventStore().connect()
    with pytest.raises(EventStoreUnavailableError, match=r"127\.0\.0\.1") as away:
        EventStore("postgresql://u:secret@127.0.0.1:1/d").connect()
    assert "secret" not in str(away.value)


@pytest.mark.once
def test_a_schema_that_the_package_cannot_use_is_named() -> None:
    with fresh_schema() as schema:
        path = schema.replace(" ", "%5C%20")
        with pytest.raises(EventStoreUrlError, match="cannot be in schema 'cnstra test"):
            EventStore(f"{postgres_url()}?options=-csearch_path%3D%22{path}%22").connect()


def test_what_cannot_be_declared() -> None:
    store = EventStore("memory:")
    accounts = Aggregate("accounts", Events(), evolve, store=store)
    with pytest.raises(TypeError, match="must be a plain function"):
        accounts.create(collateral("a", Open), of=lambda command: command.account)(asyncio.sleep)  # type: ignore[arg-type]
    channel = collateral("b", Open)
    accounts.create(channel, of=lambda command: command.account)(lambda command: Opened(command.owner))
    with pytest.raises(GraphError, match="has a command on"):
        accounts.create(channel, of=lambda command: command.account)(lambda command: Opened(command.owner))
    assert accounts.neuron is accounts.neuron
    with pytest.raises(GraphError, match="has its neuron already"):
        accounts.create(collateral("c", Open), of=lambda command: command.account)(lambda command: Opened(""))
    with pytest.raises(ValueError, match="no slash"):
        Aggregate("a/b", Events(), evolve, store=store)
    assert Withdrawn in accounts.event_types

    class Twice(Axon[Opened]):
        first: Collateral[Opened]
        second: Collateral[Opened]

    with pytest.raises(TypeError, match="both carry Opened"):
        Aggregate("twice", Twice(), lambda state, event: event, store=store)
