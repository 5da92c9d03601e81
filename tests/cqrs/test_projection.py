"""Projections: inline and following, each event applied once; what they wait for, and what they say that is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from tests.cqrs.bank import Bank, Deposit, Open
from tests.cqrs.ledger import Ledger, followed, on_ledger

from cnstra import GraphError, StimulationFailed
from cnstra.cqrs import (
    EventStore,
    PositionError,
    Projection,
    ProjectionError,
    ProjectionTableError,
    ReadModelError,
    ReadModels,
    ReadModelUrlError,
    Updated,
    Write,
)

# -- inline


def test_an_inline_projection_has_applied_the_events_when_its_signal_is_seen(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        bank = ledger.bank
        updated = await ledger.inline.query(bank.open.create_signal(Open("a", "ada")), ledger.projection.updated)
        assert updated == Updated("ledger", 1)
        await ledger.inline.query(bank.deposit.create_signal(Deposit("a", 5)), ledger.projection.updated)
        assert ledger.rows() == [("a", "ada", 5)]
        assert await ledger.inline.query(ledger.ask.create_signal("a"), ledger.answer) == 5
        assert await ledger.projection.position() == 2

    on_ledger(url, models, case)


def test_an_inline_projection_applies_what_others_have_appended_before(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open("b")
        await ledger.deposit(3, "b")
        bank = ledger.bank
        await ledger.inline.query(bank.open.create_signal(Open("a", "ada")), ledger.projection.updated)
        assert ledger.rows() == [("a", "ada", 0), ("b", "owner of b", 3)]

    on_ledger(url, models, case)


def test_signals_out_of_order_lose_no_event(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        appended = [await ledger.open(), *[await ledger.deposit(cents) for cents in range(1, 20)]]
        for one in [*appended[::-2], *appended[::2]]:
            updated = await ledger.inline.query(
                ledger.bank.accounts.appended.create_signal(one), ledger.projection.updated
            )
            assert updated.position >= one.position
        assert ledger.rows() == [("a", "owner of a", sum(range(20)))]

    on_ledger(url, models, case, batch=3)


def test_concurrent_runs_are_served_together(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        bank = ledger.bank
        await ledger.open()
        await ledger.projection.catch_up()
        deposits = [bank.deposit.create_signal(Deposit("a", cents)) for cents in range(100)]
        updates = await asyncio.gather(
            *[ledger.inline.query(deposit, ledger.projection.updated) for deposit in deposits]
        )
        assert max(update.position for update in updates) == ledger.store.end()
        assert ledger.rows() == [("a", "owner of a", sum(range(100)))]

    on_ledger(url, models, case)


def test_a_signal_beyond_the_end_of_the_log_fails_its_run(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        appended = await ledger.open()
        signal = ledger.bank.accounts.appended.create_signal(type(appended)("accounts", "a", 1, 7, 1, False, ""))
        with pytest.raises(StimulationFailed) as failed:
            await ledger.inline.stimulate(signal)
        (error,) = failed.value.exceptions
        assert isinstance(error, PositionError)
        assert "position 7 lies beyond the end of the log" in str(error)
        assert await ledger.projection.position() == 1

    on_ledger(url, models, case)


# -- following


def test_a_follower_applies_what_is_there_and_what_comes(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        async with followed(ledger.projection):
            for cents in range(1, 30):
                appended = await ledger.deposit(cents)
            await ledger.projection.caught_up(appended.position, timeout=20)
        assert ledger.rows() == [("a", "owner of a", sum(range(30)))]
        assert len(ledger.rows(ledger.moves)) == 29

    on_ledger(url, models, case, batch=7)


def test_what_was_caught_up_with_by_another_connection_counts(tmp_path: Path) -> None:
    here, there = (Ledger(f"sqlite:///{tmp_path}/events.db", f"sqlite:///{tmp_path}/models.db") for _ in range(2))

    async def case() -> None:
        appended = await here.open()
        waiting = asyncio.create_task(here.projection.caught_up(appended.position, timeout=20))
        await asyncio.sleep(0)
        assert not waiting.done()
        await there.projection.catch_up()
        await waiting

    try:
        asyncio.run(case())
    finally:
        here.close()
        there.close()


def test_whoever_waits_in_vain_is_told_how_far_it_is(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        first = await ledger.open()
        await ledger.projection.catch_up()
        second = await ledger.deposit(1)
        await ledger.projection.caught_up(first.position)
        with pytest.raises(TimeoutError, match=r"'ledger' has not reached position 2 within 0\.02 s: it is at 1"):
            await ledger.projection.caught_up(second.position, timeout=0.02)

    on_ledger(url, models, case)


def test_a_position_beyond_the_end_is_an_error_at_once(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        with pytest.raises(PositionError, match=r"position 9 lies beyond the end of the log of .*, which is 1"):
            await ledger.projection.caught_up(9, timeout=60)

    on_ledger(url, models, case)


def test_a_read_model_of_another_log_is_refused(tmp_path: Path) -> None:
    models = f"sqlite:///{tmp_path}/models.db"

    async def first(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.deposit(1)
        await ledger.projection.catch_up()

    async def second(ledger: Ledger) -> None:
        await ledger.open()
        with pytest.raises(PositionError, match="made from another log"):
            await ledger.projection.catch_up()
        assert await ledger.projection.rebuild() == 1
        assert ledger.rows() == [("a", "owner of a", 0)]

    on_ledger("memory:", models, first)
    on_ledger("memory:", models, second)


def test_the_lag_counts_what_was_not_applied(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        lag = await ledger.projection.lag()
        assert (lag.position, lag.end, lag.behind, lag.seconds) == (0, 0, 0, 0.0)
        await ledger.open()
        await ledger.projection.catch_up()
        await ledger.deposit(1)
        await ledger.deposit(2)
        lag = await ledger.projection.lag()
        assert (lag.position, lag.end, lag.behind) == (1, 3, 2)
        assert lag.seconds is not None
        assert 0 <= lag.seconds < 60
        await ledger.projection.catch_up()
        lag = await ledger.projection.lag()
        assert (lag.behind, lag.seconds) == (0, 0.0)

    on_ledger(url, models, case)


def test_events_that_are_not_bound_are_passed_over(url: str, models: str) -> None:
    """The bank's accounts are in the same log, under another name, with the same classes of events."""

    async def case(ledger: Ledger) -> None:
        other = Bank(ledger.store)
        other.accounts.name = "others"
        await other.do(other.open.create_signal(Open("a", "somebody")))
        await ledger.open()
        await other.do(other.deposit.create_signal(Deposit("a", 100)))
        assert await ledger.projection.catch_up() == 3
        assert ledger.rows() == [("a", "owner of a", 0)]

    on_ledger(url, models, case)


