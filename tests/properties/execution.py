"""Runs a random program on an engine, with a deterministic driver, and writes down everything that can be seen.

Two engines obey the same rules if the same program gives equal traces.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .actors import Actors
from .events import Ending, Event, Note
from .programs import Deed
from .stage import Halt

__all__ = ["Execution"]


class Execution(Actors):
    """One execution of a program; calling it gives the trace."""

    def __call__(self) -> list[Event]:
        """Start the runs, open gate after gate until nothing moves any more, and see what has become of the runs."""
        asyncio.run(self._main())
        return self.events

    def without_loop(self) -> list[Event]:
        """The same where no event loop runs."""
        for start in self.program.starts:
            self.start_as(start)
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
        loop.set_exception_handler(lambda loop, context: self.note("loop", repr(context.get("exception"))))
        for start in self.program.starts:
            self.start_as(start)

    async def drive(self, *, pokes: bool = True) -> None:
        """Open gates until there are none; cancel runs that wait for each other, the last one first."""
        due = sorted(self.program.pokes, key=lambda poke: poke.step) if pokes else []
        step = 0
        while True:
            await settle()
            while due and (due[0].step <= step or not self.gates):
                self._poke(due.pop(0))
                await settle()
            if self.gates:
                choices = self.program.gates
                self._open(choices[step] if step < len(choices) else 0)
                step += 1
            elif self.unfinished():
                self._cancel(self.unfinished()[-1])
            else:
                break
        await asyncio.gather(*self.watchers, return_exceptions=True)

    async def open(self, gates: int) -> None:
        """Open that many gates at most."""
        await settle()
        for choice in (*self.program.gates, *[0] * gates)[:gates]:
            if self.gates:
                self._open(choice)
                await settle()

    def unfinished(self) -> list[int]:
        return [number for number, run in enumerate(self.runs) if run is not None and not run.done()]

    def _cancel(self, number: int) -> None:
        self.events.append(Note("stuck", number, "", self.frontier(number)))
        try:
            self.runs[number].cancel("stuck")
        except Halt as halt:
            self.note("halted", str(halt))

    def _open(self, choice: int) -> None:
        gate = self.gates.pop(choice % len(self.gates))
        self.events.append(Note("open", gate.run, gate.label, None))
        if not gate.future.done():
            gate.future.set_result(None)

    def _poke(self, poke: Any) -> None:
        if poke.kind == "start":
            self.note("poke", repr(poke))
            self.start_as(self.program.starts[poke.index % len(self.program.starts)])
        elif poke.kind in ("quit", "break", "drop"):
            if self.gates:
                gate = self.gates[poke.index % len(self.gates)]
                self.events.append(Note(poke.kind, gate.run, gate.label, None))
                if poke.kind == "quit":
                    assert gate.task is not None
                    gate.task.cancel("quit")
                elif poke.kind == "drop":
                    gate.future.cancel("dropped")
                elif not gate.future.done():
                    gate.future.set_exception(ValueError(f"broken gate of {gate.label}"))
        else:
            number = poke.index % len(self.runs)
            run = self.runs[number]
            if run is None:
                return
            self.note("poke", repr(poke))
            if poke.kind == "await":
                self.watchers.append(asyncio.ensure_future(self._watch(number)))
            else:
                token = self.number.set(number)
                try:
                    self.do(Deed(poke.kind), run, f"poke{len(self.events)}", 4)
                except Halt as halt:
                    self.note("halted", str(halt))
                finally:
                    self.number.reset(token)

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
