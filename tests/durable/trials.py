"""Programs whose processes die again and again, and what has to hold after each death and at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pytest

from cnstra import StimulationAborted, StimulationFailed
from cnstra.durable import (
    Durable,
    Record,
    Run,
    Store,
    StoreUnavailableError,
    Task,
    current_activation,
    current_transaction,
)
from cnstra.durable.codecs import show_bytes
from cnstra.durable.patience import now
from cnstra.durable.port import FRONTIER, Row

from ..properties.programs import Program
from .crashing import Death, MortalSqlite, MortalStore, SlowMortalStore
from .playing import Heard, Player, Started

__all__ = ["Ended", "Settings", "Trial", "assert_same_end", "in_memory", "quietly", "tried_without_deaths"]

Way = tuple[Any, ...]


@dataclass(frozen=True)
class Settings:
    """How the runs of a program are recorded, and when their processes die: the first, the second, …"""

    sync: Literal["turn", "hop", "end"] = "turn"
    volume: Literal["full", "frontier"] = "full"
    slow: bool = False
    deaths: tuple[Death, ...] = ()
    # Seconds in which turns share a commit: none, or more than a trial takes.
    interval: float = 0.0
    # Whether a new process starts its runs again before it recovers, as a client does that repeats its request.
    insists: bool = False


@dataclass
class Ended:
    """What is left of a run that has ended.

    Attributes:
        tasks: by the path from the entry: status, input, outputs and error, if all of it is kept. One that was enqueued
            may be there twice, if what enqueued it ran twice.
    """

    run: Run
    tasks: dict[Way, set[tuple[Any, ...]]]
    contexts: dict[str, Any]


class Trial:
    """Runs a program in one process after the other, until one does not die.

    Args:
        program: what to run; its enqueuing parts make less comparable.
        settings: how, and when processes die.
        open_store: a store on the same data each time.
        file: that of a SQLite store, if neurons are to be transactional: each writes down that it was activated.

    Attributes:
        writes: how many each process made.
        history: for each process the keys of what it started, in order, and of what had finished or failed before.
    """

    def __init__(
        self, program: Program, settings: Settings, open_store: Callable[[], Store], file: Path | None = None
    ) -> None:
        self.program = program
        self.settings = settings
        self.player = Player(program, self._on_start, None if file is None else _write)
        self._file = file
        if file is not None:
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("CREATE TABLE written (run TEXT, neuron TEXT, id TEXT UNIQUE)")
        self.writes: list[int] = []
        self.history: list[tuple[list[Any], set[Any]]] = []
        self._open_store = open_store
        self._inner: Any = None
        self._violations: list[str] = []
        self._finished: set[str] = set()
        self._settled: set[str] = set()
        # What of each run may start: None, everything, since nothing of it is recorded.
        self._left: dict[str, set[tuple[str, Heard]] | None] = {}
        self._ids: dict[Any, str] = {}
        self._keys: dict[str, Any] = {}

    def __call__(self) -> dict[str, Ended]:
        """Run it; gives what became of each run."""
        for death in (*self.settings.deaths, None):
            asyncio.run(self._attempt(death))
        return asyncio.run(self._ended())

    def retry(self) -> dict[str, Ended]:
        """Retry what has failed, without faults; gives what became of each run."""
        self.player.is_faulty = False
        asyncio.run(self._attempt(None, again=True))
        return asyncio.run(self._ended())

    async def _attempt(self, death: Death | None, *, again: bool = False) -> None:
        before = len(self.player.started)
        settled = {self._keys[id_] for id_ in self._settled if id_ in self._keys}
        await self._live(death, again)
        assert not self._violations
        started = self.player.started[before:]
        self.history.append(([one.key for one in started], settled))
        if not again:
            self._check_started(started)
        # Another store, as another process has; what the dead one wrote is there.
        self._inner = self._open_store()
        await self._inner.connect()
        await self._look()
        await self._inner.close()

    async def _ended(self) -> dict[str, Ended]:
        await self._inner.connect()
        ended = {run.id: await self._end_of(run) for run in await self._runs()}
        await self._inner.close()
        assert len(ended) == len(self.program.starts)
        assert {one.run.status for one in ended.values()} <= {"completed", "failed"}
        return ended

    # -- one process

    async def _live(self, death: Death | None, again: bool) -> None:
        self._inner = self._open_store()
        kind = SlowMortalStore if self.settings.slow else MortalStore if self._file is None else MortalSqlite
        store = kind(self._inner, death, on_write=self._on_write)
        self.writes.append(0)
        kind_of_run: Any = {
            "sync": self.settings.sync,
            "volume": self.settings.volume,
            "commit_interval": self.settings.interval,
            "transactional": self.player.transactional,
        }
        async with Durable(self.player.cns, store, **kind_of_run) as durable:
            try:
                runs = [] if self.settings.insists else await durable.recover()
                for number, start in enumerate(self.program.starts):
                    signals = self.player.signals(start, number)
                    options: Any = {"concurrency": start.concurrency, "max_hops": start.max_hops}
                    runs.append(await durable.start(signals, run_id=f"r{number}", **options))
                runs += await durable.recover()
                if again:
                    runs = [await durable.retry(run.id) for run in runs if run.outcome == "failed"]
                for run in runs:
                    try:
                        await run
                    except (StimulationFailed, StimulationAborted):
                        assert run.outcome == "failed" or store.is_dead
            except StoreUnavailableError:
                assert store.is_dead

    # -- while it lives

    def _on_start(self, started: Started) -> None:
        """With ``sync="hop"`` what caused it is stored."""
        # What is enqueued twice, since what enqueues it has run twice, is not told apart here.
        if self.settings.sync != "hop" or started.is_of_enqueued or not self._inner.inline:
            return
        emitted = self.player.emitted
        causes = {emitted[heard.path][1] for heard in started.heard if heard.path in emitted}
        if causes:
            status = {row.id: row.status for row in self._rows(started.run)}
            if {status.get(cause) for cause in causes} != {"finished"}:
                # What is raised here would be a failure of the handler, and no more.
                self._violations.append(f"{started} started before its cause was committed")

    def _on_write(self, kind: str) -> None:
        """With ``volume="frontier"`` nothing is stored that is not needed."""
        self.writes[-1] += 1
        if self.settings.volume == "full" or kind != "commit" or not self._inner.inline:
            return
        for run in now(self._inner.list_runs()):
            rows = self._rows(run.run_id)
            frontier = [row for row in rows if row.status in FRONTIER]
            taken_over = {int(seq) for row in frontier if row.joined for seq in row.joined.split(",")}
            needed = {row.seq for row in frontier} | taken_over
            needed |= {row.cause for row in rows if row.seq in needed and row.cause is not None}
            if {row.seq for row in rows} - needed or (rows and run.status == "completed"):
                self._violations.append(f"more is stored than is needed: {rows}")

    def _rows(self, run_id: str) -> list[Row]:
        run = now(self._inner.find(run_id))
        assert run is not None
        rows: list[Row] = now(self._inner.list_tasks(run.key, limit=100_000))[0]
        return rows

    # -- when it is dead

    def _check_started(self, started: list[Started]) -> None:
        """Nothing ran again that was finished, and nothing that was neither left nor caused by what ran now."""
        for one in started:
            assert one.id not in self._finished, f"{one} had been finished"
            left = self._left.get(one.run)
            for heard in one.heard:
                player = self.player
                emitted = player.enqueued.get(heard.path) or player.emitted.get(heard.path, (0,))[0]
                if left is not None and emitted != one.attempt:
                    assert (one.neuron, heard) in left, f"{one} was not left to do"
            # What was enqueued by something that runs again is enqueued again, and is another activation.
            if not one.is_of_enqueued:
                assert self._ids.setdefault(one.key, one.id) == one.id, f"{one} had another id"
            assert self._keys.setdefault(one.id, one.key) == one.key, f"{one} has the id of another activation"

    async def _look(self) -> None:
        """What the store has now, and what of that may still start."""
        for run in await self._runs():
            tasks = await self._tasks(run)
            self._finished |= {task.id for task in tasks if task.status == "finished"}
            self._settled |= {task.id for task in tasks if task.status in ("finished", "failed")}
            if self.settings.volume == "full":
                done = Counter(task.neuron for task in tasks if task.status == "finished")
                assert await self._contexts(run) == done
            self._check_written(run.id, tasks, await self._contexts(run))
            row = await self._inner.find(run.id)
            if run.status == "running" and not (await self._inner.frontier(row.key)).tasks and not tasks:
                self._left[run.id] = None  # nothing of it was ever recorded
                continue
            wanted = {task.seq for task in tasks if task.status == "pending"}
            wanted |= {seq for task in tasks if task.seq in wanted for seq in task.joined}
            self._left[run.id] = {
                (task.neuron, Heard(task.input["path"], task.dendrite)) for task in tasks if task.seq in wanted
            }

    def _check_written(self, run_id: str, tasks: list[Task], contexts: dict[str, Any]) -> None:
        """What transactional neurons have written is what is finished of them; an id twice, and the run would fail."""
        if self._file is None:
            return
        with closing(sqlite3.connect(self._file)) as connection:
            rows = connection.execute("SELECT neuron, id FROM written WHERE run = ?", (run_id,)).fetchall()
        # They count what they have done in the same commit.
        counts = Counter(neuron for neuron, _ in rows)
        assert counts == {name: count for name, count in contexts.items() if name in self.player.transactional}
        if self.settings.volume == "full":
            names = self.player.transactional
            finished = {(one.neuron, one.id) for one in tasks if one.status == "finished" and one.neuron in names}
            assert finished == {*rows}

    async def _runs(self) -> list[Run]:
        return list((await Record(self._inner).runs()).items)

    async def _tasks(self, run: Run) -> list[Task]:
        return list((await Record(self._inner).tasks(run.id, limit=10_000)).items)

    async def _contexts(self, run: Run) -> dict[str, Any]:
        row = await self._inner.find(run.id)
        return {name: show_bytes(value) for name, value in (await self._inner.frontier(row.key)).contexts.items()}

    # -- at the end

    async def _end_of(self, run: Run) -> Ended:
        tasks: dict[Way, set[tuple[Any, ...]]] = {}
        paths: dict[int, Way] = {0: ()}
        for task in await self._tasks(run) if self.settings.volume == "full" else ():
            path: Way = (task.neuron, task.collateral, task.dendrite)
            if task.joined:
                # Which of them is the last one depends on how they arrived.
                path = (task.neuron, frozenset(paths[seq] for seq in task.joined))
            elif task.cause is None:
                path = ("enqueued", task.input["path"], *path)
            else:
                path = (*paths[task.cause], task.place, *path)
            paths[task.seq] = path
            outputs = [(one["collateral"], one["payload"]["path"], one["payload"]["fuel"]) for one in task.outputs]
            given = None if task.joined else (task.input["path"], task.input["fuel"])
            tasks.setdefault(path, set()).add((task.status, given, tuple(outputs), task.error))
        return Ended(run, tasks, await self._contexts(run))


def in_memory() -> Callable[[], Store]:
    """The same store each time."""
    store = Store.open("memory://")
    return lambda: store


@lru_cache(maxsize=16)
def tried_without_deaths(program: Program, *, faulty: bool = True) -> tuple[dict[str, Ended], set[Any]]:
    """An uninterrupted run of it: how it ended, and the keys of what was started."""
    trial = Trial(program, Settings(), in_memory())
    trial.player.is_faulty = faulty
    ended = trial()
    return ended, {started.key for started in trial.player.started}


def assert_same_end(program: Program, trial: Trial, ended: dict[str, Ended], *, faulty: bool = True) -> None:
    """It ended as an uninterrupted run does, and did what that does."""
    expected, keys = tried_without_deaths(program, faulty=faulty)
    assert {started.key for started in trial.player.started} == keys
    for run_id, one in ended.items():
        other = expected[run_id]
        assert one.run.status == other.run.status
        # How far it has gone is written now and then: what a dead process did after that may have been the longest.
        assert one.run.hops == other.run.hops if not trial.settings.deaths else one.run.hops <= other.run.hops
        if trial.settings.volume == "full":
            assert one.tasks == other.tasks
        if not trial.player.enqueued:
            assert one.contexts == other.contexts


def _write(neuron: str) -> None:
    activation = current_activation()
    row = activation.run_id, neuron, activation.id
    current_transaction().execute("INSERT INTO written VALUES (?, ?, ?)", row)


class NoHeartbeat:
    """In place of ``Heartbeat``: leases run out at once here, and nothing is to depend on what time it is."""

    def __init__(self, *_: Any) -> None:
        pass

    def stop_soon(self) -> None:
        """Nothing goes on."""

    stop = stop_soon


@contextmanager
def quietly() -> Generator[None]:
    """Without heartbeats, and without the warnings that every death gives, and every failure of which nobody hears."""
    log = logging.getLogger("cnstra.durable")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnstra.durable.owner.Heartbeat", NoHeartbeat)
        log.disabled = True
        try:
            yield
        finally:
            gc.collect()
            log.disabled = False
