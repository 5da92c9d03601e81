"""What handlers and listeners of a random program share: the runs, what is done to them, and what is seen of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from typing import Any, NamedTuple

from .events import Drained, Event, Heard, Note, Task
from .programs import Deed, Ear, Program, Start, collateral_name

__all__ = ["Halt", "Stage"]


class Halt(BaseException):
    """What no handler should raise."""


class Gate(NamedTuple):
    """Where something of a run waits for the driver."""

    run: int
    label: str
    future: asyncio.Future[None]
    task: asyncio.Task[Any] | None


class Stage:
    """The runs of a program by number, its gates, and the trace of what happens.

    Args:
        lib: the package, with the engine that is to be used.
        program: what to run.
    """

    cns: Any
    neurons: list[Any]
    stranger: Any

    def __init__(self, lib: Any, program: Program) -> None:
        self.lib = lib
        self.program = program
        self.events: list[Event] = []
        self.runs: list[Any] = []  # by number; None until its Stimulation is known
        self.concurrency: dict[int, int | None] = {}  # by number of the run, of those that were started with options
        self.watchers: list[asyncio.Task[None]] = []  # tasks of the driver's that await, query or read runs
        self.gates: list[Gate] = []
        self.collaterals = [lib.collateral(collateral_name(i), tuple) for i in range(program.collaterals)]
        self.number: ContextVar[int] = ContextVar("number", default=-1)
        self._store = lib.MemoryContextStore()

    # -- listeners

    def listener(self, ear: Ear, whose: str) -> Any:
        calls = count()

        def on_response(response: Any) -> Any:
            run = self.number.get()
            self.know(run, response.stimulation)
            call = next(calls)
            waits = ear.gate_every and call % ear.gate_every == 0 and call != ear.fault_at
            gate = f"{whose} {run}.{call}" if waits else None
            self.events.append(Heard.of(run, whose, response, self.frontier(run), gate))
            if call == ear.fault_at:
                raise ValueError(f"fault of the {whose} listener at {call}")
            nested = None
            if ear.deed is not None and call == ear.deed_at:
                nested = self.do(ear.deed, response.stimulation, f"{whose}{run}", 3)
            return self._settle(nested, gate) if ear.style == "async" else None

        return on_response

    async def _settle(self, nested: Any, label: str | None) -> None:
        await self.wait_for(nested)
        if label is not None:
            await self.gate(label)
            self.note("settled", self.runs[self.number.get()].outcome)

    def drain_listener(self, ear: Ear, whose: str) -> Any:
        calls = count()

        def on_drain(drain: Any) -> Any:
            run = self.number.get()
            self.know(run, drain.stimulation)
            call = next(calls)
            counters = drain.queue_length, drain.pending_activations, drain.active_activations, drain.last_id
            self.events.append(Drained(run, whose, *counters, self.frontier(run)))
            if call == ear.fault_at:
                raise ValueError(f"fault of the {whose} drain listener at {call}")
            if ear.deed is not None and call == ear.deed_at:
                self.do(ear.deed, drain.stimulation, f"{whose} drain{run}", 3)
            return self._settle(None, None) if ear.style == "async" else None

        return on_drain

    async def wait_for(self, run: Any) -> None:
        if run is not None:
            await run

    # -- what handlers, listeners and the driver do

    def do(self, deed: Deed, stimulation: Any, path: str, fuel: int) -> Any:
        """Do it; gives a run to wait for, or None. The run of a handler without ctx is not known to it."""
        run = self.number.get()
        self.note("do", repr(deed))
        if fuel < 1 and deed.kind in ("stimulate", "await", "enqueue", "stray"):
            return None
        if deed.kind in ("stimulate", "await"):
            signal = self.collaterals[deed.collateral].create_signal((path, (fuel - 1) // 2))
            nested = self.start(lambda: self.cns.stimulate(signal, on_response=self.listener(Ear(), "nested")))
            return nested if deed.kind == "await" else None
        if deed.kind == "quit":
            task = asyncio.current_task()
            if task is not None and task.get_name() != "driver":
                task.cancel()
            return None
        if deed.kind == "halt":
            raise Halt(path)
        if stimulation is None:
            return None
        if deed.kind == "own":
            return stimulation
        if deed.kind in ("abort", "cancel"):
            self.note("aborting", stimulation.outcome)
            stimulation.abort(path) if deed.kind == "abort" else stimulation.cancel(path)
        else:
            try:
                stimulation.enqueue(self.tasks(deed, path, fuel))
            except self.lib.StimulationError as error:
                self.note("refused", type(error).__name__)
            else:
                self.events.append(Note("enqueued", run, "", self.frontier(run)))
        return None

    def tasks(self, deed: Deed, path: str, fuel: int) -> list[Any]:
        """Tasks for the first dendrite that hears the deed's collateral, or for one that is not in the graph."""
        signal = self.collaterals[deed.collateral].create_signal((path, (fuel - 1) // 2))
        if deed.kind == "stray":
            return [self.lib.ActivationTask(self.stranger, signal)]
        return self._tasks_for(deed.collateral, signal)[:1]

    def _tasks_for(self, collateral: int, signal: Any) -> list[Any]:
        place = self.program.place
        return [
            self.lib.ActivationTask(self.neurons[n], signal, place(collateral, n, p))
            for n, p in self.program.subscribers(collateral)
        ]

    async def gate(self, label: str) -> None:
        future = asyncio.get_running_loop().create_future()
        gate = Gate(self.number.get(), label, future, asyncio.current_task())
        self.gates.append(gate)
        try:
            await future
        finally:
            if gate in self.gates:
                self.gates.remove(gate)

    # -- runs

    def start(self, make: Callable[[], Any]) -> Any:
        """A run of its own number, which all its handlers and listeners find in their context."""
        number = len(self.runs)
        self.runs.append(None)
        token = self.number.set(number)
        try:
            stimulation = make()
        except Halt as halt:
            self.note("halted", str(halt))
            raise
        finally:
            self.number.reset(token)
        self.events.append(Note("returned", number, stimulation.outcome, Task.all_of(stimulation.outstanding_tasks)))
        self.know(number, stimulation)
        return stimulation

    def resume(self, tasks: list[Any]) -> None:
        self.start(lambda: self.cns.activate(tasks, on_response=self.listener(Ear(), "nested")))

    def start_as(self, start: Start) -> None:
        number = len(self.runs)
        options = {
            "on_response": None if start.ear is None else self.listener(start.ear, "local"),
            "on_drain": None if start.drain is None else self.drain_listener(start.drain, "local"),
            "concurrency": start.concurrency,
            "max_hops": start.max_hops,
            "context_store": self._store if start.shared_store else None,
        }
        self.concurrency[number] = start.concurrency
        if start.way in ("query", "stream"):
            from . import readers

            self.runs.append(None)
            read = readers.query if start.way == "query" else readers.stream
            self.watchers.append(asyncio.ensure_future(read(self, number, start, options)))
            return
        signals = self.signals(start, number)
        tasks = [task for s, (c, _) in zip(signals, start.signals, strict=True) for task in self._tasks_for(c, s)]
        try:
            if start.way == "activate":
                self.start(lambda: self.cns.activate(tasks, **options))
            else:
                self.start(lambda: self.cns.stimulate(signals[0] if len(signals) == 1 else signals, **options))
        except Halt:
            pass

    def signals(self, start: Start, number: int) -> list[Any]:
        return [self.collaterals[c].create_signal((f"{number}{i or ''}", f)) for i, (c, f) in enumerate(start.signals)]

    def know(self, run: int, stimulation: Any) -> None:
        if run < 0:
            self.note("lost", "a handler or listener outside the context of its run")
        elif self.runs[run] is None:
            self.runs[run] = stimulation
        elif self.runs[run] is not stimulation:
            self.note("strange", "a handler or listener in the context of another run")

    def frontier(self, run: int) -> tuple[Task, ...] | None:
        stimulation = self.runs[run]
        return None if stimulation is None else Task.all_of(stimulation.outstanding_tasks)

    def note(self, kind: str, text: str) -> None:
        self.events.append(Note(kind, self.number.get(), text, None))
