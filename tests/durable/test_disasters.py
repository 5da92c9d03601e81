"""A full disk, and a PostgreSQL server that is restarted in the middle: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from ..demo.sample import some_orders
from .killing import BATCH, Child, Shop, shop_on, url_within
from .server import Server, own_server

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(os.name != "posix", reason="needs limits of the system"),
    pytest.mark.timeout(300),
]

Policy = Literal["stop", "wait"]


# -- a full disk


@pytest.mark.parametrize("largest", [300_000, 700_000, 1_100_000])
def test_a_file_that_may_not_grow(tmp_path: Path, largest: int) -> None:
    with shop_on("sqlite", tmp_path, 1500) as shop:
        assert "cannot be read or written" in shop.begin(largest=largest).fail()
        shop.finish()
        shop.assert_whole()


@contextmanager
def disk_at(folder: Path, size: int) -> Generator[Callable[[int], None]]:
    """A small disk of so many kilobytes; what this gives makes it another size."""

    def mount(option: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")

    folder.mkdir()
    mount(f"size={size}k")
    try:
        yield lambda size: mount(f"remount,size={size}k")
    finally:
        # Lazily: a process that a failed test has left there must not keep it.
        subprocess.run(["umount", "-l", folder], check=True)


mounts = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
policies = pytest.mark.parametrize("policy", ["stop", "wait"])


def fill_up(shop: Shop, policy: Policy, resize: Callable[[int], None]) -> None:
    child = shop.begin(settings={"on_store_error": policy})
    if policy == "stop":
        assert "its disk is full" in child.fail()
        resize(200_000)
        shop.finish()
    else:
        child.wait_until_ready()
        with pytest.raises(subprocess.TimeoutExpired):
            child.process.wait(2.5)
        resize(200_000)
        child.succeed()
    shop.assert_whole()


@mounts
@policies
@pytest.mark.parametrize("size", [300, 1100])
def test_a_disk_that_fills_up(tmp_path: Path, policy: Policy, size: int) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(some_orders(1500), encoding="utf-8")
    with disk_at(tmp_path / "disk", size) as resize:
        fill_up(Shop(f"sqlite:///{tmp_path}/disk/runs.db", None, orders), policy, resize)


# -- a server that is restarted


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as server:
        yield server


@contextmanager
def shop_at(server: Server, folder: Path, orders: int, **settings: str) -> Generator[Shop]:
    import psycopg

    path = folder / "orders.csv"
    path.write_text(some_orders(orders), encoding="utf-8")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA shop")
    try:
        # Also after a crash of the server what it has confirmed must be there.
        yield Shop(url_within(server.url, "shop", synchronous_commit="on", **settings), "shop", path)
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA shop CASCADE")


def test_the_command_line_on_a_server(server: Server, tmp_path: Path) -> None:
    with shop_at(server, tmp_path, 200) as shop:
        command = [sys.executable, "-m", "cnstra", "demo", "orders", "--durable", "--batch", "20"]
        command += ["--orders", str(shop.orders), "--store", shop.url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not placed(shop) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "200 orders" not in done.stdout
        assert shop.rows("SELECT count(*) FROM demo_orders") == [(200,)]
        # The URL does not say which schema the store itself is to use.
        assert shop.rows("SELECT count(*) FROM public.cnstra_runs WHERE status = 'completed'") == [(10,)]
        # Another start finds nothing to do, and a server that is gone is one line.
        server.stop()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        server.start()
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"cnstra: error: {server.shown}: it cannot be reached")


@mounts
@policies
def test_a_disk_of_the_server_that_fills_up(server: Server, tmp_path: Path, policy: Policy) -> None:
    import psycopg

    disk = server.folder / "disk"
    with disk_at(disk, 1200) as resize, shop_at(server, tmp_path, 500, default_tablespace="small") as shop:
        shutil.chown(disk, "postgres")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'".encode())
        fill_up(shop, policy, resize)
    disk.rmdir()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP TABLESPACE small")


restarts = pytest.mark.parametrize(("mode", "away"), [("fast", 1.0), ("fast", 0.0), ("immediate", 0.0)])


def in_the_middle(shop: Shop, draw: random.Random, policy: Policy) -> Child:
    """A process that is at work."""
    enough = placed(shop) + 1 + draw.randrange(BATCH)
    child = shop.begin(settings={"on_store_error": policy, "recover_every": 0.2})
    deadline = time.monotonic() + 60
    while placed(shop) < enough and time.monotonic() < deadline and child.process.poll() is None:
        time.sleep(0.01)
    assert child.process.poll() is None
    return child


def placed(shop: Shop) -> int:
    if shop.rows("SELECT to_regclass('demo_orders')") == [(None,)]:
        return 0
    ((count,),) = shop.rows("SELECT count(*) FROM demo_orders")
    return int(count)


@restarts
def test_runs_stop_when_the_server_is_restarted(
    server: Server, tmp_path: Path, mode: Literal["fast", "immediate"], away: float
) -> None:
    draw = random.Random(f"{mode} {away}")
    with shop_at(server, tmp_path, 400) as shop:
        for _ in range(2):
            child = in_the_middle(shop, draw, "stop")
            server.restart(mode, away)
            assert server.shown in child.fail()
            # Nothing has failed, so that the next process does not have to try again what nobody has done wrong.
            assert shop.rows("SELECT run_id FROM cnstra_runs WHERE status NOT IN ('running', 'completed')") == []
            assert shop.rows("SELECT id FROM cnstra_tasks WHERE status NOT IN ('pending', 'finished')") == []
        shop.finish()
        shop.assert_whole()


@restarts
def test_runs_wait_when_the_server_is_restarted(
    server: Server, tmp_path: Path, mode: Literal["fast", "immediate"], away: float
) -> None:
    draw = random.Random(f"{mode} {away}")
    with shop_at(server, tmp_path, 400) as shop:
        child = in_the_middle(shop, draw, "wait")
        server.restart(mode, away)
        child.succeed()
        shop.assert_whole()
