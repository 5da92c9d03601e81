"""The bank's accounts with a read model: what each of them has, and what moved; and who answers questions about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, String, Table, select
from tests.cqrs.bank import Bank, Deposit, Deposited, Open, Opened, Withdraw, Withdrawn

from cnstra import CNS, collateral
from cnstra.cqrs import Appended, EventStore, Projection, Queries, ReadModels, Recorded, Write

__all__ = ["Ledger", "followed", "models_url", "on_ledger"]

Event = Opened | Deposited | Withdrawn


def models_url(url: str, tmp_path: Path) -> str:
    """Where the read models of an event store are: beside it."""
    return f"sqlite:///{tmp_path}/models.db" if url.startswith("sqlite:") else url


class Ledger:
    """A bank and its read model, with connections of its own.

    What ``trouble`` raises for an event is what the projection cannot digest.
    """

    def __init__(
        self,
        url: str,
        models: str,
        *,
        batch: int = 1000,
        on_error: Literal["halt", "park"] = "halt",
        trouble: Callable[[Event], None] = lambda event: None,
        apply: Callable[[Ledger, Event, Write, Recorded[Any]], None] | None = None,
    ) -> None:
        self.store = EventStore(url)
        self.models = ReadModels(models)
        self.bank = Bank(self.store)
        metadata = MetaData()
        self.totals = totals = Table(
            "totals",
            metadata,
            Column("account", String, primary_key=True),
            Column("owner", String, nullable=False, default="nobody"),
            Column("cents", BigInteger, nullable=False, default=0),
            Index("totals_by_cents", "cents"),
        )
        self.moves = moves = Table(
            "moves",
            metadata,
            Column("account", String, primary_key=True),
            Column("version", BigInteger, primary_key=True),
            Column("cents", BigInteger, nullable=False),
        )
        self.projection = Projection(
            "ledger", totals, moves, store=self.store, models=self.models, batch=batch, on_error=on_error
        )

        @self.projection.bind(self.bank.accounts)
        def write(event: Event, write: Write, recorded: Recorded[Event]) -> None:
            trouble(event)
            if apply is not None:
                apply(self, event, write, recorded)
                return
            account = recorded.id
            match event:
                case Opened(owner):
                    write.put(totals, account=account, owner=owner)
                case Deposited(cents):
                    write.add(totals, account=account, cents=cents)
                    write.put(moves, account=account, version=recorded.version, cents=cents)
                case Withdrawn(cents):
                    write.add(totals, account=account, cents=-cents)
                    write.put(moves, account=account, version=recorded.version, cents=-cents)

        self.ask, self.answer = collateral("ask", str), collateral("answer", int)
        self.reader = Queries("reader", models=self.models)

        @self.reader.answers(self.ask, self.answer)
        def read(query: str, connection: Connection) -> int | None:
            return connection.execute(select(totals.c.cents).where(totals.c.account == query)).scalar_one_or_none()

        self.cns = CNS([self.bank.accounts.neuron, self.reader.neuron])
        self.inline = CNS([self.bank.accounts.neuron, self.projection.neuron, self.reader.neuron])

    async def open(self, account: str = "a") -> Appended:
        return await self.bank.do(self.bank.open.create_signal(Open(account, f"owner of {account}")))

    async def deposit(self, cents: int, account: str = "a") -> Appended:
        return await self.bank.do(self.bank.deposit.create_signal(Deposit(account, cents)))

    async def withdraw(self, cents: int, account: str = "a") -> Appended:
        return await self.bank.do(self.bank.withdraw.create_signal(Withdraw(account, cents)))

    def rows(self, table: Table | None = None) -> list[tuple[Any, ...]]:
        """What the read model has, in order."""
        table = self.totals if table is None else table
        with self.models.engines.reading() as connection:
            return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]

    def everything(self) -> tuple[Any, ...]:
        return (self.rows(self.totals), self.rows(self.moves))

    def close(self) -> None:
        self.models.close()
        self.store.close()


def on_ledger(url: str, models: str, case: Callable[[Ledger], Awaitable[None]], **options: Any) -> None:
    """Run a test of one."""
    ledger = Ledger(url, models, **options)
    try:
        asyncio.run(_run(case, ledger))
    finally:
        ledger.close()


async def _run(case: Callable[[Ledger], Awaitable[None]], ledger: Ledger) -> None:
    await case(ledger)


@asynccontextmanager
async def followed(*projections: Projection, **options: Any) -> AsyncGenerator[list[asyncio.Task[None]]]:
    """What is inside is followed by these."""
    tasks = [asyncio.create_task(projection.follow(**options)) for projection in projections]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
