"""Middleware: what wraps handlers, once per dendrite, when a graph is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import faults

__all__ = ["wrap"]


def wrap(
    dendrite: Any, middleware: Sequence[Callable[[Any, Any], Any]], call: Callable[..., Any], arity: int, is_async: bool
) -> tuple[Callable[..., Any], bool]:
    """A handler of the dendrite, which takes ``arity`` arguments, inside all middleware, the first outermost.

    What this gives takes (payload, axon, ctx).

    Returns it with whether it is known to be asynchronous, so that a run without a loop can refuse it before any of
    its code runs.
    """
    from inspect import iscoroutinefunction

    handler = _with_three_arguments(call, arity)
    for outer in reversed(middleware):
        inner, handler = handler, outer(dendrite, handler)
        if not callable(handler):
            raise faults.bad_middleware(outer, handler)
        if handler is not inner:
            is_async = is_async or iscoroutinefunction(handler)
    return handler, is_async


def _with_three_arguments(handler: Callable[..., Any], arity: int) -> Callable[[Any, Any, Any], Any]:
    if arity == 1:
        return lambda payload, axon, ctx: handler(payload)
    if arity == 2:
        return lambda payload, axon, ctx: handler(payload, axon)
    return handler
