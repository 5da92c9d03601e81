"""Where two traces part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from .events import Event

__all__ = ["assert_same"]


def assert_same(first: Sequence[Event], second: Sequence[Event]) -> None:
    """Fail at the first event that differs, naming the fields that do."""
    for place, (one, other) in enumerate(zip_longest(first, second)):
        if type(one) is type(other) and one == other:
            continue
        lines = [f"the traces part at event {place}:"]
        lines += [f"    = {event!r}" for event in first[max(place - 3, 0) : place]]
        lines += [f"    1 {one!r}", f"    2 {other!r}"]
        if one is not None and type(one) is type(other):
            lines += [
                f"      {name}: {a!r} != {b!r}" for name, a, b in zip(one._fields, one, other, strict=True) if a != b
            ]
        raise AssertionError("\n".join(lines))
