"""The engine as Python code sees it: the typed surface of both engines, native and pure Python.

Names with one underscore are between the engine and the layers of this package above it.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from types import GenericAlias
from typing import Any, Generic, Literal, Never, Self, TypeVar, final, overload

from .abort import AbortSignal
from .cns import CNS
from .context import ContextStore
from .dendrite import Middleware
from .errors import StimulationAborted, StimulationFailed
from .modalities import AfferentPath, Modality
from .neurons import Neuron
from .stimulation import ActivationTask, TaskFailure

__all__ = [
    "Collateral",
    "Context",
    "Drain",
    "Engine",
    "Response",
    "Signal",
    "Stimulation",
    "build_info",
    "components",
]

_P = TypeVar("_P")
_P_co = TypeVar("_P_co", covariant=True)
_C = TypeVar("_C")
_S = TypeVar("_S")

@final
class Signal(Generic[_P_co]):
    """A collateral and a payload; immutable. Made by ``collateral.create_signal(payload)``.

    Two signals are equal when their collateral is the same object and their payloads are equal; the hash follows, so
    a signal is hashable when its payload is. ``case Signal(collateral, payload)`` takes it apart.

    Example:
        >>> from cnstra import collateral
        >>> celsius = collateral("celsius", float)
        >>> celsius.create_signal(21.5) == celsius.create_signal(21.5)
        True
    """

    __match_args__ = ("collateral", "payload")

    @property
    def collateral(self) -> Collateral[Any]:
        """The collateral that it is on; it is by the identity of this object that the signal is routed."""
    @property
    def collateral_name(self) -> str:
        """The name of that collateral."""
    @property
    def payload(self) -> _P_co:
        """What it carries; the very object that was given to ``create_signal``."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any], /) -> Self: ...
    def __reduce__(self) -> Never: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Collateral(Generic[_P]):
    """A named, typed channel: what neurons listen to and, if it is on their axon, emit on.

    Each one is equal to itself alone; ``copy`` and ``deepcopy`` give the same object.

    Args:
        name: how tasks, traces and stored runs call it; unique in a CNS. Routing never uses it.
        payload_type: the class of its payloads; they are not checked against it.

    Raises:
        TypeError: the name is no str.
        ValueError: the name is empty.

    Example:
        >>> from cnstra import Collateral
        >>> reading = Collateral[int | float]("reading")
        >>> reading.payload_type
        int | float
        >>> reading.create_signal(21.5)
        <Signal 'reading' 21.5>
    """

    @overload
    def __new__(cls, name: str, /) -> Self: ...
    @overload
    def __new__(cls, name: str, payload_type: type[_P], /) -> Self: ...
    @property
    def name(self) -> str:
        """The name that it was made with."""
    @property
    def payload_type(self) -> Any:
        """The type of its payloads, from ``collateral(name, type)`` or ``Collateral[type](name)``; None without."""
    @overload
    def create_signal(self: Collateral[None]) -> Signal[None]: ...
    @overload
    def create_signal(self, payload: _P, /) -> Signal[_P]:
        """Mint a signal.

        Args:
            payload: what it carries, kept as it is; left out for a collateral without payload type.

        Raises:
            TypeError: the payload is left out, and the collateral has a payload type.
        """
    def match(self, signal: Signal[Any] | None, /) -> Signal[_P] | None:
        """The signal itself if it is on this collateral, else None; it tells type checkers what the payload is.

        Args:
            signal: a signal on any collateral; None gives None, so that ``response.output_signal`` can be passed.

        Raises:
            TypeError: it is neither a signal nor None.

        Example:
            >>> from cnstra import collateral
            >>> celsius, kelvin = collateral("celsius", float), collateral("kelvin", float)
            >>> kelvin.match(celsius.create_signal(21.5)) is None
            True
        """
    def __collateral__(self) -> _P:
        """For type checkers alone: lets what reads payloads be typed covariantly. Raises TypeError."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any], /) -> Self: ...
    def __reduce__(self) -> Never: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Context(Generic[_C, _S]):
    """What a handler of three arguments is given beside payload and axon: its view of the run.

    ``C`` is the type of its neuron's context value, ``S`` that of ``shared``. Methods can be detached
    (``get = ctx.get``), and a context may outlive its handler.

    Example:
        >>> from cnstra import CNS, Context, collateral, neuron
        >>> tick = collateral("tick")
        >>> counter = neuron("counter")
        >>> @counter.dendrite(tick)
        ... def count(payload: None, axon: None, ctx: Context[int, object]) -> None:
        ...     ctx.set(ctx.get(0) + 1)
        >>> run = CNS([counter]).stimulate([tick.create_signal(), tick.create_signal()])
        >>> run.context.get("counter")
        2
    """

    @overload
    def get(self) -> _C | None: ...
    @overload
    def get(self, default: _C, /) -> _C:
        """This neuron's value in this run.

        Args:
            default: what to return when there is none.
        """
    def set(self, value: _C, /) -> None:
        """Keep a value for this neuron in this run; every later activation of the neuron in the run sees it.

        Args:
            value: metadata, like attempt counters; business data belongs in payloads.
        """
    def delete(self) -> None:
        """Forget this neuron's value in this run; nothing happens if there is none."""
    @property
    def shared(self) -> _S:
        """What ``CNS(shared=...)`` was given."""
    @property
    def stimulation_context(self) -> Any:
        """What ``stimulate(..., stimulation_context=...)`` was given: the same on every hop of the run."""
    @property
    def abort_signal(self) -> AbortSignal:
        """Aborted when the run is aborted or cancelled: what a long handler should watch."""
    @property
    def cns(self) -> CNS:
        """The CNS that the run is on."""
    @property
    def stimulation(self) -> Stimulation:
        """The run."""
    @property
    def task(self) -> ActivationTask:
        """This activation as data."""
    def __reduce__(self) -> Never: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Response:
    """What a response listener is given: an activation finished, or a run was entered (S6).

    A handler that returned a list gives one response per signal; one that returned nothing, or failed, gives one
    without output.
    """

    @property
    def stimulation(self) -> Stimulation:
        """The run."""
    @property
    def task(self) -> ActivationTask | None:
        """The activation that answered; None on entry."""
    @property
    def neuron(self) -> Neuron[Any, Any, Any, Any] | None:
        """The neuron that answered; None on entry."""
    @property
    def input_signal(self) -> Signal[Any] | None:
        """The signal that it answered; None on entry."""
    @property
    def output_signal(self) -> Signal[Any] | None:
        """The signal that it emitted, on entry the one that entered; None if there is none."""
    @property
    def output_index(self) -> int:
        """The place of that signal in the list that the handler returned, counted from 0."""
    @property
    def output_count(self) -> int:
        """How many signals the handler returned."""
    @property
    def caused(self) -> tuple[ActivationTask, ...]:
        """The activations that the signal causes, in order; they are pending."""
    @property
    def error(self) -> BaseException | None:
        """What the activation failed with, None if it succeeded."""
    @property
    def hops(self) -> int:
        """How far from the entry the activation lies: 0 on entry, 1 for what the entry signal reached."""
    @property
    def queue_length(self) -> int:
        """``pending_activations`` and ``active_activations`` together, those that this response causes included."""
    @property
    def pending_activations(self) -> int:
        """How many activations of the run have not been entered."""
    @property
    def active_activations(self) -> int:
        """How many activations of the run have been entered and have not settled."""
    @property
    def context_value(self) -> Any:
        """The neuron's context value in this run, at this moment."""
    @property
    def final(self) -> bool:
        """Whether nothing is pending or active any more; True exactly once in a run that was not aborted."""
    def __reduce__(self) -> Never: ...

