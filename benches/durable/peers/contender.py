"""What is known of a contender, and what it is given to do."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["STEPS", "Contender", "Place", "Run"]

STEPS = 100
"""How many steps a run has, one after the other: each gets a small dict from the one before, and returns another."""

# Does all steps once, from the start of the run to its end, and returns the last dict.
Run = Callable[[], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender works, with nothing in it.

    Args:
        runner: whose event loop those use that need one; nobody else runs in it meanwhile.
        folder: for files.
        url: of the PostgreSQL server.
        schema: that is the contender's own, and is dropped afterwards.
    """

    runner: asyncio.Runner
    folder: Path
    url: str
    schema: str


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do durable steps.

    Args:
        name: as people write it.
        distributions: the installed packages whose versions are told; None for cnstra, which is not installed here.
        store: where it keeps them.
        settings: how that is set up, and when it is written.
        opened: gives what does the work, and closes it; before that it has shown that every step is stored.
        fairness: what it does beside what is compared, and what its numbers do not contain.
    """

    name: str
    distributions: tuple[str, ...]
    store: Literal["SQLite", "PostgreSQL"]
    settings: str
    opened: Callable[[Place], AbstractContextManager[Run]]
    fairness: str

    @property
    def versions(self) -> list[str]:
        return [f"{name} {importlib.metadata.version(name)}" for name in self.distributions]
