"""Puts durable steps side by side: cnstra, LangGraph on SQLite, DBOS on PostgreSQL.

    python -m benches.durable.peers.compare [--out DIR] [--quick]

It writes ``durable.md`` and ``durable.json`` into DIR. It needs a PostgreSQL server: CNSTRA_TEST_POSTGRES says where
one is, by default it is on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg

from ...environment import environment, require_native_release
from ...timing import frozen
from ..places import fresh_schema, postgres_url
from .contender import STEPS, Contender, Place, Run
from .on_cnstra import ON_POSTGRES, ON_SQLITE, ON_SQLITE_FULL
from .on_dbos import ON_POSTGRES as DBOS
from .on_langgraph import ON_SQLITE as LANGGRAPH
from .page import Times, markdown

__all__ = ["main"]

# cnstra comes first on each store: the others are compared with that.
CONTENDERS = (ON_SQLITE, ON_SQLITE_FULL, LANGGRAPH, ON_POSTGRES, DBOS)

USUAL, QUICK = 31, 5


def measure(contenders: Sequence[Contender], rounds: int, url: str) -> Times:
    """Open and check them all, then time them in rounds.

    Raises:
        AssertionError: a contender did not do its work.
    """
    times: dict[Contender, list[float]] = {one: [] for one in contenders}
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cnstra-bench-")))
        runs: list[tuple[Contender, Run]] = []
        for one in contenders:
            print(f"{one.name}, {one.store}", file=sys.stderr)
            place = Place(runner, folder, url, stack.enter_context(fresh_schema(url)))
            runs.append((one, stack.enter_context(one.opened(place))))
        # The heap holds all of them. In a program that uses one, the garbage collector would not walk through the
        # others while it is on, as it is here.
        with frozen():
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
                start = number % len(runs)
                for one, run in runs[start:] + runs[:start]:
                    gc.collect()
                    started = perf_counter()
                    ended = run()
                    times[one].append((perf_counter() - started) / STEPS)
                    assert ended == {"count": STEPS}
    return times


def main() -> None:
    parser = argparse.ArgumentParser(prog="compare", description="Compare durable steps with those of other libraries.")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the results go (default: here)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: less exact")
    arguments = parser.parse_args()

    require_native_release()
    url = postgres_url()
    if url is None:
        raise SystemExit("no PostgreSQL server answers; CNSTRA_TEST_POSTGRES says where one is")
    with psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version") or "of unknown version"
    rounds = QUICK if arguments.quick else USUAL
    times = measure(CONTENDERS, rounds, url)
    # Distributions append what they have changed: that is of no interest here.
    page = markdown(times, (LANGGRAPH, ON_SQLITE_FULL), rounds, server.partition(" ")[0])
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "durable.md").write_text(page, encoding="utf-8")
    (arguments.out / "durable.json").write_text(json.dumps(raw(times), indent=2) + "\n", encoding="utf-8")
    print(page)


def raw(times: Times) -> dict[str, object]:
    """The results as data."""
    return {
        "environment": environment(),
        "steps": STEPS,
        "results": [
            {
                "contender": one.name,
                "versions": one.versions,
                "store": one.store,
                "settings": one.settings,
                "microseconds_by_round": [round(seconds * 1e6, 2) for seconds in taken],
            }
            for one, taken in times.items()
        ],
    }


if __name__ == "__main__":
    main()
