"""Middleware: what wraps handlers, once per dendrite, when a graph is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import faults

__all__ = ["wrap"]


def wrap(dendrite: Any, middleware: Sequence[Callable[[Any, Any], Any]]) -> tuple[Callable[..., Any], bool]:
    """The dendrite's handler inside all middleware, the first outermost; takes (payload, axon, ctx).

    Returns it with whether it is known to be asynchronous, so that a run without a loop can refuse it before any of
    its code runs.
    """
    from inspect import iscoroutinefunction

    handler = _with_three_arguments(dendrite)
    is_async = dendrite._is_async
    for outer in reversed(middleware):
        inner, handler = handler, outer(dendrite, handler)
        if not callable(handler):
            raise faults.bad_middleware(outer, handler)
        if handler is not inner:
            is_async = is_async or iscoroutinefunction(handler)
    return handler, is_async


def _with_three_arguments(dendrite: Any) -> Callable[[Any, Any, Any], Any]:
    handler: Callable[..., Any] = dendrite._handler
    if dendrite._arity == 1:
        return lambda payload, axon, ctx: handler(payload)
    if dendrite._arity == 2:
        return lambda payload, axon, ctx: handler(payload, axon)
    return handler
