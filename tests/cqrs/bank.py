"""Accounts, as the tests of the CQRS kit have them: a graph of its own for each of them, on a store of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cnstra import CNS, Axon, Collateral, Signal, collateral
from cnstra.cqrs import Aggregate, Appended, EventStore

__all__ = ["Account", "Bank", "Close", "Deposit", "Deposited", "Open", "Opened", "Withdraw", "Withdrawn"]


@dataclass(frozen=True)
class Open:
    account: str
    owner: str


@dataclass(frozen=True)
class Deposit:
    account: str
    cents: int
    id: str = ""


@dataclass(frozen=True)
class Withdraw:
    account: str
    cents: int
    id: str = ""


@dataclass(frozen=True)
class Close:
    account: str


@dataclass(frozen=True)
class Opened:
    owner: str


@dataclass(frozen=True)
class Deposited:
    cents: int


@dataclass(frozen=True)
class Withdrawn:
    cents: int


@dataclass(frozen=True)
class Account:
    owner: str
    cents: int = 0


class Events(Axon[Opened | Deposited | Withdrawn], namespace="account"):
    opened: Collateral[Opened]
    deposited: Collateral[Deposited]
    withdrawn: Collateral[Withdrawn]


def evolve(account: Account | None, event: Opened | Deposited | Withdrawn) -> Account:
    match event:
        case Opened(owner):
            return Account(owner)
        case Deposited(cents):
            assert account is not None
            return replace(account, cents=account.cents + cents)
        case Withdrawn(cents):
            assert account is not None
            return replace(account, cents=account.cents - cents)


class Bank:
    """The graph, and how to give it commands.

    Commands that have an id of their own have it in ``id``; an empty one is none.
    """

    def __init__(self, store: EventStore, **options: Any) -> None:
        self.store = store
        self.axon = Events()
        self.accounts = Aggregate("accounts", self.axon, evolve, store=store, **options)
        self.open = collateral("open", Open)
        self.deposit = collateral("deposit", Deposit)
        self.withdraw = collateral("withdraw", Withdraw)
        self.identified = collateral("identified", Deposit)
        self.close = collateral("close", Close)
        accounts = self.accounts

        @accounts.create(self.open, of=lambda command: command.account)
        def open_account(command: Open) -> Opened:
            return Opened(command.owner)

        @accounts.command(self.deposit, of=lambda command: command.account)
        def put(command: Deposit, account: Account) -> list[Deposited]:
            return [Deposited(command.cents)]

        @accounts.command(self.identified, of=lambda command: command.account, command_id=lambda command: command.id)
        def put_once(command: Deposit, account: Account) -> Deposited:
            return Deposited(command.cents)

        @accounts.command(self.withdraw, of=lambda command: command.account)
        def take(command: Withdraw, account: Account) -> Withdrawn | None:
            if not command.cents:
                return None
            if account.cents < command.cents:
                raise ValueError(f"{account.owner} has {account.cents}, not {command.cents}")
            return Withdrawn(command.cents)

        self.cns = CNS([accounts.neuron])

    async def do(self, signal: Signal[Any]) -> Appended:
        return await self.cns.query(signal, self.accounts.appended)
