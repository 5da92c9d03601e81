"""How programs are drawn at random: small first, so that a failing one shrinks to what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from .programs import Deed, Ear, Neuron, Part, Poke, Program, Start

__all__ = ["ALL", "Features", "programs"]

T = TypeVar("T")
Draw = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Features:
    """What drawn programs may do; each field is a list of choices, the plainest first."""

    ways: tuple[str, ...] = ("stimulate", "stimulate", "activate")
    styles: tuple[str, ...] = ("plain", "async", "future")
    naps: int = 1
    gates: int = 2
    faults: tuple[str, ...] = ("raise", "junk", "theft", "cancelled")
    tough: tuple[str, ...] = ("", "", "swallow", "fail")
    deeds: tuple[str, ...] = ("abort", "cancel", "enqueue", "stray", "stimulate", "await", "await", "own", "quit")
    joins: bool = True
    limits: bool = True
    concurrency: bool = True
    max_hops: bool = True
    contexts: bool = True
    ears: tuple[str, ...] = ("plain", "async")
    ear_gates: bool = True
    ear_faults: bool = True
    ear_deeds: tuple[str, ...] = ("abort", "cancel", "enqueue", "stray", "stimulate")
    pokes: tuple[str, ...] = ("abort", "cancel", "enqueue", "stray", "await", "start", "quit", "break", "drop")
    starts: int = 2
    ownership: bool = True
    arities: bool = True


ALL = Features()
_BOOLEANS = st.booleans()
_SIGNALS = st.sampled_from((1, 1, 1, 2, 2, 3, 0))
_EMITTED = st.sampled_from((1, 2, 0, 3))
_FUELS = st.sampled_from((3, 4, 5, 6, 7, 8, 9, 2, 1, 0))

# Making a strategy costs more than drawing from it.


@cache
def _number(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


@cache
def _one_of(choices: tuple[T, ...]) -> st.SearchStrategy[T]:
    return st.sampled_from(choices)


@cache
def _some(strategy: st.SearchStrategy[T], least: int, most: int) -> st.SearchStrategy[list[T]]:
    return st.lists(strategy, min_size=least, max_size=most)


def programs(features: Features = ALL) -> st.SearchStrategy[Program]:
    """Programs with these features."""
    return _programs(features)


@st.composite
def _programs(draw: Draw, features: Features) -> Program:
    collaterals = draw(_number(1, 5))
    count = draw(_number(1, 4))
    owners = [draw(_number(-1, count - 1)) for _ in range(collaterals)]
    neurons = []
    for n in range(count):
        owns = tuple(c for c, owner in enumerate(owners) if owner == n)
        parts = tuple(_part(draw, features, owns, collaterals) for _ in range(draw(_number(0 if n else 1, 3))))
        limit = draw(_one_of((None, 1, 2))) if features.limits else None
        neurons.append(Neuron(owns, limit, parts))
    heard = sorted({c for neuron in neurons for part in neuron.parts for c in part.hears})
    starts = tuple(_start(draw, features, collaterals, heard) for _ in range(draw(_number(1, features.starts))))
    waits = (features.gates and len(features.styles) > 1) or features.ear_gates
    gates: tuple[int, ...] = ()
    pokes: tuple[Poke, ...] = ()
    if waits:
        gates = tuple(draw(_some(_number(0, 5), 0, 8)))
        if features.pokes:
            pokes = tuple(
                Poke(draw(_number(0, 6)), draw(_one_of(features.pokes)), draw(_number(0, 3)))
                for _ in range(draw(_number(0, 3)))
            )
    return Program(
        collaterals,
        _without_impossible_joins(tuple(neurons)),
        starts,
        gates,
        pokes,
        _maybe(draw, lambda: _ear(draw, features, features.ears, collaterals)) if features.ears else None,
        _maybe(draw, lambda: _ear(draw, features, ("plain",), collaterals)) if features.ears else None,
        draw(_BOOLEANS) if features.contexts else False,
        not draw(_BOOLEANS) if features.ownership else True,
    )


def _maybe(draw: Draw, make: Callable[[], T]) -> T | None:
    return make() if draw(_BOOLEANS) else None


def _part(draw: Draw, features: Features, owns: tuple[int, ...], collaterals: int) -> Part:
    join = features.joins and draw(_number(0, 3)) == 3
    heard = _number(0, collaterals - 1)
    hears = tuple(sorted({draw(heard), draw(heard)})) if join else (draw(heard),)
    style = draw(_one_of(features.styles))
    fault = draw(_one_of(("", *("",) * len(features.faults), *features.faults)))
    kind = draw(_one_of(("", *("",) * len(features.deeds), *features.deeds)))
    plain = style == "plain"
    if plain and kind == "quit":
        kind = ""
    return Part(
        hears,
        join,
        style,
        0 if plain else draw(_number(0, features.naps)),
        0 if plain else draw(_number(0, features.gates)),
        draw(_one_of((3, 2, 1))) if features.arities and not kind else 3,
        tuple(owns[draw(_number(0, len(owns) - 1))] for _ in range(draw(_EMITTED))) if owns else (),
        draw(_BOOLEANS),
        fault,
        draw(_number(0, 5)) if fault else 0,
        Deed(kind, draw(heard)) if kind else None,
        draw(_number(0, 2)) if kind else 0,
        draw(_BOOLEANS) if kind and not plain else False,
        "" if plain else draw(_one_of(features.tough)),
        draw(_one_of(("", "count", "delete"))) if features.contexts else "",
    )


def _start(draw: Draw, features: Features, collaterals: int, heard: list[int]) -> Start:
    signals = []
    for _ in range(draw(_SIGNALS)):
        # Now and then one that nobody hears.
        channel = draw(_number(0, len(heard)))
        signals.append((heard[channel] if channel < len(heard) else draw(_number(0, collaterals - 1)), draw(_FUELS)))
    return Start(
        way := draw(_one_of(features.ways)),
        tuple(signals),
        draw(_number(0, collaterals - 1)) if way == "query" else 0,
        draw(_one_of((None, 1, 2))) if way == "stream" else None,
        draw(_one_of((None, 0, 1, 3))) if way == "stream" else None,
        draw(_one_of((None, 1, 2))) if features.concurrency else None,
        draw(_one_of((None, 1, 2, 3))) if features.max_hops else None,
        _maybe(draw, lambda: _ear(draw, features, features.ears, collaterals)) if features.ears else None,
        _maybe(draw, lambda: _ear(draw, features, ("plain",), collaterals)) if features.ears else None,
        draw(_BOOLEANS) if features.contexts else False,
    )


def _ear(draw: Draw, features: Features, styles: tuple[str, ...], collaterals: int) -> Ear:
    style = draw(_one_of(styles))
    kind = draw(_one_of(("", "", *features.ear_deeds)))
    return Ear(
        style,
        draw(_number(0, 3)) if style == "async" and features.ear_gates else 0,
        draw(st.none() | _number(0, 5)) if features.ear_faults else None,
        Deed(kind, draw(_number(0, collaterals - 1))) if kind else None,
        draw(_number(0, 5)) if kind else 0,
    )


def _without_impossible_joins(neurons: tuple[Neuron, ...]) -> tuple[Neuron, ...]:
    """A join that could reach itself is no graph (S25): its neuron's joins become plain dendrites."""
    heard_by = {
        n: {m for m, other in enumerate(neurons) for part in other.parts if set(part.hears) & set(neuron.owns)}
        for n, neuron in enumerate(neurons)
    }

    def reached(start: int) -> set[int]:
        found: set[int] = set()
        stack = [start]
        while stack:
            for after in heard_by[stack.pop()] - found:
                found.add(after)
                stack.append(after)
        return found

    return tuple(
        neuron
        if n not in reached(n)
        else replace(
            neuron, parts=tuple(replace(p, join=False, hears=p.hears[:1]) if p.join else p for p in neuron.parts)
        )
        for n, neuron in enumerate(neurons)
    )
