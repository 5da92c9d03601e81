"""``cnstra demo orders --durable``: every batch a durable run, every step of it one transaction with what it writes."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnstra.cli import main
from cnstra.demo.durable_job import place_durably
from cnstra.demo.durable_orders import build, place_order
from cnstra.demo.job import Outcome
from cnstra.demo.ledger import Ledger
from cnstra.demo.model import Totals
from cnstra.demo.problems import MalformedLineError, SourceError, StoreError
from cnstra.demo.source import OrderFile
from cnstra.durable import Durable, Store

from ..cli.terminal import run_in_terminal
from .sample import HEADER, Recorder, expected, some_orders

Capture = pytest.CaptureFixture[str]


class DurableRecorder(Recorder):
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.recoveries: list[int] = []

    def recovered(self, batches: int) -> None:
        self.recoveries.append(batches)


class Shop:
    """A store in a file, and what is placed there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = f"sqlite:///{file}"
        self.ledger = Ledger(self.url, self.url)

    def place(self, orders: Path, **options: Any) -> tuple[Outcome, DurableRecorder]:
        recorder = DurableRecorder()
        place = place_durably(Store.open(self.url), self.ledger, OrderFile(orders), recorder, **options)
        return asyncio.run(place), recorder

    def execute(self, statement: str) -> list[Any]:
        connection = sqlite3.connect(self.file, isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def assert_holds(self, text: str) -> None:
        wanted, found = expected(text), self.ledger.summary()
        assert found.consistent
        assert found.written == Totals(wanted.orders, len(wanted.customers), wanted.quantity, wanted.cents)
        customers = self.execute("SELECT customer_id, orders, quantity, spent FROM demo_customer_totals")
        assert {customer: tuple(sums) for customer, *sums in customers} == wanted.customers
        assert {month.month: (month.orders, month.revenue) for month in found.months.months} == wanted.months


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "runs.db")


WriteCsv = Callable[..., Path]


def test_orders_are_placed_and_a_second_start_goes_on(shop: Shop, write_csv: WriteCsv) -> None:
    text = some_orders(230)
    path = write_csv("".join(text.splitlines(keepends=True)[:131]))
    outcome, recorder = shop.place(path, size=20)
    assert (outcome.placed, outcome.rejected, outcome.line, outcome.stopped) == (130, 0, 131, False)
    assert recorder.lines == [21, 41, 61, 81, 101, 121, 131]
    path.write_text(text)
    outcome, recorder = shop.place(path, size=50)
    assert (outcome.placed, recorder.resumptions, recorder.lines) == (100, [131], [181, 231])
    shop.assert_holds(text)
    outcome, recorder = shop.place(path)
    assert (outcome.placed, recorder.resumptions, recorder.lines, recorder.recoveries) == (0, [231], [], [])


def test_the_sums_are_those_of_every_customer(shop: Shop, write_csv: WriteCsv) -> None:
    rows = ["7,1997-03-04,2,20.00", "8,1997-03-05,1,0.00", "7,1997-01-02,1,5.05", "7,1998-01-02,3,1.10"]
    shop.place(write_csv(HEADER + "\n".join(rows)))
    first, second = shop.ledger.summary().best.customers
    assert (first.customer_id, first.orders, first.quantity, first.spent) == (7, 3, 6, 2615)
    assert (first.first_order.isoformat(), first.last_order.isoformat()) == ("1997-01-02", "1998-01-02")
    assert (second.customer_id, second.spent) == (8, 0)


def test_rejected_and_malformed_lines_are_told_and_counted(shop: Shop, write_csv: WriteCsv) -> None:
    rows = ["1,1997-01-01,1,1.00", "0,1997-01-01,1,1.00", "nonsense", "2,1997-01-02,0,1.00", "2,1997-01-02,1,2.00"]
    outcome, recorder = shop.place(write_csv(HEADER + "\n".join(rows)), size=2)
    assert (outcome.placed, outcome.rejected, outcome.malformed) == (2, 2, 1)
    assert [problem.line for problem in recorder.skipped] == [4]
    assert sorted(event.order_id for event in recorder.rejections) == [3, 5]
    summary = shop.ledger.summary()
    assert (summary.rejected, summary.malformed, summary.written.orders, summary.consistent) == (2, 1, 2, True)


def test_a_strict_run_stops_in_front_of_a_malformed_line(shop: Shop, write_csv: WriteCsv) -> None:
    path = write_csv(HEADER + "1,1997-01-01,1,1.00\nnonsense\n2,1997-01-02,1,2.00\n")
    with pytest.raises(MalformedLineError, match=r"orders.csv:3: 1 fields"):
        shop.place(path, strict=True)
    assert shop.ledger.summary().written.orders == 1
    path.write_text(HEADER + "1,1997-01-01,1,1.00\n3,1997-01-02,1,5.00\n2,1997-01-02,1,2.00\n")
    shop.place(path, strict=True)
    shop.assert_holds(path.read_text())


