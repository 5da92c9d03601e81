"""Handlers of a projection: what ``bind`` takes, and what is called for an event."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from .advancing import Apply
from .recorded import Recorded
from .write import Write

__all__ = ["Binding", "applying"]

E = TypeVar("E")


class Binding(Generic[E]):
    """Binds a handler to the events of an aggregate; made by ``Projection.bind``."""

    __slots__ = ("_add",)

    def __init__(self, add: Callable[[Callable[..., None]], None]) -> None:
        self._add = add

    @overload
    def __call__(self, handler: Callable[[E, Write], None], /) -> Callable[[E, Write], None]: ...
    @overload
    def __call__(
        self, handler: Callable[[E, Write, Recorded[E]], None], /
    ) -> Callable[[E, Write, Recorded[E]], None]: ...
    def __call__(self, handler: Any, /) -> Any:
        """Bind the handler, and give it back."""
        self._add(handler)
        return handler


def applying(projection: str, handler: Callable[..., None]) -> Apply:
    """A handler of two or three arguments as what is called for an event.

    Raises:
        TypeError: it is none.
    """
    if not callable(handler) or inspect.iscoroutinefunction(handler):
        raise TypeError(f"projection {projection!r}: a handler must be a plain function, not {handler!r}")
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError as error:
        raise TypeError(f"projection {projection!r}: {handler!r} does not tell its arguments") from error
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = sum(one.kind in places and one.default is one.empty for one in parameters)
    if needed in (2, 3):
        return Apply(handler, takes_recorded=needed == 3)
    raise TypeError(
        f"projection {projection!r}: a handler takes (event, write) or (event, write, recorded), and "
        f"{handler!r} takes {needed} arguments"
    )
