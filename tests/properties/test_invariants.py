"""What holds for every program, on each engine by itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

import cnstra

from .drawing import ALL, Features, programs
from .execution import Execution
from .invariants import check
from .profiles import tried
from .programs import Ear, Program


def recorded(program: Program) -> Program:
    """The program with a global listener, so that every response is in the trace."""
    return program if program.ear is not None else replace(program, ear=Ear())


@given(programs(replace(ALL, arities=False, starts=3)).map(recorded))
@tried(300)
def test_every_activation_is_accounted_for_at_every_moment(program: Program) -> None:
    execution = Execution(cnstra, program)
    execution()
    check(execution)


@given(programs(Features(arities=False, deeds=(), ear_deeds=(), ear_faults=False, pokes=(), starts=3)).map(recorded))
@tried(200)
def test_also_in_programs_that_are_left_alone(program: Program) -> None:
    execution = Execution(cnstra, program)
    execution()
    check(execution)


@given(
    programs(Features(styles=("async", "plain"), arities=False, deeds=("await", "stimulate"), pokes=())).map(recorded)
)
@tried(150)
def test_also_in_runs_that_wait_for_runs(program: Program) -> None:
    execution = Execution(cnstra, program)
    execution()
    check(execution)


@given(programs(Features(ways=("stream", "query"), arities=False, deeds=("abort", "await", "quit"))).map(recorded))
@tried(200)
def test_also_in_runs_that_are_queried_and_streamed(program: Program) -> None:
    execution = Execution(cnstra, program)
    execution()
    check(execution)


@given(programs(Features(styles=("plain", "async"), arities=False, ear_gates=False, pokes=())).map(recorded))
@tried(150)
def test_also_without_a_loop(program: Program) -> None:
    execution = Execution(cnstra, program)
    execution.without_loop()
    check(execution)
