"""The graph of a random program for durable runs: what its handlers do depends on what they are given and nothing else,
and they write down that they were entered.

The programs are those of the property tests of the engine, of which these features are used here: parts that are plain,
async or awaitables, nap, fail by their fuel and enqueue; joins, limits, lists. Each neuron counts its successful
activations in its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

from cnstra import CNS, ActivationTask, Signal, StimulationError, collateral, neuron
from cnstra.durable import current_activation

from ..properties.programs import Part, Program, Start, collateral_name, neuron_name

__all__ = ["Heard", "Player", "Started", "Token"]


@dataclass(frozen=True)
class Token:
    """A payload: where it comes from, and how much may still come of it."""

    path: str
    fuel: int


class Heard(NamedTuple):
    """What an activation was given: where it comes from, and by which of the neuron's dendrites on its collateral."""

    path: str
    dendrite: int


class Started(NamedTuple):
    """A handler was entered."""

    run: str
    attempt: int
    id: str
    neuron: str
    part: int
    heard: tuple[Heard, ...]

    @property
    def key(self) -> tuple[str, str, int, tuple[Heard, ...]]:
        """What tells it from all other activations of the program, in every attempt."""
        return self.run, self.neuron, self.part, tuple(sorted(self.heard))

    @property
    def is_of_enqueued(self) -> bool:
        """Whether something in its past was enqueued."""
        return any("+" in heard.path for heard in self.heard)


class _Later:
    """An awaitable that is no coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


class Player:
    """A graph that plays a program.

    Args:
        program: what its handlers do.
        on_start: called by each handler as the first thing.
        on_write: called by the handlers of transactional neurons, those whose parts are all plain, before they answer.

    Attributes:
        started: what was entered.
        emitted: of each signal that a handler returned, by its path: in which attempt, and the id of that activation.
        enqueued: of each that a handler enqueued: in which attempt.
        is_faulty: whether faults happen.
    """

    def __init__(
        self,
        program: Program,
        on_start: Callable[[Started], object] = lambda started: None,
        on_write: Callable[[str], object] | None = None,
    ) -> None:
        self.program = program
        self.started: list[Started] = []
        self.emitted: dict[str, tuple[int, str]] = {}
        self.enqueued: dict[str, int] = {}
        self.is_faulty = True
        self._on_start = on_start
        self._on_write = on_write
        plain = [all(part.style == "plain" for part in one.parts) for one in program.neurons]
        self.transactional = [neuron_name(n) for n, is_plain in enumerate(plain) if is_plain and on_write is not None]
        self.collaterals = [collateral(collateral_name(c), Token) for c in range(program.collaterals)]
        self.neurons = [self._build(n) for n in range(len(program.neurons))]
        self.cns = CNS(self.neurons)

    def signals(self, start: Start, number: int) -> list[Signal[Token]]:
        """What a run of the program begins with; what the graph does not have has no codec."""
        known = self.cns.network.get_collaterals()
        return [
            self.collaterals[c].create_signal(Token(f"{number}/{i}", fuel))
            for i, (c, fuel) in enumerate(start.signals)
            if self.collaterals[c] in known
        ]

    def _build(self, n: int) -> Any:
        spec = self.program.neurons[n]
        owned: Any = {collateral_name(c): self.collaterals[c] for c in spec.owns}
        built: Any = neuron(neuron_name(n), owned or None, concurrency=spec.limit)
        for p, part in enumerate(spec.parts):
            add = built.join if part.join else built.dendrite
            add(collateral=[self.collaterals[c] for c in part.hears], response=self._handler(n, p, part))
        return built

    def _handler(self, n: int, p: int, part: Part) -> Any:
        def plain(payload: Any, axon: Any, ctx: Any) -> Any:
            token = self._begin(n, p, payload, ctx)
            self._enqueue(n, p, part, token, ctx)
            if self._on_write is not None and neuron_name(n) in self.transactional:
                self._on_write(neuron_name(n))
            return self._answer(n, p, part, token, ctx)

        async def suspending(payload: Any, axon: Any, ctx: Any) -> Any:
            token = self._begin(n, p, payload, ctx)
            if part.early:
                self._enqueue(n, p, part, token, ctx)
            for _ in range(part.naps):
                await asyncio.sleep(0)
            if not part.early:
                self._enqueue(n, p, part, token, ctx)
            return self._answer(n, p, part, token, ctx)

        def later(payload: Any, axon: Any, ctx: Any) -> Any:
            return _Later(suspending(payload, axon, ctx))

        return {"plain": plain, "async": suspending, "future": later}[part.style]

    def _begin(self, n: int, p: int, payload: Any, ctx: Any) -> Token:
        heard = [Heard(task.signal.payload.path, task.dendrite) for task in (ctx.task.joined or [ctx.task])]
        activation = current_activation()
        started = Started(activation.run_id, activation.attempt, activation.id, neuron_name(n), p, tuple(heard))
        self._on_start(started)
        self.started.append(started)
        if not isinstance(payload, list):
            token: Token = payload
            return token
        # In whatever order they have arrived.
        return Token(
            "(" + "&".join(sorted(token.path for token in payload)) + ")", max(token.fuel for token in payload)
        )

    def _enqueue(self, n: int, p: int, part: Part, token: Token, ctx: Any) -> None:
        if part.deed is None or part.deed_at != token.fuel % 3 or token.fuel < 1:
            return
        heard = part.deed.collateral
        path = f"{token.path}+{neuron_name(n)}{p}"
        signal = self.collaterals[heard].create_signal(Token(path, (token.fuel - 1) // 2))
        for other, place in self.program.subscribers(heard)[:1]:
            task = ActivationTask(self.neurons[other], signal, self.program.place(heard, other, place))
            try:
                ctx.stimulation.enqueue([task])
            except StimulationError:
                return  # the run has been aborted, and everything of it is over
            self.enqueued[path] = current_activation().attempt

    def _answer(self, n: int, p: int, part: Part, token: Token, ctx: Any) -> Any:
        path, fuel = token.path, token.fuel
        if self.is_faulty and part.fault and part.fault_at == fuel % 6:
            if part.fault == "raise":
                raise ValueError(f"fault of {neuron_name(n)}{p} at {path}")
            if part.fault == "cancelled":
                raise asyncio.CancelledError("out of nowhere")
            stolen = [c for c in range(self.program.collaterals) if c not in self.program.neurons[n].owns]
            if part.fault == "junk" or not stolen:
                return ["junk"]
            return self.collaterals[stolen[0]].create_signal(Token(f"{path}!", 0))
        share = self.program.share(part, fuel)
        signals = [
            self.collaterals[c].create_signal(Token(f"{path}.{neuron_name(n)}{p}{i or ''}", share))
            for i, c in enumerate(part.emits)
            if share is not None
        ]
        activation = current_activation()
        self.emitted |= {signal.payload.path: (activation.attempt, activation.id) for signal in signals}
        ctx.set((ctx.get() or 0) + 1)
        if part.listed:
            return signals
        return None if not signals else signals[0] if len(signals) == 1 else tuple(signals)