@final
class Drain:
    """What a drain listener is given: a turn of a run ended, nothing more happens before something feeds it (S7)."""

    @property
    def stimulation(self) -> Stimulation:
        """The run."""
    @property
    def queue_length(self) -> int:
        """``pending_activations`` and ``active_activations`` together."""
    @property
    def pending_activations(self) -> int:
        """How many activations of the run have not been entered."""
    @property
    def active_activations(self) -> int:
        """How many activations of the run have been entered and have not settled."""
    @property
    def last_id(self) -> int:
        """The ``id`` of the activation that was reserved last, 0 if none was: the run has had as many (S2)."""
    def __reduce__(self) -> Never: ...

@final
class Stimulation:
    """One run: one propagation of signals through a CNS. Made by ``stimulate`` and ``activate``.

    Awaiting it waits for its end, in any event loop, and raises what ``raise_for_failure`` would. Cancelling one who
    awaits it does not touch the run. ``abort``, ``cancel`` and ``enqueue`` may be called from any thread.

    Example:
        >>> from cnstra import CNS, collateral, neuron
        >>> number = collateral("number", int)
        >>> cns = CNS([neuron("inverter").dendrite(collateral=number, response=lambda n: print(1 / n))])
        >>> run = cns.stimulate(number.create_signal(0))
        >>> run.outcome, run.exception().exceptions
        ('failed', (ZeroDivisionError('division by zero'),))
    """

    def __await__(self) -> Generator[Any, Any]: ...
    def done(self) -> bool:
        """Whether it has ended."""
    @property
    def outcome(self) -> Literal["running", "completed", "failed", "aborted"]:
        """What has become of it."""
    def exception(self) -> StimulationFailed | StimulationAborted | None:
        """What it ended with, None if it completed.

        Raises:
            StimulationError: it has not ended.
        """
    def raise_for_failure(self) -> None:
        """Raise what it ended with; nothing happens if it completed.

        Raises:
            StimulationFailed: an activation or a listener failed.
            StimulationAborted: it was aborted or cancelled; ``StimulationTimeout`` if by its ``timeout=``.
            StimulationError: it has not ended.
        """
    def abort(self, reason: object = None) -> None:
        """Start nothing more (S10). What is in flight runs on, and can watch ``ctx.abort_signal``.

        Args:
            reason: anything; it becomes ``StimulationAborted.reason``. The first one counts.
        """
    def cancel(self, reason: object = None) -> None:
        """Abort, and cancel the handlers and listeners in flight. It ends when they have unwound, not at once.

        Args:
            reason: as in ``abort``.
        """
    def enqueue(self, tasks: Sequence[ActivationTask], /) -> None:
        """Add activations to the run; all are counted before the first of them starts (S17).

        Args:
            tasks: what to activate, in order. A task that this CNS does not know fails when its turn comes.

        Raises:
            StimulationError: the run has nothing pending or active any more: ``cns.activate`` starts a new one.
            TypeError: it is no list of tasks.
        """
    @property
    def activation_tasks(self) -> list[ActivationTask]:
        """Every activation that is pending or active, in order of number."""
    @property
    def failed_tasks(self) -> list[TaskFailure]:
        """Every activation that failed and, in an aborted run, every one that was left undone."""
    @property
    def outstanding_tasks(self) -> list[ActivationTask]:
        """The frontier: every activation that has not succeeded, each once, in order of number; at any moment (S17).

        Give them to ``activate`` to go on where this run stands, in another process by ``network.dump``.
        """
    @property
    def context(self) -> ContextStore:
        """The context values of the run, by neuron name."""
    @property
    def stimulation_context(self) -> Any:
        """What ``stimulate(..., stimulation_context=...)`` was given."""
    @property
    def modality(self) -> Modality | None:
        """What ``stimulate(..., modality=...)`` was given."""
    @property
    def afferent_path(self) -> AfferentPath | None:
        """What ``stimulate(..., afferent_path=...)`` was given."""
    @property
    def cns(self) -> CNS:
        """The CNS that it is on."""
    def __reduce__(self) -> Never: ...
    @property
    def _serial(self) -> int: ...
    def _begin(self) -> None: ...
    def _on_end(self, callback: Callable[..., object], /) -> Callable[[], object]: ...

