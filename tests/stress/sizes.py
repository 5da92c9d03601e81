"""How large a test is: the pure engine does the same as the native one, with numbers that take it seconds."""

from __future__ import annotations

import cnstra

__all__ = ["size"]


def size(native: int, python: int) -> int:
    """The number for the engine that is tested."""
    return native if cnstra.engine == "native" else python
