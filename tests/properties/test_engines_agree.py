"""The same program gives the same trace on both engines, to the last field."""

from __future__ import annotations

import pytest
from hypothesis import given

import cnstra

from ..engines import load_python
from .comparing import assert_same
from .drawing import ALL, Features, programs
from .execution import Execution
from .profiles import tried
from .programs import Program

# In a process that has the native engine the two are compared; in another one, the pure engine with itself: it gives
# the same trace twice.
FIRST = cnstra
SECOND = load_python()

pytestmark = pytest.mark.once


@given(programs(Features(styles=("plain",), ear_gates=False, pokes=())))
@tried(300)
def test_programs_that_never_suspend(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())


@given(programs(Features(deeds=(), ear_deeds=(), pokes=("start", "await"), starts=3)))
@tried(300)
def test_programs_that_suspend(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())


@given(programs(ALL))
@tried(500)
def test_programs_that_do_everything(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())


@given(programs(Features(deeds=(*ALL.deeds, "halt"), ear_deeds=(*ALL.ear_deeds, "halt"))))
@tried(150)
def test_programs_that_halt(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())


@given(programs(Features(styles=("plain", "async"), ear_gates=False, pokes=())))
@tried(200)
def test_programs_without_a_loop(program: Program) -> None:
    assert_same(Execution(FIRST, program).without_loop(), Execution(SECOND, program).without_loop())


@given(programs(Features(ways=("stream", "query", "stimulate"), deeds=("abort", "await", "quit"), starts=3)))
@tried(300)
def test_programs_that_are_queried_and_streamed(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())


@given(
    programs(
        Features(styles=("async", "plain"), deeds=("await", "stimulate"), ear_deeds=("stimulate",), pokes=(), starts=3)
    )
)
@tried(200)
def test_programs_whose_runs_wait_for_runs(program: Program) -> None:
    assert_same(Execution(FIRST, program)(), Execution(SECOND, program)())
