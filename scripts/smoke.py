"""Tries an installed cnstra as a newcomer would. Usage: smoke.py native|python, from outside the work tree."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

import cnstra
from cnstra import CNS, Axon, Collateral, Signal, collateral, neuron


@dataclass(frozen=True)
class Asked:
    count: int


@dataclass(frozen=True)
class Done:
    total: int


asked = collateral("asked", Asked)


class CounterAxon(Axon[Done]):
    done: Collateral[Done]


counter_axon = CounterAxon()
counter = neuron("counter", counter_axon)
sink = neuron("sink")
seen: list[int] = []


@counter.dendrite(asked)
async def count(question: Asked, axon: CounterAxon) -> list[Signal[Done]]:
    return [axon.done.create_signal(Done(number)) for number in range(question.count)]


@sink.bind(counter_axon)
def collect(event: Done) -> None:
    seen.append(event.total)


def check(claim: bool, what: object) -> None:
    if not claim:
        raise SystemExit(f"smoke: {what}")


def main() -> None:
    (engine,) = sys.argv[1:]
    info = cnstra.build_info()
    package = Path(cnstra.__file__).parent
    check(Path(sys.prefix) in package.parents, f"cnstra comes from {package}, not from this environment")
    check(cnstra.engine == info["engine"] == engine, info)
    check(engine == "python" or info["profile"] == "release", info)
    check(importlib.metadata.version("cnstra") == cnstra.__version__ == info["version"], info)
    check((package / "py.typed").is_file(), "no py.typed")
    check(engine == "python" or bool(list(package.glob("_native*"))), "no extension")

    CNS([counter, sink]).run(asked.create_signal(Asked(1000)))
    check(seen == list(range(1000)), seen[:10])

    third_party = {name for name in ("rich", "cyclopts") if name in sys.modules}
    check(not third_party, third_party)
    print(f"smoke: {info}")


if __name__ == "__main__":
    main()
