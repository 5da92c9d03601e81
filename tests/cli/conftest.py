"""What the tests of ``cnstra runs`` share: a shop whose orders are durable runs, in a folder of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnstra.cli import main

# Files in the current folder decide what happens: a handler sees them when it runs, in whatever process.
SHOP = """
import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from cnstra import CNS, collateral, neuron
from cnstra.durable import Durable, Store


@dataclass
class Order:
    number: int
    key: bytes = b"secret"


placed = collateral("order_placed", Order)
paid = collateral("order_paid", int)
sent = collateral("parcel_sent", str)

billing = neuron("billing", {"paid": paid})
courier = neuron("courier", {"sent": sent})


@billing.dendrite(placed)
def pay(order, axon):
    print("paying", order.number)
    if Path("declined").exists():
        raise ValueError("card \\x1b[31mdeclined\\nby the bank")
    return axon.paid.create_signal(order.number)


@courier.dendrite(paid)
async def send(number, axon):
    while Path("slow").exists():
        Path("sending").touch()
        await asyncio.sleep(0.02)
        if Path("crash").exists():
            os._exit(9)
    return axon.sent.create_signal(f"parcel {number}")


cns = CNS([billing, courier])
without_courier = CNS([billing])
durable = Durable(cns, Store.open("sqlite:///runs.db"))
in_memory = Durable(cns, Store.open("memory://"))
text = "no graph"


def make():
    return cns


def make_durable():
    return Durable(cns, Store.open("sqlite:///runs.db"), redact={"order_placed": ["number"]})


def make_text():
    return text


def make_trouble():
    return 1 / 0


def make_from(url):
    return cns


async def make_later():
    return cns


def start(*names, **options):
    async def main():
        async with Durable(cns, Store.open("sqlite:///runs.db")) as shop:
            for number, name in enumerate(names):
                run = await shop.start(placed.create_signal(Order(number)), run_id=name, **options)
                try:
                    await run
                except Exception:
                    pass

    asyncio.run(main())


def schedule(name, at):
    async def main():
        async with Durable(cns, Store.open("sqlite:///runs.db")) as shop:
            await shop.schedule(placed.create_signal(Order(7)), at=at, run_id=name)

    asyncio.run(main())
"""


class Shop:
    """Its folder is the current one, and its store that of the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun: list[subprocess.Popen[str]] = []

    @property
    def module(self) -> Any:
        return importlib.import_module("their_shop")

    def start(self, *names: str, **options: Any) -> None:
        """Run orders to their ends, as far as these come."""
        self.module.start(*names, **options)

    def fail(self, *names: str) -> None:
        """Run orders that fail."""
        with self.mode("declined"):
            self.start(*names)

    def begin(self, *names: str) -> subprocess.Popen[str]:
        """Begin an order in another process, which does not end until ``slow`` is not there any more."""
        (self.folder / "sending").unlink(missing_ok=True)
        (self.folder / "slow").touch()
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys, their_shop; their_shop.start(*sys.argv[1:])", *names],
            cwd=self.folder,
            text=True,
            stdout=subprocess.DEVNULL,
        )
        self._begun.append(process)
        self.wait_for("sending")
        return process

    def close(self) -> None:
        """End what a test that has failed has left behind."""
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                process.wait()

    def crash(self, *names: str) -> None:
        """Begin an order in a process that dies over it."""
        with self.mode("crash"):
            assert self.begin(*names).wait(60) == 9
        (self.folder / "slow").unlink()

    @contextmanager
    def mode(self, name: str) -> Iterator[None]:
        """While this lasts, that file is there."""
        (self.folder / name).touch()
        try:
            yield
        finally:
            (self.folder / name).unlink(missing_ok=True)

    def wait_for(self, name: str, seconds: float = 60) -> None:
        """Until that file is there."""
        end = time.monotonic() + seconds
        while not (self.folder / name).exists():
            assert time.monotonic() < end, f"{name} has not come"
            time.sleep(0.01)

    def run(self, run_id: str, capsys: pytest.CaptureFixture[str]) -> Any:
        """A run as the command line shows it to programs."""
        capsys.readouterr()
        assert main(["runs", "show", run_id, "--json"]) == 0
        return json.loads(capsys.readouterr().out)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A folder with the module ``their_shop`` in it; there is no store yet."""
    (tmp_path / "their_shop.py").write_text(SHOP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CNSTRA_STORE", "sqlite:///runs.db")
    monkeypatch.delenv("COLUMNS", raising=False)
    sys.modules.pop("their_shop", None)
    shop = Shop(tmp_path)
    yield shop
    shop.close()
    sys.modules.pop("their_shop", None)
