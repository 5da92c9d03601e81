"""Arity and kind of every sort of callable, decided when the dendrite is made (S4)."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec

import pytest

from cnstra import CNS, collateral, neuron
from cnstra.handlers import analyze

go = collateral("go", str)


def one(payload: Any) -> None: ...
def two(payload: Any, axon: Any) -> None: ...
def three(payload: Any, axon: Any, ctx: Any) -> None: ...
def four(payload: Any, axon: Any, ctx: Any, more: Any) -> None: ...
def none() -> None: ...
def defaulted(payload: Any = None) -> None: ...
def all_defaulted(payload: Any = None, axon: Any = None, ctx: Any = None, more: Any = None) -> None: ...
def one_and_default(payload: Any, retries: int = 3) -> None: ...
def three_and_defaults(payload: Any, axon: Any, ctx: Any, a: int = 1, b: int = 2) -> None: ...
def positional_only(payload: Any, axon: Any, /) -> None: ...
def stars(*args: Any) -> None: ...
def one_and_stars(payload: Any, *args: Any) -> None: ...
def two_and_stars(payload: Any, axon: Any, *args: Any, **kwargs: Any) -> None: ...
def keywords(payload: Any, **kwargs: Any) -> None: ...
def keyword_default(payload: Any, *, option: int = 3) -> None: ...
def keyword_required(payload: Any, *, option: int) -> None: ...
def only_keywords(**kwargs: Any) -> None: ...
async def coroutine(payload: Any) -> None: ...
async def coroutine_of_three(payload: Any, axon: Any, ctx: Any) -> None: ...


def generator(payload: Any) -> Iterator[Any]:
    yield payload


async def async_generator(payload: Any) -> AsyncIterator[Any]:
    yield payload


@types.coroutine
def old_coroutine(payload: Any) -> Iterator[Any]:
    yield


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def wrapped_for_three(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(payload: Any, axon: Any, ctx: Any) -> Any:
        return function(payload)

    return wrapper


def wrapped_with_one_of_its_own(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(first: Any, *args: Any) -> Any:
        return function(first, *args)

    return wrapper


class Object:
    def __init__(self, payload: Any = None) -> None: ...
    def __call__(self, payload: Any, axon: Any) -> None: ...
    def method(self, payload: Any) -> None: ...
    def method_of_three(self, payload: Any, axon: Any, ctx: Any) -> None: ...
    def no_room(self) -> None: ...
    def stars(*args: Any) -> None: ...
    async def coroutine(self, payload: Any, axon: Any) -> None: ...
    def generator(self, payload: Any) -> Iterator[Any]:
        yield payload

    @classmethod
    def of_class(cls, payload: Any, axon: Any) -> None: ...
    @staticmethod
    def static(payload: Any, axon: Any, ctx: Any) -> None: ...
    @wrapped
    def decorated(self, payload: Any, axon: Any) -> None: ...


class AsyncObject:
    async def __call__(self, payload: Any, axon: Any, ctx: Any) -> None: ...


class GeneratorObject:
    def __call__(self, payload: Any) -> Iterator[Any]:
        yield payload


class OpenObject:
    """A decorator as a class, as many libraries have them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any: ...


