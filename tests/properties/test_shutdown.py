"""S9, S21: a loop that ends while runs are in it ends them, loses nothing, and leaves the CNS to the next loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import cnstra

from .drawing import ALL, programs
from .events import Note, Started
from .execution import Execution
from .invariants import check
from .profiles import tried
from .programs import Program
from .test_invariants import recorded

# What starts a run while its loop shuts down is on its own, as whatever starts a task then; and asyncio waits for who
# swallows the cancellation, and reports who fails on it.
ORDERLY = replace(
    ALL, arities=False, tough=("",), ear_deeds=("abort", "cancel", "enqueue", "stray"), pokes=(), starts=3
)


@given(programs(ORDERLY).map(recorded), st.integers(0, 4))
@tried(200)
def test_a_loop_that_shuts_down(program: Program, gates: int) -> None:
    execution = Execution(cnstra, program)
    asyncio.run(leave_early(execution, gates))
    assert execution.unfinished() == []
    left = next(
        place for place, event in enumerate(execution.events) if isinstance(event, Note) and event.kind == "left"
    )
    assert not any(isinstance(event, Started) for event in execution.events[left:])
    # Every slot is free again: runs of the same CNS in another loop find it as new.
    execution()
    check(execution)


async def leave_early(execution: Execution, gates: int) -> None:
    await execution.begin()
    await execution.open(gates)
    execution.events.append(Note("left", -1, "", None))
