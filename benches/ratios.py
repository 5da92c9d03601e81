"""The table of the cases: how long the engine takes beside what it is compared with.

    python -m benches.ratios [--only TEXT] [--quick] [--strict] [--json FILE]

First both sides of a case assert their results. Then they are timed in turn, in one process, and a ratio is taken
within each round, between measurements that lie a moment apart: what the machine does meanwhile hits both alike. So the
ratios can be relied on, also on a busy machine; the times beside them are of that machine and that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from .case import FULL, Claim
from .cases import CASES, NEED_BARE, bare_is_built
from .environment import environment, environment_line, require_native_release
from .timing import Pace, in_turn, run_check

__all__ = ["Result", "main", "measure"]

USUAL = Pace()
QUICK = Pace(measurement=0.02, seconds=1.0, least=3, most=9)


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was measured: nanoseconds per unit, by round. The case itself is not kept: some are large."""

    key: str
    claim: Claim
    subject: Sequence[float]
    rival: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """By round; what they are to be below, or above if the claim is ``faster``."""
        pairs = zip(self.subject, self.rival, strict=True)
        return [rival / subject if self.claim.faster else subject / rival for subject, rival in pairs]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def ok(self) -> bool:
        return self.ratio >= self.claim.limit if self.claim.faster else self.ratio <= self.claim.limit


def measure(key: str, runner: asyncio.Runner, pace: Pace) -> Result:
    """Make a case, check both sides, and time them.

    Raises:
        AssertionError: one side does not do its work.
    """
    case = CASES[key](FULL)
    for work in (case.rival, case.subject):
        run_check(work, runner)
    subject, rival = in_turn([case.subject, case.rival], runner, pace)
    return Result(key, case.claim, subject, rival)


def row(result: Result) -> list[str]:
    claim = result.claim
    return [
        f"{claim.name}, per {claim.per}",
        claim.against,
        f"at least {claim.limit:g} × faster" if claim.faster else f"{claim.limit:g} ×",
        f"{result.ratio:.2f} × ({min(result.ratios):.2f}–{max(result.ratios):.2f})",
        f"{median(result.subject):,.0f}",
        f"{median(result.rival):,.0f}",
        "yes" if result.ok else "NO",
    ]


HEADER = ["case", "against", "at most", "measured", "subject ns", "rival ns", "ok?"]
RIGHT = {"subject ns", "rival ns"}


def table(results: Sequence[Result]) -> str:
    """As Markdown that can be read as it stands."""
    rows = [HEADER, *map(row, results)]
    widths = [max(len(one[column]) for one in rows) for column in range(len(HEADER))]
    right = [name in RIGHT for name in HEADER]
    rows.insert(1, ["-" * (width - end) + ":" * end for width, end in zip(widths, right, strict=True)])
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(one, widths, right, strict=True)
        )
        + " |"
        for one in rows
    )


def data(results: Sequence[Result]) -> dict[str, object]:
    """Everything, for other programs."""
    return {
        "environment": environment(),
        "cases": [
            {
                "key": one.key,
                "case": one.claim.name,
                "against": one.claim.against,
                "per": one.claim.per,
                "limit": one.claim.limit,
                "bound": "at least, rival / subject" if one.claim.faster else "at most, subject / rival",
                "measured": round(one.ratio, 4),
                "range": [round(min(one.ratios), 4), round(max(one.ratios), 4)],
                "ratio_of_medians": round(
                    (median(one.subject) / median(one.rival)) ** (-1 if one.claim.faster else 1), 4
                ),
                "ok": one.ok,
                "subject_ns": round(median(one.subject), 2),
                "rival_ns": round(median(one.rival), 2),
                "subject_ns_by_round": [round(time, 2) for time in one.subject],
                "rival_ns_by_round": [round(time, 2) for time in one.rival],
            }
            for one in results
        ],
    }


def chosen(only: str) -> list[str]:
    """The keys of the cases to measure.

    Raises:
        SystemExit: there are none, or the native module is missing.
    """
    keys = [key for key in CASES if only in key]
    if not keys:
        raise SystemExit(f"no case has {only!r} in its name; there are: {', '.join(CASES)}")
    if not bare_is_built() and NEED_BARE.intersection(keys):
        raise SystemExit("the bare loop is not built for this Python: make bench builds it")
    return keys


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or with ``--strict`` 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="ratios", description="Measure the engine beside what it is compared with.")
    parser.add_argument("--only", default="", metavar="TEXT", help=f"cases with this in their name: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter measurements: less exact")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a limit is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything into FILE, too")
    options = parser.parse_args(arguments)

    require_native_release()
    keys = chosen(options.only)
    results: list[Result] = []
    started = perf_counter()
    for number, key in enumerate(keys, 1):
        print(f"{number} of {len(keys)}: {key}", file=sys.stderr)
        # A loop for each, so that nothing that one case leaves in it meets the next.
        with asyncio.Runner() as runner:
            results.append(measure(key, runner, QUICK if options.quick else USUAL))
        gc.collect()
    print(f"{environment_line()}\n\n{table(results)}\n\n{perf_counter() - started:.0f} s")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data(results), indent=2) + "\n", encoding="utf-8")
    missed = [one.key for one in results if not one.ok]
    if missed:
        print(f"\nlimits missed: {', '.join(missed)}")
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
