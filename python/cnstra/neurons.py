"""The class of neurons: named data that the engines read, and the methods that add dendrites to it."""

# mypy: disable-error-code="overload-overlap"
# (of bind: see there)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, final, overload

from ._engine import Collateral, Context
from .axon import Axon, Carries, MappingAxon, collaterals_of
from .dendrite import Dendrite
from .errors import BindingError
from .wiring import HandlerUnit, Wiring

if TYPE_CHECKING:
    from .dendrite import Handler, Result
    from .modalities import AfferentPath, Modality

__all__ = ["Neuron"]

P = TypeVar("P")
P2 = TypeVar("P2")
P3 = TypeVar("P3")
P4 = TypeVar("P4")
P5 = TypeVar("P5")
P6 = TypeVar("P6")
P7 = TypeVar("P7")
P8 = TypeVar("P8")
A = TypeVar("A")
E = TypeVar("E")
E2 = TypeVar("E2")
C = TypeVar("C")
S = TypeVar("S")
R = TypeVar("R")


@final
class Neuron(HandlerUnit, Generic[A, E, C, S]):
    """A named handler unit: an axon (what it may emit) and dendrites (what it reacts to). Made by ``neuron(...)``.

    Its type arguments are the class of its axon, the union of what it may emit, and the types of its context value
    and of ``ctx.shared``. Dendrites are added by the methods below until the first CNS is made of it.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        raise TypeError("Neuron is final and cannot be subclassed: make neurons with neuron(name, axon)")

    @property
    def name(self) -> str:
        """What tasks, traces and stored runs call it; unique in a CNS."""
        return self._name

    @property
    def axon(self) -> A:
        """The axon, None if it owns nothing; of a mapping, the ``MappingAxon`` made of it."""
        return cast("A", self._axon)

    @property
    def dendrites(self) -> tuple[Dendrite[Any], ...]:
        """Its dendrites in the order in which they were added."""
        return tuple(self._dendrites)

    @property
    def concurrency(self) -> int | None:
        """How many of its handlers may be active at once over all runs of a CNS; None is unlimited."""
        return self._concurrency

    @property
    def max_duration(self) -> float | None:
        """Seconds that one activation may take; None is unlimited."""
        return self._max_duration

    @property
    def offload(self) -> bool:
        """Whether its handlers run in worker threads."""
        return self._offload

    @property
    def context_type(self) -> type[C] | None:
        """What ``neuron_factory(context=...)`` was given, for stores that encode context values; None without one."""
        return cast("type[C] | None", self._context_type)

    @overload
    def dendrite(
        self, *, collateral: Carries[P] | Sequence[Carries[P]], response: Callable[[P], Result[E]]
    ) -> Self: ...
    @overload
    def dendrite(
        self, *, collateral: Carries[P] | Sequence[Carries[P]], response: Callable[[P, A], Result[E]]
    ) -> Self: ...
    @overload
    def dendrite(
        self, *, collateral: Carries[P] | Sequence[Carries[P]], response: Callable[[P, A, Context[C, S]], Result[E]]
    ) -> Self: ...
    @overload
    def dendrite(self, c1: Collateral[P], /) -> Wiring[P, A, E, C, S]: ...
    @overload
    def dendrite(self, c1: Collateral[P], c2: Collateral[P2], /) -> Wiring[P | P2, A, E, C, S]: ...
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], /
    ) -> Wiring[P | P2 | P3, A, E, C, S]: ...
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], /
    ) -> Wiring[P | P2 | P3 | P4, A, E, C, S]: ...
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5], /
    ) -> Wiring[P | P2 | P3 | P4 | P5, A, E, C, S]: ...
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], /,
    ) -> Wiring[P | P2 | P3 | P4 | P5 | P6, A, E, C, S]: ...  # fmt: skip
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], c7: Collateral[P7], /,
    ) -> Wiring[P | P2 | P3 | P4 | P5 | P6 | P7, A, E, C, S]: ...  # fmt: skip
    @overload
    def dendrite(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], c7: Collateral[P7], c8: Collateral[P8], /,
    ) -> Wiring[P | P2 | P3 | P4 | P5 | P6 | P7 | P8, A, E, C, S]: ...  # fmt: skip
    def dendrite(self, *collaterals: Any, collateral: Any = None, response: Any = None) -> Any:
        """React to signals on one or several collaterals; each gets a dendrite of its own, with the same handler.

        A handler takes ``(payload)``, ``(payload, axon)`` or ``(payload, axon, ctx)``: the number of its positional
        parameters without default decides, once, here. It returns None, a signal or a list of signals, or an
        awaitable of these.

        Args:
            collaterals: what to listen to, for use as a decorator.
            collateral: the same as one collateral or a list, for use with ``response``.
            response: the handler.

        Returns:
            A decorator that gives the function back unchanged; the neuron itself if called with ``response``.

        Raises:
            TypeError: the handler takes no or more than three arguments, is a generator function, or is asynchronous
                on a neuron with ``offload=True``; the message names neuron and collateral.
            GraphError: something in place of a collateral is none, or the neuron is in a CNS already.
            ValueError: a collateral is given twice.

        Example:
            >>> from cnstra import collateral, neuron
            >>> tick = collateral("tick")
            >>> clock = neuron("clock")
            >>> @clock.dendrite(tick)
            ... def on_tick(payload: None) -> None: ...
            >>> neuron("bell").dendrite(collateral=[tick], response=lambda payload: None)
            <Neuron 'bell' with 1 dendrite>
        """
        return self._wire(False, collaterals, collateral, response)

    @overload
    def join(
        self, *, collateral: Carries[P] | Sequence[Carries[P]], response: Callable[[list[P]], Result[E]]
    ) -> Self: ...
    @overload
    def join(
        self, *, collateral: Carries[P] | Sequence[Carries[P]], response: Callable[[list[P], A], Result[E]]
    ) -> Self: ...
    @overload
    def join(
        self,
        *,
        collateral: Carries[P] | Sequence[Carries[P]],
        response: Callable[[list[P], A, Context[C, S]], Result[E]],
    ) -> Self: ...
    @overload
    def join(self, c1: Collateral[P], /) -> Wiring[list[P], A, E, C, S]: ...
    @overload
    def join(self, c1: Collateral[P], c2: Collateral[P2], /) -> Wiring[list[P | P2], A, E, C, S]: ...
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], /
    ) -> Wiring[list[P | P2 | P3], A, E, C, S]: ...
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], /
    ) -> Wiring[list[P | P2 | P3 | P4], A, E, C, S]: ...
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5], /
    ) -> Wiring[list[P | P2 | P3 | P4 | P5], A, E, C, S]: ...
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], /,
    ) -> Wiring[list[P | P2 | P3 | P4 | P5 | P6], A, E, C, S]: ...  # fmt: skip
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], c7: Collateral[P7], /,
    ) -> Wiring[list[P | P2 | P3 | P4 | P5 | P6 | P7], A, E, C, S]: ...  # fmt: skip
    @overload
    def join(
        self, c1: Collateral[P], c2: Collateral[P2], c3: Collateral[P3], c4: Collateral[P4], c5: Collateral[P5],
        c6: Collateral[P6], c7: Collateral[P7], c8: Collateral[P8], /,
    ) -> Wiring[list[P | P2 | P3 | P4 | P5 | P6 | P7 | P8], A, E, C, S]: ...  # fmt: skip
    def join(self, *collaterals: Any, collateral: Any = None, response: Any = None) -> Any:
        """React once to everything that arrived on some collaterals, when nothing else in the run can add to it (S25).

        The handler gets the payloads of all signals that arrived, as a list in order of emission. If none arrived it
        is not called. Arguments, returns and errors are those of ``dendrite``; a join that could reach itself is a
        ``GraphError`` when the CNS is made.

        Example:
            >>> from cnstra import collateral, neuron
            >>> counted = collateral("counted", int)
            >>> total = neuron("total")
            >>> @total.join(counted)
            ... def add(counts: list[int]) -> None:
            ...     print(sum(counts))
        """
        return self._wire(True, collaterals, collateral, response)

    # The last form, with handlers by name, would also take none; that is the others' case, which come first.
    @overload
    def bind(self, axon: Axon[E2], /) -> Wiring[E2, A, E, C, S]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def bind(self, axon: MappingAxon[P] | Mapping[str, Carries[P]], /) -> Wiring[P, A, E, C, S]: ...
    @overload
    def bind(self, axon: Mapping[str, Carries[Any]], /) -> Wiring[Any, A, E, C, S]: ...
    @overload
    def bind(
        self,
        axon: Axon[Any] | MappingAxon[Any] | Mapping[str, Carries[Any]],
        /,
        **handlers: Handler[Any, Result[E], A, C, S],
    ) -> Self: ...
    def bind(self, axon: Any, /, **handlers: Any) -> Any:
        """React to every collateral of an axon, so that one which is added later cannot be forgotten.

        Args:
            axon: an axon, or a mapping of names to collaterals.
            handlers: one handler for each collateral, by the axon's attribute names.

        Returns:
            Without handlers a decorator, whose function serves all collaterals; else the neuron itself.

        Raises:
            BindingError: handlers are missing or have unknown names (both are named), or the axon is empty.
            TypeError: ``axon`` is none, or a handler is no handler, as in ``dendrite``.
            GraphError: the neuron is in a CNS already.

        Example:
            >>> from cnstra import collateral, neuron
            >>> door = {"opened": collateral("opened"), "shut": collateral("shut")}
            >>> neuron("alarm").bind(door, opened=lambda _: print("open"), shut=lambda _: print("shut"))
            <Neuron 'alarm' with 2 dendrites>
        """
        self._check_open()
        channels = collaterals_of(axon, self._name)
        if not channels:
            raise BindingError(f"neuron {self._name!r} cannot bind an axon without collaterals: nothing would reach it")
        if not handlers:
            wiring: Wiring[Any, A, E, C, S] = Wiring(self, tuple(channels.values()))
            return wiring
        missing = [repr(name) for name in channels if name not in handlers]
        unknown = [repr(name) for name in handlers if name not in channels]
        if missing or unknown:
            problems = [
                f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names
            ]
            raise BindingError(
                f"neuron {self._name!r} must bind exactly the collaterals of the axon by name; {'; '.join(problems)}"
            )
        count = len(self._dendrites)
        try:
            for name, channel in channels.items():
                self._attach((channel,), handlers[name], is_join=False)
        except TypeError:
            del self._dendrites[count:]  # all or nothing
            raise
        return self

    @overload
    def modality_dendrite(
        self,
        *,
        collateral: Carries[P],
        modality: Modality,
        afferent_paths: Mapping[AfferentPath, Handler[P, Result[E], A, C, S]] | None = None,
        default: Handler[P, Result[E], A, C, S] | None = None,
    ) -> Self: ...
    @overload
    def modality_dendrite(
        self,
        *,
        collateral: Carries[P],
        modalities: Mapping[Modality, Mapping[AfferentPath | None, Handler[P, Result[E], A, C, S]]],
        default: Handler[P, Result[E], A, C, S] | None = None,
    ) -> Self: ...
    @overload
    def modality_dendrite(
        self,
        *,
        collateral: Carries[P],
        modality: Modality,
        afferent_paths: Mapping[AfferentPath, Handler[P, R | Awaitable[R], A, C, S]] | None = None,
        default: Handler[P, R | Awaitable[R], A, C, S] | None = None,
        output: Handler[R, Result[E], A, C, S],
    ) -> Self: ...
    @overload
    def modality_dendrite(
        self,
        *,
        collateral: Carries[P],
        modalities: Mapping[Modality, Mapping[AfferentPath | None, Handler[P, R | Awaitable[R], A, C, S]]],
        default: Handler[P, R | Awaitable[R], A, C, S] | None = None,
        output: Handler[R, Result[E], A, C, S],
    ) -> Self: ...
    def modality_dendrite(
        self,
        *,
        collateral: Any,
        modality: Any = None,
        afferent_paths: Any = None,
        modalities: Any = None,
        default: Any = None,
        output: Any = None,
    ) -> Self:
        """React to a collateral with the handler that fits the run's modality and afferent path (S18).

        The run's path decides, else its nearest ancestor that is registered, else the default of its modality, else
        the global default; without any the activation fails with ``ModalityError``. Handlers are as in ``dendrite``.

        Args:
            collateral: what to listen to.
            modality: the only modality with handlers; ``afferent_paths`` and ``default`` are then its own.
            afferent_paths: its handlers by path.
            modalities: handlers by modality and path, where the path None is the default of that modality.
            default: with ``modality`` the default of it, with ``modalities`` the global one.
            output: called as ``output(result, axon, ctx)``, with one to three arguments like a handler, with what the
                handler returned (awaited if need be); what it returns is the answer. Without it the result is.

        Returns:
            The neuron itself.

        Raises:
            TypeError: a handler is no handler, or modalities and paths are given in no way or in both.
            ValueError: a path does not belong to its modality.
            GraphError: ``collateral`` is none, or the neuron is in a CNS already.

        Example: see ``modality``.
        """
        from .modalities import Router, tables_of

        self._check_open()
        self._check_collaterals((collateral,), is_join=False)
        where = f"neuron {self._name!r}, modality dendrite on {collateral.name!r}"
        tables, fallback = tables_of(where, modality, afferent_paths, modalities, default)
        router = Router(self._name, collateral.name, self._offload, tables, fallback, output)
        self._attach((collateral,), router, is_join=False)
        return self
