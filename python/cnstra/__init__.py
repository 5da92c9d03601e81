"""cnstra: application logic as an explicit, typed graph of neurons, run by a deterministic engine.

What the package is made of, from the bottom up; nothing imports what stands below it here:

    errors, faults      every public exception; the engine's own errors, worded once
    _native / _pure     the engine twice, in Rust and in Python, by the same rules; ``_engine`` picks one
    axon, graph, …      the builder: neurons, dendrites, axons, modalities; produces data, runs nothing
    aio, blocking       where a run lives: in an event loop, or in a thread without one
    abort, context      what handlers hold on to: abort signals, context stores
    stimulation         tasks and failures as data
    network             the compiled graph as data and as pictures
    cns, stream, gate   the entry points
"""

from __future__ import annotations

from ._engine import Collateral, Context, Drain, Response, Signal, Stimulation, build_info, engine
from ._version import __version__
from .abort import AbortController, AbortSignal
from .axon import Axon, MappingAxon
from .cns import CNS
from .context import ContextStore, MemoryContextStore
from .errors import (
    ActivationError,
    BindingError,
    CnstraError,
    GraphError,
    HandlerCancelledError,
    InvalidResponseError,
    MaxDurationError,
    MaxHopsError,
    ModalityError,
    NoEventLoopError,
    NoReplyError,
    OwnershipError,
    SlotDeadlockError,
    StimulationAborted,
    StimulationError,
    StimulationFailed,
    StimulationTimeout,
    UnknownSubscriberError,
)
from .gate import StimulationGate
from .graph import Dendrite, Neuron, NeuronFactory, collateral, neuron, neuron_factory
from .modalities import AfferentPath, Modality, afferent_path, modality
from .stimulation import ActivationTask, TaskFailure
from .stream import ResponseStream

__all__ = [
    "CNS",
    "AbortController",
    "AbortSignal",
    "ActivationError",
    "ActivationTask",
    "AfferentPath",
    "Axon",
    "BindingError",
    "CnstraError",
    "Collateral",
    "Context",
    "ContextStore",
    "Dendrite",
    "Drain",
    "GraphError",
    "HandlerCancelledError",
    "InvalidResponseError",
    "MappingAxon",
    "MaxDurationError",
    "MaxHopsError",
    "MemoryContextStore",
    "Modality",
    "ModalityError",
    "Neuron",
    "NeuronFactory",
    "NoEventLoopError",
    "NoReplyError",
    "OwnershipError",
    "Response",
    "ResponseStream",
    "Signal",
    "SlotDeadlockError",
    "Stimulation",
    "StimulationAborted",
    "StimulationError",
    "StimulationFailed",
    "StimulationGate",
    "StimulationTimeout",
    "TaskFailure",
    "UnknownSubscriberError",
    "__version__",
    "afferent_path",
    "build_info",
    "collateral",
    "engine",
    "modality",
    "neuron",
    "neuron_factory",
]
