"""Several processes on one SQLite file: locks, contention, and processes that are killed."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cnstra.durable import StoreBusyError
from cnstra.durable.port import Increment

from .sqlite_files import locked, on_file, read
from .store_bench import begin, change, commit, inline, new_run, row

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]

# What all children begin with: a store on the file that they are given, and calls that wait for locks.
CHILD = """
import os, signal, sys, time
from pathlib import Path
from cnstra.durable import StoreBusyError
from cnstra.durable.port import Increment, RunEnd, Takeover
from cnstra.durable.sqlite import SqliteStore
from tests.durable.store_bench import change, inline, new_run, row

def patiently(call):
    while True:
        try:
            return inline(call())
        except StoreBusyError:
            time.sleep(0.001)

name = sys.argv[2]
store = SqliteStore(f"sqlite:///{sys.argv[1]}")
print("ready", flush=True)
while not Path(sys.argv[1]).with_suffix(".go").exists():
    time.sleep(0.001)
inline(store.connect())
patiently(lambda: store.register(name, 60))
"""


def children(code: str, file: Path, count: int) -> list[subprocess.Popen[str]]:
    """Processes that begin at the same time."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD + code, str(file), f"child {number}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    file.with_suffix(".go").touch()
    return started


def outputs(started: list[subprocess.Popen[str]]) -> list[str]:
    found = [process.communicate(timeout=60) for process in started]
    assert [(process.returncode, errors) for process, (_, errors) in zip(started, found, strict=True)] == [
        (0, "") for _ in started
    ]
    return [output for output, _ in found]


# -- locks


