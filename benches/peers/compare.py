"""Puts the same work side by side: cnstra, the libraries that people use today, and asyncio without one.

    compare.py [--out DIR] [--quick]

It writes ``peers.md``, ``peers.png`` and ``peers.json`` into DIR. Read it in this order:

    workloads     the five pieces of work
    contenders    who does them, one file each
    measuring     how they are timed
    table         the page, and
    picture       the picture
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from contenders import ALL
from measuring import Results, measure
from picture import draw
from table import markdown

import cnstra

# Rounds, and seconds per measurement; there are some forty measurements in a round.
USUAL = (31, 0.06)
QUICK = (9, 0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare cnstra with its peers at five pieces of work.")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the results go (default: here)")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter measurements: half a minute, less exact")
    arguments = parser.parse_args()

    rounds, seconds = QUICK if arguments.quick else USUAL
    results = measure(ALL, rounds, seconds, progress=lambda message: print(message, file=sys.stderr))
    page = markdown(results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "peers.md").write_text(page, encoding="utf-8")
    (arguments.out / "peers.json").write_text(json.dumps(raw(results), indent=2) + "\n", encoding="utf-8")
    draw(results, arguments.out / "peers.png")
    print(page)


def raw(results: Results) -> dict[str, object]:
    """The results as data."""
    return {
        "python": platform.python_version(),
        "engine": cnstra.engine,
        "rounds": results.rounds,
        "versions": {one.name: one.version for one in results.contenders if one.version},
        "results": [
            {
                "contender": entry.contender.name,
                "workload": entry.workload.name,
                "unit": entry.workload.unit,
                "microseconds": entry.time,
                "ratio": entry.ratio,
                "ratio_quartiles": entry.ratio_quartiles,
                "microseconds_by_round": entry.times,
            }
            for entry in results.entries
        ],
    }


if __name__ == "__main__":
    main()
