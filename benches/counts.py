"""CPU instructions of the core cases, counted by valgrind, and compared with those in counts.json.

    python -m benches.counts [--only TEXT] [--update]

Times need a quiet machine to show a change of a few per cent; instructions do not. One process does the work some
number of times, another one does it more often: what the second needs more is the work alone, without the start of
either. Both have the same hash seed, and nothing in them depends on time, so the figures repeat almost to the digit.

They depend on the interpreter, the compiler and the kind of processor, which are the key in counts.json. Where a case
needs more than 3 % above what stands there, the exit code is 1. ``--update`` writes what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cnstra

from .counted import WORK
from .environment import require_native_release

__all__ = ["KEPT", "environment_key", "main"]

ROOT = Path(__file__).resolve().parents[1]
KEPT = Path(__file__).with_name("counts.json")
TOLERANCE = 0.03
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


def environment_key() -> str:
    """What counts depend on, such as ``CPython 3.11.7, rustc 1.95.0, x86_64``."""
    build = cnstra.build_info()
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"rustc {build.get('rustc', 'unknown')}, {platform.machine()}"
    )


def per_unit(name: str) -> float:
    """Instructions that one unit of the work takes.

    Raises:
        RuntimeError: a process failed, a wrong result included, or valgrind did not say.
    """
    work = WORK[name]
    with TemporaryDirectory() as cache:
        # Nothing of the caller's environment but what finds the programs and the package: it lies on the stack.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        environment |= {"PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": cache}
        # This one compiles the modules, so that of those that count both find the same.
        process([], name, 1, environment)
        few, many = (instructions(name, times, environment) for times in (work.few, work.many))
    return (many - few) / ((work.many - work.few) * work.units)


def instructions(name: str, times: int, environment: dict[str, str]) -> int:
    """Instructions of a process that does the work so often."""
    told = process(VALGRIND, name, times, environment)
    found = re.search(r"I\s+refs:\s+([\d,]+)", told)
    if found is None:
        raise RuntimeError(f"valgrind told no count of instructions:\n{told}")
    return int(found[1].replace(",", ""))


def process(through: list[str], name: str, times: int, environment: dict[str, str]) -> str:
    """Run it, and return what it told on its standard error."""
    command = [*through, sys.executable, "-m", "benches.counted", name, str(times)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"counting {name} failed:\n{done.stderr}")
    return done.stderr


def table(measured: dict[str, float], kept: dict[str, float]) -> str:
    width = max(len(WORK[name].what) for name in measured)
    lines = [f"{'instructions per':<{width}}   measured       kept   change"]
    for name, count in measured.items():
        line = f"{WORK[name].what:<{width}} {count:>10,.1f}"
        if name in kept:
            line += f" {kept[name]:>10,.1f} {count / kept[name] - 1:>+8.1%}"
        lines.append(line)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a case takes more than it may."""
    parser = argparse.ArgumentParser(prog="counts", description="Count CPU instructions of the core cases.")
    parser.add_argument("--only", default="", metavar="TEXT", help=f"cases with this in their name: {', '.join(WORK)}")
    parser.add_argument("--update", action="store_true", help=f"write what was measured into {KEPT.name}")
    options = parser.parse_args(arguments)

    if not shutil.which("valgrind"):
        raise SystemExit("instructions are counted by valgrind, and there is none on PATH: install it (apt, dnf, brew)")
    require_native_release()
    names = [name for name in WORK if options.only in name]
    if not names:
        raise SystemExit(f"no case has {options.only!r} in its name; there are: {', '.join(WORK)}")
    key = environment_key()
    all_kept: dict[str, dict[str, float]] = json.loads(KEPT.read_text(encoding="utf-8"))
    kept = all_kept.get(key, {})
    measured: dict[str, float] = {}
    for number, name in enumerate(names, 1):
        print(f"{number} of {len(names)}: {name}", file=sys.stderr)
        measured[name] = per_unit(name)
    print(f"{key}\n\n{table(measured, kept)}\n")
    if options.update:
        all_kept[key] = kept | {name: round(count, 1) for name, count in measured.items()}
        KEPT.write_text(json.dumps(dict(sorted(all_kept.items())), indent=2) + "\n", encoding="utf-8")
        print(f"written to {KEPT.name}")
        return 0
    if not kept:
        print(f"{KEPT.name} has nothing for this environment: nothing to compare with (--update writes it)")
    worse = [name for name, count in measured.items() if name in kept and count > kept[name] * (1 + TOLERANCE)]
    if worse:
        print(f"more than {TOLERANCE:.0%} above what is kept: {', '.join(worse)}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