def test_a_locked_file_is_busy_at_once(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with on_file(file) as store:
        claim = inline(begin(store))
        with locked(file):
            calls: list[Any] = [
                lambda: store.commit([Increment(claim.key, claim.fence, added=[row(1)])]),
                lambda: store.create("owner", [new_run("another")]),
                lambda: store.register("owner", 60),
                lambda: store.request_cancel("run", "not needed"),
            ]
            for call in calls:
                before = time.monotonic()
                with pytest.raises(StoreBusyError, match="locked"):
                    inline(call())
                assert time.monotonic() - before < 0.5
            with pytest.raises(StoreBusyError), store.savepoint(claim.key, claim.fence):
                raise AssertionError("it was entered")
            # Reading goes on.
            assert len(inline(store.list_runs())) == 1
        inline(commit(store, claim, added=[row(1)]))


def test_a_beat_waits_for_a_lock(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with on_file(file) as store, locked(file) as other:
        before = time.monotonic()
        with pytest.raises(StoreBusyError):
            store.beat("owner", 60)
        assert time.monotonic() - before > 0.5
        other.execute("ROLLBACK")
        store.beat("owner", 60)
        assert inline(store.owners()) == ["owner"]


def test_opening_waits_for_a_lock_and_not_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError), on_file(file):
            raise AssertionError("it was opened")
    with on_file(file) as store:
        assert inline(store.find("run")) is None


# -- contention


def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    for turn in range(2):
        file = tmp_path / f"{turn}.db"
        outputs(children("inline(store.close())", file, 5))
        assert read(file, "SELECT number FROM cnstra_schema") == [(1,)]
        assert len(read(file, "SELECT * FROM cnstra_owners")) == 5


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    code = """
(claim,) = patiently(lambda: store.create(name, [new_run(name)]))
patiently(lambda: store.commit([Increment(claim.key, claim.fence, added=[row(1)])]))
for seq in range(1, 200):
    step = Increment(claim.key, claim.fence, added=[row(seq + 1)], changed=[change(seq)], hops=seq)
    assert patiently(lambda: store.commit([step])) == frozenset()
    if seq % 50 == 0:
        store.beat(name, 60)
inline(store.close())
"""
    outputs(children(code, file, 4))
    with on_file(file) as store:
        for number in range(4):
            found = inline(store.find(f"child {number}"))
            assert found is not None
            assert (found.hops, found.fence) == (199, 1)
            assert [task.seq for task in inline(store.frontier(found.key)).tasks] == [200]


def test_processes_share_out_what_is_to_be_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    count = 200
    with on_file(file) as store:
        inline(store.register("late", -1))
        inline(store.create("late", [new_run(f"{number}") for number in range(count)]))
    code = """
live = []
while found := patiently(lambda: store.candidates(name, live, [], limit=7)):
    takeovers = [Takeover(one.key, one.fence, "graph 2") for one in found]
    for claim in patiently(lambda: store.claim(name, takeovers, live, [])):
        live.append(claim.key)
        print(claim.run_id)
inline(store.close())
"""
    taken = [output.split() for output in outputs(children(code, file, 4))]
    assert sorted(int(run_id) for ids in taken for run_id in ids) == list(range(count))
    with on_file(file) as store:
        runs = inline(store.list_runs(limit=count))
        assert {(run.attempt, run.fence, run.crashes) for run in runs} == {(2, 2, 1)}


# -- death

needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs processes that can be killed")


@needs_sigkill
def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    code = """
(claim,) = patiently(lambda: store.create(name, [new_run(name)]))
patiently(lambda: store.commit([Increment(claim.key, claim.fence, added=[row(1)])]))
for seq in range(1, 1_000_000):
    step = Increment(claim.key, claim.fence, added=[row(seq + 1)], changed=[change(seq)], contexts={"seq": b"%d" % seq})
    patiently(lambda: store.commit([step]))
    os.write(1, b"%d\\n" % seq)
"""
    chance = random.Random(1)
    (child,) = children(code, file, 1)
    for _ in range(5):
        assert child.stdout is not None
        assert child.stderr is not None
        with child:
            for _ in range(5):
                child.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            child.kill()
            told = int(child.stdout.read().split()[-1])
        with on_file(file) as store:
            found = inline(store.find("child 0"))
            assert found is not None
            frontier = inline(store.frontier(found.key))
            # What it was told is there; it may have died before it could tell.
            (task,) = frontier.tasks
            assert task.seq - 1 in (told, told + 1)
            assert frontier.contexts == {"seq": b"%d" % (task.seq - 1)}
            assert read(file, "PRAGMA integrity_check") == [("ok",)]
            inline(store.request_cancel("child 0", "next"))
            store.beat("child 0", -1)
            inline(store.request_cancel("child 0", "next"))
            assert inline(store.prune(older_than=None, keep_last=None)) == 1
        (child,) = children(code, file, 1)
    child.kill()
    child.communicate()


@needs_sigkill
def test_a_kill_in_the_middle_of_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with on_file(file) as store, locked(file) as theirs:
        theirs.execute("CREATE TABLE orders (id)")
        theirs.execute("COMMIT")
        claim = inline(begin(store))
        inline(commit(store, claim, added=[row(1)]))
        code = f"""
savepoint = store.savepoint({claim.key}, {claim.fence})
transaction = savepoint.__enter__()
transaction.executemany("INSERT INTO orders VALUES (?)", [(str(number) * 1000,) for number in range(5000)])
savepoint.__exit__(None, None, None)
original = store._savepoints.cursor
class Deadly:
    def execute(self, sql, *parameters):
        if sql.startswith("COMMIT"):
            os.kill(os.getpid(), signal.SIGKILL)
        return original.execute(sql, *parameters)
    executemany = original.executemany
store._savepoints.cursor = Deadly()
inline(store.commit([Increment({claim.key}, {claim.fence}, changed=[change(1)])]))
"""
        (child,) = children(code, file, 1)
        assert child.communicate(timeout=60) == ("", "")
        assert child.returncode == -signal.SIGKILL
        assert read(file, "SELECT count(*) FROM orders") == [(0,)]
        assert read(file, "PRAGMA integrity_check") == [("ok",)]
        assert [task.status for task in inline(store.frontier(claim.key)).tasks] == ["pending"]
        # Its lock died with it.
        inline(commit(store, claim, changed=[change(1)]))
