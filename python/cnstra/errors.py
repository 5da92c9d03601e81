"""Every public exception of cnstra, defined once and raised by both engines.

    CnstraError
    ├── GraphError(ValueError) ── BindingError
    ├── StimulationError
    │     ├── StimulationFailed(ExceptionGroup)
    │     ├── StimulationAborted ── StimulationTimeout(TimeoutError)
    │     └── NoReplyError
    └── ActivationError
          ├── InvalidResponseError(TypeError)   OwnershipError   ModalityError   UnknownSubscriberError
          ├── MaxDurationError(TimeoutError)    MaxHopsError     SlotDeadlockError
          └── NoEventLoopError(RuntimeError)    HandlerCancelledError

Wrong argument types and values are plain ``TypeError`` and ``ValueError`` at the call that passed them.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ActivationError",
    "BindingError",
    "CnstraError",
    "GraphError",
    "HandlerCancelledError",
    "InvalidResponseError",
    "MaxDurationError",
    "MaxHopsError",
    "ModalityError",
    "NoEventLoopError",
    "NoReplyError",
    "OwnershipError",
    "SlotDeadlockError",
    "StimulationAborted",
    "StimulationError",
    "StimulationFailed",
    "StimulationTimeout",
    "UnknownSubscriberError",
]


class CnstraError(Exception):
    """The base of every exception that cnstra defines."""


class GraphError(CnstraError, ValueError):
    """The graph cannot be compiled: the message names the neurons and collaterals at fault (S1, S25)."""


class BindingError(GraphError):
    """``bind`` was given handlers for names that the axon lacks, or none for names that it has."""


class StimulationError(CnstraError):
    """A run cannot do what was asked of it, or did not end well."""


class StimulationFailed(StimulationError, ExceptionGroup[Exception]):
    """A run ended ``failed``: the group of everything its handlers and listeners raised (S8).

    Each exception in ``.exceptions`` is the original object, with a note that names neuron, collateral and hop.
    ``except*`` works on it; ``Stimulation.failed_tasks`` has the same as data.
    """

    # typeshed wants an overload for groups of BaseExceptions, which this one never holds.
    def derive(self, excs: Sequence[Exception], /) -> StimulationFailed:  # type: ignore[override]
        """Make a group of the same kind for ``split``, ``subgroup`` and ``except*``."""
        return StimulationFailed(self.message, excs)


class StimulationAborted(StimulationError):
    """A run ended ``aborted`` (S10).

    Attributes:
        reason: what was given to ``abort`` or ``cancel``, None if nothing was.
        exceptions: what handlers and listeners raised before the run ended, in order.
    """

    reason: object
    exceptions: tuple[Exception, ...]

    def __init__(self, reason: object = None, exceptions: Sequence[Exception] = (), /) -> None:
        super().__init__("the run was aborted" if reason is None else f"the run was aborted: {reason}")
        self.reason = reason
        self.exceptions = tuple(exceptions)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.exceptions)


class StimulationTimeout(StimulationAborted, TimeoutError):
    """A run did not end within its ``timeout=`` seconds and was cancelled (S10)."""

    def __init__(self, reason: object = None, exceptions: Sequence[Exception] = (), /) -> None:
        super().__init__(reason, exceptions)
        if reason is not None:
            self.args = (str(reason),)


class NoReplyError(StimulationError):
    """A run completed without a signal on the collateral that ``query`` waited for."""


class ActivationError(CnstraError):
    """One activation failed by a rule of the engine; the run goes on and ends ``failed``."""


class InvalidResponseError(ActivationError, TypeError):
    """A handler returned something that is neither None, a signal nor a list or tuple of signals (S4)."""


class OwnershipError(ActivationError):
    """A handler emitted on a collateral that its neuron's axon does not own (S4)."""


class ModalityError(ActivationError):
    """A modality dendrite has no handler for the run's modality and afferent path (S18)."""


class UnknownSubscriberError(ActivationError):
    """A task names a neuron or dendrite that this CNS does not have (S17)."""


class MaxDurationError(ActivationError, TimeoutError):
    """A handler took longer than its neuron's ``max_duration`` seconds (S13)."""


class MaxHopsError(ActivationError):
    """An activation lies further from the entry than the run's ``max_hops`` (S14)."""


class SlotDeadlockError(ActivationError):
    """An activation waits for a slot that only handlers waiting for it could give back (S12)."""


class NoEventLoopError(ActivationError, RuntimeError):
    """An async handler or listener was reached by a run whose thread has no running event loop (S20)."""


class HandlerCancelledError(ActivationError):
    """A ``CancelledError`` left a handler that nobody had cancelled (S9)."""
