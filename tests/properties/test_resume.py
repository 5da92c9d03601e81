"""S10, S17: a run can be left at any point and resumed from its frontier, and nothing is done twice or never."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given

import cnstra

from .drawing import Features, programs
from .events import Heard, Note, Started, Task
from .execution import Execution
from .profiles import tried
from .programs import Program
from .test_invariants import recorded

Key = tuple[str, str, int, object]

INTERRUPTED = Features(
    arities=False,
    deeds=("abort", "cancel", "enqueue", "stimulate", "await", "quit"),
    ear_faults=False,
    ear_deeds=("abort", "cancel", "enqueue"),
    pokes=("abort", "cancel", "enqueue", "quit", "break", "drop"),
)


@given(programs(INTERRUPTED).map(recorded))
@tried(300)
def test_the_frontier_is_activated_until_nothing_is_left(program: Program) -> None:
    execution = Execution(cnstra, program, retried=True)
    asyncio.run(resume(execution))
    check_once(program, execution)


async def resume(execution: Execution) -> None:
    await execution.begin()
    resumed = 0
    rounds = 0
    while True:
        await execution.drive(pokes=not rounds)
        fresh = range(resumed, len(execution.runs))
        resumed = len(execution.runs)
        left = [execution.runs[number].outstanding_tasks for number in fresh]
        if not any(left):
            break
        rounds += 1
        assert rounds < 200, "faults and deeds happen once, so every round does something new"
        for tasks in left:
            if tasks:
                execution.resume(tasks)
    execution.finish()


def check_once(program: Program, execution: Execution) -> None:
    """Every activation that was seen has succeeded once, every signal that arrived at a join was joined once."""
    seen: set[Key] = set()
    done: Counter[Key] = Counter()
    for event in execution.events:
        if isinstance(event, Heard):
            seen.update(key(part) for task in event.caused for part in parts(task))
            if event.listener == "global" and event.error is None and event.place == 0 and event.task is not None:
                done.update(key(part) for part in parts(event.task))
            if event.listener == "global" and event.output is not None:
                channel = "abcdefghij".index(event.output[0])
                assert len(event.caused) == len(program.subscribers(channel))
        if isinstance(event, Heard | Started | Note) and event.frontier:
            seen.update(key(part) for task in event.frontier for part in parts(task))
        if isinstance(event, Started) and event.task:
            seen.update(key(part) for part in parts(event.task))
    assert set(done) == seen
    assert set(done.values()) <= {1}


def parts(task: Task) -> tuple[Task, ...]:
    return task.joined or (task,)


def key(task: Task) -> Key:
    return task.neuron, task.collateral, task.place, task.payload
