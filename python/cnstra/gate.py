"""One run at a time."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Never, final

from . import aio
from ._engine import Signal, Stimulation

if TYPE_CHECKING:
    from .cns import CNS

__all__ = ["StimulationGate"]


@final
class StimulationGate:
    """Runs one signal on a CNS, one run at a time (S19): a drain, a refresh, a poll that must not overlap itself.

    Args:
        cns: the CNS to run on.
        signal: the signal, or list of signals, that each run starts with.
        **options: what ``cns.stimulate`` takes.

    Example:
        >>> from cnstra import CNS, StimulationGate, collateral, neuron
        >>> refresh = collateral("refresh")
        >>> cns = CNS([neuron("cache").dendrite(collateral=refresh, response=lambda _: print("refreshed"))])
        >>> gate = StimulationGate(cns, refresh.create_signal())
        >>> run = gate.drain()
        refreshed
        >>> run.outcome
        'completed'
    """

    __slots__ = ("_cns", "_lock", "_options", "_run", "_signal", "_starting")

    def __init__(self, cns: CNS, signal: Signal[Any] | Sequence[Signal[Any]], /, **options: Any) -> None:
        from .cns import CNS

        if not isinstance(cns, CNS):
            raise TypeError(f"a StimulationGate takes a CNS, not {type(cns).__name__}")
        self._cns = cns
        self._signal = signal
        self._options = options
        self._run: Stimulation | None = None
        self._lock = Lock()
        # What is wrong with them is said here, not at the first drain.
        _ = cns._prepare(signal, **options)

    def drain(self) -> Stimulation:
        """The run that is going on, or a new one; also when called from inside that run.

        Raises:
            what ``cns.stimulate`` raises.
        """
        if self._run is not None and not self._run.done():
            aio.abandon_closed()
        with self._lock:
            run = self._run
            if run is not None and not run.done():
                return run
            # Taken under the lock: a second caller, be it a handler of this very run, finds it as soon as it exists.
            run = self._run = self._cns._prepare(self._signal, **self._options)
        run._begin()
        return run

    def abort(self, reason: object = None) -> bool:
        """Abort the run that is going on; whether there was one."""
        run = self._run
        if run is None or run.done():
            return False
        run.abort(reason)
        return True

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: make another for the CNS of the other process")

    def __repr__(self) -> str:
        return f"<StimulationGate: {'idle' if self._run is None or self._run.done() else 'running'}>"
