"""What the engine takes beside time: memory, and the start of a program.

Memory is what the system says that a process occupies (``/proc/self/statm``), before and after, as tracemalloc does
not see what Rust allocates. It comes in pages and is never quite given back: so each figure is over so many units that
pages do not matter, and each is taken in fresh processes, where little that was freed before can be used again. What
the allocators keep for themselves counts as taken, so the figures are rather too high than too low.

    python -m benches.footprint WHAT [ARGUMENT]

is how the fresh processes are started; each prints one number.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["Figure", "figures"]

ROOT = Path(__file__).resolve().parents[1]
STATM = Path("/proc/self/statm")

WAITING = 20_000
HOPS = 10_000_000
NEURONS = 200_000
IMPORTS = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and what it may be at most; ``limit`` is None where nothing was promised."""

    name: str
    measured: float
    limit: float | None
    unit: str

    @property
    def ok(self) -> bool:
        return self.limit is None or self.measured <= self.limit

    @property
    def text(self) -> str:
        return f"{self.measured:,.1f} {self.unit}"

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return f"at most {self.limit:,.0f} {self.unit}: {'ok' if self.ok else 'TOO MUCH'}"


def figures(progress: Callable[[str], None]) -> Iterator[Figure]:
    """Measure all; those of memory only where the system tells.

    Raises:
        AssertionError: something did not do its work.
    """
    if STATM.exists():
        progress("memory")
        yield Figure(f"growth over {HOPS:,} hops in one run", in_fresh_process("hops") / 2**10, 1024, "KiB")
        run, task = (in_fresh_process("waiting", what) for what in ("run", "task"))
        yield Figure("a run that waits in one async handler", run, None, "bytes")
        yield Figure("a task that waits in the same coroutine", task, None, "bytes")
        yield Figure("the run beside its task and coroutine", run - task, 1536, "bytes")
        yield Figure("a compiled graph, core and binding, per neuron", in_fresh_process("graph"), None, "bytes")
    else:
        progress("memory is not measured here: there is no /proc")
    progress("import")
    yield Figure("import cnstra, beside the interpreter's own start", import_time(), 40, "ms")
    yield Figure("import cnstra, as -X importtime tells", told_import_time(), 40, "ms")


# --- Memory: each of these runs in a process of its own, and prints what it found


def resident() -> int:
    """Bytes that the process occupies."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hops() -> float:
    """By how many bytes the process grows while a run goes ten million hops around a ring, at its largest."""
    from . import graphs
    from .works import assert_outcome

    seen: list[int] = []

    def spend(payload: int, axon: Any) -> Any:
        if payload % 1_000_000 == 0:
            seen.append(resident())
        return axon.out.create_signal(payload - 1) if payload else None

    graph = graphs.ring(10, spend)
    start = graph.collaterals[0].create_signal
    assert_outcome(graph.cns.stimulate(start(100_000)))
    seen.clear()
    before = resident()
    assert_outcome(graph.cns.stimulate(start(HOPS)))
    assert len(seen) == HOPS // 1_000_000 + 1
    return max(seen[1:]) - before


def waiting(what: str) -> float:
    """The bytes of one run that waits, or of one task, among many.

    All wait in the same coroutine, each for a future of its own, and all are kept in a list by whoever started them.
    So a task is counted with its coroutine, its context, and the future and its callback; and a run with the same and
    with all that the engine has for it.
    """
    from . import graphs
    from .works import assert_outcome

    async def main() -> float:
        loop = asyncio.get_running_loop()
        gates: list[asyncio.Future[None]] = []

        async def wait(payload: int) -> None:
            gates.append(gate := loop.create_future())
            await gate

        graph = graphs.fan(1, handler=wait)
        stimulate, signal = graph.cns.stimulate, graph.signal
        started: list[Any] = []

        async def start(count: int) -> None:
            for _ in range(count):
                started.append(stimulate(signal) if what == "run" else asyncio.create_task(wait(signal.payload)))
            # So that tasks, too, have come to where they wait.
            await asyncio.sleep(0)

        # What is made once, and what grows by leaps.
        await start(1_000)
        before = resident()
        await start(WAITING)
        taken = resident() - before
        assert len(gates) == len(started) == WAITING + 1_000
        for gate in gates:
            gate.set_result(None)
        for one in started:
            await one
            if what == "run":
                assert_outcome(one)
        return taken / WAITING

    return asyncio.run(main())


def graph() -> float:
    """The bytes per neuron that a CNS takes beside its neurons."""
    from cnstra import CNS

    from . import graphs

    neurons, _, _ = graphs.row(NEURONS, "hop", lambda _: graphs.relay())
    before = resident()
    cns = CNS(neurons)
    taken = resident() - before
    assert len(cns.neurons) == NEURONS
    return taken / NEURONS


MEASUREMENTS: dict[str, Callable[..., float]] = {"hops": hops, "waiting": waiting, "graph": graph}


def in_fresh_process(*arguments: str, times: int = 3) -> float:
    """What a measurement says, the median of several.

    Raises:
        RuntimeError: it failed.
    """
    found: list[float] = []
    for _ in range(times):
        done = python("-m", "benches.footprint", *arguments)
        found.append(float(done.stdout))
    return median(found)


# --- The start of a program


def import_time() -> float:
    """Milliseconds that a program takes longer if it imports cnstra: the median over pairs of processes.

    Of the processor's time: on a busy machine two processes do not wait for it equally long.
    """

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (usage.ru_utime + usage.ru_stime) * 1e3

    def start(code: str) -> float:
        before = spent()
        python("-c", code, cache=cache)
        return spent() - before

    with TemporaryDirectory() as cache:
        # Once without looking: this compiles the modules, as the installation of a package does.
        start("import cnstra")
        return median(start("import cnstra") - start("pass") for _ in range(IMPORTS))


def told_import_time() -> float:
    """The same in Python's own words, which slow it down a little: the median of several processes."""
    found: list[float] = []
    with TemporaryDirectory() as cache:
        for _ in range(1 + IMPORTS):
            lines = python("-X", "importtime", "-c", "import cnstra", cache=cache).stderr.splitlines()
            (line,) = [line for line in lines if line.endswith("| cnstra")]
            found.append(float(line.split("|")[1]) / 1e3)
    return median(found[1:])


def python(*arguments: str, cache: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run this interpreter.

    Args:
        cache: where it keeps what it compiles, whatever the environment and the rights to folders say.

    Raises:
        RuntimeError: it failed.
    """
    environment = dict(os.environ)
    if cache is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = cache
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stderr}")
    return done


if __name__ == "__main__":
    print(MEASUREMENTS[sys.argv[1]](*sys.argv[2:]))
