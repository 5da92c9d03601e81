"""What a turn of a durable run costs: beside a raw ``INSERT`` of the same bytes, and however much is pending.

    python -m benches.durable.turns [--only TEXT] [--quick] [--json FILE]

First every side shows that the store has what it should. Then all sides of a comparison are measured in turn, in one
process, and ratios are taken within each round, as in ``benches.ratios``. ``engine`` is what the same turn takes
without a store. The exit code is 1 if a limit is missed. What needs PostgreSQL is left out where there is no server:
CNSTRA_TEST_POSTGRES says where one is.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from ..environment import environment, environment_line, require_native_release
from .comparisons import COMPARISONS, NEED_POSTGRES
from .places import postgres_url
from .rounds import FULL, NO_LIMIT, QUICK, Measured, Sizes, in_rounds

__all__ = ["main"]

HEADER = ["a turn", "against", "at most", "measured", "turn µs", "rival µs", "engine µs", "turns a commit", "ok?"]
RIGHT = {"turn µs", "rival µs", "engine µs", "turns a commit"}


async def measure(key: str, sizes: Sizes) -> list[Measured]:
    """Make a comparison, have everybody checked, and measure it.

    Raises:
        AssertionError: somebody does not do his work.
    """
    with TemporaryDirectory(prefix="cnstra-bench-") as folder:
        async with COMPARISONS[key](sizes, Path(folder)) as comparison:
            return await in_rounds(comparison, sizes)


def row(one: Measured) -> list[str]:
    result, claim = one.result, one.side.claim
    has_limit = claim.limit != NO_LIMIT
    return [
        claim.name,
        claim.against,
        f"{claim.limit:g} ×" if has_limit else "–",
        f"{result.ratio:.2f} × ({min(result.ratios):.2f}–{max(result.ratios):.2f})",
        f"{median(one.subject) / 1e3:,.1f}",
        f"{median(one.rival) / 1e3:,.1f}",
        f"{one.engine_part / 1e3:,.1f}",
        f"{one.side.turns_per_commit:.3g}",
        ("yes" if result.ok else "NO") if has_limit else "–",
    ]


def table(measured: Sequence[Measured]) -> str:
    """As Markdown that can be read as it stands."""
    rows = [HEADER, *map(row, measured)]
    widths = [max(len(one[column]) for one in rows) for column in range(len(HEADER))]
    ends = [name in RIGHT for name in HEADER]
    rows.insert(1, ["-" * (width - end) + ":" * end for width, end in zip(widths, ends, strict=True)])
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(one, widths, ends, strict=True)
        )
        + " |"
        for one in rows
    )


def data(measured: Sequence[Measured]) -> dict[str, object]:
    """Everything, for other programs."""
    return {
        "environment": {**environment(), "sqlite": sqlite3.sqlite_version},
        "cases": [
            {
                "key": one.side.key,
                "case": one.side.claim.name,
                "against": one.side.claim.against,
                "limit": None if one.side.claim.limit == NO_LIMIT else one.side.claim.limit,
                "turns_per_commit": round(one.side.turns_per_commit, 2),
                "measured": round(one.result.ratio, 4),
                "ok": one.result.ok,
                "turn_ns_by_round": [round(time) for time in one.subject],
                "rival_ns_by_round": [round(time) for time in one.rival],
                "engine_ns_by_round": [round(time) for time in one.engine],
            }
            for one in measured
        ],
    }


def chosen(only: str) -> list[str]:
    """The comparisons to make, without those that need a server where there is none.

    Raises:
        SystemExit: none has such a name.
    """
    keys = [key for key in COMPARISONS if only in key]
    if not keys:
        raise SystemExit(f"no comparison has {only!r} in its name; there are: {', '.join(COMPARISONS)}")
    needing = NEED_POSTGRES.intersection(keys)
    if needing and postgres_url() is None:
        print(
            f"left out, because no PostgreSQL server answers: {', '.join(sorted(needing))}; CNSTRA_TEST_POSTGRES says "
            f"where one is"
        )
        keys = [key for key in keys if key not in needing]
    return keys


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="turns", description="Measure what a turn of a durable run costs.")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help=f"those with this in their name: {', '.join(COMPARISONS)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer, shorter measurements: less exact")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything into FILE, too")
    options = parser.parse_args(arguments)

    require_native_release()
    keys = chosen(options.only)
    measured: list[Measured] = []
    started = perf_counter()
    for number, key in enumerate(keys, 1):
        print(f"{number} of {len(keys)}: {key}", file=sys.stderr)
        measured += asyncio.run(measure(key, QUICK if options.quick else FULL))
        gc.collect()
    if not measured:
        return 0
    print(f"{environment_line()}; SQLite {sqlite3.sqlite_version}\n")
    print(f"{table(measured)}\n\n{perf_counter() - started:.0f} s")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data(measured), indent=2) + "\n", encoding="utf-8")
    missed = [one.side.key for one in measured if not one.result.ok]
    if missed:
        print(f"\nlimits missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
