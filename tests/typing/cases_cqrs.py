"""Projections and queries: a handler takes every event of the aggregate, and a reply is what its collateral carries."""

from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table

from cnstra import Axon, Collateral, collateral
from cnstra.cqrs import Aggregate, EventStore, Projection, Queries, ReadModels, Recorded, Write


@dataclass(frozen=True)
class Placed:
    customer: str
    cents: int


@dataclass(frozen=True)
class Paid:
    cents: int


@dataclass(frozen=True)
class Order:
    cents: int


class OrderEvents(Axon[Placed | Paid]):
    placed: Collateral[Placed]
    paid: Collateral[Paid]


def evolve(order: Order | None, event: Placed | Paid) -> Order:
    return Order(event.cents)


store, models = EventStore("memory:"), ReadModels("memory:")
orders = Aggregate("orders", OrderEvents(), evolve, store=store)
totals = Table("totals", MetaData(), Column("customer", String, primary_key=True), Column("cents", BigInteger))
projection = Projection("totals", totals, store=store, models=models)


@projection.bind(orders)
def total(event: Placed | Paid, write: Write) -> None:
    match event:
        case Placed():
            write.add(totals, customer=event.customer, cents=event.cents)
        case Paid():
            pass
        case _:
            assert_never(event)


@projection.bind(orders)
def total_with_place(event: Placed | Paid, write: Write, recorded: Recorded[Placed | Paid]) -> None:
    write.put(totals, customer=recorded.id, cents=recorded.event.cents)


@projection.bind(orders)
def of_anything(event: object, write: Write) -> None: ...


def forgets_paid(event: Placed, write: Write) -> None: ...


def forgets_an_event(event: Placed | Paid, write: Write) -> None:
    match event:
        case Placed():
            pass
        case _:
            assert_never(event)  # error: Paid is left


async def slow(event: Placed | Paid, write: Write) -> None: ...


projection.bind(orders)(forgets_paid)  # error: Paid is not taken
projection.bind(orders)(slow)  # error: not a plain function
projection.bind("orders")  # error: no aggregate

total(Placed("ada", 5), Write)  # error: it is still the function that it was

ask, answer = collateral("ask", str), collateral("answer", int)
reader = Queries("reader", models=models)


@reader.answers(ask, answer)
def read(query: str, connection: Connection) -> int | None:
    return None


def read_text(query: str, connection: Connection) -> str:
    return query


def of_number(query: int, connection: Connection) -> int:
    return query


reader.answers(ask, answer)(read_text)  # error: a str is no int
reader.answers(ask, answer)(of_number)  # error: the query is a str
