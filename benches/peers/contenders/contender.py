"""What the program knows of a contender, and the box in which handlers leave what they saw."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from workloads import ALL, Workload

__all__ = ["Box", "Case", "Contender"]

# Does the work once and returns what was seen: a value that was passed on, or a count.
Case: TypeAlias = Callable[[], int] | Callable[[], Coroutine[Any, Any, int]]


class Box:
    """A number that handlers write to; the cheapest thing that any of them can do."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work.

    Args:
        name: as people write it.
        what: in about five words.
        distribution: the installed package whose version is told; none for the standard library.
        cases: for each workload that it expresses naturally, what builds the case. Builders are called inside the event
            loop in which async cases are awaited later.
        remarks: by workload, what is particular about a case, or why there is none.
        fairness: what it gives that cnstra does not, and what its numbers do not contain.
    """

    name: str
    what: str
    distribution: str | None
    cases: Mapping[Workload, Callable[[], Case]]
    remarks: Mapping[Workload, str]
    fairness: str

    def __post_init__(self) -> None:
        unexplained = [workload.name for workload in ALL if workload not in {*self.cases, *self.remarks}]
        if unexplained:
            raise ValueError(f"{self.name} must say why it has no case for: {', '.join(unexplained)}")

    @property
    def title(self) -> str:
        """The name, with the version if it has one."""
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def version(self) -> str | None:
        """The version that is installed."""
        return importlib.metadata.version(self.distribution) if self.distribution else None
