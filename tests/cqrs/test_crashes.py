"""Processes that are killed, and answers that are lost: every command is applied, and none twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cqrs.bank import Account, Bank, Deposit, Open
from tests.cqrs.places import place
from tests.durable.postgres import Wire

from cnstra.cqrs import EventStore

ROOT = Path(__file__).resolve().parents[2]
COUNT = 400


def child(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cqrs.depositor", url, str(COUNT)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.once
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_are_killed_and_give_their_commands_again_apply_each_once(kind: str, tmp_path: Path) -> None:
    rng = random.Random(25)
    for url in place(kind, tmp_path):
        for _ in range(6):
            with child(url) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "open\n"
                time.sleep(rng.uniform(0, 0.1))
                process.kill()
        # Two at once, who give the same commands.
        with child(url) as one, child(url) as other:
            outs = [process.communicate(timeout=60)[0] for process in (one, other)]
            assert one.returncode == other.returncode == 0, outs
        with EventStore(url) as store:
            assert asyncio.run(Bank(store).accounts.state("a")) == Account("Ada", COUNT)
            events = store.read(0, limit=10 * COUNT)
            assert [one.version for one in events] == list(range(1, COUNT + 2))
            assert len({one.command_id for one in events}) == COUNT + 1


@pytest.mark.once
@pytest.mark.parametrize("has_id", [False, True])
def test_an_append_whose_answer_is_lost_is_made_once(has_id: bool, tmp_path: Path) -> None:
    async def main(url: str) -> None:
        query = url.partition("?")[2]
        async with Wire() as wire:
            store = EventStore(f"{wire.url}&{query}")
            bank = Bank(store)
            await bank.do(bank.open.create_signal(Open("a", "Ada")))
            channel = bank.identified if has_id else bank.deposit
            wire.lose_answer_to(b"unnest(")
            done = await bank.do(channel.create_signal(Deposit("a", 5, "x")))
            assert wire._losing is None  # it has been
            assert done.version == 2
            assert await bank.accounts.state("a") == Account("Ada", 5)
            assert len(await asyncio.to_thread(store.read, 0)) == 2
            await asyncio.to_thread(store.close)

    for url in place("postgres", tmp_path):
        asyncio.run(main(url))


@pytest.mark.once
def test_a_server_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        query = url.partition("?")[2]
        async with Wire() as wire:
            store = EventStore(f"{wire.url}&{query}")
            bank = Bank(store)
            await bank.do(bank.open.create_signal(Open("a", "Ada")))
            await wire.down()
            run = bank.cns.stimulate(bank.deposit.create_signal(Deposit("a", 5)))
            await asyncio.sleep(0.3)
            assert not run.done()
            await wire.up()
            await run
            assert await bank.accounts.state("a") == Account("Ada", 5)
            await asyncio.to_thread(store.close)

    for url in place("postgres", tmp_path):
        asyncio.run(main(url))
