"""Whatever the graph, and wherever its processes die: what was done over all attempts is what an uninterrupted run
does, nothing that was committed is done again, and ids stay.

What holds after each death is checked by ``Trial``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnstra.durable import Store

from ..properties.drawing import Features, programs
from ..properties.profiles import tried
from ..properties.programs import Program
from .crashing import Death
from .trials import Settings, Trial, assert_same_end, in_memory, quietly

PLAIN = Features(
    ways=("stimulate",),
    styles=("plain", "async", "future", "async"),
    naps=2,
    gates=0,
    tough=("",),
    deeds=(),
    contexts=False,
    ears=(),
    ear_gates=False,
    pokes=(),
    ownership=False,
    arities=False,
)
# What is enqueued may arrive at a join before it is due, or after.
ENQUEUING = replace(PLAIN, deeds=("enqueue",), joins=False)
TRANSACTIONAL = replace(PLAIN, styles=("plain", "async"))
# Nothing suspends, so that the order of everything is determined.
ORDERED = replace(PLAIN, styles=("plain",), naps=0, joins=False, starts=1)
# What fails, fails for good: a join that has run without what would have been caused runs again with that alone.
RETRIED = replace(PLAIN, joins=False)

# Which write it is is counted round and round: see mortal().
DEATHS = st.builds(Death, st.integers(0, 11), st.sampled_from(("before", "between", "after")))
SETTINGS = st.builds(
    Settings,
    sync=st.sampled_from(("turn", "hop", "turn", "hop", "end")),
    volume=st.sampled_from(("full", "frontier")),
    slow=st.booleans(),
    interval=st.sampled_from((0.0, 0.0, 1000.0)),
    deaths=st.lists(DEATHS, min_size=1, max_size=4).map(tuple),
    insists=st.booleans(),
)


def lively(features: Features) -> st.SearchStrategy[Program]:
    """Programs that have something to begin with."""

    def begin(program: Program) -> Program:
        heard = [collateral for collateral, _, _ in program.listeners]
        starts = [
            replace(
                start,
                signals=tuple((c if c in heard else heard[0], max(fuel, 4)) for c, fuel in signals),
                max_hops=None if start.max_hops in (None, 1) else start.max_hops + 1,
            )
            for start in program.starts
            for signals in [start.signals or ((heard[-1], 7),)]
        ]
        return replace(program, starts=tuple(starts))

    return programs(features).map(begin)


def mortal(settings: Settings, make: Callable[[Settings], Trial]) -> Trial:
    """A trial whose processes die while they live: each at a write that a first one makes that does not die."""
    alive = make(replace(settings, deaths=()))
    alive()
    return make(
        replace(settings, deaths=tuple(Death(1 + write % alive.writes[0], death) for write, death in settings.deaths))
    )


def in_memory_with(program: Program) -> Callable[[Settings], Trial]:
    return lambda settings: Trial(program, settings, in_memory())


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    with quietly():
        yield


@given(lively(PLAIN), SETTINGS)
@tried(300)
def test_the_union_of_all_attempts_is_an_uninterrupted_run(program: Program, settings: Settings) -> None:
    trial = mortal(settings, in_memory_with(program))
    assert_same_end(program, trial, trial())


@given(lively(ENQUEUING), SETTINGS)
@tried(200)
def test_so_it_is_with_what_handlers_enqueue(program: Program, settings: Settings) -> None:
    trial = mortal(settings, in_memory_with(program))
    assert_same_end(program, trial, trial())


@given(lively(PLAIN), SETTINGS)
@tried(20)
def test_wherever_the_first_process_dies(program: Program, settings: Settings) -> None:
    alive = Trial(program, replace(settings, deaths=()), in_memory())
    alive()
    for write in range(1, alive.writes[0] + 1):
        for way in ("before", "between", "after"):
            trial = Trial(program, replace(settings, deaths=(Death(write, way),)), in_memory())
            assert_same_end(program, trial, trial())


@given(lively(ORDERED), SETTINGS.map(lambda settings: replace(settings, sync="hop", volume="full")))
@tried(100)
def test_a_recovered_run_continues_the_order(program: Program, settings: Settings) -> None:
    alive = Trial(program, replace(settings, deaths=()), in_memory())
    alive()
    ((order, _),) = alive.history
    trial = mortal(settings, in_memory_with(program))
    trial()
    for started, settled in trial.history:
        left = [key for key in order if key not in settled]
        assert started == left[: len(started)]


@given(lively(TRANSACTIONAL), SETTINGS.map(lambda settings: replace(settings, slow=False)))
@tried(60)
def test_transactional_neurons_have_written_what_is_finished_of_them(program: Program, settings: Settings) -> None:
    with TemporaryDirectory() as directory:

        def make(settings: Settings) -> Trial:
            file = Path(directory) / f"{len(settings.deaths)}.db"
            return Trial(program, settings, lambda: Store.open(f"sqlite:///{file}"), file)

        trial = mortal(settings, make)
        assert_same_end(program, trial, trial())


@given(lively(RETRIED), SETTINGS)
@tried(100)
def test_retried_without_its_faults_it_has_done_what_one_without_faults_does(
    program: Program, settings: Settings
) -> None:
    trial = mortal(settings, in_memory_with(program))
    trial()
    assert_same_end(program, trial, trial.retry(), faulty=False)
