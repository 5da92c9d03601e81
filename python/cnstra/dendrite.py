"""One thing that a neuron reacts to, and the types of what handles it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Never, Self, TypeAlias, TypeVar, final

from ._engine import Collateral, Context, Signal

if TYPE_CHECKING:
    from .neurons import Neuron

__all__ = ["Answer", "Dendrite", "Handler", "Join", "Middleware", "Result"]

P = TypeVar("P")
A = TypeVar("A")
E = TypeVar("E")
C = TypeVar("C")
S = TypeVar("S")
R = TypeVar("R")

# What a handler of a neuron that may emit E answers, and what it returns: that, or something to await for it.
Answer: TypeAlias = "Signal[E] | Sequence[Signal[E]] | None"
Result: TypeAlias = "Answer[E] | Awaitable[Answer[E]]"
Handler: TypeAlias = "Callable[[P], R] | Callable[[P, A], R] | Callable[[P, A, Context[C, S]], R]"
# What wraps handlers: it is given one that takes (payload, axon, ctx), and returns another.
Middleware: TypeAlias = "Callable[[Dendrite[Any], Callable[..., Any]], Callable[..., Any]]"


@final
class Join:
    """What the dendrites of one ``join(...)`` call share: the engines tell joins apart by its identity."""

    __slots__ = ("collaterals",)

    def __init__(self, collaterals: tuple[Collateral[Any], ...]) -> None:
        self.collaterals = collaterals

    def __repr__(self) -> str:
        return f"<Join of {', '.join(repr(c.name) for c in self.collaterals)}>"


@final
class Dendrite(Generic[P]):
    """One (collateral, handler) pair of a neuron; made by ``dendrite``, ``bind``, ``join`` and ``modality_dendrite``.

    Example:
        >>> from cnstra import collateral, neuron
        >>> tick = collateral("tick")
        >>> clock = neuron("clock").dendrite(collateral=tick, response=lambda payload, axon: None)
        >>> clock.dendrites[0], clock.dendrites[0].arity
        (<Dendrite of 'clock' on 'tick'>, 2)
    """

    # Engines read these directly.
    __slots__ = ("_arity", "_collateral", "_handler", "_is_async", "_join", "_neuron")

    def __init__(
        self,
        neuron: Neuron[Any, Any, Any, Any],
        collateral: Collateral[P],
        handler: Callable[..., Any],
        arity: int,
        is_async: bool,
        join: Join | None,
    ) -> None:
        self._neuron = neuron
        self._collateral = collateral
        self._handler = handler
        self._arity = arity
        self._is_async = is_async
        self._join = join

    def __init_subclass__(cls) -> None:
        raise TypeError("Dendrite is final and cannot be subclassed")

    @property
    def neuron(self) -> Neuron[Any, Any, Any, Any]:
        """The neuron that it belongs to."""
        return self._neuron

    @property
    def collateral(self) -> Collateral[P]:
        """The collateral that it listens to."""
        return self._collateral

    @property
    def handler(self) -> Callable[..., Any]:
        """What is called; of a modality dendrite, what picks the handler by modality and path."""
        return self._handler

    @property
    def arity(self) -> int:
        """How many of (payload, axon, ctx) the handler is called with: 1, 2 or 3."""
        return self._arity

    @property
    def is_async(self) -> bool:
        """Whether the handler is an async function; a plain one may return something to await all the same."""
        return self._is_async

    def __repr__(self) -> str:
        joined = "" if self._join is None else ", joined"
        return f"<Dendrite of {self._neuron.name!r} on {self._collateral.name!r}{joined}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it holds a handler; tasks name dendrites by number")