def test_markers_of_commands_are_passed_over(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        bank = ledger.bank
        await ledger.open()
        once = bank.identified.create_signal(Deposit("a", 5, id="once"))
        first = await ledger.inline.query(once, ledger.projection.updated)
        second = await ledger.inline.query(once, ledger.projection.updated)
        assert (first.position, second.position) == (3, 3)
        assert ledger.rows() == [("a", "owner of a", 5)]

    on_ledger(url, models, case)


# -- what is declared wrongly


def table(*columns: Column[Any], name: str = "things") -> Table:
    return Table(name, MetaData(), *columns)


def test_tables_that_cannot_be_rebuilt_are_refused() -> None:
    store, models = EventStore("memory:"), ReadModels("memory:")
    for tables, words in [
        ((), "has no table"),
        ((table(Column("id", Integer)),), "no primary key"),
        ((table(Column("id", Integer, primary_key=True), Column("of", ForeignKey("other.id"))),), "foreign key"),
        ((Table("things", MetaData(schema="other"), Column("id", Integer, primary_key=True)),), "names a schema"),
        ((table(Column("id", Integer, primary_key=True), name="x" * 60),), "too long"),
    ]:
        with pytest.raises(ProjectionTableError, match=words):
            Projection("p", *tables, store=store, models=models)
    with pytest.raises(TypeError, match=r"must be a sqlalchemy\.Table, not str"):
        Projection("p", "things", store=store, models=models)  # type: ignore[arg-type]
    Projection("p", table(Column("id", Integer, primary_key=True)), store=store, models=models)
    with pytest.raises(ValueError, match="belongs to projection 'p'"):
        Projection("q", table(Column("id", Integer, primary_key=True)), store=store, models=models)


def test_arguments_of_wrong_types_are_refused() -> None:
    store, models = EventStore("memory:"), ReadModels("memory:")
    one = table(Column("id", Integer, primary_key=True))
    wrong: Any
    for error, words, wrong in [
        (TypeError, "name of a projection must be a str, not int", {"name": 5}),
        (ValueError, "cannot be empty", {"name": ""}),
        (TypeError, "store must be an EventStore, not str", {"store": "memory:"}),
        (TypeError, "models must be ReadModels, not str", {"models": "memory:"}),
        (TypeError, "batch must be an int, not bool", {"batch": True}),
        (ValueError, "batch must be at least 1, not 0", {"batch": 0}),
        (ValueError, "on_error must be 'halt' or 'park', not 'skip'", {"on_error": "skip"}),
    ]:
        arguments: Any = {"name": "p", "store": store, "models": models, **wrong}
        with pytest.raises(error, match=words):
            Projection(arguments.pop("name"), one, **arguments)
    with pytest.raises(TypeError, match="URL of read models must be a str, not int"):
        ReadModels(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="readers must be at least 1, not 0"):
        ReadModels("memory:", readers=0)


def test_handlers_are_bound_once_and_before_the_projection_is_used() -> None:
    ledger = Ledger("memory:", "memory:")
    other = Ledger("memory:", "memory:")
    projection = Projection(
        "p", table(Column("id", String, primary_key=True)), store=ledger.store, models=ledger.models
    )
    with pytest.raises(ProjectionError, match="'p' binds no aggregate"):
        projection.neuron  # noqa: B018
    with pytest.raises(ValueError, match=r"'p' follows <EventStore memory:>"):
        projection.bind(other.bank.accounts)
    bind: Any = projection.bind(ledger.bank.accounts)

    async def slowly(event: object, write: Write) -> None: ...

    with pytest.raises(TypeError, match="must be a plain function"):
        bind(slowly)
    with pytest.raises(TypeError, match="takes 1 arguments"):
        bind(lambda event: None)
    bind(lambda event, write: None)
    with pytest.raises(GraphError, match="binds aggregate 'accounts' already"):
        bind(lambda event, write: None)
    assert projection.neuron is projection.neuron
    with pytest.raises(GraphError, match="in use already"):
        bind(lambda event, write: None)
    assert repr(projection) == "<Projection 'p' of 'accounts'>"


def test_urls_of_read_models() -> None:
    for url in ("mysql://user:secret@host/db", "sqlite://", "shop.db"):
        with pytest.raises(ReadModelUrlError) as raised:
            ReadModels(url).connect()
        assert "secret" not in str(raised.value)
    with pytest.raises(ReadModelUrlError, match="have no URL"):
        ReadModels().connect()
    with ReadModels("memory:") as models, pytest.raises(RuntimeError, match="are connected"):
        models.connect("sqlite:///other.db")


def test_tables_that_are_not_as_declared_are_refused_until_they_are_rebuilt(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        with ledger.models.engines.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE totals (account VARCHAR(9) PRIMARY KEY, old BIGINT)")
        with pytest.raises(ReadModelError, match="it lacks cents, owner and it has old besides; rebuild it"):
            await ledger.projection.catch_up()
        await ledger.projection.rebuild()
        assert ledger.rows() == [("a", "owner of a", 0)]
        await ledger.deposit(2)
        assert await ledger.projection.catch_up() == 2
        assert ledger.rows() == [("a", "owner of a", 2)]

    on_ledger(url, models, case)


def test_rows_without_a_position_are_not_added_to(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.projection.catch_up()
        with ledger.models.engines.writing() as connection:
            connection.exec_driver_sql("DROP TABLE cnstra_projections")
        again = Projection("again", ledger.totals, store=ledger.store, models=ReadModels(models))
        again.bind(ledger.bank.accounts)(lambda event, write: None)
        if models != "memory:":
            with pytest.raises(ReadModelError, match="has rows already"):
                await again.catch_up()
        again.models.close()

    on_ledger(url, models, case)


def test_a_table_that_is_gone_is_no_empty_one(tmp_path: Path) -> None:
    url, models = f"sqlite:///{tmp_path}/events.db", f"sqlite:///{tmp_path}/models.db"

    async def first(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.projection.catch_up()
        with ledger.models.engines.writing() as connection:
            connection.exec_driver_sql("DROP TABLE totals")

    async def second(ledger: Ledger) -> None:
        with pytest.raises(ReadModelError, match="is at position 1, and its table 'totals' is gone; rebuild it"):
            await ledger.projection.catch_up()

    on_ledger(url, models, first)
    on_ledger(url, models, second)
