"""Runs a random program on an engine, with a deterministic driver, and writes down everything that can be seen.

The trace is a list of tuples of plain data, each beginning with its kind and the number of its run; two engines obey
the same rules if the same program gives equal traces. ``events.py`` says what is in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from itertools import count
from typing import Any

from .events import Drained, Ended, Ending, Event, Heard, Note, Started, Task
from .programs import Deed, Ear, Part, Program, Start, collateral_name, neuron_name

__all__ = ["Execution", "Halt"]

Payload = tuple[str, int]

_MOST = 20_000  # events; the fuel of a program is not enough for a tenth of it


class Halt(BaseException):
    """What no handler should raise."""


class _Future:
    """An awaitable that is no coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


class Execution:
    """One execution of a program.

    Args:
        lib: the package, with the engine that is to be used.
        program: what to run.
        retried: faults and deeds of handlers happen at the first attempt of an activation only, and the graph keeps
            being driven by whoever made this; see ``drive``.
    """

    def __init__(self, lib: Any, program: Program, *, retried: bool = False) -> None:
        self.lib = lib
        self.program = program
        self.events: list[Event] = []
        self.runs: list[Any] = []  # by number; None until its Stimulation is known
        self.concurrency: dict[int, int | None] = {}  # by number of the run, of those that were started with options
        self.gates: list[tuple[str, asyncio.Future[None], Any]] = []
        self._retried = retried
        self._attempted: set[tuple[Any, ...]] = set()
        self._number: ContextVar[int] = ContextVar("number", default=-1)
        self._watchers: list[asyncio.Task[None]] = []
        self._store = lib.MemoryContextStore()
        self.collaterals = [lib.collateral(collateral_name(i), tuple) for i in range(program.collaterals)]
        self.neurons = [self._build(n) for n in range(len(program.neurons))]
        self.stranger = lib.neuron("stranger").dendrite(collateral=self.collaterals[0], response=lambda payload: None)
        self.cns = lib.CNS(
            self.neurons, auto_cleanup_contexts=program.cleanup, enforce_ownership=program.enforce_ownership
        )
        if program.ear is not None:
            self.cns.add_response_listener(self.listener(program.ear, "global"))
        if program.drain is not None:
            self.cns.add_drain_listener(self._drain_listener(program.drain, "global"))

    # -- the graph

    def _build(self, n: int) -> Any:
        spec = self.program.neurons[n]
        owned = {collateral_name(c): self.collaterals[c] for c in spec.owns}
        neuron = self.lib.neuron(neuron_name(n), owned or None, concurrency=spec.limit)
        for p, part in enumerate(spec.parts):
            heard = [self.collaterals[c] for c in part.hears]
            add = neuron.join if part.join else neuron.dendrite
            add(collateral=heard, response=self._handler(n, p, part))
        return neuron

    def _handler(self, n: int, p: int, part: Part) -> Any:
        def plain(payload: Any, axon: Any, ctx: Any) -> Any:
            self._begin(n, p, part, payload, ctx)
            try:
                self._deed(n, p, part, payload, ctx, early=True)
                answer = self._deed(n, p, part, payload, ctx, early=False)
                return self._answer(n, p, part, payload) if answer is None else answer
            finally:
                self._end(n, p, payload)

        async def suspending(payload: Any, axon: Any, ctx: Any) -> Any:
            self._begin(n, p, part, payload, ctx)
            try:
                await self._wait_for(self._deed(n, p, part, payload, ctx, early=True))
                for _ in range(part.naps):
                    await asyncio.sleep(0)
                for _ in range(part.gates):
                    await self._gate(f"{neuron_name(n)}{p} {_label(payload)}")
                await self._wait_for(self._deed(n, p, part, payload, ctx, early=False))
                return self._answer(n, p, part, payload)
            finally:
                self._end(n, p, payload)

        if part.style == "plain":
            body: Callable[[Any, Any, Any], Any] = plain
        elif part.style == "async":
            body = suspending
        else:

            def body(payload: Any, axon: Any, ctx: Any) -> Any:
                return _Future(suspending(payload, axon, ctx))

        if part.arity == 3:
            return body
        if part.style == "async":
            if part.arity == 2:

                async def of_two(payload: Any, axon: Any) -> Any:
                    return await suspending(payload, axon, None)

                return of_two

            async def of_one(payload: Any) -> Any:
                return await suspending(payload, None, None)

            return of_one
        if part.arity == 2:
            return lambda payload, axon: body(payload, axon, None)
        return lambda payload: body(payload, None, None)

    def _begin(self, n: int, p: int, part: Part, payload: Any, ctx: Any) -> None:
        run = self._number.get()
        task, context = None, None
        if ctx is not None:
            self._know(run, ctx.stimulation)
            task = Task.of(ctx.task)
            if part.context == "count":
                ctx.set((ctx.get() or 0) + 1)
            elif part.context == "delete":
                ctx.delete()
            context = ctx.get()
        heard = payload if isinstance(payload, list) else [payload]
        assert len(self.events) < _MOST, "the program does not end"
        self.events.append(Started(run, neuron_name(n), p, tuple(map(tuple, heard)), task, context, self._frontier(run)))

    def _end(self, n: int, p: int, payload: Any) -> None:
        self.events.append(Ended(self._number.get(), neuron_name(n), p, _label(payload)))

    def _first_time(self, what: str, n: int, p: int, payload: Any) -> bool:
        """Whether a handler that is retried does it at this attempt."""
        key = (what, n, p, _label(payload))
        if self._retried and key in self._attempted:
            return False
        self._attempted.add(key)
        return True

    def _deed(self, n: int, p: int, part: Part, payload: Any, ctx: Any, *, early: bool) -> Any:
        path, fuel = _merged(payload)
        if part.deed is None or part.deed_at != fuel % 3 or part.early is not early:
            return None
        if not self._first_time("deed", n, p, payload):
            return None
        return self.do(part.deed, None if ctx is None else ctx.stimulation, f"{path}+{neuron_name(n)}{p}", fuel)

    async def _wait_for(self, run: Any) -> None:
        if run is not None:
            await run

    def _answer(self, n: int, p: int, part: Part, payload: Any) -> Any:
        path, fuel = _merged(payload)
        if part.fault and part.fault_at == fuel % 6 and self._first_time("fault", n, p, payload):
            if part.fault == "raise":
                raise ValueError(f"fault of {neuron_name(n)}{p} at {path}")
            if part.fault == "cancelled":
                raise asyncio.CancelledError("out of nowhere")
            if part.fault == "junk":
                return [self.collaterals[0].create_signal((path, 0)), "junk"]
            stolen = [c for c in range(self.program.collaterals) if c not in self.program.neurons[n].owns]
            if stolen and fuel > 0:
                return self.collaterals[stolen[0]].create_signal((f"{path}.{neuron_name(n)}{p}!", (fuel - 1) // 4))
        share = self.program.share(part, fuel)
        signals = [
            self.collaterals[c].create_signal((f"{path}.{neuron_name(n)}{p}{'' if i == 0 else i}", share))
            for i, c in enumerate(part.emits)
            if share is not None
        ]
        if part.listed:
            return signals
        return None if not signals else signals[0] if len(signals) == 1 else tuple(signals)

    # -- listeners

    def listener(self, ear: Ear, whose: str) -> Any:
        calls = count()

        def on_response(response: Any) -> Any:
            run = self._number.get()
            self._know(run, response.stimulation)
            call = next(calls)
            waits = ear.gate_every and call % ear.gate_every == 0 and call != ear.fault_at
            gate = f"{whose} {run}.{call}" if waits else None
            self.events.append(Heard.of(run, whose, response, self._frontier(run), gate))
            if call == ear.fault_at:
                raise ValueError(f"fault of the {whose} listener at {call}")
            nested = None
            if ear.deed is not None and call == ear.deed_at:
                nested = self.do(ear.deed, response.stimulation, f"{whose}{run}", 3)
            return self._gated(nested, gate) if ear.style == "async" else None

        return on_response

    async def _gated(self, nested: Any, label: str | None) -> None:
        await self._wait_for(nested)
        if label is not None:
            await self._gate(label)

    def _drain_listener(self, ear: Ear, whose: str) -> Any:
        calls = count()

        def on_drain(drain: Any) -> Any:
            run = self._number.get()
            self._know(run, drain.stimulation)
            call = next(calls)
            counters = drain.queue_length, drain.pending_activations, drain.active_activations
            self.events.append(Drained(run, whose, *counters, self._frontier(run)))
            if call == ear.fault_at:
                raise ValueError(f"fault of the {whose} drain listener at {call}")
            if ear.deed is not None and call == ear.deed_at:
                self.do(ear.deed, drain.stimulation, f"{whose} drain{run}", 3)
            return self._gated(None, None) if ear.style == "async" else None

        return on_drain

    # -- what handlers, listeners and the driver do

    def do(self, deed: Deed, stimulation: Any, path: str, fuel: int) -> Any:
        """Do it; gives a run to wait for, or None. Without a stimulation, that of a handler without ctx is not known."""
        run = self._number.get()
        self._note("do", repr(deed))
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
        if deed.kind == "abort":
            stimulation.abort(path)
        elif deed.kind == "cancel":
            stimulation.cancel(path)
        else:
            try:
                stimulation.enqueue(self.tasks(deed, path, fuel))
            except self.lib.StimulationError as error:
                self._note("refused", type(error).__name__)
            else:
                self.events.append(Note("enqueued", run, "", self._frontier(run)))
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

    async def _gate(self, label: str) -> None:
        future = asyncio.get_running_loop().create_future()
        gate = label, future, asyncio.current_task()
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
        token = self._number.set(number)
        try:
            stimulation = make()
        except Halt as halt:
            self._note("halted", str(halt))
            raise
        finally:
            self._number.reset(token)
        self.events.append(Note("returned", number, stimulation.outcome, Task.all_of(stimulation.outstanding_tasks)))
        self._know(number, stimulation)
        return stimulation

    def _start(self, start: Start) -> None:
        number = len(self.runs)
        options = {
            "on_response": None if start.ear is None else self.listener(start.ear, "local"),
            "on_drain": None if start.drain is None else self._drain_listener(start.drain, "local"),
            "concurrency": start.concurrency,
            "max_hops": start.max_hops,
            "context_store": self._store if start.shared_store else None,
        }
        self.concurrency[number] = start.concurrency
        signals = [self.collaterals[c].create_signal((f"{number}{i or ''}", f)) for i, (c, f) in enumerate(start.signals)]
        tasks = [task for s, (c, _) in zip(signals, start.signals, strict=True) for task in self._tasks_for(c, s)]
        try:
            if start.by_tasks:
                self.start(lambda: self.cns.activate(tasks, **options))
            else:
                self.start(lambda: self.cns.stimulate(signals[0] if len(signals) == 1 else signals, **options))
        except Halt:
            pass

    def _know(self, run: int, stimulation: Any) -> None:
        if run < 0:
            self._note("lost", "a handler or listener outside the context of its run")
        elif self.runs[run] is None:
            self.runs[run] = stimulation
        elif self.runs[run] is not stimulation:
            self._note("strange", "a handler or listener in the context of another run")

    def _frontier(self, run: int) -> tuple[Task, ...] | None:
        stimulation = self.runs[run]
        return None if stimulation is None else Task.all_of(stimulation.outstanding_tasks)

    def _note(self, kind: str, text: str) -> None:
        self.events.append(Note(kind, self._number.get(), text, None))

    # -- the driver

    def __call__(self) -> list[Event]:
        """Start the runs, open gate after gate until nothing moves any more, and see what has become of the runs."""
        asyncio.run(self._main())
        return self.events

    def without_loop(self) -> list[Event]:
        """The same where no event loop runs."""
        for start in self.program.starts:
            self._start(start)
        self.finish()
        return self.events

    async def _main(self) -> None:
        await self.begin()
        await self.drive()
        self.finish()

    async def begin(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("driver")
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: self._note("loop", repr(context.get("exception"))))
        for start in self.program.starts:
            self._start(start)

    async def drive(self, *, pokes: bool = True) -> None:
        """Open gates until there are none; then cancel what is left, which waits for itself."""
        due = sorted(self.program.pokes, key=lambda poke: poke.step) if pokes else []
        step = 0
        while True:
            await settle()
            while due and (due[0].step <= step or not self.gates):
                self._poke(due.pop(0))
                await settle()
            if not self.gates:
                break
            choices = self.program.gates
            self._open(choices[step] if step < len(choices) else 0)
            step += 1
        for number in self.unfinished():
            self.events.append(Note("stuck", number, "", self._frontier(number)))
        for number in self.unfinished():
            self.runs[number].cancel("stuck")
            await settle()
        await asyncio.gather(*self._watchers)

    async def open(self, gates: int) -> None:
        """Open that many gates at most."""
        await settle()
        for choice in (*self.program.gates, *[0] * gates)[:gates]:
            if self.gates:
                self._open(choice)
                await settle()

    def unfinished(self) -> list[int]:
        return [number for number, run in enumerate(self.runs) if run is not None and not run.done()]

    def _open(self, choice: int) -> None:
        label, future, _ = self.gates.pop(choice % len(self.gates))
        self._note("open", label)
        if not future.done():
            future.set_result(None)

    def _poke(self, poke: Any) -> None:
        if poke.kind == "start":
            self._note("poke", repr(poke))
            self._start(self.program.starts[poke.index % len(self.program.starts)])
        elif poke.kind in ("quit", "break", "drop"):
            if self.gates:
                label, future, task = self.gates[poke.index % len(self.gates)]
                self._note(poke.kind, label)
                if poke.kind == "quit":
                    task.cancel("quit")
                elif poke.kind == "drop":
                    future.cancel("dropped")
                elif not future.done():
                    future.set_exception(ValueError(f"broken gate of {label}"))
        else:
            number = poke.index % len(self.runs)
            run = self.runs[number]
            if run is None:
                return
            self._note("poke", repr(poke))
            if poke.kind == "await":
                self._watchers.append(asyncio.ensure_future(self._watch(number)))
            else:
                token = self._number.set(number)
                try:
                    self.do(Deed(poke.kind), run, f"poke{poke.step}", 4)
                except Halt as halt:
                    self._note("halted", str(halt))
                finally:
                    self._number.reset(token)

    async def _watch(self, number: int) -> None:
        try:
            await self.runs[number]
        except BaseException as error:
            self.events.append(Note("awaited", number, type(error).__name__, None))
        else:
            self.events.append(Note("awaited", number, "", None))

    def finish(self) -> None:
        for number, run in enumerate(self.runs):
            if run is not None:
                self.events.append(Ending.of(number, run))


async def settle() -> None:
    """Let the loop go round until it has nothing to do. There are no timers in these programs."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    while True:
        await asyncio.sleep(0)
        if not ready:
            return


def _merged(payload: Any) -> Payload:
    """The path and the fuel of what a handler was given; of a join, of all together."""
    if not isinstance(payload, list):
        path, fuel = payload
        return path, fuel
    return "(" + "&".join(path for path, _ in payload) + ")", max(fuel for _, fuel in payload)


def _label(payload: Any) -> str:
    return _merged(payload)[0]
