"""S3: where nothing suspends a run is one queue, and every event of it follows from that alone."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given

import cnstra

from .comparing import assert_same
from .drawing import Features, programs
from .events import Ending, Event, Heard
from .execution import Execution
from .naive import naive
from .profiles import tried
from .programs import Program

NEVER_SUSPENDING = Features(
    naps=0,
    gates=0,
    deeds=("abort", "cancel", "enqueue", "stray", "stimulate", "await", "own"),
    limits=False,
    ear_gates=False,
    pokes=(),
)


@given(programs(NEVER_SUSPENDING))
@tried(400)
def test_what_never_suspends_runs_as_one_queue(program: Program) -> None:
    expected = Execution(naive, program)()
    assert_same(list(map(kinds, Execution(cnstra, program)())), list(map(kinds, expected)))


def kinds(event: Event) -> Any:
    """The event with the kinds of its errors instead of their texts."""
    if isinstance(event, Heard):
        return event._replace(error=kind(event.error))
    if isinstance(event, Ending):
        failures = tuple(failure._replace(error=kind(failure.error)) for failure in event.failures)
        return event._replace(exception=kind(event.exception), failures=failures)
    return event


def kind(error: str | None) -> str | None:
    return error and re.match(r"\w+", error).group()  # type: ignore[union-attr]
