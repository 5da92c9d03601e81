"""The graph of a random program: its handlers do what their parts say, and write down that they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .events import Ended, Started, Task
from .programs import Part, Program, collateral_name, neuron_name
from .stage import Stage

__all__ = ["Actors"]

_MOST = 20_000  # events; the fuel of a program is not enough for a tenth of it


class _Future:
    """An awaitable that is no coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


class Actors(Stage):
    """A stage with a graph on it.

    Args:
        lib: the package, with the engine that is to be used.
        program: what to run.
        retried: faults and deeds of handlers happen at the first attempt of an activation only.
    """

    def __init__(self, lib: Any, program: Program, *, retried: bool = False) -> None:
        super().__init__(lib, program)
        self._retried = retried
        self._attempted: set[tuple[Any, ...]] = set()
        self.neurons = [self._build(n) for n in range(len(program.neurons))]
        self.stranger = lib.neuron("stranger").dendrite(collateral=self.collaterals[0], response=lambda payload: None)
        self.cns = lib.CNS(
            self.neurons, auto_cleanup_contexts=program.cleanup, enforce_ownership=program.enforce_ownership
        )
        if program.ear is not None:
            self.cns.add_response_listener(self.listener(program.ear, "global"))
        if program.drain is not None:
            self.cns.add_drain_listener(self.drain_listener(program.drain, "global"))

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
                await self.wait_for(self._deed(n, p, part, payload, ctx, early=True))
                for _ in range(part.naps):
                    await asyncio.sleep(0)
                for _ in range(part.gates):
                    await self._stand(part, f"{neuron_name(n)}{p} {_label(payload)}")
                await self.wait_for(self._deed(n, p, part, payload, ctx, early=False))
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

    async def _stand(self, part: Part, label: str) -> None:
        try:
            await self.gate(label)
        except asyncio.CancelledError:
            if part.tough == "fail":
                raise ValueError(f"cancelled at {label}") from None
            if not part.tough:
                raise

    def _begin(self, n: int, p: int, part: Part, payload: Any, ctx: Any) -> None:
        run = self.number.get()
        task, context = None, None
        if ctx is not None:
            self.know(run, ctx.stimulation)
            task = Task.of(ctx.task)
            if part.context == "count":
                ctx.set((ctx.get() or 0) + 1)
            elif part.context == "delete":
                ctx.delete()
            context = ctx.get()
        heard = payload if isinstance(payload, list) else [payload]
        assert len(self.events) < _MOST, "the program does not end"
        self.events.append(Started(run, neuron_name(n), p, tuple(map(tuple, heard)), task, context, self.frontier(run)))

    def _end(self, n: int, p: int, payload: Any) -> None:
        run = self.number.get()
        outcome = None if self.runs[run] is None else self.runs[run].outcome
        self.events.append(Ended(run, neuron_name(n), p, _label(payload), outcome))

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


def _merged(payload: Any) -> tuple[str, int]:
    """The path and the fuel of what a handler was given; of a join, of all together."""
    if not isinstance(payload, list):
        path, fuel = payload
        return path, fuel
    return "(" + "&".join(path for path, _ in payload) + ")", max(fuel for _, fuel in payload)


def _label(payload: Any) -> str:
    return _merged(payload)[0]
