"""The engine's own errors, worded once for both engines: each names the culprit and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import (
    GraphError,
    HandlerCancelledError,
    InvalidResponseError,
    MaxDurationError,
    MaxHopsError,
    NoEventLoopError,
    OwnershipError,
    SlotDeadlockError,
    StimulationError,
    UnknownSubscriberError,
)

_NOTE = "cnstra: in "


def annotate(error: BaseException, neuron: str, collateral: str, hop: int) -> None:
    """Say on the exception itself where it happened (S8)."""
    _annotate(error, f"{_NOTE}neuron {neuron!r}, on collateral {collateral!r}, hop {hop}")


def annotate_listener(error: BaseException, kind: str) -> None:
    """The same for what a listener raised; ``kind`` is ``response`` or ``drain``."""
    _annotate(error, f"{_NOTE}a {kind} listener")


def _annotate(error: BaseException, note: str) -> None:
    """Add the note unless there is one from here, so that a shared exception object does not grow."""
    try:
        if not any(str(known).startswith(_NOTE) for known in getattr(error, "__notes__", ())):
            error.add_note(note)
    except Exception:
        # A frozen dataclass, or a class with its own idea of __notes__: it is told without.
        pass


def duplicate_neuron(name: str) -> GraphError:
    return GraphError(f"neuron {name!r} is in the list twice: list each neuron once")


def duplicate_neuron_name(name: str) -> GraphError:
    return GraphError(f"two neurons are named {name!r}: names are what stored runs and traces go by, rename one")


def duplicate_collateral_name(name: str, first: str, second: str) -> GraphError:
    return GraphError(
        f"two collaterals are named {name!r}, one at neuron {first!r} and one at neuron {second!r}: "
        f"rename one, or give its axon a namespace"
    )


def owned_twice(collateral: str, first: str, second: str) -> GraphError:
    return GraphError(
        f"collateral {collateral!r} is on the axons of neurons {first!r} and {second!r}: only one neuron may own it"
    )


def join_reaches_itself(neuron: str, cycle: Sequence[str]) -> GraphError:
    through = ", ".join(repr(name) for name in cycle)
    return GraphError(
        f"the join of neuron {neuron!r} could reach itself, so it would wait for itself: "
        f"break the cycle through {through}"
    )


def not_a_neuron(value: Any) -> TypeError:
    return TypeError(f"CNS takes a list of neurons, not {type(value).__name__} in it: make one with neuron(name)")


def not_a_signal(value: Any) -> TypeError:
    return TypeError(
        f"stimulate takes a signal or a list of signals, not {type(value).__name__}: "
        f"make one with collateral.create_signal(payload)"
    )


def not_a_task(value: Any) -> TypeError:
    return TypeError(
        f"activate and enqueue take a list of ActivationTask, not {type(value).__name__}: "
        f"take them from outstanding_tasks or failed_tasks, or make ActivationTask(neuron, signal)"
    )


def bad_middleware(middleware: Any, result: Any) -> TypeError:
    return TypeError(
        f"middleware {middleware!r} must take (dendrite, handler) and return a handler, not {type(result).__name__}"
    )


def invalid_response(neuron: str, collateral: str, value: Any, index: int | None) -> InvalidResponseError:
    where = "" if index is None else f" at place {index} of its list"
    return InvalidResponseError(
        f"neuron {neuron!r} answered {collateral!r} with {type(value).__name__}{where}: "
        f"a handler returns None, a signal or a list of signals"
    )


def not_owned(neuron: str, collateral: str) -> OwnershipError:
    return OwnershipError(
        f"neuron {neuron!r} emitted on {collateral!r}, which is not on its axon: "
        f"put it there, or make the CNS with enforce_ownership=False"
    )


def unknown_subscriber(neuron: str, collateral: str, dendrite: int) -> UnknownSubscriberError:
    return UnknownSubscriberError(
        f"this CNS has no dendrite {dendrite} on {collateral!r} at neuron {neuron!r}: "
        f"was the task made for another graph? network.load finds both by name"
    )


def max_hops(neuron: str, collateral: str, hop: int, limit: int) -> MaxHopsError:
    return MaxHopsError(
        f"neuron {neuron!r} was reached on {collateral!r} at hop {hop}, beyond max_hops={limit}: "
        f"raise the limit, or look for a cycle"
    )


def max_duration(neuron: str, collateral: str, limit: float) -> MaxDurationError:
    return MaxDurationError(f"neuron {neuron!r} took longer than its max_duration of {limit:g} s on {collateral!r}")


def slot_deadlock(neuron: str, collateral: str) -> SlotDeadlockError:
    return SlotDeadlockError(
        f"neuron {neuron!r} was reached on {collateral!r} while every one of its slots is held by handlers that wait "
        f"for this very run: raise its concurrency, or do not await the run inside the handler"
    )


def no_event_loop(neuron: str, collateral: str) -> NoEventLoopError:
    return NoEventLoopError(
        f"neuron {neuron!r} answers {collateral!r} asynchronously, but no event loop runs in this thread: "
        f"call stimulate inside asyncio.run, or use cns.run(signal)"
    )


def no_event_loop_listener() -> NoEventLoopError:
    return NoEventLoopError(
        "a response listener is asynchronous, but no event loop runs in this thread: "
        "call stimulate inside asyncio.run, or use cns.run(signal)"
    )


def async_drain() -> TypeError:
    return TypeError("a drain listener returned an awaitable: drains are synchronous, use a response listener to wait")


def handler_cancelled(neuron: str, collateral: str) -> HandlerCancelledError:
    return HandlerCancelledError(
        f"a CancelledError left the handler of neuron {neuron!r} on {collateral!r} that nobody had cancelled: "
        f"something it awaited was cancelled"
    )


def listener_cancelled() -> HandlerCancelledError:
    return HandlerCancelledError("a CancelledError left a response listener that nobody had cancelled")


def own_run() -> StimulationError:
    return StimulationError(
        "this handler waits for its own run, which cannot end before the handler does: "
        "start another run, or return signals instead"
    )


def nothing_to_enqueue_to() -> StimulationError:
    return StimulationError("the run has nothing pending or active any more: use cns.activate(tasks) for a new one")


def still_running() -> StimulationError:
    return StimulationError("the run has not ended: await it first, or look at .outcome")


def run_failed(count: int) -> str:
    return "an activation or a listener failed" if count == 1 else f"{count} activations or listeners failed"


def timed_out(timeout: float) -> str:
    return f"the run did not end within {timeout:g} s"


def loop_closed() -> str:
    return "its event loop was closed"


def check_limit(name: str, value: Any) -> None:
    """S1: ``concurrency`` and ``max_hops`` are None or an int of at least 1."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int or None, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


