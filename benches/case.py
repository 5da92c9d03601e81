"""What a case is made of: what it is to show, the two pieces of work that are compared, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

from .timing import Work

__all__ = ["FULL", "TINY", "Case", "Claim", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the cases are."""

    chain: int = 1_000
    sinks: int = 1_000
    runs: int = 20_000  # one after the other, of one sink
    waits: int = 1_000  # one after the other, each of which suspends once
    crowd: int = 10_000  # at once
    tasks: int = 100_000
    neurons: int = 100_000
    many_neurons: int = 1_000_000


FULL = Sizes()
TINY = Sizes(chain=7, sinks=5, runs=11, waits=3, crowd=13, tasks=17, neurons=19, many_neurons=70)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a case is to show.

    Args:
        name: what of the engine is measured.
        against: what it is compared with.
        per: what it is measured in.
        limit: how many times as long as the rival the subject may take; if ``faster``, how many times as long as the
            subject the rival must take.
        faster: which way round the ratio is taken.
    """

    name: str
    against: str
    per: str
    limit: float
    faster: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: the engine at work, and what it is compared with."""

    claim: Claim
    subject: Work
    rival: Work
