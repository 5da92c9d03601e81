"""Runs that wait for each other through slots (S12).

A handler whose own task awaits a run cannot give its slot back before that run ends. So the holders behind a run are
the handlers that await it, those that await their runs, and so on; an activation that waits for a neuron all of whose
slots are held behind its own run would wait for ever.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from . import faults

__all__ = ["Owner", "begin_await", "end_await", "is_doomed", "recheck"]

# A stimulation and the number of an activation of it. As one who awaits, the number 0 stands for the whole run: without
# a loop, a thread that waits inside a run's handler can go on with nothing of that run. The number -1 stands for one of
# its asynchronous listeners.
Owner = tuple[Any, int]

_lock = Lock()  # guards the two maps of every run that say who awaits whom


def begin_await(run: Any, owner: Owner) -> None:
    """A handler starts to wait for a run.

    Raises:
        StimulationError: that run waits for the handler already.
    """
    with _lock:
        if run is owner[0] or any(above is run for above, _ in _behind(owner[0])):
            raise faults.own_run()
        run._awaited_by[owner] = run._awaited_by.get(owner, 0) + 1
        owner[0]._awaits[run] = owner[0]._awaits.get(run, 0) + 1
        doomed = _doomed_below(run)
    for below, number in doomed:
        below._doom(number)


def recheck(run: Any) -> None:
    """An activation of this run got a slot; whoever waits behind the run may now do so for ever."""
    with _lock:
        doomed = _doomed_below(run)
    for below, number in doomed:
        below._doom(number)


def end_await(run: Any, owner: Owner) -> None:
    """It waits no more."""
    with _lock:
        for counts, key in ((run._awaited_by, owner), (owner[0]._awaits, run)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]


def is_doomed(run: Any, holders: set[Owner]) -> bool:
    """Whether an activation of this run that starts to wait for slots so held would do so for ever."""
    with _lock:
        return _are_all_in(holders, _behind(run))


def _doomed_below(run: Any) -> list[tuple[Any, int]]:
    """What waits for ever in this run, in the runs that its handlers await, and so on."""
    doomed: list[tuple[Any, int]] = []
    seen, stack = {run}, [run]
    while stack:
        below = stack.pop()
        behind = _behind(below)
        doomed += [(below, number) for number, holders in below._waiters() if _are_all_in(holders, behind)]
        fresh = [further for further in below._awaits if further not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return doomed


def _are_all_in(holders: set[Owner], behind: set[Owner]) -> bool:
    return all(holder in behind or (holder[0], 0) in behind for holder in holders)


def _behind(run: Any) -> set[Owner]:
    found: set[Owner] = set()
    stack = [run]
    while stack:
        for owner in stack.pop()._awaited_by:
            if owner not in found:
                found.add(owner)
                stack.append(owner[0])
    return found
