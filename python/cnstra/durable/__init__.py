"""Durable runs: recorded in a store as they go, and continued after a crash.

What the package is made of, from the bottom up; nothing imports what stands below it here:

    errors, records    what can go wrong; what a store remembers, as data
    port               what durable runs need of a database
    memory, sqlite, postgres    the stores; ``opening`` finds the one that a URL names

It needs the extra ``cnstra[durable]``, and ``cnstra[postgres]`` for PostgreSQL.
"""

from __future__ import annotations

from .port import Store
from .records import Attempt, Page, Run, Task

__all__ = ["Attempt", "Page", "Run", "Store", "Task"]
