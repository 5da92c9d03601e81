"""Sees what handlers do, from outside.

A bench must show that the work was done, but a handler that kept a record would cost more than all that is to be
measured. So the interpreter is asked, which tells of every call while a witness looks on: the functions that are seen
at work are the very ones that are timed later.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Self, cast

__all__ = ["Witness"]


class Witness:
    """A context manager that sees functions at work in this thread.

    Args:
        functions: whom to look at. Functions from one definition, such as closures, are looked at together.

    Attributes:
        payloads: the first argument of each call, in order of the ends of the calls.
        results: what each returned. For a coroutine function every step counts: what it yielded, in the end its result.

    Example:
        >>> def double(number: int) -> int:
        ...     return 2 * number
        >>> with Witness(double) as seen:
        ...     _ = double(1) + double(2)
        >>> seen.payloads, seen.results
        ([1, 2], [2, 4])
    """

    def __init__(self, *functions: Callable[..., object]) -> None:
        self._codes = {cast("CodeType", cast("Any", function).__code__) for function in functions}
        self.payloads: list[Any] = []
        self.results: list[Any] = []

    def __enter__(self) -> Self:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, value: object) -> None:
        if event == "return" and frame.f_code in self._codes:
            self.payloads.append(frame.f_locals[frame.f_code.co_varnames[0]])
            self.results.append(value)