def test_another_file_is_recognised(shop: Shop, write_csv: WriteCsv) -> None:
    shop.place(write_csv(some_orders(10)))
    for other in (some_orders(12, seed=1), some_orders(5)):
        with pytest.raises(SourceError, match="use another folder or store"):
            shop.place(write_csv(other))


def test_a_stop_finishes_what_was_begun(shop: Shop, write_csv: WriteCsv) -> None:
    text, asked = some_orders(200), 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6

    path = write_csv(text)
    outcome, recorder = shop.place(path, size=10, stop=stop)
    assert (outcome.stopped, outcome.placed, outcome.line, recorder.lines[-1]) == (True, 60, 61, 61)
    assert shop.ledger.summary().consistent
    assert shop.place(path)[0].placed == 140
    shop.assert_holds(text)


def test_what_was_left_is_recovered(shop: Shop, write_csv: WriteCsv) -> None:
    """An error in the middle lets go of what goes on."""
    text = some_orders(200)
    path = write_csv(text)

    class Leaving(DurableRecorder):
        def committed(self, line: int) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(place_durably(Store.open(shop.url), shop.ledger, OrderFile(path), Leaving(), size=10))
    going_on = shop.execute("SELECT count(*) FROM cnstra_runs WHERE status = 'running'")[0][0]
    _, recorder = shop.place(path, size=10)
    assert recorder.recoveries == ([going_on] if going_on else [])
    shop.assert_holds(text)


def test_what_failed_is_tried_again(shop: Shop, write_csv: WriteCsv) -> None:
    path = write_csv(some_orders(30))
    shop.place(write_csv(some_orders(0), "empty.csv"))
    shop.execute("CREATE TABLE kept AS SELECT * FROM demo_monthly_revenue")
    shop.execute("DROP TABLE demo_monthly_revenue")
    shop.execute("CREATE TABLE demo_monthly_revenue (month TEXT PRIMARY KEY)")
    with pytest.raises(StoreError, match=r"batch orders-31 failed: .*; to run the same command again tries it again"):
        shop.place(path)
    shop.execute("DROP TABLE demo_monthly_revenue")
    assert shop.place(path)[1].recoveries == [1]
    shop.assert_holds(some_orders(30))


def test_an_activation_that_were_done_twice_would_fail(shop: Shop, write_csv: WriteCsv) -> None:
    path = write_csv(some_orders(3))
    shop.place(path)
    assert shop.execute("SELECT count(*) FROM demo_effects") == [(3 * 3 + 1,)]
    shop.execute("UPDATE cnstra_tasks SET status = 'pending' WHERE seq = 2")
    shop.execute("UPDATE cnstra_runs SET status = 'running'")
    with pytest.raises(StoreError, match=r"UNIQUE constraint failed: demo_effects.activation"):
        shop.place(path)


def test_runs_of_others_in_the_store_are_their_own_affair(shop: Shop, write_csv: WriteCsv) -> None:
    shop.place(write_csv(some_orders(5)))
    shop.execute("UPDATE cnstra_runs SET status = 'running', run_id = 'theirs', scope = NULL")
    shop.execute("UPDATE cnstra_tasks SET status = 'pending', neuron = 'unknown' WHERE seq = 1")
    for table in ("orders", "customer_totals", "monthly_revenue", "bookmarks", "effects"):
        shop.execute(f"DELETE FROM demo_{table}")
    shop.place(write_csv(some_orders(8)))
    shop.assert_holds(some_orders(8))
    shop.execute("UPDATE cnstra_runs SET run_id = 'orders-1' WHERE run_id = 'theirs'")
    with pytest.raises(StoreError, match="the graph has changed: run 'orders-1' needs neuron 'unknown'"):
        shop.place(write_csv(some_orders(8)))


def test_a_store_without_tables_is_refused() -> None:
    with pytest.raises(StoreError, match="memory:// has no tables"):
        build(Store.open("memory://"))


def test_a_batch_that_was_begun_with_something_else(shop: Shop, write_csv: WriteCsv) -> None:
    async def begin() -> None:
        store = Store.open(shop.url)
        cns = build(store)
        async with Durable(cns, store, transactional=cns.neurons) as durable:
            shop.ledger.prepare()
            order = OrderFile(write_csv(some_orders(1), "one.csv")).open()
            (batch,) = order.batches(1)
            order.close()
            await (await durable.start(place_order.create_signal(batch.commands[0]), run_id="orders-6"))

    asyncio.run(begin())
    with pytest.raises(StoreError, match="run 'orders-6' exists and was started with something else"):
        shop.place(write_csv(some_orders(5)))


# -- in a terminal


def error_of(capsys: Capture, *arguments: object, status: int = 1) -> str:
    assert main(["demo", "orders", *map(str, arguments)]) == status
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("cnstra: error: ")
    return line.removeprefix("cnstra: error: ")


