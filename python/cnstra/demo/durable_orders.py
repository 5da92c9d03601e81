"""The graph of the shop once more, for durable runs: all that a handler writes is one transaction with the record that
it has finished.

There is no write store beside a read store, whose commits could come apart: orders and read models are tables in the
database that also holds the runs. On SQLite a handler is a plain function, on PostgreSQL an async one; they execute the
same statements. ``cns`` is the one for SQLite, to be looked at.
"""

from __future__ import annotations

import datetime
from typing import Any

from cnstra import CNS, Axon, Collateral, Neuron, Signal, collateral, neuron
from cnstra.durable import Store, current_activation, current_transaction

from .ledger import POSTGRES, SQLITE, customer_values, month_values, order_values
from .model import Bookmark, OrderRejected, PlaceOrder
from .orders import objection
from .problems import StoreError

__all__ = ["build", "cns", "keep_bookmark", "place_order"]

place_order = collateral("place_order", PlaceOrder)
keep_bookmark = collateral("keep_bookmark", Bookmark)

Placed = Signal[PlaceOrder] | Signal[OrderRejected]
Neurons = tuple[Neuron[Any, Any, Any, Any], ...]


class OrdersAxon(Axon[PlaceOrder | OrderRejected]):
    """What can become of an order; one that was placed is as it was asked for."""

    order_placed: Collateral[PlaceOrder]
    order_rejected: Collateral[OrderRejected]


def build(store: Store) -> CNS:
    """Make the graph for a store.

    Args:
        store: where its runs are going to be. All neurons are transactional:
            ``Durable(cns, store, transactional=cns.neurons)``.

    Raises:
        StoreError: that kind of store has no transactions for handlers.
    """
    match store.transactions:
        case "savepoint":
            return CNS(_on_sqlite())
        case "connection":
            return CNS(_on_postgres())
        case _:
            raise StoreError(f"{store.url} has no tables, in which orders could be placed")


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _outcome(order: PlaceOrder, axon: OrdersAxon, reason: str | None) -> Placed:
    if reason is None:
        return axon.order_placed.create_signal(order)
    return axon.order_rejected.create_signal(OrderRejected(order.order_id, reason))


def _placed_already(order: PlaceOrder) -> str:
    return f"order {order.order_id} has been placed already"


def _on_sqlite() -> Neurons:
    axon = OrdersAxon()
    orders = neuron("orders", axon)
    bookmarks, customer_totals, monthly_revenue = map(neuron, ("bookmarks", "customer_totals", "monthly_revenue"))

    def begun() -> Any:
        """The transaction, in which this activation cannot be done twice."""
        transaction = current_transaction()
        transaction.execute(SQLITE.effect, (current_activation().id,))
        return transaction

    @orders.dendrite(place_order)
    def place(order: PlaceOrder, axon: OrdersAxon) -> Placed:
        transaction, reason = begun(), objection(order, _today())
        if reason is None and not transaction.execute(SQLITE.order, order_values(order)).rowcount:
            reason = _placed_already(order)
        if reason is not None:
            transaction.execute(SQLITE.rejection, (order.order_id, reason))
        return _outcome(order, axon, reason)

    @bookmarks.dendrite(keep_bookmark)
    def keep(bookmark: Bookmark) -> None:
        begun().execute(SQLITE.bookmark, (bookmark.line, bookmark.digest, bookmark.malformed))

    @customer_totals.dendrite(axon.order_placed)
    def add_to_customer(order: PlaceOrder) -> None:
        begun().execute(SQLITE.customer, customer_values(order))

    @monthly_revenue.dendrite(axon.order_placed)
    def add_to_month(order: PlaceOrder) -> None:
        begun().execute(SQLITE.month, month_values(order))

    return orders, bookmarks, customer_totals, monthly_revenue


def _on_postgres() -> Neurons:
    # Each activation has a connection while it lasts, so together they have fewer than there are in the store's pool.
    # Orders come by date: those of one moment are of one month, whose row only one transaction can have.
    axon = OrdersAxon()
    orders = neuron("orders", axon, concurrency=3)
    bookmarks = neuron("bookmarks", concurrency=1)
    customer_totals = neuron("customer_totals", concurrency=3)
    monthly_revenue = neuron("monthly_revenue", concurrency=1)

    async def begun() -> Any:
        connection = current_transaction()
        await connection.execute(POSTGRES.effect, (current_activation().id,))
        return connection

    @orders.dendrite(place_order)
    async def place(order: PlaceOrder, axon: OrdersAxon) -> Placed:
        connection, reason = await begun(), objection(order, _today())
        if reason is None and not (await connection.execute(POSTGRES.order, order_values(order))).rowcount:
            reason = _placed_already(order)
        if reason is not None:
            await connection.execute(POSTGRES.rejection, (order.order_id, reason))
        return _outcome(order, axon, reason)

    @bookmarks.dendrite(keep_bookmark)
    async def keep(bookmark: Bookmark) -> None:
        connection = await begun()
        await connection.execute(POSTGRES.bookmark, (bookmark.line, bookmark.digest, bookmark.malformed))

    @customer_totals.dendrite(axon.order_placed)
    async def add_to_customer(order: PlaceOrder) -> None:
        await (await begun()).execute(POSTGRES.customer, customer_values(order))

    @monthly_revenue.dendrite(axon.order_placed)
    async def add_to_month(order: PlaceOrder) -> None:
        await (await begun()).execute(POSTGRES.month, month_values(order))

    return orders, bookmarks, customer_totals, monthly_revenue


cns = CNS(_on_sqlite())
