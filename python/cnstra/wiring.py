"""How dendrites get onto a neuron: the data that engines read, the checks, and the decorator."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, Never, Self, TypeVar, final, overload

from ._engine import Collateral, Context
from .axon import as_axon
from .dendrite import Dendrite, Join
from .errors import GraphError
from .faults import check_limit, check_seconds
from .handlers import analyze

if TYPE_CHECKING:
    from .dendrite import Answer, Result

__all__ = ["HandlerUnit", "Wiring"]

P = TypeVar("P")
A = TypeVar("A")
E = TypeVar("E")
C = TypeVar("C")
S = TypeVar("S")


class HandlerUnit:
    """What a neuron is to the engines; ``Neuron`` adds the methods that people call, and their types."""

    # Engines read these directly. ``_frozen`` is set by the first engine that compiles the neuron.
    __slots__ = (
        "__weakref__", "_axon", "_concurrency", "_context_type", "_dendrites", "_emits", "_frozen", "_max_duration",
        "_name", "_offload",
    )  # fmt: skip

    _dendrites: list[Dendrite[Any]]
    _emits: tuple[Collateral[Any], ...]

    def __init__(
        self,
        name: str,
        axon: Any = None,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
        context_type: Any = None,
    ) -> None:
        if type(name) is not str or not name:
            _check_name(name)
        self._name = name
        if axon is None:
            self._axon: Any = None
            self._emits = ()
        else:
            self._axon, self._emits = as_axon(axon, name)
        self._dendrites = []
        if concurrency is not None:
            check_limit(f"neuron {name!r}: concurrency", concurrency)
        self._concurrency = concurrency
        if max_duration is not None:
            check_seconds(f"neuron {name!r}: max_duration", max_duration)
        self._max_duration = max_duration
        if offload is not False and offload is not True:
            raise TypeError(f"neuron {name!r}: offload must be a bool, not {type(offload).__name__}")
        self._offload = offload
        self._context_type = context_type
        self._frozen = False

    def _wire(self, is_join: bool, positional: tuple[Any, ...], keyword: Any, response: Any) -> Any:
        """What ``dendrite`` and ``join`` do in their two forms."""
        if response is None:
            if keyword is not None:
                raise TypeError(f"{self._where(is_join)}: collateral= needs response=, the handler")
            self._check_open()
            self._check_collaterals(positional, is_join)
            wiring: Wiring[Any, Any, Any, Any, Any] = Wiring(self, positional, is_join)
            return wiring
        if positional or keyword is None:
            raise TypeError(f"{self._where(is_join)}: response= takes its collaterals as collateral=")
        collaterals: tuple[Any, ...] = tuple(keyword) if _is_list(keyword) else (keyword,)
        self._check_collaterals(collaterals, is_join)
        self._attach(collaterals, response, is_join)
        return self

    def _attach(self, collaterals: tuple[Any, ...], handler: Any, is_join: bool) -> None:
        if self._frozen:
            self._check_open()
        try:
            arity, is_async = analyze(handler, self._offload)
        except TypeError as error:
            names = ", ".join(repr(channel.name) for channel in collaterals)
            raise TypeError(f"{self._where(is_join)} on {names}: {error}") from None
        join = Join(collaterals) if is_join else None
        neuron: Any = self
        for channel in collaterals:
            self._dendrites.append(Dendrite(neuron, channel, handler, arity, is_async, join))

    def _check_open(self) -> None:
        if self._frozen:
            raise GraphError(
                f"neuron {self._name!r} is part of a CNS, which is compiled once: add its dendrites before CNS([...])"
            )

    def _check_collaterals(self, collaterals: tuple[Any, ...], is_join: bool) -> None:
        for channel in collaterals:
            if type(channel) is not Collateral:
                raise GraphError(
                    f"{self._where(is_join)} on {channel!r} ({type(channel).__name__}), which is no collateral: "
                    f"make one with collateral(name, payload_type)"
                )
        if len(collaterals) != 1:
            if not collaterals:
                raise TypeError(f"{self._where(is_join)}: at least one collateral is needed")
            if len(set(collaterals)) < len(collaterals):
                names = ", ".join(repr(channel.name) for channel in collaterals)
                raise ValueError(f"{self._where(is_join)}: a collateral is there twice: {names}")

    def _where(self, is_join: bool) -> str:
        return f"neuron {self._name!r}, {'join' if is_join else 'dendrite'}"

    def __repr__(self) -> str:
        count = len(self._dendrites)
        return f"<Neuron {self._name!r} with {count} dendrite{'' if count == 1 else 's'}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it holds handlers; send its name and look it up")


@final
class Wiring(Generic[P, A, E, C, S]):
    """What ``dendrite``, ``bind`` and ``join`` return: a decorator that adds a handler and gives it back unchanged."""

    __slots__ = ("_collaterals", "_is_join", "_neuron")

    def __init__(self, neuron: HandlerUnit, collaterals: tuple[Collateral[Any], ...], is_join: bool = False) -> None:
        self._neuron = neuron
        self._collaterals = collaterals
        self._is_join = is_join

    # By what is returned, so that the decorated function can still be called, or awaited, by whoever tests it.
    @overload
    def __call__(self, handler: Callable[[P], Answer[E]], /) -> Callable[[P], Answer[E]]: ...
    @overload
    def __call__(self, handler: Callable[[P, A], Answer[E]], /) -> Callable[[P, A], Answer[E]]: ...
    @overload
    def __call__(
        self, handler: Callable[[P, A, Context[C, S]], Answer[E]], /
    ) -> Callable[[P, A, Context[C, S]], Answer[E]]: ...
    @overload
    def __call__(
        self, handler: Callable[[P], Coroutine[Any, Any, Answer[E]]], /
    ) -> Callable[[P], Coroutine[Any, Any, Answer[E]]]: ...
    @overload
    def __call__(
        self, handler: Callable[[P, A], Coroutine[Any, Any, Answer[E]]], /
    ) -> Callable[[P, A], Coroutine[Any, Any, Answer[E]]]: ...
    @overload
    def __call__(
        self, handler: Callable[[P, A, Context[C, S]], Coroutine[Any, Any, Answer[E]]], /
    ) -> Callable[[P, A, Context[C, S]], Coroutine[Any, Any, Answer[E]]]: ...
    @overload
    def __call__(self, handler: Callable[[P], Result[E]], /) -> Callable[[P], Result[E]]: ...
    @overload
    def __call__(self, handler: Callable[[P, A], Result[E]], /) -> Callable[[P, A], Result[E]]: ...
    @overload
    def __call__(
        self, handler: Callable[[P, A, Context[C, S]], Result[E]], /
    ) -> Callable[[P, A, Context[C, S]], Result[E]]: ...
    def __call__(self, handler: Any, /) -> Any:
        """Add the handler to the neuron.

        Raises:
            TypeError: it is no handler (S4); the message names neuron and collateral.
            GraphError: the neuron is in a CNS already.
        """
        self._neuron._attach(self._collaterals, handler, self._is_join)
        return handler

    def __repr__(self) -> str:
        what = "join" if self._is_join else "dendrite"
        return f"<decorator: {what} of {self._neuron._name!r} on {', '.join(repr(c.name) for c in self._collaterals)}>"


def _is_list(value: Any) -> bool:
    return type(value) is not Collateral and isinstance(value, Sequence)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a neuron's name must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("a neuron needs a name that is not empty: tasks, traces and stored runs go by it")