def test_the_report(tmp_path: Path, write_csv: WriteCsv, capsys: Capture) -> None:
    path, data = write_csv(some_orders(300)), tmp_path / "a folder, 100% new"
    assert main(["demo", "orders", "--durable", "--orders", str(path), "--data", str(data)]) == 0
    captured = capsys.readouterr()
    assert "Orders and read models, side by side" in captured.out
    assert "300 orders placed in " in captured.out
    assert captured.err == ""
    assert sorted(file.name for file in data.iterdir()) == ["runs.db"]
    assert main(["demo", "orders", "--durable", "--orders", str(path), "--data", str(data)]) == 0
    captured = capsys.readouterr()
    assert "No order was left to place." in captured.out
    assert captured.err == "Going on after line 301, where an earlier run stopped.\n"
    assert main(["demo", "orders", "--durable", "--orders", str(path), "--data", str(data), "--fresh"]) == 0
    assert "300 orders placed in " in capsys.readouterr().out
    url = f"sqlite:///{data}/runs.db".replace("%", "%25")
    assert main(["demo", "orders", "--durable", "--orders", str(path), "--store", url]) == 0
    assert "No order was left to place." in capsys.readouterr().out


def test_sums_that_differ_are_an_error(tmp_path: Path, write_csv: WriteCsv, capsys: Capture) -> None:
    path = write_csv(some_orders(30))
    arguments = ["--durable", "--orders", path, "--data", tmp_path]
    assert main(["demo", "orders", *map(str, arguments)]) == 0
    Shop(tmp_path / "runs.db").execute("UPDATE demo_monthly_revenue SET revenue = revenue + 1")
    assert error_of(capsys, *arguments) == "the sums differ: some orders are not in a read model, or in it twice"


def test_every_mistake_is_one_line(tmp_path: Path, write_csv: WriteCsv, capsys: Capture) -> None:
    path = write_csv(some_orders(3))
    assert error_of(capsys, "--store", "memory://", status=2) == "--store is for --durable"
    for more in (["--data", tmp_path], ["--fresh"]):
        said = error_of(capsys, "--durable", "--store", "memory://", *more, status=2)
        assert said == "--store names a store, --data and --fresh are for the file in a folder"
    assert "memory:// has no tables" in error_of(capsys, "--durable", "--orders", path, "--store", "memory://")
    assert "names no store" in error_of(capsys, "--durable", "--orders", path, "--store", "mysql://x")
    assert "no directory" in error_of(capsys, "--durable", "--orders", path, "--store", f"sqlite:///{tmp_path}/no/x.db")
    assert "no SQLite database" in error_of(capsys, "--durable", "--orders", path, "--store", f"sqlite:///{path}")
    assert "cannot be reached" in error_of(
        capsys, "--durable", "--orders", path, "--store", "postgresql://nobody:secret@127.0.0.1:1/none"
    )
    assert "does not exist" in error_of(capsys, "--durable", "--orders", tmp_path / "none")
    assert "cannot be the folder of the store" in error_of(capsys, "--durable", "--orders", path, "--data", path)
    path.write_text(HEADER + "1,1997-01-01,1,1.00\nnonsense\n")
    said = error_of(capsys, "--durable", "--orders", path, "--data", tmp_path / "data", "--strict")
    assert said.startswith("orders.csv:3: 1 fields instead of 4")
    assert said.endswith(
        "1 of 2 lines done, 1 order for $1.00 in the store; mend the line and run the same command again to go on"
    )


@pytest.mark.once
def test_ctrl_c_stops_in_good_order_and_the_next_start_goes_on(tmp_path: Path, real_orders: str) -> None:
    text = "".join(real_orders.splitlines(keepends=True)[:20_001])
    path = tmp_path / "orders.csv"
    path.write_text(text)
    arguments = ["demo", "orders", "--durable", "--orders", path, "--data", tmp_path / "data"]
    sent = False

    def interrupt(output: str) -> int | None:
        nonlocal sent
        # The bar tells how fast it is.
        if sent or "/s" not in output:
            return None
        sent = True
        return signal.SIGINT

    stopped = run_in_terminal(arguments, when=interrupt)
    assert stopped.status == 130, stopped.text
    assert "Interrupted: " in stopped.text
    assert "run the same command again to go on." in stopped.text
    shop = Shop(tmp_path / "data" / "runs.db")
    assert 0 < shop.ledger.summary().written.orders < 20_000
    assert shop.ledger.summary().consistent
    done = run_in_terminal(arguments)
    assert done.status == 0, done.text
    assert "Going on after line " in done.text
    shop.assert_holds(text)


@pytest.mark.once
def test_ctrl_c_twice_lets_go_at_once(tmp_path: Path, real_orders: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(real_orders)
    command = [sys.executable, "-m", "cnstra", "demo", "orders", "--durable", "--orders", str(path)]
    command += ["--data", str(tmp_path / "data")]
    shop = Shop(tmp_path / "data" / "runs.db")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path(f"{shop.file}-wal").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.003)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, ""), errors
    (line,) = errors.splitlines()
    assert line.startswith("Interrupted: ")
    # The whole file would take its time.
    ((begun,),) = shop.execute("SELECT max(CAST(substr(run_id, 8) AS INTEGER)) FROM cnstra_runs")
    text = "".join(real_orders.splitlines(keepends=True)[: (begun or 0) + 500])
    path.write_text(text)
    shop.place(path)
    shop.assert_holds(text)
