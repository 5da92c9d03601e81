"""Projections: inline and following, each event applied once; what they wait for, and what they say that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cqrs.bank import Deposit, Open
from tests.cqrs.ledger import Ledger, followed, models_url, on_ledger
from tests.cqrs.places import place

from cnstra import StimulationFailed
from cnstra.cqrs import (
    PositionError,
    Updated,
)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from place(request.param, tmp_path)


@pytest.fixture
def models(url: str, tmp_path: Path) -> str:
    return models_url(url, tmp_path)


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
