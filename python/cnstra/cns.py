"""The CNS: a compiled graph, and the only entry point for runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self, TypeVar, final

from . import aio
from ._engine import Collateral, Engine, Response, Signal, Stimulation
from .errors import NoReplyError

if TYPE_CHECKING:
    from .axon import Carries
    from .dendrite import Middleware
    from .network import Network
    from .neurons import Neuron
    from .stream import ResponseStream

__all__ = ["CNS"]

R = TypeVar("R")


@final
class CNS(Engine):
    """A compiled, immutable graph of neurons.

    Args:
        neurons: the graph, each neuron once. Their order is the order of a collateral's subscribers (S1).
        shared: what every ``ctx.shared`` is.
        auto_cleanup_contexts: drop a neuron's context value as soon as nothing unfinished can reach the neuron (S15).
        enforce_ownership: fail an activation that emits on a collateral which its neuron does not own (S4).
        middleware: functions ``(dendrite, handler) -> handler``, called once per dendrite now, the first outermost;
            what they return takes ``(payload, axon, ctx)``. For a neuron with ``offload=True`` it is called in the
            worker thread.

    Raises:
        GraphError: two neurons or collaterals of one name, a neuron listed twice, a collateral on two axons, a join
            that could reach itself; the message names them.
        TypeError: something in the list is no neuron, or a middleware returned no handler.

    Cost: linear in neurons, dendrites and collaterals.

    Example:
        >>> from cnstra import CNS, collateral, neuron
        >>> greet = collateral("greet", str)
        >>> cns = CNS(
        ...     [neuron("greeter").dendrite(collateral=greet, response=lambda name: print("Hello,", name))]
        ... )
        >>> cns.stimulate(greet.create_signal("Ada")).outcome
        Hello, Ada
        'completed'
    """

    __slots__ = ("_entered", "_network")

    _network: Network | None
    _entered: dict[Any, list[int]]

    def __init__(
        self,
        neurons: Iterable[Neuron[Any, Any, Any, Any]],
        *,
        shared: object = None,
        auto_cleanup_contexts: bool = False,
        enforce_ownership: bool = True,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        # The engine compiles in its __new__, which gets the same arguments; they stand here for whoever reads on.
        self._network = None
        self._entered = {}

    def __init_subclass__(cls) -> None:
        raise TypeError("CNS is final and cannot be subclassed: wrap handlers with middleware=")

    @property
    def network(self) -> Network:
        """The graph as data: who hears whom, cycles, orphans, pictures, names for signals and tasks."""
        if self._network is None:
            from .network import Network

            self._network = Network(self.neurons)
        return self._network

    def with_middleware(self, *middleware: Middleware) -> CNS:
        """The same graph with more middleware around its handlers, outside of that which it has.

        What is made so is a CNS of its own: its runs have it as ``cns``, and ``async with`` waits for these alone.
        It shares ``shared`` and the options of this one. The slots of neurons are counted over the runs of both
        (S12), and listeners that are added to either, before or after, hear the runs of both (S6, S7).

        Args:
            middleware: as for ``CNS(...)``, the first outermost. Each is called once per dendrite, now, with the
                handler as it is here: inside the middleware of this CNS, whose functions are not called again.

        Raises:
            TypeError: something is not callable, or a middleware returned no handler.

        Cost: linear in dendrites and collaterals; the compiled graph is shared.

        Example:
            >>> from cnstra import CNS, collateral, neuron
            >>> greet = collateral("greet", str)
            >>> cns = CNS([neuron("greeter").dendrite(collateral=greet, response=print)])
            >>> def shouting(dendrite, handler):
            ...     return lambda payload, axon, ctx: handler(payload.upper(), axon, ctx)
            >>> cns.with_middleware(shouting).run(greet.create_signal("Ada"))
            ADA
        """
        # What the engine takes for this alone, CNS(...) does not, and the stub does not know it.
        inner: dict[str, Any] = {"_inner": self}
        derived = Engine.__new__(CNS, (), middleware=middleware, **inner)
        derived._network = self._network
        derived._entered = {}
        return derived

    def check_options(self, **options: Any) -> None:
        """Check options of a run without starting one: for whoever keeps them for later.

        Args:
            **options: what ``stimulate`` takes.

        Raises:
            TypeError, ValueError: what ``stimulate`` raises for them.

        Example:
            >>> from cnstra import CNS
            >>> CNS([]).check_options(timeout=5.0, concurrency=2)
            >>> CNS([]).check_options(timeout=-1.0)
            Traceback (most recent call last):
            ValueError: timeout must be more than 0 seconds and finite, not -1.0
        """
        _ = self._prepare([], **options)

    def run(self, signal: Signal[Any] | Sequence[Signal[Any]], /, **options: Any) -> None:
        """Stimulate inside ``asyncio.run``, to completion; for programs without an event loop.

        Args:
            signal: what ``stimulate`` takes.
            **options: what ``stimulate`` takes.

        Raises:
            StimulationFailed, StimulationAborted: what awaiting the run raises.
            RuntimeError: an event loop runs in this thread already.
        """

        async def main() -> None:
            await self.stimulate(signal, **options)

        aio.run(main)

    def run_query(self, signal: Signal[Any] | Sequence[Signal[Any]], reply: Carries[R], /, **options: Any) -> R:
        """Query inside ``asyncio.run``; the run is completed before it returns.

        Args:
            signal: what ``stimulate`` takes.
            reply: the collateral to wait for.
            **options: what ``stimulate`` takes.

        Raises:
            what ``query`` raises; RuntimeError if an event loop runs in this thread already.
        """

        async def main() -> R:
            async with self:
                return await self.query(signal, reply, **options)

        answer: R = aio.run(main)
        return answer

    async def query(self, signal: Signal[Any] | Sequence[Signal[Any]], reply: Carries[R], /, **options: Any) -> R:
        """Stimulate, and give the payload of the first signal that a neuron emits on ``reply``.

        It returns as soon as that signal is emitted, while the run goes on. Cancelling it cancels the run.

        Args:
            signal: what ``stimulate`` takes.
            reply: the collateral to wait for.
            **options: what ``stimulate`` takes.

        Raises:
            NoReplyError: the run completed without a signal on ``reply``.
            StimulationFailed, StimulationAborted: the run ended so, without one.
            TypeError: ``reply`` is no collateral.

        Example:
            >>> import asyncio
            >>> from cnstra import CNS, collateral, neuron
            >>> ask, answer = collateral("ask", int), collateral("answer", int)
            >>> doubler = neuron("doubler", {"answer": answer}).dendrite(
            ...     collateral=ask, response=lambda n, axon: axon.answer.create_signal(2 * n)
            ... )
            >>> asyncio.run(CNS([doubler]).query(ask.create_signal(21), answer))
            42
        """
        collateral: Collateral[Any] = reply  # type: ignore[assignment]
        if not isinstance(collateral, Collateral):
            raise TypeError(f"query waits for a signal on a Collateral, not on {type(reply).__name__}")
        found: list[Signal[R]] = []
        wake: Callable[..., object] | None = None

        def tap(response: Response) -> None:
            if not found and response.neuron is not None and (match := collateral.match(response.output_signal)):
                found.append(match)
                if wake is not None:
                    wake()

        run = self._prepare(signal, _tap=tap, **options)
        run._begin()

        def register(callback: Callable[..., object]) -> Callable[[], object]:
            nonlocal wake
            wake = callback
            return run._on_end(callback)

        try:
            if not found and not run.done():
                await aio.wait_for_run(run, register)
        except BaseException:
            run.cancel("its query was cancelled")
            raise
        if found:
            return found[0].payload
        run.raise_for_failure()
        raise NoReplyError(
            f"the run completed without a signal on {collateral.name!r}: no neuron emitted one, "
            f"look at cns.network.get_parent_neuron(reply)"
        )

    def stream(
        self, signal: Signal[Any] | Sequence[Signal[Any]], /, *, buffer: int | None = None, **options: Any
    ) -> ResponseStream:
        """Stimulate, and iterate over the run's responses as they come.

        Args:
            signal: what ``stimulate`` takes.
            buffer: how many responses may wait to be read; beyond that each is a barrier (S6) for what it caused.
                None does not bound them.
            **options: what ``stimulate`` takes.

        Returns:
            An async iterator and async context manager. Closing, leaving or dropping it cancels the run.

        Raises:
            TypeError, ValueError: what ``stimulate`` raises; a ``buffer`` that is no int of at least 1.
            RuntimeError: no event loop runs in this thread.
        """
        from .stream import ResponseStream

        if aio.current() is None:
            raise RuntimeError("cns.stream needs a running event loop: use on_response= without one")
        return ResponseStream(lambda tap: self._prepare(signal, _tap=tap, **options), buffer)

    async def __aenter__(self) -> Self:
        """Runs that are started inside the block, on this loop, are waited for at its end."""
        # The number of a run that never begins: those that begin from here on have higher ones. What is live now says
        # less: a run whose handler this is may be in its first turn.
        mark = self._prepare([])._serial
        self._entered.setdefault(aio.current_task(), []).append(mark)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        key = aio.current_task()
        if key not in self._entered:
            key = next(
                reversed(self._entered)
            )  # another task entered the block: the latest, as far as anybody can tell
        mark = self._entered[key].pop()
        if not self._entered[key]:
            del self._entered[key]
        cancelled: BaseException | None = error
        again: BaseException | None = None
        while runs := self._unfinished(mark):
            if cancelled is not None:
                for run in runs:
                    run.cancel(cancelled)
            try:
                await aio.wait_for_run(runs[0], runs[0]._on_end)
            except BaseException as interrupted:
                if not aio.is_cancellation(interrupted):
                    raise
                # Whoever cancels the block cancels its runs, and they are still awaited.
                cancelled = again = interrupted
        if again is not None:
            raise again

    def _unfinished(self, mark: int) -> list[Stimulation]:
        here = aio.current()
        assert here is not None
        return [run for run in here.live if run.cns is self and run._serial > mark]

    def __repr__(self) -> str:
        return f"<CNS of {len(self.neurons)} neurons>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any, /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(
            f"{self!r} cannot be pickled: it holds handlers; build it again, and carry tasks by network.dump"
        )
