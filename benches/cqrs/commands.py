"""What a command costs: beside the eventsourcing package alone, which loads, decides and appends the same on SQLite.

    python -m benches.cqrs.commands [--quick] [--json FILE]

The package is used as its documentation has it, with its cache of aggregates. Both sides have a new file each round,
and show that it has what it should. They are measured in turn, in one process, and ratios are taken within each round.
The exit code is 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as PackageAggregate
from eventsourcing.domain import event

from cnstra import CNS, Axon, Collateral, collateral
from cnstra.cqrs import Aggregate, EventStore

from ..environment import environment, environment_line, require_native_release

__all__ = ["CASES", "Case", "main", "measure"]


@dataclass(frozen=True)
class Deposit:
    account: str
    cents: int


@dataclass(frozen=True)
class Deposited:
    cents: int


@dataclass(frozen=True)
class Account:
    cents: int = 0


class Events(Axon[Deposited]):
    deposited: Collateral[Deposited]


def evolve(account: Account | None, happened: Deposited) -> Account:
    known = account or Account()
    return replace(known, cents=known.cents + happened.cents)


class PackageAccount(PackageAggregate):
    """The same, as the package has it."""

    def __init__(self) -> None:
        self.cents = 0

    @event("Deposited")
    def deposit(self, cents: int) -> None:
        self.cents += cents


@dataclass(frozen=True)
class Case:
    """So many commands on one account, so many of them at once; ``limit`` is the most that it may cost, as a ratio."""

    name: str
    commands: int
    at_once: int
    limit: float | None


CASES = [Case("one at a time", 300, 1, 1.3), Case("a hundred at once", 3000, 100, 1.3)]


def package(folder: Path, commands: int) -> float:
    """Seconds for so many commands by the package alone."""
    application: Application[UUID] = Application(
        {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(folder / "package.db"),
            "AGGREGATE_CACHE_MAXSIZE": "1000",
        }
    )
    with application:
        account = PackageAccount()
        application.save(account)
        begun = perf_counter()
        for _ in range(commands):
            copy: PackageAccount = application.repository.get(account.id)
            copy.deposit(5)
            application.save(copy)
        took = perf_counter() - begun
        final: PackageAccount = application.repository.get(account.id)
        assert final.cents == 5 * commands
    return took


async def kit(folder: Path, commands: int, at_once: int) -> float:
    """Seconds for so many commands as signals through a graph."""
    with EventStore(f"sqlite:///{folder}/kit.db") as store:
        accounts = Aggregate("accounts", Events(), evolve, store=store)
        deposit = collateral("deposit", Deposit)

        @accounts.command(deposit, of=lambda command: command.account, missing_ok=True)
        def decide(command: Deposit, account: Account | None) -> Deposited:
            return Deposited(command.cents)

        cns = CNS([accounts.neuron])
        signal = deposit.create_signal(Deposit("a", 5))
        begun = perf_counter()
        for _ in range(0, commands, at_once):
            await asyncio.gather(*(cns.stimulate(signal) for _ in range(at_once)))
        took = perf_counter() - begun
        assert await accounts.state("a") == Account(5 * commands)
        assert [one.version for one in store.read(0, limit=commands + 1)] == list(range(1, commands + 1))
    return took


@dataclass(frozen=True)
class Measured:
    """Microseconds per command, by round."""

    case: Case
    ours: list[float]
    package: list[float]

    @property
    def ratio(self) -> float:
        return median(ours / theirs for ours, theirs in zip(self.ours, self.package, strict=True))

    @property
    def ok(self) -> bool:
        return self.case.limit is None or self.ratio <= self.case.limit


def measure(case: Case, rounds: int, say: Callable[[str], object] = str) -> Measured:
    """Measure both sides in turn."""
    found = Measured(case, [], [])
    theirs = min(case.commands, 300)
    for number in range(rounds):
        say(f"{case.name}: round {number + 1} of {rounds}")
        with TemporaryDirectory(prefix="cnstra-bench-") as name:
            found.package.append(package(Path(name), theirs) / theirs * 1e6)
            found.ours.append(asyncio.run(kit(Path(name), case.commands, case.at_once)) / case.commands * 1e6)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.cqrs.commands", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works")
    parser.add_argument("--json", type=Path, help="write everything there as well")
    chosen = parser.parse_args(arguments)
    require_native_release()
    measured = [measure(case, 3 if chosen.quick else 9) for case in CASES]
    print(environment_line())
    print("| commands | at most | measured | kit µs | package µs | ok? |")
    print("|---|---|---|---:|---:|---|")
    for one in measured:
        print(
            f"| {one.case.name} | {one.case.limit:g} × | {one.ratio:.2f} × | {median(one.ours):,.0f} | "
            f"{median(one.package):,.0f} | {'yes' if one.ok else 'NO'} |"
        )
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        cases = [
            {"case": one.case.name, "limit": one.case.limit, "measured": one.ratio, "ok": one.ok} for one in measured
        ]
        chosen.json.write_text(json.dumps({"environment": environment(), "cases": cases}, indent=1) + "\n")
    return 0 if all(one.ok for one in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
