"""What a piece of work leaves behind."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["assert_flat"]

_PAGES = Path("/proc/self/statm")


def _resident() -> int:
    """Bytes of memory that the process occupies now; 0 where the system does not tell."""
    return int(_PAGES.read_text().split()[1]) * 4096 if _PAGES.exists() else 0


# The interpreter remembers look-ups, thousands of them, with the names that were looked up.
_forget_lookups: Callable[[], object] = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def assert_flat(work: Callable[[int], object], times: int, *, warm_up: int = 2_000, megabytes: int = 8) -> None:
    """Do the work many times, and find no Python object and no megabytes more than before.

    Args:
        work: does the work as often as it is told.
        times: how often it is done between the two looks.
        warm_up: how often it is done before the first, to fill caches and free lists.
        megabytes: what an allocator may keep for itself.
    """
    work(warm_up)
    gc.collect()
    _forget_lookups()
    blocks, resident = sys.getallocatedblocks(), _resident()
    work(times)
    gc.collect()
    _forget_lookups()
    assert sys.getallocatedblocks() - blocks < max(times // 100, 200)
    assert _resident() - resident < megabytes * 2**20
