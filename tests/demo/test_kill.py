"""SIGKILL at every point: after a restart every order is in both stores, exactly once, to the cent."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cnstra.demo import database, orders
from cnstra.demo.job import place_orders
from cnstra.demo.source import OrderFile
from cnstra.demo.stores import Stores

from .children import in_child
from .sample import Recorder, assert_holds, expected, some_orders

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be killed with SIGKILL")

# Small, so that there is time to kill at every single statement: three batches, the last one not full.
TEXT = some_orders(5)
BATCH = 2


def run_job(folder: Path, path: Path) -> Recorder:
    recorder = Recorder()
    with Stores(folder) as stores:
        asyncio.run(place_orders(orders.build(stores), stores, OrderFile(path), recorder, size=BATCH))
    return recorder


class Executioner:
    """Kills the process when SQLite is about to execute the nth statement, over all connections."""

    def __init__(self, after: int | None) -> None:
        self.left = after
        self.seen: list[str] = []

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*arguments, **options)
        connection.set_trace_callback(self.statement)
        return connection

    def statement(self, sql: str) -> None:
        self.seen.append(sql)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _Sqlite:
    """The module as the stores see it, with connections that are watched."""

    def __init__(self, executioner: Executioner) -> None:
        self.connect = executioner.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


def watched(folder: Path, path: Path, after: int | None) -> list[str]:
    executioner = Executioner(after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "sqlite3", _Sqlite(executioner))
        run_job(folder, path)
    return executioner.seen


def assert_whole(folder: Path, text: str = TEXT) -> None:
    with Stores(folder) as stores:
        assert_holds(stores, expected(text))
        orders_kept = stores.write.orders_after(0, 1_000_000)
        assert [order.position for order in orders_kept] == list(range(1, len(orders_kept) + 1))
        assert [order.order_id for order in orders_kept] == list(range(2, len(orders_kept) + 2))


def test_killed_at_every_statement(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(TEXT)
    statements = watched(tmp_path / "whole", path, None)
    assert_whole(tmp_path / "whole")
    # Both commits of every batch are among them, and with them the moment between the two.
    assert statements.count("COMMIT") >= 2 * 3
    behind = 0
    for point in range(len(statements)):
        folder = tmp_path / f"killed-{point}"
        assert in_child(partial(watched, folder, path, point)) == -signal.SIGKILL
        recorder = run_job(folder, path)
        behind += bool(recorder.catch_ups)
        assert_whole(folder)
    assert behind >= 3  # Once per batch, at the second commit: so that was really tried.


@pytest.mark.parametrize("stride", [40, 55, 80])
def test_killed_again_and_again(stride: int, tmp_path: Path) -> None:
    """Each run gets a little further, the ones that catch up included, and is killed again."""
    path, folder = tmp_path / "orders.csv", tmp_path / "stores"
    text = some_orders(40)
    path.write_text(text)
    kills = 0
    while in_child(partial(watched, folder, path, stride)) == -signal.SIGKILL:
        kills += 1
        assert kills < 100
    assert kills >= 3
    assert_whole(folder, text)


def test_a_run_that_is_killed_right_after_the_write_commit_catches_up(tmp_path: Path) -> None:
    path, folder = tmp_path / "orders.csv", tmp_path / "stores"
    path.write_text(TEXT)

    def work() -> None:
        with Stores(folder) as stores:
            stores.read.commit = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            asyncio.run(place_orders(orders.build(stores), stores, OrderFile(path), Recorder(), size=BATCH))

    assert in_child(work) == -signal.SIGKILL
    with Stores(folder) as stores:
        assert (stores.write.totals().orders, stores.view.customer_sums().orders) == (2, 0)
    assert run_job(folder, path).catch_ups == [2]
    assert_whole(folder)


@pytest.mark.timeout(240)
def test_the_command_line_killed_at_random_moments(tmp_path: Path, real_orders: str) -> None:
    """The whole program, started as a user does, on real orders."""
    text = "".join(real_orders.splitlines(keepends=True)[:8001])
    path, folder = tmp_path / "orders.csv", tmp_path / "stores"
    path.write_text(text)
    command = [sys.executable, "-m", "cnstra", "demo", "orders", "--orders", str(path), "--data", str(folder)]
    command += ["--batch", "100"]
    draw = random.Random(11)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wal = folder / "write_store.sqlite3"
        deadline = time.monotonic() + 30
        # What it takes to start is not what is to be interrupted.
        while not wal.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 0.3))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert_whole(folder, text)
