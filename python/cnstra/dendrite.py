"""One thing that a neuron reacts to, and the decorator that adds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Never, Self, TypeAlias, TypeVar, final, overload

from ._engine import Collateral, Context, Signal

if TYPE_CHECKING:
    from .neurons import Neuron

__all__ = ["Dendrite", "Join", "Wiring"]

P = TypeVar("P")
A = TypeVar("A")
E = TypeVar("E")
C = TypeVar("C")
S = TypeVar("S")

# What a handler of a neuron that may emit E returns.
Result: TypeAlias = "Signal[E] | Sequence[Signal[E]] | None | Awaitable[Signal[E] | Sequence[Signal[E]] | None]"


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

    def __repr__(self) -> str:
        joined = "" if self._join is None else ", joined"
        return f"<Dendrite of {self._neuron.name!r} on {self._collateral.name!r}{joined}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it holds a handler; tasks name dendrites by number")


@final
class Wiring(Generic[P, A, E, C, S]):
    """The decorator that ``dendrite``, ``bind`` and ``join`` return: it adds the handler and gives it back unchanged."""

    __slots__ = ("_collaterals", "_is_join", "_neuron")

    def __init__(
        self, neuron: Neuron[A, E, C, S], collaterals: tuple[Collateral[Any], ...], is_join: bool = False
    ) -> None:
        self._neuron = neuron
        self._collaterals = collaterals
        self._is_join = is_join

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
        self._neuron._attach(self._collaterals, handler, is_join=self._is_join)
        return handler

    def __repr__(self) -> str:
        what = "join" if self._is_join else "dendrite"
        return f"<decorator: {what} of {self._neuron.name!r} on {', '.join(repr(c.name) for c in self._collaterals)}>"
