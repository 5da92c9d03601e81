"""The run: batch after batch, resumable, strict or not, stoppable between any two batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from cnstra import StimulationFailed
from cnstra.demo.job import GOLD, Outcome, catch_up, place_orders, summarize
from cnstra.demo.model import OrderPlaced
from cnstra.demo.orders import build
from cnstra.demo.problems import MalformedLineError, SourceError, StoreError
from cnstra.demo.source import OrderFile
from cnstra.demo.stores import Stores

from .sample import HEADER, Recorder, assert_holds, expected, some_orders

pytestmark = pytest.mark.anyio

WriteCsv = Callable[..., Path]


async def place(
    stores: Stores,
    path: Path,
    *,
    size: int = 10,
    strict: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Outcome, Recorder]:
    recorder = Recorder()
    outcome = await place_orders(build(stores), stores, OrderFile(path), recorder, size=size, strict=strict, stop=stop)
    return outcome, recorder


def after(questions: int) -> Callable[[], bool]:
    """Says that it is time to stop when it is asked once more than that."""
    asked = itertools.count()
    return lambda: next(asked) >= questions


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
async def test_everything_is_placed_whatever_the_size_of_a_batch(
    size: int, stores: Stores, write_csv: WriteCsv
) -> None:
    text = some_orders(100)
    outcome, recorder = await place(stores, write_csv(text), size=size)
    assert (outcome.placed, outcome.rejected, outcome.malformed, outcome.line) == (100, 0, 0, 101)
    assert not outcome.stopped
    assert_holds(stores, expected(text))
    assert recorder.lines == [*range(size + 1, 101, size), 101]
    summary = await summarize(build(stores), stores)
    assert summary.consistent
    assert summary.written.orders == 100


async def test_a_second_run_places_nothing_twice(tmp_path: Path, write_csv: WriteCsv) -> None:
    text = some_orders(50)
    path = write_csv(text)
    with Stores(tmp_path / "s") as stores:
        await place(stores, path)
        outcome, recorder = await place(stores, path)
        assert (outcome.placed, outcome.rejected, recorder.resumptions, recorder.lines) == (0, 0, [51], [])
    with Stores(tmp_path / "s") as stores:
        outcome, _ = await place(stores, path)
        assert outcome.placed == 0
        assert_holds(stores, expected(text))


async def test_a_stopped_run_goes_on_later(tmp_path: Path, write_csv: WriteCsv) -> None:
    text = some_orders(95)
    path = write_csv(text)
    placed = 0
    for turn in range(1, 100):
        with Stores(tmp_path / "s") as stores:
            # Two batches a turn: the first question comes from catching up.
            outcome, _ = await place(stores, path, stop=after(3))
            placed += outcome.placed
            assert stores.write.totals().orders == placed
            assert stores.view.customer_sums() == stores.write.totals()
            if not outcome.stopped:
                break
            assert placed == 20 * turn
    assert placed == 95
    with Stores(tmp_path / "s") as stores:
        assert_holds(stores, expected(text))


async def test_problems_are_told_in_the_order_of_the_file(stores: Stores, write_csv: WriteCsv) -> None:
    text = HEADER + "1,1997-01-01,1,1.00\n2,1997-01-01,0,1.00\nnonsense\n-3,1997-01-01,1,1.00\n4,1997-01-01,1,-1.00\n"
    outcome, recorder = await place(stores, write_csv(text), size=100)
    assert (outcome.placed, outcome.rejected, outcome.malformed) == (1, 3, 1)
    assert [event.order_id for event in recorder.rejections] == [3, 5, 6]
    assert [problem.line for problem in recorder.skipped] == [4]
    summary = await summarize(build(stores), stores)
    assert (summary.rejected, summary.malformed, summary.consistent) == (3, 1, True)


async def test_a_file_of_nothing_but_malformed_lines_is_read_once(tmp_path: Path, write_csv: WriteCsv) -> None:
    path = write_csv(HEADER + "nonsense\n" * 25)
    with Stores(tmp_path / "s") as stores:
        outcome, recorder = await place(stores, path)
        assert (outcome.placed, outcome.malformed, len(recorder.skipped)) == (0, 25, 25)
        again, recorder = await place(stores, path)
        assert (again.malformed, recorder.skipped) == (0, [])
        bookmark = stores.write.bookmark
        assert bookmark is not None
        assert bookmark.malformed == 25


async def test_strict_stops_at_the_line_and_goes_on_when_it_is_mended(tmp_path: Path, write_csv: WriteCsv) -> None:
    good = some_orders(40)
    lines = good.splitlines(keepends=True)
    path = write_csv("".join([*lines[:25], "nonsense\n", *lines[26:]]))
    with Stores(tmp_path / "s") as stores:
        with pytest.raises(MalformedLineError, match=r"^orders\.csv:26: 1 fields instead of 4: 'nonsense'$"):
            await place(stores, path, strict=True)
        assert stores.write.totals().orders == 24
        assert stores.view.customer_sums() == stores.write.totals()
    write_csv(good)
    with Stores(tmp_path / "s") as stores:
        outcome, recorder = await place(stores, path, strict=True)
        assert (outcome.placed, recorder.resumptions) == (16, [25])
        assert_holds(stores, expected(good))


async def test_another_file_is_refused_and_changes_nothing(stores: Stores, write_csv: WriteCsv) -> None:
    text = some_orders(30)
    await place(stores, write_csv(text))
    with pytest.raises(SourceError, match="another file"):
        await place(stores, write_csv(some_orders(40, seed=3), "other.csv"))
    assert_holds(stores, expected(text))


async def test_gold_customers_are_told_of_once_when_they_pass(stores: Stores, write_csv: WriteCsv) -> None:
    rows = ["1,1997-01-01,1,999.99", "2,1997-01-01,1,1000.00", "1,1997-01-02,1,0.01", "1,1997-01-03,1,500.00"]
    outcome, _ = await place(stores, write_csv(HEADER + "\n".join(rows) + "\n"))
    assert [(c.customer_id, c.spent) for c in outcome.gold] == [(2, GOLD), (1, GOLD)]


async def test_a_stop_while_catching_up_places_nothing(stores: Stores, write_csv: WriteCsv) -> None:
    text = some_orders(50)
    path = write_csv(text)
    await place(stores, path, stop=lambda: False)
    stores.read.reset(stores.write.id)
    outcome, recorder = await place(stores, path, stop=lambda: True)
    assert (outcome.stopped, outcome.placed, recorder.resumptions) == (True, 0, [])
    outcome, recorder = await place(stores, path)
    assert recorder.catch_ups == [50]
    assert_holds(stores, expected(text))


async def test_a_failed_read_commit_is_made_good_at_the_next_start(
    tmp_path: Path, write_csv: WriteCsv, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = some_orders(50)
    path = write_csv(text)
    with Stores(tmp_path / "s") as stores:
        commit, calls = stores.read.commit, iter(range(100))

        def failing() -> None:
            if next(calls) == 2:
                raise StoreError("the disk of the read store has gone")
            commit()

        monkeypatch.setattr(stores.read, "commit", failing)
        with pytest.raises(StoreError, match="the disk of the read store has gone"):
            await place(stores, path)
        assert (stores.write.totals().orders, stores.view.customer_sums().orders) == (30, 20)
    with Stores(tmp_path / "s") as stores:
        _, recorder = await place(stores, path)
        assert recorder.catch_ups == [10]
        assert_holds(stores, expected(text))


async def test_a_bug_in_a_projection_ends_the_run_and_nothing_is_lost(
    stores: Stores, write_csv: WriteCsv, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = some_orders(50)
    path = write_csv(text)
    add = stores.read.add_to_customer

    def buggy(order: OrderPlaced) -> bool:
        if order.position == 25:
            raise ZeroDivisionError("a bug")
        return add(order)

    monkeypatch.setattr(stores.read, "add_to_customer", buggy)
    with pytest.raises(StimulationFailed):
        await place(stores, path)
    assert stores.write.totals().orders == stores.view.customer_sums().orders == 20
    monkeypatch.undo()
    await place(stores, path)
    assert_holds(stores, expected(text))


async def test_a_read_store_that_was_deleted_is_rebuilt_in_full(tmp_path: Path, write_csv: WriteCsv) -> None:
    text = some_orders(60)
    path = write_csv(text)
    with Stores(tmp_path / "s") as stores:
        await place(stores, path)
    (tmp_path / "s" / "read_store.sqlite3").unlink()
    with Stores(tmp_path / "s") as stores:
        assert await catch_up(build(stores), stores, size=25) == 60
        assert_holds(stores, expected(text))
