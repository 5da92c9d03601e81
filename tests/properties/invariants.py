"""What holds in every trace, whatever the program: S2, S5, S6, S8, S10–S12, S17.

The program must have a global listener that hears every response, and handlers that take a ctx.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from .events import Drained, Ended, Ending, Event, Heard, Note, Started, Task
from .execution import Execution
from .programs import Program, neuron_name

__all__ = ["check"]


def check(execution: Execution) -> None:
    """Check a trace as a whole and each of its runs by itself."""
    program, events = execution.program, execution.events
    assert [event for event in events if isinstance(event, Note) and event.kind in ("strange", "lost", "loop")] == []
    _check_limits(execution)
    left = any(isinstance(event, Note) and event.kind == "left" for event in events)
    endings = [event for event in events if isinstance(event, Ending)]
    for ending in endings:
        mine = [event for event in events if event.run == ending.run]
        _check_counters(mine)
        _check_responses(mine)
        _check_numbers(mine)
        _check_starts(mine)
        _check_frontier(mine)
        _check_barriers(mine, events)
        _check_in_flight(mine)
        _check_aborts(mine, ending, left)
        _check_reading(mine, ending)
        _check_ending(mine, ending)
    stuck = [event for event in events if isinstance(event, Note) and event.kind == "stuck"]
    assert not stuck or _can_wait_for_each_other(program)


def _can_wait_for_each_other(program: Program) -> bool:
    """Only handlers that hold a slot and wait for runs that wait for a slot of another such can be stuck (S12)."""
    awaits = any(part.deed and part.deed.kind == "await" for neuron in program.neurons for part in neuron.parts)
    return awaits and any(neuron.limit for neuron in program.neurons)


def _check_limits(execution: Execution) -> None:
    """S11, S12: never more handlers at once than there are slots."""
    limits = {neuron_name(n): neuron.limit for n, neuron in enumerate(execution.program.neurons)}
    of_neuron: Counter[str] = Counter()
    of_run: Counter[int] = Counter()
    for event in execution.events:
        if isinstance(event, Started):
            of_neuron[event.neuron] += 1
            of_run[event.run] += 1
            limit = limits[event.neuron]
            assert limit is None or of_neuron[event.neuron] <= limit
            concurrency = execution.concurrency.get(event.run)
            assert concurrency is None or of_run[event.run] <= concurrency
        elif isinstance(event, Ended):
            of_neuron[event.neuron] -= 1
            of_run[event.run] -= 1
    assert not any(of_neuron.values())
    assert not any(of_run.values())


def _check_counters(mine: list[Event]) -> None:
    """S5: the counters are of what there is, and a response's include what it causes."""
    first = next((event.listener for event in mine if isinstance(event, Heard)), None)
    for event in mine:
        if isinstance(event, Heard | Drained):
            assert event.queue_length == event.pending + event.active
            assert event.pending >= 0
            assert event.active >= 0
        # What the first listener does, the second finds done.
        if isinstance(event, Heard) and event.listener == first:
            assert len(event.unfinished) == event.queue_length
            assert {task.id for task in event.caused} <= set(event.unfinished)


def _check_responses(mine: list[Event]) -> None:
    """S4–S6: the local listener first; one response per signal, in order; the final one is final, once."""
    local = [event for event in mine if isinstance(event, Heard) and event.listener != "global"]
    heard = [event for event in mine if isinstance(event, Heard) and event.listener == "global"]
    if local:
        assert list(map(_response, local)) == list(map(_response, heard))
        order = [event.listener for event in mine if isinstance(event, Heard)]
        assert order[::2] == [local[0].listener] * len(local)
        assert order[1::2] == ["global"] * len(local)
    counts: dict[int, list[int]] = defaultdict(list)
    for event in heard:
        if event.task is None:
            assert event.hops == 0
        else:
            assert event.hops == event.task.hop
            assert event.task.id is not None
            counts[event.task.id].append(event.place)
            assert event.input == (event.task.collateral, event.task.payload)
        for task in event.caused:
            assert (task.collateral, task.payload) == event.output
            assert task.cause == (event.task and event.task.id)
            assert task.hop == event.hops + 1
    for event in heard:
        if event.task is not None and event.task.id is not None:
            assert counts[event.task.id] == list(range(max(event.outputs, 1)))
            assert event.error is None or not event.outputs
    final = [place for place, event in enumerate(heard) if event.final]
    ending = mine[-1]
    assert isinstance(ending, Ending)
    if ending.outcome == "aborted":
        assert final in ([], [len(heard) - 1])
    else:
        assert final == [len(heard) - 1] * bool(heard)
    for place in final:
        assert heard[place].queue_length == 0


def _response(event: Heard) -> Heard:
    """What is of the response itself, and not of the moment or the listener."""
    return event._replace(listener="", gate=None, unfinished=(), frontier=None, outcome="")


def _check_numbers(mine: list[Event]) -> None:
    """S2: 1, 2, … in the order of reservation, and causes come first."""
    seen: set[int] = set()
    last = 0
    for event in mine:
        if isinstance(event, Heard) and event.listener == "global":
            numbers = [task.id or 0 for task in event.caused]
            assert numbers == sorted(numbers)
            if numbers:
                assert numbers[0] > last
                last = numbers[-1]
        for task in _tasks_in(event):
            assert task.id is not None
            seen.add(task.id)
            assert task.cause is None or task.cause < task.id
            # Those that were joined before they were resumed have no numbers any more.
            parts = [part.id for part in task.joined if part.id is not None]
            assert parts == sorted(parts)
            assert all(part < task.id for part in parts)
            seen.update(parts)
    assert seen == set(range(1, len(seen) + 1))


