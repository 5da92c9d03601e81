"""The builder: what makes collaterals and neurons. The result is plain data, which the engines compile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Never, TypeVar, final, overload

from ._engine import Collateral
from .axon import Carries, MappingAxon, TypedAxon
from .dendrite import Dendrite
from .neurons import Neuron

__all__ = ["Dendrite", "Neuron", "NeuronFactory", "collateral", "neuron", "neuron_factory"]

P = TypeVar("P")
A = TypeVar("A")
E = TypeVar("E")
C = TypeVar("C")
S = TypeVar("S")


@overload
def collateral(name: str, payload_type: None = None) -> Collateral[None]: ...
@overload
def collateral(name: str, payload_type: type[P]) -> Collateral[P]: ...
def collateral(name: str, payload_type: Any = None) -> Collateral[Any]:
    """Make a collateral: a named, typed channel.

    Args:
        name: how tasks, traces and stored runs call it; unique in a CNS. Routing goes by identity, never by it.
        payload_type: the class of its payloads, for type checkers and as ``.payload_type``; payloads are not checked.
            None is for signals without payload. For a union, ``Collateral[A | B](name)``.

    Returns:
        A new collateral, equal to no other.

    Raises:
        TypeError: the name is no str.
        ValueError: the name is empty.

    Example:
        >>> from cnstra import collateral
        >>> celsius = collateral("celsius", float)
        >>> celsius.create_signal(21.5)
        <Signal 'celsius' 21.5>
    """
    return Collateral(name, payload_type)


@overload
def neuron(
    name: str,
    axon: TypedAxon[A, E],
    *,
    concurrency: int | None = None,
    max_duration: float | None = None,
    offload: bool = False,
) -> Neuron[A, E, Any, Any]: ...
@overload
def neuron(
    name: str,
    axon: Mapping[str, Carries[P]] | MappingAxon[P],
    *,
    concurrency: int | None = None,
    max_duration: float | None = None,
    offload: bool = False,
) -> Neuron[MappingAxon[P], P, Any, Any]: ...
@overload
def neuron(
    name: str,
    axon: Mapping[str, Carries[Any]],
    *,
    concurrency: int | None = None,
    max_duration: float | None = None,
    offload: bool = False,
) -> Neuron[MappingAxon[Any], Any, Any, Any]: ...
@overload
def neuron(
    name: str,
    axon: None = None,
    *,
    concurrency: int | None = None,
    max_duration: float | None = None,
    offload: bool = False,
) -> Neuron[None, Never, Any, Any]: ...
def neuron(
    name: str,
    axon: Any = None,
    *,
    concurrency: int | None = None,
    max_duration: float | None = None,
    offload: bool = False,
) -> Neuron[Any, Any, Any, Any]:
    """Make a neuron: a named handler unit. What it reacts to is added with ``dendrite``, ``bind`` and ``join``.

    Args:
        name: how tasks, traces and stored runs call it; unique in a CNS.
        axon: the collaterals that it owns, which nobody else may emit: an instance of an ``Axon`` class, or a
            mapping of names to collaterals. None owns and emits nothing.
        concurrency: how many of its handlers may be active at once, over all runs of a CNS; at least 1, None is
            unlimited.
        max_duration: seconds that one activation may take, more than 0; None is unlimited.
        offload: run its handlers, plain functions, in worker threads.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range; the message names the neuron.

    Example:
        >>> from cnstra import collateral, neuron
        >>> neuron("users", {"created": collateral("created", str)}, concurrency=4, max_duration=2.0)
        <Neuron 'users' with 0 dendrites>
    """
    return Neuron(name, axon, concurrency, max_duration, offload)


@final
class NeuronFactory(Generic[C, S]):
    """Makes neurons whose context value is a ``C`` and whose ``ctx.shared`` is an ``S``. See ``neuron_factory``."""

    __slots__ = ("_context", "_shared")

    def __init__(self, context: Any = None, shared: Any = None) -> None:
        self._context = context
        self._shared = shared

    @overload
    def neuron(
        self,
        name: str,
        axon: TypedAxon[A, E],
        *,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
    ) -> Neuron[A, E, C, S]: ...
    @overload
    def neuron(
        self,
        name: str,
        axon: Mapping[str, Carries[P]] | MappingAxon[P],
        *,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
    ) -> Neuron[MappingAxon[P], P, C, S]: ...
    @overload
    def neuron(
        self,
        name: str,
        axon: Mapping[str, Carries[Any]],
        *,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
    ) -> Neuron[MappingAxon[Any], Any, C, S]: ...
    @overload
    def neuron(
        self,
        name: str,
        axon: None = None,
        *,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
    ) -> Neuron[None, Never, C, S]: ...
    def neuron(
        self,
        name: str,
        axon: Any = None,
        *,
        concurrency: int | None = None,
        max_duration: float | None = None,
        offload: bool = False,
    ) -> Neuron[Any, Any, C, S]:
        """Make a neuron: see the function ``neuron``, which this is but for the types."""
        return Neuron(name, axon, concurrency, max_duration, offload, self._context)

    def __repr__(self) -> str:
        return f"<NeuronFactory context={_name(self._context)} shared={_name(self._shared)}>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it holds types of your program; make it again where it is needed")


@overload
def neuron_factory(*, context: type[C], shared: type[S]) -> NeuronFactory[C, S]: ...
@overload
def neuron_factory(*, context: type[C]) -> NeuronFactory[C, Any]: ...
@overload
def neuron_factory(*, shared: type[S]) -> NeuronFactory[Any, S]: ...
def neuron_factory(*, context: Any = None, shared: Any = None) -> NeuronFactory[Any, Any]:
    """Bake the types of context values and shared values into neurons, once for many.

    Args:
        context: the class of what their handlers keep with ``ctx.set``. It is the ``context_type`` of the neurons, by
            which stores know how to encode the values; the engine does not check them.
        shared: the class of what ``CNS(shared=...)`` is given.

    Returns:
        An object whose ``neuron(...)`` takes what the function ``neuron`` takes. Runs are the same with either.

    Example:
        >>> from cnstra import Context, collateral, neuron_factory
        >>> tick = collateral("tick")
        >>> counting = neuron_factory(context=int, shared=dict)
        >>> counter = counting.neuron("counter")
        >>> @counter.dendrite(tick)
        ... def count(payload: None, axon: None, ctx: Context[int, dict]) -> None:
        ...     ctx.set(ctx.get(0) + 1)
    """
    return NeuronFactory(context, shared)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__qualname__", kind))
