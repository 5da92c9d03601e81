"""Slots over all runs of a CNS: giving them back, and telling who gets them (S12, S21)."""

from __future__ import annotations

from typing import Any

from .. import faults
from ..deadlock import Owner, recheck
from .feed import feed

__all__ = ["doom", "release", "waiters"]


def release(slots: Any, holder: Any) -> None:
    """Give a slot back, to the first waiter that can still use it."""
    while holder is not None:
        heir = slots.release(holder)
        if heir is None or _grant(*heir):
            return
        holder = heir


def _grant(stim: Any, number: int, error: Exception | None = None) -> bool:
    """The activation has its slot (or never will); False if it has no use for it any more."""
    with stim._lock:
        if not stim._run.grant(number, error):
            return False
    if feed(stim, here=False):
        if stim._awaits:
            recheck(stim)
        return True
    with stim._lock:
        stim._run.ungrant(number)
    stim._abandon()
    return False


def doom(stim: Any, number: int) -> None:
    """It would wait for ever: it fails instead."""
    with stim._lock:
        activation = stim._run.waiting.get(number)
    if activation is None:
        return
    handler = stim._handler(activation)
    if handler.slots is not None and handler.slots.forget(activation.ticket):
        _grant(stim, number, faults.slot_deadlock(handler.name, handler.collateral_name))


def waiters(stim: Any) -> list[tuple[int, set[Owner]]]:
    """The activations that wait for a slot, in order of number, each with who holds those slots."""
    with stim._lock:
        waiting = sorted(stim._run.waiting.items())
    return [(number, slots.held_by()) for number, a in waiting if (slots := stim._handler(a).slots) is not None]
