"""Durable runs: recorded in a store as they go, and continued after a crash.

What the package is made of, from the bottom up; nothing imports what stands below it here:

    errors, errors_as_text, records    what can go wrong; what a store remembers, as data
    port, patience    what durable runs need of a database; how to wait for one
    memory, sqlite, postgres    the stores; ``opening`` finds the one that a URL names
    codecs            payloads and context values as bytes, by their types
    activation        what a handler can ask: its stable id, its transaction
    contexts, recording    what is noted of one run and not stored yet
    journal           the group commit of a process
    live, wrapping    between the engine and these: listeners of a run, middleware around handlers
    leases            who owns runs, and for how long
    options, graphs   what stored runs name, found in a graph again
    reading, runs     the record for people; the handle of a run
    settings, durable    the entry point, and what it checks first

It needs the extra ``cnstra[durable]``, and ``cnstra[postgres]`` for PostgreSQL.
"""

from __future__ import annotations

from .activation import Activation, current_activation, current_transaction
from .codecs import Codec
from .durable import Durable
from .errors import (
    CodecError,
    DurableError,
    EncodingError,
    GraphChangedError,
    LeaseLostError,
    RecordedError,
    RunConflictError,
    RunStateError,
    SchemaTooNewError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
    StoreUrlError,
    UnknownRunError,
)
from .port import Store
from .reading import Record
from .records import Attempt, AttemptStatus, Page, Run, RunStatus, Task, TaskStatus
from .runs import DurableRun

__all__ = [
    "Activation",
    "Attempt",
    "AttemptStatus",
    "Codec",
    "CodecError",
    "Durable",
    "DurableError",
    "DurableRun",
    "EncodingError",
    "GraphChangedError",
    "LeaseLostError",
    "Page",
    "Record",
    "RecordedError",
    "Run",
    "RunConflictError",
    "RunStateError",
    "RunStatus",
    "SchemaTooNewError",
    "Store",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreUnavailableError",
    "StoreUrlError",
    "Task",
    "TaskStatus",
    "UnknownRunError",
    "current_activation",
    "current_transaction",
]
