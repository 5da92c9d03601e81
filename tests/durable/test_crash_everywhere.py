"""A few graphs whose process dies at every write, before it, after it and in between, on every setting and store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnstra.durable import Store

from ..properties.programs import Neuron, Part, Program, Start
from .crashing import Death
from .trials import Settings, Trial, assert_same_end, in_memory, quietly

A, B, C, D, E = range(5)


def program(*neurons: Neuron, start: Start = Start(signals=((A, 9),))) -> Program:  # noqa: B008 - it is immutable
    return Program(5, neurons, (start,))


def on(*hears: int, **more: Any) -> Part:
    return Part(hears, **more)


def napping(naps: int, *hears: int, **more: Any) -> Part:
    return Part(hears, style="async", naps=naps, **more)


PROGRAMS = {
    "a list in dispatch": program(
        Neuron((B, C), parts=(on(A, emits=(B, C, B)),)),
        Neuron((D,), parts=(on(B, emits=(D,)), napping(1, C, emits=(D, D)))),
        Neuron(parts=(on(D),)),
    ),
    "a list whose first output nobody hears": program(
        Neuron((B, C), parts=(on(A, emits=(B,)),)),
        # Its children need its outputs, be they stored or not.
        Neuron((D, E), parts=(on(B, emits=(D, E, E)),)),
        Neuron(parts=(napping(1, E),)),
    ),
    "a join": program(
        Neuron((B, C), parts=(on(A, emits=(B, C, B)),)),
        Neuron((D,), parts=(napping(2, B, emits=(D,)),)),
        Neuron((E,), parts=(on(C, D, join=True, emits=(E, E)),)),
        Neuron(parts=(napping(1, E),)),
    ),
    "a join that has to wait for a slot": program(
        Neuron((B, C), parts=(on(A, emits=(B, B, B, C)),)),
        Neuron(limit=1, parts=(on(B, join=True), napping(2, C))),
    ),
    "a fan-out with limits": program(
        Neuron((B,), parts=(on(A, emits=(B, B, B)),)),
        Neuron((C,), limit=1, parts=(napping(1, B, emits=(C,)),)),
        Neuron(limit=2, parts=(napping(1, C),)),
        start=Start(signals=((A, 9), (A, 9)), concurrency=3),
    ),
    "a failing branch": program(
        Neuron((B, C), parts=(on(A, emits=(B, C)),)),
        Neuron((D,), parts=(napping(1, B, emits=(D,), fault="raise", fault_at=(9 - 1) // 2 % 6), napping(2, C))),
        Neuron(parts=(on(D), on(C))),
    ),
    "a cycle": program(Neuron((A,), parts=(napping(1, A, emits=(A,)),)), start=Start(signals=((A, 4),))),
}
SYNCS: tuple[Any, ...] = ("turn", "hop", "end")
VOLUMES: tuple[Any, ...] = ("full", "frontier")
KINDS = [Settings(sync, volume, slow) for sync, volume, slow in itertools.product(SYNCS, VOLUMES, (False, True))]


def words(settings: Settings) -> str:
    return f"{settings.sync}-{settings.volume}{'-slow' if settings.slow else ''}"


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with quietly():
        yield


def die_everywhere(
    played: Program, settings: Settings, fresh: Callable[[], Callable[[], Store]], *, twice: bool = True
) -> None:
    alive = Trial(played, settings, fresh())
    assert_same_end(played, alive, alive())
    for write in range(1, alive.writes[0] + 1):
        for way in ("before", "between", "after"):
            death = Death(write, way)
            # Its successor dies at once, too: at the write with which it takes over, or at its first commit.
            for deaths in ((death,), (death, Death(1 + write % 2, way)))[: 1 + twice]:
                trial = Trial(played, replace(settings, deaths=deaths), fresh())
                assert_same_end(played, trial, trial())


@pytest.mark.parametrize("settings", KINDS, ids=words)
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_may_die_anywhere(name: str, settings: Settings) -> None:
    die_everywhere(PROGRAMS[name], settings, in_memory)


@pytest.mark.parametrize("volume", VOLUMES)
@pytest.mark.parametrize("name", ["a join", "a fan-out with limits"])
def test_so_it_is_on_sqlite(name: str, volume: Any, tmp_path: Path) -> None:
    numbers = itertools.count()

    def fresh() -> Callable[[], Store]:
        url = f"sqlite:///{tmp_path}/{next(numbers)}.db"
        return lambda: Store.open(url)

    die_everywhere(PROGRAMS[name], Settings(volume=volume), fresh)


@pytest.mark.parametrize("volume", VOLUMES)
def test_so_it_is_on_postgres(volume: Any) -> None:
    from .postgres import administrator, fresh_schema, postgres_url

    with fresh_schema() as schema:

        def fresh() -> Callable[[], Store]:
            with administrator() as connection:
                connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())
            return lambda: Store.open(postgres_url(), schema=schema)

        die_everywhere(PROGRAMS["a join"], Settings(volume=volume, slow=True), fresh, twice=False)