def check_seconds(name: str, value: Any) -> None:
    """S1: ``timeout`` is None or a finite number of seconds above 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or None, not {type(value).__name__}")
    if not _is_some_time(value):
        raise ValueError(f"{name} must be more than 0 seconds and finite, not {value}")


def _is_some_time(seconds: float) -> bool:
    """Whether it is more than 0 and finite, an int that no float can hold being infinite."""
    try:
        return 0 < float(seconds) < float("inf")
    except OverflowError:
        return False


def check_callable(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")


def check_abort_signal(value: Any) -> None:
    from .abort import AbortSignal

    if not isinstance(value, AbortSignal):
        raise TypeError(
            f"abort_signal must be an AbortSignal, not {type(value).__name__}: use AbortController().signal"
        )


def check_context_store(value: Any) -> None:
    if isinstance(value, type):
        raise TypeError(
            f"context_store must be an object, not the class {value.__name__}: make one, {value.__name__}()"
        )
    missing = [
        name for name in ("get", "set", "delete", "get_all", "set_all") if not callable(getattr(value, name, None))
    ]
    if missing:
        raise TypeError(f"context_store must be a ContextStore; {type(value).__name__} lacks {', '.join(missing)}")


def check_modality(modality: Any, path: Any) -> None:
    from .modalities import AfferentPath, Modality

    if modality is not None and not isinstance(modality, Modality):
        raise TypeError(f"modality must be made by modality(name, paths), not {type(modality).__name__}")
    if path is not None and not isinstance(path, AfferentPath):
        raise TypeError(f"afferent_path must be made by afferent_path(name), not {type(path).__name__}")
