"""Who owns runs: the name of a process, whether that process is gone, and the thread that keeps its lease."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from uuid import uuid4

from .errors import StoreError
from .port import Store

__all__ = ["Heartbeat", "is_gone", "owner_name"]

_log = logging.getLogger("cnstra.durable")


def owner_name() -> str:
    """A name for this process as an owner of runs: where it lives, which process it is, and a part that nobody else
    has."""
    return "/".join((*_here(), str(os.getpid()), _start_of(os.getpid()) or "-", uuid4().hex[:12]))


def is_gone(owner: str) -> bool:
    """Whether the process of that name has certainly ended. Only processes of this machine can be known to have."""
    parts = owner.split("/")
    if len(parts) != 6 or tuple(parts[:3]) != _here() or not parts[3].isdecimal():
        return False
    start = _start_of(int(parts[3]))
    # Where nothing tells when processes began, a number may be another process's by now: the lease decides.
    return parts[4] != "-" and start != parts[4]


@cache
def _here() -> tuple[str, str, str]:
    """This machine since it was booted, and which process numbers count on it: containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
        numbers = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        boot = numbers = "-"
    return socket.gethostname().replace("/", "-"), boot, numbers


def _start_of(process: int) -> str | None:
    """When a process began, in ticks since the boot; None if there is no such process, or nothing tells."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    # A zombie has ended; all that is left of it is its exit status.
    return None if state in "ZX" else rest[18]


class Heartbeat:
    """Renews the lease of one owner from a thread of its own, so that a handler that keeps the loop busy does not lose
    it.

    A thread needs the interpreter's lock: code in C that keeps it for longer than the lease loses the lease.

    Args:
        store: where the lease is.
        owner: whose it is.
        lease: its length in seconds.
        cancelled: called in that thread with the runs that somebody wants cancelled: reasons by key.
    """

    def __init__(self, store: Store, owner: str, lease: float, cancelled: Callable[[dict[int, str]], object]) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease
        self._cancelled = cancelled
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="cnstra durable heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        every = min(self._lease / 3, 1.0)
        failing = False
        while not self._stopped.wait(every):
            try:
                beat = self._store.beat(self._owner, self._lease)
            except StoreError as error:
                if not failing:
                    failing = True
                    _log.warning("the lease cannot be renewed: %s", error)
            else:
                failing = False
                if beat.cancels:
                    self._cancelled(beat.cancels)

    def stop_soon(self) -> None:
        """Let the lease run out; at most one beat that has begun is still made."""
        self._stopped.set()

    def stop(self) -> None:
        """Let the lease run out; returns when the thread has ended. May take as long as the store takes for a beat."""
        self._stopped.set()
        self._thread.join()
