"""Rebuilding: fresh tables beside the live ones, which take their place in one transaction."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, update
from tests.cqrs.bank import Deposited, Withdrawn
from tests.cqrs.ledger import Event, Ledger, followed, models_url, on_ledger
from tests.cqrs.places import place

from cnstra.cqrs import Progress, ProjectionHaltedError, Recorded, Write


async def fill(ledger: Ledger, count: int = 10) -> int:
    position = (await ledger.open()).position
    for cents in range(1, count):
        position = (await ledger.deposit(cents)).position
    return position


def tables(ledger: Ledger) -> set[str]:
    with ledger.models.engines.reading() as connection:
        return set(inspect(connection).get_table_names())


def spoil(ledger: Ledger) -> None:
    with ledger.models.engines.writing() as connection:
        connection.execute(update(ledger.totals).values(cents=-1))


def test_a_rebuild_makes_what_the_log_says(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        end = await fill(ledger)
        await ledger.projection.catch_up()
        right = ledger.everything()
        spoil(ledger)
        assert ledger.everything() != right
        progress: list[Progress] = []
        assert await ledger.projection.rebuild(progress=progress.append) == end
        assert ledger.everything() == right
        assert progress[-1] == Progress(end, end, end)
        assert [one.position for one in progress] == sorted(one.position for one in progress)
        assert not [name for name in tables(ledger) if "rebuild" in name]
        # And again, and on from there.
        await ledger.projection.rebuild()
        await ledger.deposit(100)
        await ledger.projection.catch_up()
        assert ledger.rows() == [("a", "owner of a", 145)]

    on_ledger(url, models, case, batch=3)


def test_indexes_have_their_names_afterwards(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await fill(ledger, 2)
        await ledger.projection.catch_up()
        for _ in range(2):
            await ledger.projection.rebuild()
            with ledger.models.engines.reading() as connection:
                assert [index["name"] for index in inspect(connection).get_indexes("totals")] == ["totals_by_cents"]
                assert inspect(connection).get_pk_constraint("moves")["constrained_columns"] == ["account", "version"]

    on_ledger(url, models, case)


def test_a_projection_that_never_ran_can_be_rebuilt(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        assert await ledger.projection.rebuild() == 0
        end = await fill(ledger, 3)
        assert await ledger.projection.rebuild() == end
        assert ledger.rows() == [("a", "owner of a", 3)]
        assert await ledger.projection.position() == end

    on_ledger(url, models, case)


def test_the_live_one_goes_on_while_it_is_rebuilt(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await fill(ledger, 60)
        async with followed(ledger.projection):
            rebuilding = asyncio.create_task(ledger.projection.rebuild())
            sums = sum(range(60))
            while not rebuilding.done():
                appended = await ledger.deposit(1)
                sums += 1
                await ledger.projection.caught_up(appended.position, timeout=30)
                assert ledger.rows() == [("a", "owner of a", sums)]
            await rebuilding
            appended = await ledger.deposit(1)
            await ledger.projection.caught_up(appended.position, timeout=30)
        assert ledger.rows() == [("a", "owner of a", sums + 1)]
        assert len(ledger.rows(ledger.moves)) == appended.version - 1

    on_ledger(url, models, case, batch=2)


def test_statements_of_a_rebuild_go_to_the_fresh_tables(url: str, models: str) -> None:
    def apply(ledger: Ledger, event: Event, write: Write, recorded: Recorded[Any]) -> None:
        totals = write.table(ledger.totals)
        if not isinstance(event, Deposited | Withdrawn):
            write.put(ledger.totals, account=recorded.id, owner=event.owner)
            return
        row = write.get(ledger.totals, account=recorded.id)
        assert row is not None
        write.execute(update(totals).where(totals.c.account == recorded.id).values(cents=row.cents + event.cents))
        assert write.execute(select(totals.c.cents)).scalar_one() == row.cents + event.cents

    async def case(ledger: Ledger) -> None:
        await fill(ledger, 5)
        await ledger.projection.catch_up()
        right = ledger.everything()
        spoil(ledger)
        await ledger.projection.rebuild()
        assert ledger.everything() == right == ([("a", "owner of a", 10)], [])

    on_ledger(url, models, case, apply=apply)


def test_a_halted_rebuild_leaves_the_live_one_alone_and_goes_on_later(url: str, models: str) -> None:
    broken: set[int] = set()

    def trouble(event: Event) -> None:
        if isinstance(event, Deposited) and event.cents in broken:
            raise LookupError("not today")

    async def case(ledger: Ledger) -> None:
        end = await fill(ledger)
        await ledger.projection.catch_up()
        right = ledger.everything()
        broken.add(5)
        for _ in range(2):
            with pytest.raises(ProjectionHaltedError, match="at position 6"):
                await ledger.projection.rebuild()
            assert ledger.everything() == right
            assert await ledger.projection.catch_up() == end
        broken.clear()
        seen: list[Progress] = []
        assert await ledger.projection.rebuild(progress=seen.append) == end
        assert seen[0].events == min(2, end - 5)
        assert ledger.everything() == right
        # From the start again, if that is what is wanted.
        seen.clear()
        await ledger.projection.rebuild(progress=seen.append, restart=True)
        assert seen[-1].events == end

    on_ledger(url, models, case, trouble=trouble, batch=2)


def test_a_rebuild_ends_a_halt(url: str, models: str) -> None:
    broken = {5}

    def trouble(event: Event) -> None:
        if isinstance(event, Deposited) and event.cents in broken:
            raise LookupError("not today")

    async def case(ledger: Ledger) -> None:
        end = await fill(ledger)
        with pytest.raises(ProjectionHaltedError):
            await ledger.projection.catch_up()
        broken.clear()
        assert await ledger.projection.rebuild() == end
        assert await ledger.projection.catch_up() == end
        assert ledger.rows() == [("a", "owner of a", 45)]

    on_ledger(url, models, case, trouble=trouble)


def test_what_a_rebuild_parks_is_what_is_parked_afterwards(url: str, models: str) -> None:
    broken = {3}

    def trouble(event: Event) -> None:
        if isinstance(event, Deposited) and event.cents in broken:
            raise LookupError("not today")

    async def case(ledger: Ledger) -> None:
        await fill(ledger)
        await ledger.projection.catch_up()
        assert [one.position for one in await ledger.projection.parked()] == [4]
        broken.clear()
        broken.update({2, 6})
        await ledger.projection.rebuild()
        assert [one.position for one in await ledger.projection.parked()] == [3, 7]
        broken.clear()
        assert await ledger.projection.retry_parked() == []
        assert ledger.rows() == [("a", "owner of a", 45)]

    on_ledger(url, models, case, trouble=trouble, on_error="park")


def test_two_rebuilds_at_once_are_one(tmp_path: Path) -> None:
    for url in place("sqlite", tmp_path):
        one, other = (Ledger(url, models_url(url, tmp_path), batch=5) for _ in range(2))

        async def case(one: Ledger = one, other: Ledger = other) -> None:
            end = await fill(one, 80)
            await one.projection.catch_up()
            right = one.everything()
            spoil(one)
            outcomes = await asyncio.gather(one.projection.rebuild(), other.projection.rebuild())
            assert set(outcomes) == {end}
            assert one.everything() == right

        try:
            asyncio.run(case())
        finally:
            one.close()
            other.close()


def test_a_rebuild_that_others_began_with_other_tables_begins_anew(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        end = await fill(ledger)
        ledger_broken.add(5)
        with pytest.raises(ProjectionHaltedError):
            await ledger.projection.rebuild()
        ledger_broken.clear()
        with ledger.models.engines.writing() as connection:
            connection.exec_driver_sql("UPDATE cnstra_projections SET tables = 'others' WHERE target = 'rebuild'")
        seen: list[Progress] = []
        assert await ledger.projection.rebuild(progress=seen.append) == end
        assert seen[-1].events == end
        assert ledger.rows() == [("a", "owner of a", 45)]

    ledger_broken: set[int] = set()

    def trouble(event: Event) -> None:
        if isinstance(event, Deposited) and event.cents in ledger_broken:
            raise LookupError("not today")

    on_ledger(url, models, case, trouble=trouble, batch=2)


def test_views_do_not_hinder_a_rebuild_on_sqlite(tmp_path: Path) -> None:
    async def case(ledger: Ledger) -> None:
        await fill(ledger, 3)
        await ledger.projection.catch_up()
        with ledger.models.engines.writing() as connection:
            connection.exec_driver_sql("CREATE VIEW rich AS SELECT * FROM totals WHERE cents > 1")
        await ledger.projection.rebuild()
        with ledger.models.engines.reading() as connection:
            assert connection.exec_driver_sql("SELECT cents FROM rich").scalar_one() == 3

    on_ledger("memory:", f"sqlite:///{tmp_path}/models.db", case)
