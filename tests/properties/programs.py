"""A little language of random programs: graphs, what their handlers and listeners do, and what a driver does to them.

A program is plain data, small and readable when a property fails on it (``repr`` is a few lines). Collaterals are
written ``a b c …``, neurons ``A B C …``.

Payloads are ``(path, fuel)``. The path tells where a signal comes from, so that it names it in every run of the same
program; the fuel is shared out among what a handler causes, so that every program ends, cycles or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Deed", "Ear", "Neuron", "Part", "Poke", "Program", "Start", "collateral_name", "neuron_name"]


def collateral_name(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index]


def neuron_name(index: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def _names(collaterals: tuple[int, ...]) -> str:
    return "[" + " ".join(map(collateral_name, collaterals)) + "]"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a handler or a listener does to its run, or beside it.

    ``kind``: abort, cancel; enqueue (a task for a dendrite that hears ``collateral``), stray (one that the graph does
    not know); stimulate (a run of its own, on ``collateral``), await (and wait for it), own (wait for its own run),
    quit (cancel its own task), halt (raise a BaseException).
    """

    kind: str
    collateral: int = 0

    def __repr__(self) -> str:
        return f"{self.kind} {collateral_name(self.collateral)}" if self.kind in _ON_COLLATERAL else self.kind


_ON_COLLATERAL = ("enqueue", "stimulate", "await")


@dataclass(frozen=True, slots=True)
class Part:
    """One dendrite, or one join of several collaterals, and what its handler does.

    Attributes:
        style: ``plain``; ``async``; ``future``, a plain function that returns an awaitable which is no coroutine.
        naps: how often it lets the loop go round.
        gates: how many gates it waits at, one after the other.
        emits: what it emits, as long as there is fuel.
        listed: whether it returns a list also for a single signal, or for none.
        fault: how it fails, if its fuel modulo 6 is ``fault_at``: ``raise``; ``junk``, an answer that is none;
            ``theft``, by emitting what its neuron does not own; ``cancelled``, by a CancelledError out of nowhere.
        deed: what else it does, if its fuel modulo 3 is ``deed_at``; before it naps and waits if ``early``.
        tough: what it does when it is cancelled at a gate: unwind if ``""``; ``swallow`` that and go on; ``fail``.
        context: what it does with the neuron's context value: ``""``, ``count`` or ``delete``.
    """

    hears: tuple[int, ...]
    join: bool = False
    style: str = "plain"
    naps: int = 0
    gates: int = 0
    arity: int = 3
    emits: tuple[int, ...] = ()
    listed: bool = False
    fault: str = ""
    fault_at: int = 0
    deed: Deed | None = None
    deed_at: int = 0
    early: bool = False
    tough: str = ""
    context: str = ""

    @property
    def suspends(self) -> bool:
        return self.style != "plain" and bool(self.naps or self.gates)

    def __repr__(self) -> str:
        words = [f"{'join' if self.join else 'on'} {' '.join(map(collateral_name, self.hears))}:", self.style]
        if self.arity != 3:
            words.append(f"takes {self.arity}")
        if self.naps and self.style != "plain":
            words.append(f"naps {self.naps}")
        if self.gates and self.style != "plain":
            words.append(f"waits {self.gates}")
        if self.tough and self.gates and self.style != "plain":
            words.append(f"{self.tough}s if cancelled")
        if self.context:
            words.append(self.context)
        if self.deed is not None:
            words.append(f"{'early ' if self.early else ''}{self.deed!r} at {self.deed_at}")
        if self.fault:
            words.append(f"{self.fault} at {self.fault_at}")
        return " ".join(words) + (f" -> {_names(self.emits)}{'*' if self.listed else ''}" if self.emits else "")


