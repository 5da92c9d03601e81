"""Several followers of one projection, as threads and as processes that are killed: each event is applied once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent
from tests.cqrs.bank import Deposit, Deposited, Opened, Withdrawn
from tests.cqrs.ledger import Ledger, followed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(shared_url: str) -> str:
    return shared_url


@contextmanager
def ledgers(count: int, url: str, models: str, *, batch: int = 1000) -> Generator[list[Ledger]]:
    found = [Ledger(url, models, batch=batch) for _ in range(count)]
    try:
        yield found
    finally:
        for ledger in found:
            ledger.close()


def fill(ledger: Ledger, count: int, accounts: int = 7) -> int:
    """So many events at one go, as if commands had appended them; the last position."""
    store = ledger.store
    opened = store._opened()
    versions: dict[str, int] = {}
    rows: list[StoredEvent] = []
    for number in range(count):
        account = f"account {number % accounts}"
        version = versions[account] = versions.get(account, 0) + 1
        event: Opened | Deposited | Withdrawn = Withdrawn(number) if number % 3 else Deposited(2 * number)
        if version == 1:
            event = Opened(account)
        rows.append(store._types.encode(f"accounts/{account}", version, event, 1.0, str(number)))
    positions = opened.recorders.events.insert_events(rows)
    assert positions
    return int(positions[-1])


def expected(count: int, accounts: int = 7) -> dict[str, int]:
    sums: dict[str, int] = {}
    for number in range(count):
        account = f"account {number % accounts}"
        if account not in sums:
            sums[account] = 0
        else:
            sums[account] += -number if number % 3 else 2 * number
    return sums


def test_followers_share_the_work_and_apply_each_event_once(url: str, models: str) -> None:
    async def case(first: Ledger, second: Ledger) -> None:
        position = await asyncio.to_thread(fill, first, 1500)
        async with followed(first.projection, second.projection, second.projection):
            await first.projection.caught_up(position, timeout=60)
            # And goes on with what comes, appended by either.
            for number, ledger in enumerate([first, second] * 5):
                appended = await ledger.deposit(1, f"account {number % 7}")
            await second.projection.caught_up(appended.position, timeout=60)
        sums = expected(1500)
        for number in range(10):
            sums[f"account {number % 7}"] += 1
        assert {row[0]: row[2] for row in first.rows()} == sums

    with ledgers(2, url, models, batch=25) as (first, second):
        asyncio.run(case(first, second))


def test_one_that_stands_by_goes_on_when_the_other_has_gone(url: str, models: str) -> None:
    async def case(first: Ledger, second: Ledger) -> None:
        async with followed(second.projection):
            async with followed(first.projection):
                await first.projection.caught_up((await first.open()).position, timeout=30)
            await second.projection.caught_up((await first.deposit(5)).position, timeout=30)
        assert second.rows() == [("a", "owner of a", 5)]

    with ledgers(2, url, models) as (first, second):
        asyncio.run(case(first, second))


def test_inline_and_following_at_once(url: str, models: str) -> None:
    async def case(inline: Ledger, follower: Ledger) -> None:
        bank = inline.bank
        await inline.open()
        async with followed(follower.projection):
            deposits = [bank.deposit.create_signal(Deposit("a", cents)) for cents in range(40)]
            await asyncio.gather(*[inline.inline.query(one, inline.projection.updated) for one in deposits])
        assert inline.rows() == [("a", "owner of a", sum(range(40)))]

    with ledgers(2, url, models) as (first, second):
        asyncio.run(case(first, second))


def test_a_follower_that_is_cancelled_leaves_nothing_going_on(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        position = await asyncio.to_thread(fill, ledger, 600)
        async with followed(ledger.projection):
            await ledger.projection.caught_up(1, timeout=30)
        stopped_at = await ledger.projection.position()
        await asyncio.sleep(0.05)
        assert await ledger.projection.position() == stopped_at
        await ledger.projection.catch_up()
        await ledger.projection.caught_up(position)
        assert {row[0]: row[2] for row in ledger.rows()} == expected(600)

    with ledgers(1, url, models, batch=10) as (ledger,):
        asyncio.run(case(ledger))


@contextmanager
def child(url: str, models: str, what: str) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.cqrs.follower", url, models, what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(process: subprocess.Popen[str], is_enough: Callable[[int], bool]) -> int:
    """The position that it told before it was killed."""
    assert process.stdout is not None
    position = -1
    for line in process.stdout:
        position = int(line)
        if is_enough(position):
            break
    process.kill()
    process.wait(30)
    return position


@pytest.mark.once
@pytest.mark.timeout(300)
def test_followers_that_are_killed_again_and_again_apply_each_event_once(url: str, models: str) -> None:
    count = 3000
    with ledgers(1, url, models) as (ledger,):
        end = fill(ledger, count)
        reached = 0
        for round_ in (1, 3, 5):
            goal = end * round_ // 7
            with child(url, models, "follow") as first, child(url, models, "follow") as second:
                killed_after(first, lambda position, goal=goal: position >= goal)  # type: ignore[misc]
                reached = killed_after(second, lambda position, goal=goal: position >= goal)  # type: ignore[misc]
            assert reached >= goal

        async def finish() -> tuple[object, object]:
            assert await ledger.projection.position() < end, "no follower was killed on its way"
            await ledger.projection.catch_up()
            left = ledger.everything()
            await ledger.projection.rebuild(restart=True)
            return left, ledger.everything()

        left, rebuilt = asyncio.run(finish())
        assert left == rebuilt
        assert {row[0]: row[2] for row in ledger.rows()} == expected(count)


@pytest.mark.once
@pytest.mark.timeout(300)
def test_a_rebuild_that_is_killed_goes_on_where_it_was(url: str, models: str) -> None:
    count = 1500
    with ledgers(1, url, models) as (ledger,):
        end = fill(ledger, count)
        first = asyncio.run(ledger.projection.catch_up())
        assert first == end
        before = ledger.everything()
        started: list[int] = []
        for round_ in range(1, 4):
            with child(url, models, "rebuild") as process:
                assert process.stdout is not None
                started.append(int(process.stdout.readline()))
                killed_after(process, lambda position, goal=end * round_ // 5: position >= goal)  # type: ignore[misc]
            assert ledger.everything() == before
        assert started == sorted(set(started)), "each goes on where the one before was killed"
        assert started[0] < started[-1]
        seen: list[int] = []
        assert asyncio.run(ledger.projection.rebuild(progress=lambda done: seen.append(done.position))) == end
        assert seen[0] > started[-1]
        assert ledger.everything() == before
