"""What ``stimulate`` and ``activate`` can be told, checked at the call."""

from __future__ import annotations

from typing import Any

from .. import faults

__all__ = ["Options"]

NAMES = (
    "on_response", "on_drain", "abort_signal", "timeout", "concurrency", "max_hops", "context_store", "modality",
    "afferent_path", "stimulation_context",
)  # fmt: skip


class Options:
    """The options of one run."""

    __slots__ = NAMES

    on_response: Any
    on_drain: Any
    abort_signal: Any
    timeout: float | None
    concurrency: int | None
    max_hops: int | None
    context_store: Any
    modality: Any
    afferent_path: Any
    stimulation_context: Any

    def __init__(self, call: str, given: dict[str, Any]) -> None:
        for name in NAMES:
            setattr(self, name, given.pop(name, None))
        for name in given:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
        if self.on_response is not None:
            faults.check_callable("on_response", self.on_response)
        if self.on_drain is not None:
            faults.check_callable("on_drain", self.on_drain)
        faults.check_seconds("timeout", self.timeout)
        faults.check_limit("concurrency", self.concurrency)
        faults.check_limit("max_hops", self.max_hops)
        if self.abort_signal is not None:
            faults.check_abort_signal(self.abort_signal)
        if self.context_store is not None:
            faults.check_context_store(self.context_store)
        if self.modality is not None or self.afferent_path is not None:
            faults.check_modality(self.modality, self.afferent_path)
