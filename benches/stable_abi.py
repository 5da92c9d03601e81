"""What the stable ABI would cost: calls of a handler from the bare loop, built for it and built for this Python.

With the stable ABI of 3.11 there is no vectorcall: each call makes a tuple of its arguments. What the engine does
beside calling handlers is not possible with it at all (contexts, for one), so there is no engine to compare.

Usage: python -m benches.stable_abi FOLDER (where the library that was built for the stable ABI is)
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from .environment import environment_line

__all__ = ["main"]

CALLS = 20_000
ROUNDS = 101


def load(path: Path) -> Any:
    """The bare module that this file is."""
    spec = importlib.util.spec_from_file_location("bare", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sink(payload: int, axon: None) -> None:
    """The handler."""


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description="What the stable ABI would cost a call.")
    parser.add_argument("folder", type=Path, help="where libbare of the stable ABI is")
    folder: Path = parser.parse_args().folder
    found = [path for path in (folder / "libbare.so", folder / "libbare.dylib") if path.exists()]
    if not found:
        raise SystemExit(f"no libbare in {folder}: make bench-abi3 builds it")
    from . import bare

    stable = load(found[0])
    ratios: list[float] = []
    for _ in range(ROUNDS):
        taken: list[int] = []
        for module in (stable, bare):
            begin = perf_counter_ns()
            assert module.repeat(sink, None, 1, CALLS) == CALLS
            taken.append(perf_counter_ns() - begin)
        ratios.append(taken[0] / taken[1])
    print(environment_line())
    print(f"a call of a handler by the stable ABI takes {statistics.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
