"""Processes that are killed at any moment, and paused for longer than their lease: what others make of it is whole.

``make test`` kills a few of them, ``make crash`` hundreds: CNSTRA_KILLS is how many on each kind of database.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..demo.sample import some_orders
from .killing import Child, Shop, shop_on, url_within

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs processes that can be killed and paused"),
]

KILLS = int(os.environ.get("CNSTRA_KILLS") or 15)
# A kill takes a second or two, more where the machine is busy.
on_each_database = pytest.mark.parametrize("kind", ["sqlite", "postgres"])
patient = pytest.mark.timeout(120 + 20 * KILLS)

# So that a process lives for about a second.
ORDERS = {"sqlite": 1000, "postgres": 120}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def kill_again_and_again(kind: str, folder: Path, kills: int, killed: Callable[[Shop], Child]) -> None:
    """Shop after shop, each until a process has done all that is left in it."""
    done = number = 0
    while done < kills:
        with shop_on(kind, folder, ORDERS[kind], number) as shop:
            number += 1
            while done < kills and killed(shop).was_killed():
                done += 1
            shop.finish()
            shop.assert_whole()


@patient
@on_each_database
def test_killed_at_random_moments(kind: str, folder: Path) -> None:
    draw = random.Random(kind)
    with shop_on(kind, folder, ORDERS[kind]) as shop:
        child = shop.begin()
        child.wait_until_ready()
        started = time.monotonic()
        child.succeed()
        longest = 0.6 * (time.monotonic() - started)

    def killed(shop: Shop) -> Child:
        child = shop.begin()
        child.wait_until_ready()
        time.sleep(draw.uniform(0.0, longest))
        child.send(signal.SIGKILL)
        return child

    kill_again_and_again(kind, folder, KILLS - KILLS // 2, killed)


@patient
@on_each_database
def test_killed_at_statements(kind: str, folder: Path) -> None:
    """No moment between two statements is too short to be met; those of a start are met most."""
    draw = random.Random(kind)
    moments = ["before"] if kind == "sqlite" else ["before", "during", "after"]
    with shop_on(kind, folder, ORDERS[kind]) as shop:
        count = shop.finish(at=("before", sys.maxsize, signal.SIGKILL))["statements"]
        assert count > 3 * ORDERS[kind]

    def killed(shop: Shop) -> Child:
        return shop.begin(at=(draw.choice(moments), int(count ** draw.random()), signal.SIGKILL))

    kill_again_and_again(kind, folder, KILLS // 2, killed)


@patient
@on_each_database
@pytest.mark.parametrize("many", [2, 4])
def test_several_recover_at_once(kind: str, many: int, folder: Path) -> None:
    draw = random.Random(many)
    for number in range(max(1, KILLS // 30)):
        with shop_on(kind, folder, ORDERS[kind], number) as shop:
            child = shop.begin()
            child.wait_until_ready()
            time.sleep(draw.uniform(0.1, 0.4))
            child.send(signal.SIGKILL)
            child.end()
            # Some wait for what others have; should one of these have been lost it would be taken over.
            children = [shop.begin(settings={"recover_every": 0.2}) for _ in range(many)]
            assert {child.succeed()["statements"] for child in children} == {0}
            shop.assert_whole()


@patient
@on_each_database
def test_killed_while_others_are_at_work(kind: str, folder: Path) -> None:
    """Three at once, of which one after the other dies and another takes its place, each in a way of its own."""
    draw = random.Random(kind)

    def begin() -> Child:
        return shop.begin(settings={"recover_every": 0.2, "sync": draw.choice(["turn", "hop", "end"])})

    with shop_on(kind, folder, 3 * ORDERS[kind]) as shop:
        children = [begin() for _ in range(3)]
        for _ in range(max(4, KILLS // 10)):
            time.sleep(draw.uniform(0.1, 0.5))
            child = children.pop(0)
            child.send(signal.SIGKILL)
            child.was_killed()
            children.append(begin())
        for child in children:
            child.succeed()
        shop.assert_whole()


@patient
@pytest.mark.parametrize(("kind", "number"), [("sqlite", 14), ("sqlite", 25), ("postgres", 250)])
def test_paused_for_longer_than_its_lease(kind: str, number: int, folder: Path) -> None:
    with shop_on(kind, folder, ORDERS[kind]) as shop:
        settings = {"lease": 1.0, "recover_every": 0.2}
        if kind == "sqlite":
            # Inside of a transaction everybody else has to wait until it goes on.
            paused = shop.begin(at=("outside", number, signal.SIGSTOP), settings=settings)
        else:
            # Its transactions are open, and keep what they have locked until the server ends them.
            assert shop.schema is not None
            url = url_within(shop.url.partition("?")[0], shop.schema, idle_in_transaction_session_timeout="1500")
            paused = shop.begin(at=("during", number, signal.SIGSTOP), settings=settings, url=url)
        assert paused.is_paused()
        other = shop.begin(settings=settings)
        other.succeed()
        shop.assert_whole()
        paused.send(signal.SIGCONT)
        said = paused.fail()
        assert "was taken over by another process while this one was away" in said or "connection was lost" in said
        shop.assert_whole()


@pytest.mark.timeout(300)
def test_the_command_line_killed_at_random_moments(folder: Path) -> None:
    """The whole program, started as a user does."""
    path = folder / "orders.csv"
    path.write_text(some_orders(3000), encoding="utf-8")
    shop = Shop(f"sqlite:///{folder}/data/runs.db", None, path)
    command = [sys.executable, "-m", "cnstra", "demo", "orders", "--durable", "--batch", "50"]
    command += ["--orders", str(path), "--data", str(folder / "data")]
    draw = random.Random(7)
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wal, deadline = folder / "data" / "runs.db-wal", time.monotonic() + 30
        while not wal.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 0.5))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shop.assert_whole()
