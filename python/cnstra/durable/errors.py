"""What can go wrong with durable runs; every one of these is a ``cnstra.CnstraError``.

DurableError
├── StoreError
│     ├── StoreUrlError(ValueError)      the URL names no store
│     ├── StoreUnavailableError          it cannot be reached, is full, read-only, or was stopped
│     │     └── StoreBusyError           somebody else has locked it
│     ├── StoreCorruptError              the file is damaged, or no store of cnstra
│     └── SchemaTooNewError              a newer cnstra wrote it
├── CodecError(TypeError)                a type has no codec: known before any run starts
├── EncodingError(ValueError)            a payload or context cannot be stored as its type says
├── RunConflictError                     that run id belongs to another entry
├── UnknownRunError(LookupError)         there is no run of that id
├── RunStateError                        the run is not in a state in which that can be done
├── GraphChangedError                    a stored run needs what the graph does not have
├── LeaseLostError                       another process has taken the run over
└── RecordedError                        an error as the store remembers it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cnstra import CnstraError

if TYPE_CHECKING:
    from .runs import DurableRun

__all__ = [
    "CodecError",
    "DurableError",
    "EncodingError",
    "GraphChangedError",
    "LeaseLostError",
    "RecordedError",
    "RunConflictError",
    "RunStateError",
    "SchemaTooNewError",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreUnavailableError",
    "StoreUrlError",
    "UnknownRunError",
]


class DurableError(CnstraError):
    """The base of everything that durable runs raise by themselves."""


class StoreError(DurableError):
    """Something is wrong with the store; the message names it, without its password."""


class StoreUrlError(StoreError, ValueError):
    """The URL names no kind of store that there is, or is not complete."""


class StoreUnavailableError(StoreError):
    """The store cannot be used now: not reachable, full, read-only, or stopped in the middle of a statement."""


class StoreBusyError(StoreUnavailableError):
    """Somebody else holds the store's lock; it may be free again in a moment."""


class StoreCorruptError(StoreError):
    """The file is damaged, half-written, or no store of cnstra at all."""


class SchemaTooNewError(StoreError):
    """A newer version of cnstra has written the store; this one does not touch it."""


class CodecError(DurableError, TypeError):
    """Payload or context types that cannot be stored, found before any run starts; the message names all of them."""


class EncodingError(DurableError, ValueError):
    """A payload or context value cannot be stored, or would not come back as it is; the message names whose it is."""


class RunConflictError(DurableError):
    """A run of that id exists and was started with something else."""


class UnknownRunError(DurableError, LookupError):
    """The store has no run of that id."""


class RunStateError(DurableError):
    """The run is not in a state in which that can be done with it; the message tells which it is in."""


class GraphChangedError(DurableError):
    """Stored runs need neurons or collaterals that the graph does not have; they wait untouched.

    Attributes:
        missing: what is missing by run id, each as words, like ``neuron 'billing'``.
        recovered: of ``recover()``, the runs that do go on: handles like those that it returns.
    """

    def __init__(self, missing: Mapping[str, Sequence[str]], recovered: Sequence[DurableRun] = ()) -> None:
        self.missing = {run: tuple(names) for run, names in missing.items()}
        self.recovered = tuple(recovered)
        runs = "; ".join(f"run {run!r} needs {', '.join(names)}" for run, names in self.missing.items())
        super().__init__(
            f"the graph has changed: {runs}; if something was renamed give Durable(..., aliases={{'old': 'new'}}), "
            f"else deploy a graph that still has it"
        )


class LeaseLostError(DurableError):
    """Another process has taken the run over: this one was away for longer than its lease."""


class RecordedError(DurableError):
    """An error of an earlier attempt or of another process, as the store remembers it.

    Attributes:
        recorded_traceback: its traceback as text, None if there is none.
    """

    def __init__(self, message: str, recorded_traceback: str | None = None) -> None:
        super().__init__(message)
        self.recorded_traceback = recorded_traceback
