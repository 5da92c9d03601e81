"""``cnstra project``: a process that follows the log, catches up, or rebuilds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cqrs.ledger import Ledger

from cnstra.cli import main

ROOT = Path(__file__).resolve().parents[2]

MODULE = """
from tests.cqrs.ledger import Ledger

def fail(event):
    if getattr(event, "cents", 0) == 13:
        raise ValueError("13 is not digested")

ledger = Ledger("sqlite:///events.db", "sqlite:///models.db", trouble=fail)
projection, store = ledger.projection, ledger.store
"""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A log with some events, in the folder in which the commands are run."""
    (tmp_path / "followed.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "followed", raising=False)
    made = Ledger(f"sqlite:///{tmp_path}/events.db", f"sqlite:///{tmp_path}/models.db")

    async def fill() -> None:
        await made.open()
        for _ in range(20):
            await made.deposit(5)

    asyncio.run(fill())
    yield made
    made.close()
    sys.modules.pop("followed", None)


COMMAND = [sys.executable, "-m", "cnstra", "project"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=ENVIRONMENT)


@pytest.mark.once
def test_once_applies_what_there_is(ledger: Ledger) -> None:
    done = run("followed:projection", "--once")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ledger: at position 21, the end of the log.\n", "")
    assert ledger.rows() == [("a", "owner of a", 100)]


@pytest.mark.once
def test_a_rebuild_swaps_the_tables(ledger: Ledger) -> None:
    assert run("followed:projection", "--once").returncode == 0
    done = run("followed:projection", "--rebuild")
    assert (done.returncode, done.stdout) == (0, "ledger: rebuilt through position 21.\n")
    assert ledger.rows() == [("a", "owner of a", 100)]


@pytest.mark.once
def test_it_follows_until_it_is_told_to_stop(ledger: Ledger) -> None:
    with subprocess.Popen(
        [*COMMAND, "followed:projection"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ledger: following from position 0; Ctrl-C ends it.\n"
            asyncio.run(_see_a_deposit(ledger))
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=30)
            assert (process.returncode, out, errors) == (0, "ledger: stopped at position 22.\n", "")
        finally:
            process.kill()
    assert ledger.rows() == [("a", "owner of a", 107)]


async def _see_a_deposit(ledger: Ledger) -> None:
    last = await ledger.deposit(7)
    await ledger.projection.caught_up(last.position, timeout=30)


@pytest.mark.once
def test_an_event_that_is_not_digested_ends_it_with_what_is_wrong(ledger: Ledger) -> None:
    asyncio.run(_deposit(ledger, 13))
    done = run("followed:projection", "--once")
    assert done.returncode == 1
    assert done.stderr.startswith("cnstra: error: ProjectionHaltedError: ")
    assert "13 is not digested" in done.stderr
    assert "22" in done.stderr
    assert ledger.rows() == [("a", "owner of a", 100)]


async def _deposit(ledger: Ledger, cents: int) -> None:
    await ledger.deposit(cents)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["followed:projection", "--once", "--rebuild"], 2, "give one of them"),
        (["followed:store"], 1, "is an EventStore, not a Projection; it has projection"),
        (["followed"], 2, "does not name a projection: write MODULE:PROJECTION"),
        (["followed:projection", "--once", "--store", "sqlite:////missing/folder/e.db"], 1, "unable to open"),
        (["followed:projection", "--once", "--store", "mysql://u:secret@h/d"], 1, "names no event store"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    ledger: Ledger, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["project", *arguments]) == status
    said = capsys.readouterr().err
    assert said.startswith("cnstra: error: ")
    assert said.count("\n") == 1
    assert words in said
    assert "secret" not in said
