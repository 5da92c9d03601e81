"""Events that a projection cannot digest, at which it halts or which it parks; and a log or a database that is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from sqlalchemy import Column, MetaData, String, Table, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from tests.cqrs.bank import Deposit, Deposited, Opened
from tests.cqrs.ledger import Event, Ledger, followed, on_ledger
from tests.cqrs.places import place
from tests.durable.postgres import Wire

from cnstra import StimulationFailed
from cnstra.cqrs import (
    EventStoreUnavailableError,
    ProjectionHaltedError,
    ProjectionTableError,
    ReadModels,
    ReadModelUnavailableError,
    Recorded,
    UnknownEventError,
    UnknownEventVersionError,
    Write,
)


class Trouble:
    """Raises for deposits of these amounts."""

    def __init__(self, *cents: int) -> None:
        self.cents = set(cents)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Deposited) and event.cents in self.cents:
            raise LookupError(f"no idea what {event.cents} is")


async def fill(ledger: Ledger, *cents: int) -> int:
    position = (await ledger.open()).position
    for amount in cents:
        position = (await ledger.deposit(amount)).position
    return position


def append(ledger: Ledger, topic: str, state: bytes) -> int:
    """What another program has written into the log."""
    events = ledger.store._opened().recorders.events
    version = len(events.select_events("accounts/a")) + 1
    (position,) = events.insert_events([StoredEvent("accounts/a", version, topic, state)]) or ()
    return position


# -- halt


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_projection_halts_at_the_event_and_has_what_came_before(url: str, models: str, batch: int) -> None:
    trouble = Trouble(3)

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2, 3, 4)
        with pytest.raises(
            ProjectionHaltedError, match=r"'ledger' is halted at position 4 .*: no idea what 3 is"
        ) as halted:
            await ledger.projection.catch_up()
        assert isinstance(halted.value.__cause__, LookupError)
        assert (halted.value.projection, halted.value.position) == ("ledger", 4)
        assert ledger.rows() == [("a", "owner of a", 3)]
        assert await ledger.projection.position() == 3
        # It stays so, for all who meet it.
        for doing in (ledger.projection.catch_up(), ledger.projection.follow(), ledger.projection.caught_up(5)):
            with pytest.raises(ProjectionHaltedError, match="no idea what 3 is"):
                await doing
        await ledger.projection.caught_up(3)
        with pytest.raises(ProjectionHaltedError):
            await ledger.projection.resume()
        trouble.cents.clear()
        assert await ledger.projection.resume() >= 4
        assert await ledger.projection.catch_up() == 5
        assert ledger.rows() == [("a", "owner of a", 10)]

    on_ledger(url, models, case, trouble=trouble, batch=batch)


def test_a_run_whose_event_halts_its_projection_fails_and_the_event_is_stored(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        with pytest.raises(StimulationFailed) as failed:
            await ledger.inline.stimulate(ledger.bank.deposit.create_signal(Deposit("a", 3)))
        (error,) = failed.value.exceptions
        assert isinstance(error, ProjectionHaltedError)
        assert ledger.store.end() == 2

    on_ledger(url, models, case, trouble=Trouble(3))


def test_a_follower_stops_when_its_projection_is_halted_by_another(url: str, models: str) -> None:
    trouble = Trouble(3)

    async def case(ledger: Ledger) -> None:
        await ledger.open()
        async with followed(ledger.projection, ledger.projection) as tasks:
            await ledger.deposit(3)
            outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert [type(outcome) for outcome in outcomes] == [ProjectionHaltedError] * 2

    on_ledger(url, models, case, trouble=trouble)


def test_what_was_written_for_the_event_before_it_failed_is_not_kept(url: str, models: str) -> None:
    def apply(ledger: Ledger, event: Event, write: Write, recorded: Recorded[Any]) -> None:
        write.put(ledger.totals, account=str(recorded.version), cents=recorded.version)
        write.execute(insert(write.table(ledger.moves)).values(account="a", version=recorded.version, cents=0))
        if recorded.version == 3:
            raise LookupError("too late")

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2, 3)
        with pytest.raises(ProjectionHaltedError, match="too late"):
            await ledger.projection.catch_up()
        assert [row[0] for row in ledger.rows()] == ["1", "2"]
        assert [row[1] for row in ledger.rows(ledger.moves)] == [1, 2]

    on_ledger(url, models, case, apply=apply)


def test_the_event_behind_a_row_that_the_database_refuses_is_found(url: str, models: str) -> None:
    def apply(ledger: Ledger, event: Event, write: Write, recorded: Recorded[Any]) -> None:
        write.put(ledger.totals, account=str(recorded.version), cents=None if recorded.version == 3 else 0)

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2, 3)
        with pytest.raises(ProjectionHaltedError, match="at position 3") as halted:
            await ledger.projection.catch_up()
        assert isinstance(halted.value.__cause__, IntegrityError)
        assert [row[0] for row in ledger.rows()] == ["1", "2"]

    on_ledger(url, models, case, apply=apply)


# -- park


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_projection_parks_events_and_goes_on(url: str, models: str, batch: int) -> None:
    trouble = Trouble(2, 4)

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2, 3, 4, 5)
        assert await ledger.projection.parked() == []
        assert await ledger.projection.catch_up() == 6
        assert ledger.rows() == [("a", "owner of a", 9)]
        first, second = await ledger.projection.parked()
        assert (first.position, first.aggregate, first.id, first.topic) == (3, "accounts", "a", "Deposited")
        assert first.error == "LookupError: no idea what 2 is"
        assert second.position == 5
        trouble.cents.remove(2)
        (still,) = await ledger.projection.retry_parked()
        assert still.position == 5
        assert ledger.rows() == [("a", "owner of a", 11)]
        trouble.cents.clear()
        assert await ledger.projection.retry_parked() == []
        assert await ledger.projection.retry_parked() == []
        assert await ledger.projection.parked() == []
        assert ledger.rows() == [("a", "owner of a", 15)]

    on_ledger(url, models, case, trouble=trouble, batch=batch, on_error="park")


# -- what cannot be read


NEWER = b'{"t":1.0,"c":"x","v":2,"e":{"cents":7}}'
BROKEN = b'{"t":1.0,"c":"x","e":{"cents":"seven"}}'


@pytest.mark.parametrize(("state", "error"), [(NEWER, UnknownEventVersionError), (BROKEN, UnknownEventError)])
def test_a_projection_halts_at_an_event_that_cannot_be_read(
    url: str, models: str, state: bytes, error: type[Exception]
) -> None:
    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2)
        assert append(ledger, "Deposited", state) == 4
        append(ledger, "Deposited", b'{"t":1.0,"c":"x","e":{"cents":5}}')
        for _ in range(2):
            with pytest.raises(ProjectionHaltedError, match="at position 4 of the log: UnknownEvent"):
                await ledger.projection.catch_up()
        with pytest.raises(ProjectionHaltedError) as halted:
            await ledger.projection.resume()
        assert type(halted.value.__cause__) is error
        assert ledger.rows() == [("a", "owner of a", 3)]

    on_ledger(url, models, case)


def test_a_projection_parks_events_that_cannot_be_read(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1, 2)
        append(ledger, "Deposited", NEWER)
        append(ledger, "Deposited", b'{"t":1.0,"c":"x","e":{"cents":5}}')
        append(ledger, "Deposited", BROKEN)
        assert await ledger.projection.catch_up() == 6
        assert ledger.rows() == [("a", "owner of a", 8)]
        assert [(parked.position, parked.topic) for parked in await ledger.projection.parked()] == [
            (4, "Deposited"),
            (6, "Deposited"),
        ]
        assert len(await ledger.projection.retry_parked()) == 2

    on_ledger(url, models, case, on_error="park")


# -- wrong tables


STRAY = Table("stray", MetaData(), Column("id", String, primary_key=True))


def put_stray(ledger: Ledger, write: Write) -> None:
    write.put(STRAY, id="1")


def execute_stray(ledger: Ledger, write: Write) -> None:
    write.execute(insert(STRAY).values(id="1"))


def select_stray(ledger: Ledger, write: Write) -> None:
    write.execute(update(ledger.totals).values(owner=select(STRAY.c.id).scalar_subquery()))


def unknown_column(ledger: Ledger, write: Write) -> None:
    write.put(ledger.totals, account="a", euros=1)


def no_key(ledger: Ledger, write: Write) -> None:
    write.add(ledger.moves, account="a", cents=1)


def no_number(ledger: Ledger, write: Write) -> None:
    write.add(ledger.totals, account="a", owner="b")


def more_than_the_key(ledger: Ledger, write: Write) -> None:
    write.delete(ledger.totals, account="a", cents=1)


def nothing_to_change(ledger: Ledger, write: Write) -> None:
    write.update(ledger.totals, account="a")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (put_stray, "'ledger' was not given table 'stray'; it has 'totals', 'moves'"),
        (execute_stray, "was not given table 'stray'"),
        (select_stray, "was not given table 'stray'"),
        (unknown_column, "'totals' has no column 'euros'; it has account, owner, cents"),
        (no_key, "a row of 'moves' needs its key: account, version"),
        (no_number, "column 'owner' of 'totals' is no number"),
        (more_than_the_key, "needs its key: account and nothing else"),
        (nothing_to_change, "given no column to change"),
    ],
)
def test_a_wrong_table_halts_the_projection(wrong: Any, words: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        with pytest.raises(ProjectionHaltedError) as halted:
            await ledger.projection.catch_up()
        assert isinstance(halted.value.__cause__, ProjectionTableError)
        assert words in str(halted.value.__cause__)

    on_ledger("memory:", "memory:", case, apply=lambda ledger, event, write, recorded: wrong(ledger, write))


def test_text_is_no_statement_because_nobody_sees_its_tables() -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        with pytest.raises(ProjectionHaltedError, match="takes statements that SQLAlchemy builds"):
            await ledger.projection.catch_up()

    on_ledger(
        "memory:",
        "memory:",
        case,
        apply=lambda ledger, event, write, recorded: write.execute(text("DELETE FROM totals")) and None,
    )


def test_a_statement_on_the_live_table_is_an_error_while_it_is_rebuilt() -> None:
    def apply(ledger: Ledger, event: Event, write: Write, recorded: Recorded[Any]) -> None:
        if isinstance(event, Opened):
            write.put(ledger.totals, account=recorded.id, owner=event.owner)
        else:
            write.execute(update(ledger.totals).values(cents=1))

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 1)
        await ledger.projection.catch_up()
        assert ledger.rows() == [("a", "owner of a", 1)]
        with pytest.raises(ProjectionHaltedError, match=r"has to be on write\.table"):
            await ledger.projection.rebuild()
        assert ledger.rows() == [("a", "owner of a", 1)]
        assert await ledger.projection.catch_up() == 2

    on_ledger("memory:", "memory:", case, apply=apply)


# -- a database that is away


def test_read_models_that_are_no_database(tmp_path: Path) -> None:
    (tmp_path / "models.db").write_bytes(b"this is no database, and long enough to be looked at" * 20)

    async def case(ledger: Ledger) -> None:
        await ledger.open()
        for doing in (ledger.projection.catch_up(), ledger.projection.position(), ledger.projection.follow()):
            with pytest.raises(ReadModelUnavailableError, match=r"read models sqlite:///.*models\.db cannot be used"):
                await doing
        with pytest.raises(StimulationFailed):
            await ledger.cns.query(ledger.ask.create_signal("a"), ledger.answer)

    on_ledger("memory:", f"sqlite:///{tmp_path}/models.db", case)


def test_read_models_without_a_server_are_told_without_the_password() -> None:
    with pytest.raises(ReadModelUnavailableError) as raised:
        ReadModels("postgresql://somebody:secret@127.0.0.1:1/shop?connect_timeout=2").connect()
    assert "postgresql://somebody@127.0.0.1:1/shop cannot be used" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.once
def test_a_follower_goes_on_when_its_database_is_back(tmp_path: Path) -> None:
    """The line to the read models is cut while they are followed, and an event is appended meanwhile."""
    from urllib.parse import quote

    for url in place("postgres", tmp_path):
        schema = url.partition("search_path%3D")[2]

        async def main(schema: str = schema) -> None:
            async with Wire() as wire:
                models = f"{wire.url}&options={quote(f'-csearch_path={schema}')}"
                ledger = Ledger(f"sqlite:///{tmp_path}/events.db", models)
                complaints: list[Exception] = []
                told = asyncio.Event()

                def complain(error: Exception) -> None:
                    complaints.append(error)
                    told.set()

                try:
                    first = await ledger.open()
                    async with followed(ledger.projection, on_trouble=complain):
                        await ledger.projection.caught_up(first.position, timeout=20)
                        await wire.down()
                        second = await ledger.deposit(5)
                        await asyncio.wait_for(told.wait(), 20)
                        await wire.up()
                        await ledger.projection.caught_up(second.position, timeout=20)
                    assert all(isinstance(error, ReadModelUnavailableError) for error in complaints)
                    assert "secret" not in str(complaints[0])
                    assert await asyncio.to_thread(ledger.rows) == [("a", "owner of a", 5)]
                finally:
                    await asyncio.to_thread(ledger.close)

        asyncio.run(main())


def test_an_event_store_that_is_away(tmp_path: Path) -> None:
    async def case(ledger: Ledger) -> None:
        with pytest.raises(EventStoreUnavailableError):
            await ledger.projection.catch_up()

    on_ledger(f"sqlite:///{tmp_path}/nowhere/events.db", "memory:", case)
