"""Whatever commands, duplicates, failures, restarts and rebuilds come between each other: the read model is that of a
replay, one event after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.cqrs.bank import Deposit, Deposited, Open, Opened, Withdraw, Withdrawn
from tests.cqrs.ledger import Ledger
from tests.properties.profiles import tried

from cnstra import StimulationFailed
from cnstra.cqrs import EventStore, ProjectionHaltedError

ACCOUNTS = ("a", "b", "c")

# Each is done by one of two processes, or rather their stores, models and graphs.
process = st.integers(0, 1)
account = st.sampled_from(ACCOUNTS)
cents = st.integers(1, 30)
step = st.one_of(
    st.tuples(st.just("deposit"), process, st.booleans(), account, cents),
    st.tuples(st.just("withdraw"), process, st.booleans(), account, cents),
    # With ids from a few: most have been delivered before.
    st.tuples(st.just("identified"), process, st.booleans(), account, st.integers(1, 4)),
    st.tuples(st.just("together"), st.lists(st.tuples(process, st.booleans(), account, cents), min_size=2, max_size=6)),
    st.tuples(st.just("catch up"), process),
    st.tuples(st.just("rebuild"), process),
    st.tuples(st.just("restart"), process),
    st.tuples(st.just("fail"), process, st.integers(0, 2)),
)


class Process:
    """One of the two; what it projects fails, when it is told to, after so many events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fails_in: int | None = None
        self.begin()

    def begin(self) -> None:
        self.ledger = Ledger(
            f"sqlite:///{self.folder}/events.db", f"sqlite:///{self.folder}/models.db", batch=3, trouble=self.trouble
        )

    def trouble(self, event: object) -> None:
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in < 0:
                self.fails_in = None
                raise OSError("the disk had a moment")

    def restart(self) -> None:
        self.ledger.close()
        self.begin()

    async def command(self, kind: str, inline: bool, name: str, number: int) -> None:
        """Give a command, with or without the projection in the same graph."""
        bank = self.ledger.bank
        match kind:
            case "deposit":
                signal: Any = bank.deposit.create_signal(Deposit(name, number))
            case "withdraw":
                signal = bank.withdraw.create_signal(Withdraw(name, number))
            case _:
                signal = bank.identified.create_signal(Deposit(name, number, f"{name}{number}"))
        try:
            await (self.ledger.inline if inline else self.ledger.cns).stimulate(signal)
        except StimulationFailed as failed:
            # Not enough money, or the projection has halted: the event is in the log.
            if not all(isinstance(error, ValueError | ProjectionHaltedError) for error in failed.exceptions):
                raise

    async def projecting(self, what: str) -> None:
        projection = self.ledger.projection
        try:
            await (projection.rebuild() if what == "rebuild" else projection.catch_up())
        except ProjectionHaltedError:
            pass

    async def complete(self) -> None:
        self.fails_in = None
        await self.ledger.projection.resume()
        await self.ledger.projection.catch_up()


def replayed(store: EventStore) -> tuple[dict[str, int], dict[tuple[str, int], int], int]:
    """What each account has, and each movement, by a loop over the log; and the number of events with an id."""
    totals: dict[str, int] = {}
    moves: dict[tuple[str, int], int] = {}
    ids: list[str] = []
    for one in store.read(0, limit=10_000):
        match one.event:
            case Opened():
                totals[one.id] = 0
            case Deposited(amount) | Withdrawn(amount):
                moved = amount if isinstance(one.event, Deposited) else -amount
                totals[one.id] += moved
                moves[one.id, one.version] = moved
        if one.command_id[:1] in ACCOUNTS and len(one.command_id) == 2:
            ids.append(one.command_id)
    assert len(set(ids)) == len(ids)
    return totals, moves, len(ids)


@tried(30)
@given(st.lists(step, max_size=12))
def test_the_read_model_is_that_of_a_replay(steps: list[Any]) -> None:
    with TemporaryDirectory() as name:
        processes = [Process(Path(name)), Process(Path(name))]
        try:
            asyncio.run(_play(processes, steps))
        finally:
            for one in processes:
                one.ledger.close()


async def _play(processes: list[Process], steps: list[Any]) -> None:
    bank = processes[0].ledger.bank
    for name in ACCOUNTS:
        await bank.do(bank.open.create_signal(Open(name, name)))
    identified: set[tuple[str, int]] = set()
    for kind, *more in steps:
        match kind, more:
            case "together", [commands]:
                await asyncio.gather(*(processes[who].command("deposit", *rest) for who, *rest in commands))
            case "restart", [who]:
                processes[who].restart()
            case "fail", [who, events]:
                processes[who].fails_in = events
            case (("catch up" | "rebuild"), [who]):
                await processes[who].projecting(kind)
            case _:
                who, *rest = more
                if kind == "identified":
                    identified.add((rest[1], rest[2]))
                await processes[who].command(kind, *rest)
    for one in processes:
        await one.complete()
    totals, moves, ids = replayed(processes[0].ledger.store)
    assert ids == len(identified)
    for one in processes:
        ledger = one.ledger
        assert {row[0]: row[2] for row in ledger.rows(ledger.totals)} == totals
        assert {(row[0], row[1]): row[2] for row in ledger.rows(ledger.moves)} == moves
