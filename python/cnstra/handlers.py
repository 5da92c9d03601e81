"""What can be known of a handler before it is called: how many arguments it takes, and whether it is asynchronous.

Both are decided once, when a dendrite is made. Plain functions and methods are read off their code object, so that
graphs of a million neurons build without ``inspect``; everything else goes through its signature.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NamedTuple

__all__ = ["HandlerKind", "analyze"]

# The flags of code objects that matter here (inspect.CO_*, which would cost the import).
_VARARGS = 0x04
_GENERATOR = 0x20
_COROUTINE = 0x80
_ITERABLE_COROUTINE = 0x100  # types.coroutine made a coroutine function of a generator function
_ASYNC_GENERATOR = 0x200
_UNUSUAL = _GENERATOR | _ASYNC_GENERATOR
_RARE = _UNUSUAL | _VARARGS

_SHAPES = "a handler takes (payload), (payload, axon) or (payload, axon, ctx)"


class HandlerKind(NamedTuple):
    """What a dendrite keeps of the analysis."""

    arity: int
    is_async: bool


_KINDS = {(arity, is_async): HandlerKind(arity, is_async) for arity in (1, 2, 3) for is_async in (False, True)}


def analyze(handler: Callable[..., Any], offload: bool = False) -> HandlerKind:
    """How to call a handler.

    Args:
        handler: any callable.
        offload: whether its neuron runs handlers in worker threads.

    Returns:
        The number of positional arguments to call it with (1, 2 or 3: those without a default, at least one), and
        whether it is known to return a coroutine.

    Raises:
        TypeError: it is not callable, cannot take one to three positional arguments, is a generator function, or is
            asynchronous and to be offloaded. The caller adds where in the graph that is.
    """
    given: Any = handler
    if type(given) is FunctionType:
        function, bound = given, 0
    elif type(given) is MethodType and type(given.__func__) is FunctionType:
        function, bound = given.__func__, 1
    else:
        return _by_signature(handler, offload)
    code = function.__code__
    flags = code.co_flags
    # What a function wraps matters only if its own signature is open.
    if flags & _RARE or code.co_kwonlyargcount or _is_marked(function):
        return _by_signature(handler, offload)
    takes = code.co_argcount - bound
    defaults = function.__defaults__
    arity = takes if defaults is None else takes - len(defaults)
    if arity <= 0:
        if takes <= 0:
            raise _takes_nothing(handler)
        arity = 1
    elif arity > 3:
        raise _takes_too_many(handler, arity)
    is_async = bool(flags & _COROUTINE)
    if is_async and offload:
        raise _cannot_be_offloaded(handler)
    return _KINDS[arity, is_async]


def _by_signature(handler: Any, offload: bool) -> HandlerKind:
    if not callable(handler):
        raise TypeError(f"a handler must be callable, not {type(handler).__name__}")
    is_async = _is_async(handler)
    if is_async and offload:
        raise _cannot_be_offloaded(handler)
    arity = _arity(handler)
    if arity > 3:
        raise _takes_too_many(handler, arity)
    return _KINDS[arity, is_async]


def _is_async(handler: Any) -> bool:
    """Whether calling it is known to give a coroutine; generator functions are refused here."""
    import inspect

    called = _function(handler)
    if not inspect.isroutine(called) and not isinstance(called, type):
        called = _function(type(called).__call__)  # what an object does when called is what its class says
    flags = getattr(getattr(called, "__code__", None), "co_flags", 0)
    if not isinstance(flags, int):
        return False  # a mock of a function pretends to have code
    if flags & _ITERABLE_COROUTINE or (type(called) is FunctionType and _is_marked(called)):
        return True
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called):
        return True
    if flags & _UNUSUAL:
        raise TypeError(
            f"{_name(handler)} is a generator function, and a handler answers once: return a list of signals"
        )
    return False


def _is_marked(function: Any) -> bool:
    """Whether a plain function was declared a coroutine function, by inspect (from 3.12 on) or by asyncio's mark."""
    return hasattr(function, "_is_coroutine_marker") or hasattr(function, "_is_coroutine")


def _function(handler: Any) -> Any:
    """What is inside partials and bound methods."""
    from functools import partial

    while isinstance(handler, partial | MethodType):
        handler = handler.func if isinstance(handler, partial) else handler.__func__
    return handler


def _arity(handler: Any) -> int:
    import inspect

    wrapped = getattr(handler, "__wrapped__", None)
    if isinstance(handler, MethodType) and wrapped is not None:
        wrapped = MethodType(wrapped, handler.__self__)
    try:
        # It is the wrapper that is called: what it wraps counts only where its own signature is open.
        signature = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):
        return _arity(wrapped) if callable(wrapped) else 1  # a builtin that does not tell, or such a mock
    required, takes, is_open = _count(handler, signature)
    if is_open:
        if callable(wrapped):
            required = max(required, _arity(wrapped))
        else:
            required = max(required, _count(handler, inspect.signature(handler))[0])
    if not required and not takes and not is_open:
        raise _takes_nothing(handler)
    return max(required, 1)


def _count(handler: Any, signature: Any) -> tuple[int, int, bool]:
    """How many positional arguments it requires and names, and whether it takes any number."""
    required = takes = 0
    is_open = False
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            takes += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_POSITIONAL:
            is_open = True
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise TypeError(
                f"{_name(handler)} requires the keyword argument {parameter.name!r}, and handlers are called with "
                f"positional arguments only: give it a default, or bind it with functools.partial"
            )
    return required, takes, is_open


def _name(handler: Any) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)


def _takes_nothing(handler: Any) -> TypeError:
    return TypeError(f"{_name(handler)} cannot take a positional argument: {_SHAPES}")


def _takes_too_many(handler: Any, required: int) -> TypeError:
    return TypeError(
        f"{_name(handler)} requires {required} positional arguments: {_SHAPES}; "
        f"give the others a default, or bind them with functools.partial"
    )


def _cannot_be_offloaded(handler: Any) -> TypeError:
    return TypeError(
        f"{_name(handler)} is asynchronous, and offload=True runs plain functions in worker threads: "
        f"drop offload=True, or make it a plain function"
    )