def _check_starts(mine: list[Event]) -> None:
    """Nothing starts twice, after an abort, or outside the frontier."""
    started: set[int | None] = set()
    aborted = False
    for event in mine:
        if isinstance(event, Note) and event.kind == "do" and event.text in ("abort", "cancel"):
            aborted = True
        elif isinstance(event, Started):
            assert not aborted
            assert event.task is not None
            assert event.task.id not in started
            started.add(event.task.id)
            assert event.frontier is not None
            assert event.task in event.frontier
            parts = event.task.joined or (event.task,)
            assert event.payloads == tuple(part.payload for part in parts)
        elif isinstance(event, Heard) and event.error is None and event.task is not None:
            assert event.task.id in started


def _check_frontier(mine: list[Event]) -> None:
    """S17: at any moment everything that was reserved and has not succeeded, each once, in order of number."""
    reserved: set[int | None] = set()
    succeeded: set[int | None] = set()
    taken: set[int | None] = set()
    for place, event in enumerate(mine):
        if isinstance(event, Heard):
            reserved |= {task.id for task in _caused_by_list(mine, place)}
            if event.error is None and event.task is not None:
                succeeded.add(event.task.id)
        frontier = None if isinstance(event, Ended) else event.frontier
        if frontier is None:
            continue
        numbers = [task.id for task in frontier]
        assert numbers == sorted(set(numbers), key=lambda number: number or 0)
        reserved.update(numbers)
        taken |= {part.id for task in frontier for part in task.joined}
        assert set(numbers) == reserved - succeeded - taken


def _caused_by_list(mine: list[Event], place: int) -> list[Task]:
    """What all responses of an activation cause: it is reserved as a whole."""
    first = mine[place]
    assert isinstance(first, Heard)
    return [
        task
        for event in mine[place:]
        if isinstance(event, Heard) and (event.task and event.task.id) == (first.task and first.task.id)
        for task in event.caused
    ]


def _check_barriers(mine: list[Event], events: list[Event]) -> None:
    """S6: what a response causes does not start before its listeners have settled."""
    opened = {
        event.text: place
        for place, event in enumerate(events)
        if isinstance(event, Note) and event.kind in ("open", "drop", "break", "quit")
    }
    started = {
        event.task.id: place
        for place, event in enumerate(events)
        if isinstance(event, Started) and event.run == mine[0].run and event.task
    }
    for event in mine:
        if isinstance(event, Heard) and event.gate is not None:
            for task in event.caused:
                if task.id in started:
                    assert opened[event.gate] < started[task.id]


def _check_in_flight(mine: list[Event]) -> None:
    """S6, S8, S10: no run is over before its handlers and listeners are."""
    for event in mine:
        if isinstance(event, Ended):
            assert event.outcome in ("running", None)
        elif isinstance(event, Note) and event.kind == "settled":
            assert event.text == "running"


def _check_reading(mine: list[Event], ending: Ending) -> None:
    """A stream gives the responses in order, all of them if it is read to its end."""
    notes = [event for event in mine if isinstance(event, Note)]
    read = [note.text for note in notes if note.kind == "read"]
    heard = [
        f"{event.task and event.task.id} {event.place} of {event.outputs}"
        for event in mine
        if isinstance(event, Heard) and event.listener == "global"
    ]
    assert read == heard[: len(read)]
    if any(note.kind == "answered" and note.text == "'completed'" for note in notes):
        assert ending.outcome == "completed"


def _check_aborts(mine: list[Event], ending: Ending, left: bool) -> None:
    """S9, S10: a run is aborted if somebody aborts it while it runs, or cancels a task of it, and not otherwise."""
    notes = [event for event in mine if isinstance(event, Note)]
    if any(note.kind == "aborting" and note.text == "running" for note in notes):
        assert ending.outcome == "aborted"
    elif ending.outcome == "aborted":
        assert left or any(note.kind in ("quit", "stuck") or note.text == "quit" for note in notes)


def _check_ending(mine: list[Event], ending: Ending) -> None:
    """S8, S10: nothing is lost, and what is left is what failed."""
    assert ending.outcome in ("completed", "failed", "aborted")
    assert ending.unfinished == 0
    failed = [failure.task.id for failure in ending.failures]
    assert len(set(failed)) == len(failed)
    assert [task.id for task in ending.frontier] == sorted(failed, key=lambda number: number or 0)
    if ending.outcome == "completed":
        assert ending.exception is None
        assert failed == []
    elif ending.outcome == "failed":
        assert (ending.exception or "").startswith("StimulationFailed")
        assert not any(failure.aborted for failure in ending.failures)
    else:
        assert (ending.exception or "").startswith("StimulationAborted")
    for failure in ending.failures:
        assert failure.error is not None
        assert failure.error.startswith("StimulationAborted") or not failure.aborted
    drains = [event for event in mine if isinstance(event, Drained)]
    if drains and ending.outcome != "aborted":
        assert drains[-1].queue_length == 0


def _tasks_in(event: Event) -> list[Task]:
    found = [] if isinstance(event, Ended) else list(event.frontier or ())
    if isinstance(event, Heard):
        found += event.caused
    if isinstance(event, Started | Heard) and event.task is not None:
        found.append(event.task)
    return found