class Engine:
    """What ``CNS`` is built on: compiles a graph and runs it. Not public by itself.

    Args:
        neurons: the graph, each neuron once. Their order is the order of a collateral's subscribers (S1).
        shared: what every ``ctx.shared`` is.
        auto_cleanup_contexts: drop a neuron's context value as soon as nothing unfinished can reach the neuron (S15).
        enforce_ownership: fail an activation that emits on a collateral which its neuron does not own (S4).
        middleware: functions ``(dendrite, handler) -> handler``, called once per dendrite, the first outermost; what
            they return takes ``(payload, axon, ctx)``.

    Raises:
        GraphError: the graph breaks a rule of S1 or S25; the message names the culprits.
        TypeError: something in the list is no neuron, or a middleware returned no handler.
    """

    def __new__(
        cls,
        neurons: Iterable[Neuron[Any, Any, Any, Any]],
        *,
        shared: object = None,
        auto_cleanup_contexts: bool = False,
        enforce_ownership: bool = True,
        middleware: Sequence[Middleware] = (),
    ) -> Self: ...
    @property
    def neurons(self) -> tuple[Neuron[Any, Any, Any, Any], ...]:
        """Its neurons, in order."""
    @property
    def shared(self) -> Any:
        """What every ``ctx.shared`` is."""
    @property
    def enforce_ownership(self) -> bool:
        """Whether an activation that emits on a collateral which its neuron does not own fails (S4)."""
    def stimulate(
        self,
        signal: Signal[Any] | Sequence[Signal[Any]],
        /,
        *,
        on_response: Callable[[Response], object] | None = None,
        on_drain: Callable[[Drain], None] | None = None,
        abort_signal: AbortSignal | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        max_hops: int | None = None,
        context_store: ContextStore | None = None,
        modality: Modality | None = None,
        afferent_path: AfferentPath | None = None,
        stimulation_context: object = None,
    ) -> Stimulation:
        """Start a run. Everything reachable without waiting has run when this returns.

        Without an event loop in this thread it returns an ended run: it waits, blocking, for slots and workers, and
        async handlers fail with ``NoEventLoopError`` (S20).

        Args:
            signal: where to start; a list starts with all of them, in order, as one run.
            on_response: called with every response of this run, before the listeners of the CNS; an awaitable that it
                returns holds back what the response caused (S6).
            on_drain: called at the end of every turn of this run, before the listeners of the CNS; synchronous (S7).
            abort_signal: aborts the run, with its reason.
            timeout: seconds until the run is cancelled, more than 0.
            concurrency: how many activations of this run may be active or waiting for a slot at once, at least 1.
            max_hops: how long a chain of activations may get, at least 1; one beyond it fails with ``MaxHopsError``.
            context_store: where context values are kept; a new ``MemoryContextStore`` if not given.
            modality: what modality dendrites pick their handler by (S18).
            afferent_path: the same, within the modality.
            stimulation_context: what ``ctx.stimulation_context`` is on every hop.

        Returns:
            The run. It goes on whether it is awaited or not; a failed one that nobody looks at is logged (S9).

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: a limit is below its minimum.

        Cost: linear in the activations it causes; no allocation per hop beyond the signal and its place in the queue.

        Example:
            >>> from cnstra import CNS, collateral, neuron
            >>> number = collateral("number", int)
            >>> cns = CNS([neuron("printer").dendrite(collateral=number, response=print)])
            >>> cns.stimulate([number.create_signal(1), number.create_signal(2)]).outcome
            1
            2
            'completed'
        """
    def activate(
        self,
        tasks: Sequence[ActivationTask],
        /,
        *,
        on_response: Callable[[Response], object] | None = None,
        on_drain: Callable[[Drain], None] | None = None,
        abort_signal: AbortSignal | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        max_hops: int | None = None,
        context_store: ContextStore | None = None,
        modality: Modality | None = None,
        afferent_path: AfferentPath | None = None,
        stimulation_context: object = None,
    ) -> Stimulation:
        """Start a run from activations instead of a signal: resume one, or retry what failed (S17).

        Args:
            tasks: what to activate, in order: ``outstanding_tasks`` or ``failed_tasks`` of a run, what
                ``network.load`` gave, or tasks made by hand. All are counted before the first one starts.
            others: as in ``stimulate``.

        Returns:
            The run, as ``stimulate`` does.

        Raises:
            TypeError: it is no list of tasks, or an argument is of the wrong type.
            ValueError: a limit is below its minimum.

        Example:
            >>> from cnstra import CNS, ActivationTask, collateral, neuron
            >>> number = collateral("number", int)
            >>> printer = neuron("printer").dendrite(collateral=number, response=print)
            >>> CNS([printer]).activate([ActivationTask(printer, number.create_signal(3))]).outcome
            3
            'completed'
        """
    def add_response_listener(self, listener: Callable[[Response], object], /) -> Callable[[], None]:
        """Call a function with every response of every run (S6).

        Args:
            listener: if it returns an awaitable, what the response caused is held back until that is done.

        Returns:
            A function that removes the listener.

        Raises:
            TypeError: it is not callable.
        """
    def add_drain_listener(self, listener: Callable[[Drain], None], /) -> Callable[[], None]:
        """Call a function at the end of every turn of every run (S7).

        Args:
            listener: synchronous; what it raises makes the run fail.

        Returns:
            A function that removes the listener.

        Raises:
            TypeError: it is not callable.
        """
    def _prepare(
        self,
        signal: Signal[Any] | Sequence[Signal[Any]],
        /,
        *,
        _tap: Callable[[Response], object] | None = None,
        **options: Any,
    ) -> Stimulation: ...

def components(edges: Sequence[Sequence[int]], /) -> list[list[int]]:
    """The strongly connected components of a graph.

    Args:
        edges: the successors of each node, by number; numbers go from 0 to ``len(edges) - 1``.

    Returns:
        The components in reverse topological order, each after all that it can reach; nodes ascend within one. Linear
        in time and memory, without recursion.
    """

def build_info() -> dict[str, str]:
    """What the engine was built from and how: ``engine``, ``profile``, ``version`` and more, for bug reports."""