class Signed:
    """Says its signature itself."""

    def __init__(self, *names: str) -> None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])

    def __call__(self, *args: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arity", "is_async"),
    [
        (one, 1, False),
        (two, 2, False),
        (three, 3, False),
        (defaulted, 1, False),
        (all_defaulted, 1, False),
        (one_and_default, 1, False),
        (three_and_defaults, 3, False),
        (positional_only, 2, False),
        (stars, 1, False),
        (one_and_stars, 1, False),
        (two_and_stars, 2, False),
        (keywords, 1, False),
        (keyword_default, 1, False),
        (coroutine, 1, True),
        (coroutine_of_three, 3, True),
        (old_coroutine, 1, True),
        (lambda payload, axon: None, 2, False),
        (lambda *_: None, 1, False),
        # methods
        (Object().method, 1, False),
        (Object().method_of_three, 3, False),
        (Object().stars, 1, False),
        (Object().coroutine, 2, True),
        (Object.of_class, 2, False),
        (Object.static, 3, False),
        (Object.method, 2, False),
        (Object().decorated, 2, False),
        # objects and classes
        (Object(), 2, False),
        (Object, 1, False),
        (AsyncObject(), 3, True),
        (AsyncObject().__call__, 3, True),
        (Signed("payload", "axon", "ctx"), 3, False),
        # partials
        (functools.partial(three, None), 2, False),
        (functools.partial(four, None, None), 2, False),
        (functools.partial(three, ctx=None), 2, False),
        (functools.partial(keyword_required, option=3), 1, False),
        (functools.partial(coroutine_of_three, None), 2, True),
        (functools.partial(AsyncObject(), None), 2, True),
        (functools.partial(functools.partial(three, None), None), 1, False),
        (functools.partial(wrapped(three), None), 2, False),
        (functools.partial(Object().method_of_three, None), 2, False),
        # wrappers: what is called is the wrapper; what it wraps counts where the wrapper is open
        (wrapped(two), 2, False),
        (wrapped(wrapped(three)), 3, False),
        (wrapped(coroutine_of_three), 3, False),
        (wrapped_for_three(one), 3, False),
        (wrapped(wrapped_for_three(one)), 3, False),
        (wrapped_with_one_of_its_own(three), 3, False),
        (wrapped_with_one_of_its_own(defaulted), 1, False),
        (wrapped(Object().method_of_three), 3, False),
        (functools.lru_cache(two), 2, False),
        (OpenObject(three), 3, False),
        # builtins
        (print, 1, False),
        (len, 1, False),
        ([].append, 1, False),
        (operator.add, 2, False),
        (int, 1, False),
        (dict, 1, False),
        (asyncio.sleep, 1, True),
        # mocks
        (Mock(), 1, False),
        (MagicMock(), 1, False),
        (AsyncMock(), 1, True),
        (Mock(spec=two), 1, False),
        (create_autospec(two), 2, False),
        (create_autospec(coroutine_of_three), 3, True),
    ],
)
def test_kinds(handler: Any, arity: int, is_async: bool) -> None:
    assert analyze(handler) == (arity, is_async)
    made = neuron("n").dendrite(collateral=go, response=handler).dendrites[0]
    assert (made.arity, made._is_async) == (arity, is_async)
    assert made.handler is handler or made.handler == handler  # bound methods are made anew each time


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (four, "four requires 4 positional arguments.*default.*partial"),
        (wrapped(four), "four requires 4 positional arguments"),
        (functools.partial(lambda *a, b, c: None, b=1), r"requires the keyword argument 'c'"),
        (none, "none cannot take a positional argument: a handler takes"),
        (only_keywords, "only_keywords cannot take a positional argument"),
        (Object().no_room, r"Object\.no_room cannot take a positional argument"),
        (functools.partial(one, None), "cannot take a positional argument"),
        (keyword_required, "keyword_required requires the keyword argument 'option'.*default.*partial"),
        (generator, "generator is a generator function.*return a list"),
        (async_generator, "async_generator is a generator function"),
        (functools.partial(generator), "is a generator function"),
        (Object().generator, r"Object\.generator is a generator function"),
        (GeneratorObject(), "is a generator function"),
        (functools.partial(GeneratorObject()), "is a generator function"),
        (3, "a handler must be callable, not int"),
        ("print", "a handler must be callable, not str"),
        (object(), "a handler must be callable, not object"),
    ],
)
def test_what_is_no_handler(handler: Any, message: str) -> None:
    where = "neuron 'n', dendrite on 'go': "
    with pytest.raises(TypeError, match=f"^{where}.*{message}"):
        neuron("n").dendrite(collateral=go, response=handler)
    with pytest.raises(TypeError, match=f"^{where}.*{message}"):
        neuron("n").dendrite(go)(handler)
    with pytest.raises(TypeError, match=f"^neuron 'n', join on 'go': .*{message}"):
        neuron("n").join(go)(handler)


@pytest.mark.parametrize(
    "handler", [coroutine, Object().coroutine, AsyncObject(), functools.partial(coroutine), old_coroutine]
)
def test_offload_refuses_async(handler: Any) -> None:
    with pytest.raises(TypeError, match=r"^neuron 'n', dendrite on 'go': .*asynchronous.*drop offload=True"):
        neuron("n", offload=True).dendrite(collateral=go, response=handler)
    assert neuron("n", offload=True).dendrite(collateral=go, response=one).dendrites[0].arity == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is new in 3.12")
def test_marked_coroutine_functions() -> None:
    @inspect.markcoroutinefunction  # type: ignore[attr-defined, untyped-decorator, unused-ignore]
    def marked(payload: Any, axon: Any) -> Any:
        return coroutine(payload)

    assert analyze(marked) == (2, True)


def test_the_number_of_arguments_is_what_the_handler_gets() -> None:
    """Every accepted callable is called with as many arguments as was decided."""
    got: dict[str, tuple[Any, ...]] = {}

    class Recorder:
        def __call__(self, *args: Any) -> None:
            got["object"] = args

        def method(self, payload: Any, axon: Any = "default") -> None:
            got["method"] = (payload, axon)

    def fixed(option: str, payload: Any, axon: Any) -> None:
        got["partial"] = (option, payload, axon)

    def record(name: str, count: int) -> Callable[..., None]:
        parameters = ", ".join(f"a{i}" for i in range(count))
        made: Callable[..., None] = eval(
            f"lambda {parameters}: got.__setitem__(name, ({parameters},))", {"got": got, "name": name}
        )
        return made

    made = neuron("n", {"out": collateral("out")})
    for handler in (
        record("1", 1),
        record("2", 2),
        record("3", 3),
        Recorder(),
        Recorder().method,
        functools.partial(fixed, "x"),
    ):
        made.dendrite(collateral=go, response=handler)
    CNS([made]).stimulate(go.create_signal("hello")).raise_for_failure()
    axon = made.axon
    assert got["1"] == ("hello",)
    assert got["2"] == ("hello", axon)
    assert got["3"][:2] == ("hello", axon)
    assert got["3"][2].task.neuron is made
    assert got["object"] == ("hello",)
    assert got["method"] == ("hello", "default")
    assert got["partial"] == ("x", "hello", axon)
