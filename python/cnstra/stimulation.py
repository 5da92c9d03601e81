"""What a run says about itself as plain data, and the guard that lets no failure pass in silence."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, final
from weakref import WeakSet

from ._engine import Signal
from .graph import Neuron

__all__ = ["ActivationTask", "TaskFailure", "UnobservedFailure"]


@final
@dataclass(frozen=True, slots=True)
class ActivationTask:
    """One activation as data: enough to run it again with ``activate`` or ``enqueue``.

    Args:
        neuron: the neuron to activate.
        signal: the signal it answers.
        dendrite: which of the neuron's dendrites on that collateral, counted from 0.
        hop: how far from the entry it lies, counted from 1; ``max_hops`` goes on from it.
        id: its number in its run (S2), None for a task made by hand.
        cause: the number of the activation that caused it, None for an entry.
        joined: for the activation of a join, the tasks whose signals it took over (S25).

    Example:
        >>> from cnstra import ActivationTask, collateral, neuron
        >>> tick = collateral("tick")
        >>> clock = neuron("clock").dendrite(collateral=tick, response=lambda _: None)
        >>> ActivationTask(clock, tick.create_signal())
        <ActivationTask clock on 'tick', hop 1>
    """

    neuron: Neuron[Any, Any, Any, Any]
    signal: Signal[Any]
    dendrite: int = 0
    hop: int = 1
    id: int | None = None
    cause: int | None = None
    joined: tuple[ActivationTask, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.neuron, Neuron):
            raise TypeError(f"a task's neuron must be a Neuron, not {type(self.neuron).__name__}")
        if not isinstance(self.signal, Signal):
            raise TypeError(f"a task's signal must be a Signal, not {type(self.signal).__name__}")
        for name, value, least in (("dendrite", self.dendrite, 0), ("hop", self.hop, 1)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"a task's {name} must be an int, not {type(value).__name__}")
            if value < least:
                raise ValueError(f"a task's {name} must be at least {least}, not {value}")
        for name, number in (("id", self.id), ("cause", self.cause)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise TypeError(f"a task's {name} must be an int or None, not {type(number).__name__}")
        if not all(isinstance(task, ActivationTask) for task in self.joined):
            raise TypeError("a task's joined must be a tuple of ActivationTask")

    @property
    def collateral(self) -> Any:
        """The collateral of its signal."""
        return self.signal.collateral

    def __repr__(self) -> str:
        number = "" if self.id is None else f" {self.id}"
        return f"<ActivationTask{number} {self.neuron.name} on {self.signal.collateral_name!r}, hop {self.hop}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled: use cns.network.dump(task), which carries it by name")


@final
@dataclass(frozen=True, slots=True)
class TaskFailure:
    """An activation that failed, or that an abort left undone.

    Attributes:
        task: the activation; give it to ``activate`` to try again.
        error: what its handler raised; the run's ``StimulationAborted`` if ``aborted``.
        aborted: whether it was left undone (or cancelled) rather than failed by itself.
    """

    task: ActivationTask
    error: BaseException
    aborted: bool = False

    def __repr__(self) -> str:
        return f"<TaskFailure of {self.task!r}: {'aborted' if self.aborted else repr(self.error)}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled: use cns.network.dump(failure.task), which carries it by name")


@final
class UnobservedFailure:
    """Held by a run that failed and that nobody has looked at; logs the failure if it dies so (S9)."""

    __slots__ = ("__weakref__", "error")

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        _watch(self)

    def disarm(self) -> None:
        """Somebody has seen the failure."""
        self.error = None

    def log(self) -> None:
        """Tell it, once."""
        error, self.error = self.error, None
        if error is not None:
            import logging

            logging.getLogger("cnstra").error(
                "a run failed and nobody looked at it: await it, or call raise_for_failure()", exc_info=error
            )

    def __del__(self) -> None:
        # When the interpreter is taken apart logging may be gone already, and what was left has been told before.
        if not sys.is_finalizing():
            self.log()


_unobserved: WeakSet[UnobservedFailure] = WeakSet()
_is_watching = False


def _watch(guard: UnobservedFailure) -> None:
    """Have it told when the program ends, at the latest."""
    global _is_watching
    if not _is_watching:
        import atexit
        import logging

        _is_watching = True
        # What is registered last is called first: logging has to be imported by now to be shut down after that.
        logging.getLogger("cnstra")
        atexit.register(_log_all)
    _unobserved.add(guard)


def _log_all() -> None:
    for guard in list(_unobserved):
        guard.log()