@dataclass(frozen=True, slots=True)
class Neuron:
    owns: tuple[int, ...] = ()
    limit: int | None = None
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        limit = "" if self.limit is None else f" limit {self.limit}"
        return f"owns {_names(self.owns)}{limit}" + "".join(f"\n    {part!r}" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Ear:
    """A listener. What it does beside listening it does when it is called for the n-th time, counted from 0; a global
    one is called by all runs.

    Attributes:
        style: ``plain``, or ``async``, which returns a coroutine each time.
        gate_every: its coroutine waits at a gate at every n-th call; 0 is never. Not of drain listeners.
        fault_at: it raises at that call.
        deed: what it does, at call ``deed_at``.
    """

    style: str = "plain"
    gate_every: int = 0
    fault_at: int | None = None
    deed: Deed | None = None
    deed_at: int = 0

    def __repr__(self) -> str:
        words = [self.style]
        if self.gate_every:
            words.append(f"waits every {self.gate_every}")
        if self.fault_at is not None:
            words.append(f"raises at {self.fault_at}")
        if self.deed is not None:
            words.append(f"{self.deed!r} at {self.deed_at}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is started.

    Attributes:
        way: ``stimulate``; ``activate``, with tasks for all that hear the signals; ``query``, for the collateral
            ``reply``; ``stream``, with that ``buffer``, and left after so many responses, or never.
        signals: what it is started with, as (collateral, fuel).
    """

    way: str = "stimulate"
    signals: tuple[tuple[int, int], ...] = ()
    reply: int = 0
    buffer: int | None = None
    leave: int | None = None
    concurrency: int | None = None
    max_hops: int | None = None
    ear: Ear | None = None
    drain: Ear | None = None
    shared_store: bool = False

    def __repr__(self) -> str:
        words = [self.way]
        if self.way == "query":
            words.append(f"{collateral_name(self.reply)} with")
        words += [f"{collateral_name(collateral)}/{fuel}" for collateral, fuel in self.signals] or ["nothing"]
        numbers = ("concurrency", "max_hops", *(("buffer", "leave") if self.way == "stream" else ()))
        for word, value in ((word, getattr(self, word)) for word in numbers):
            if value is not None:
                words.append(f"{word}={value}")
        if self.shared_store:
            words.append("shared store")
        for word, ear in (("listener", self.ear), ("drain", self.drain)):
            if ear is not None:
                words.append(f"{word}=({ear!r})")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Poke:
    """What the driver does before it opens gate number ``step``.

    ``kind``: abort, cancel, enqueue (to the run number ``index``); await (it, in a task); start (``starts[index]``,
    once more); quit (cancel the task that waits at a gate), break and drop (fail and cancel the future that a gate is).
    """

    step: int
    kind: str
    index: int = 0

    def __repr__(self) -> str:
        return f"{self.step}:{self.kind} {self.index}"


@dataclass(frozen=True)
class Program:
    """A graph, the runs that are started on it, and how they are driven.

    Attributes:
        gates: which of the waiting gates is opened next, each modulo their number; the first, when these are used up.
        pokes: what else happens in between.
        ear, drain: global listeners.
    """

    collaterals: int
    neurons: tuple[Neuron, ...]
    starts: tuple[Start, ...]
    gates: tuple[int, ...] = ()
    pokes: tuple[Poke, ...] = ()
    ear: Ear | None = None
    drain: Ear | None = None
    cleanup: bool = False
    enforce_ownership: bool = True
    listeners: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every dendrite as (collateral, neuron, part), in the order in which subscribers are called (S1).
        found = [
            (collateral, n, p)
            for n, neuron in enumerate(self.neurons)
            for p, part in enumerate(neuron.parts)
            for collateral in part.hears
        ]
        object.__setattr__(self, "listeners", tuple(found))

    def subscribers(self, collateral: int) -> list[tuple[int, int]]:
        return [(n, p) for heard, n, p in self.listeners if heard == collateral]

    def place(self, collateral: int, neuron: int, part: int) -> int:
        """Which of the neuron's dendrites on that collateral it is."""
        return [p for n, p in self.subscribers(collateral) if n == neuron].index(part)

    def share(self, part: Part, fuel: int) -> int | None:
        """The fuel of each signal that a handler emits; None if there is none left to emit with."""
        width = sum(len(self.subscribers(collateral)) for collateral in part.emits)
        return None if fuel < 1 else (fuel - 1) // max(width, 1)

    def __repr__(self) -> str:
        lines = [f"  {neuron_name(n)} {neuron!r}" for n, neuron in enumerate(self.neurons)]
        lines += [f"  {start!r}" for start in self.starts]
        for word, ear in (("listener", self.ear), ("drain", self.drain)):
            if ear is not None:
                lines.append(f"  global {word}=({ear!r})")
        if self.cleanup:
            lines.append("  auto_cleanup_contexts")
        if not self.enforce_ownership:
            lines.append("  enforce_ownership=False")
        if self.gates or self.pokes:
            lines.append(f"  drive {list(self.gates)} {list(self.pokes) or ''}".rstrip())
        return "\n".join(("<", *lines, ">"))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis shows it."""
        for line in repr(self).split("\n"):
            printer.text(line)
            printer.break_()
