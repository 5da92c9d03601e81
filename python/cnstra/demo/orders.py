"""The graph of the shop: commands on the left, projections in the middle, queries on the right.

``cns`` is there to be looked at: ``cnstra graph cnstra.demo.orders:cns`` draws it. To run it, give it stores with
``build``. A neuron may be in any number of graphs, so both are made of the same neurons.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Never

from cnstra import CNS, Axon, Collateral, Context, Signal, collateral, neuron_factory

from .model import (
    BestCustomers,
    Bookmark,
    CustomerTotals,
    CustomerTotalsUpdated,
    GetBestCustomers,
    GetCustomer,
    GetRevenue,
    MonthlyRevenueUpdated,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
    RevenueByMonth,
    UnknownCustomerError,
)
from .stores import Stores

__all__ = [
    "best_customers_found",
    "build",
    "cns",
    "customer_found",
    "customer_totals_updated",
    "get_best_customers",
    "get_customer",
    "get_revenue",
    "keep_bookmark",
    "monthly_revenue_updated",
    "objection",
    "order_placed",
    "order_rejected",
    "place_order",
    "revenue_found",
]

Ctx = Context[Any, Stores]

# Commands and queries belong to whoever sends them, so they are collaterals without an axon.
place_order = collateral("place_order", PlaceOrder)
keep_bookmark = collateral("keep_bookmark", Bookmark)
get_customer = collateral("get_customer", GetCustomer)
get_best_customers = collateral("get_best_customers", GetBestCustomers)
get_revenue = collateral("get_revenue", GetRevenue)


class OrderAxon(Axon[OrderPlaced | OrderRejected]):
    """What can become of an order."""

    order_placed: Collateral[OrderPlaced]
    order_rejected: Collateral[OrderRejected]


class CustomerTotalsAxon(Axon[CustomerTotalsUpdated]):
    """News from the read model of customers."""

    customer_totals_updated: Collateral[CustomerTotalsUpdated]


class MonthlyRevenueAxon(Axon[MonthlyRevenueUpdated]):
    """News from the read model of months."""

    monthly_revenue_updated: Collateral[MonthlyRevenueUpdated]


class AnswerAxon(Axon[CustomerTotals | BestCustomers | RevenueByMonth]):
    """What queries find."""

    customer_found: Collateral[CustomerTotals]
    best_customers_found: Collateral[BestCustomers]
    revenue_found: Collateral[RevenueByMonth]


shop = neuron_factory(shared=Stores)

orders = shop.neuron("orders", OrderAxon())
bookmarks = shop.neuron("bookmarks")
customer_totals = shop.neuron("customer_totals", CustomerTotalsAxon())
monthly_revenue = shop.neuron("monthly_revenue", MonthlyRevenueAxon())
answers = shop.neuron("answers", AnswerAxon())

order_placed = orders.axon.order_placed
order_rejected = orders.axon.order_rejected
customer_totals_updated = customer_totals.axon.customer_totals_updated
monthly_revenue_updated = monthly_revenue.axon.monthly_revenue_updated
customer_found = answers.axon.customer_found
best_customers_found = answers.axon.best_customers_found
revenue_found = answers.axon.revenue_found


# Command side


@orders.dendrite(place_order)
def place(command: PlaceOrder, axon: OrderAxon, ctx: Ctx) -> Signal[OrderPlaced] | Signal[OrderRejected]:
    """Validate an order and write it down; the event follows from what is written."""
    stores = ctx.shared
    reason = objection(command, stores.today)
    position = stores.write.place(command) if reason is None else None
    if position is None:
        reason = reason or f"order {command.order_id} has been placed already"
        stores.write.reject(command.order_id, reason)
        return axon.order_rejected.create_signal(OrderRejected(command.order_id, reason))
    return axon.order_placed.create_signal(
        OrderPlaced(
            position, command.order_id, command.customer_id, command.placed_on, command.quantity, command.amount
        )
    )


def objection(command: PlaceOrder, today: date) -> str | None:
    """Why an order cannot be placed, or None."""
    if command.customer_id < 1:
        return f"there is no customer {command.customer_id}: customers are numbered from 1"
    if command.quantity < 1:
        return f"a quantity of {command.quantity} is no order: it takes at least 1"
    if command.amount < 0:
        return "the amount is negative"
    if command.placed_on > today:
        return f"{command.placed_on} is in the future"
    return None


@bookmarks.dendrite(keep_bookmark)
def keep(bookmark: Bookmark, axon: None, ctx: Ctx) -> None:
    """Write down how far the source has been read."""
    ctx.shared.write.keep(bookmark)


# Read side: projections


@customer_totals.dendrite(order_placed)
def add_to_customer(order: OrderPlaced, axon: CustomerTotalsAxon, ctx: Ctx) -> Signal[CustomerTotalsUpdated] | None:
    """Keep the totals of every customer."""
    if not ctx.shared.read.add_to_customer(order):
        return None
    return axon.customer_totals_updated.create_signal(CustomerTotalsUpdated(order.customer_id, order.position))


@monthly_revenue.dendrite(order_placed)
def add_to_month(order: OrderPlaced, axon: MonthlyRevenueAxon, ctx: Ctx) -> Signal[MonthlyRevenueUpdated] | None:
    """Keep the revenue of every month."""
    month = ctx.shared.read.add_to_month(order)
    if month is None:
        return None
    return axon.monthly_revenue_updated.create_signal(MonthlyRevenueUpdated(month, order.position))


# Read side: queries


@answers.dendrite(get_customer)
def find_customer(query: GetCustomer, axon: AnswerAxon, ctx: Ctx) -> Signal[CustomerTotals]:
    """Find one customer, or fail with an error that names them."""
    found = ctx.shared.view.customer(query.customer_id)
    if found is None:
        raise UnknownCustomerError(query.customer_id)
    return axon.customer_found.create_signal(found)


@answers.dendrite(get_best_customers)
def find_best_customers(query: GetBestCustomers, axon: AnswerAxon, ctx: Ctx) -> Signal[BestCustomers]:
    """Find the customers who spent most."""
    return axon.best_customers_found.create_signal(BestCustomers(ctx.shared.view.best_customers(query.limit)))


@answers.dendrite(get_revenue)
def find_revenue(_: GetRevenue, axon: AnswerAxon, ctx: Ctx) -> Signal[RevenueByMonth]:
    """Find the revenue of every month."""
    return axon.revenue_found.create_signal(RevenueByMonth(ctx.shared.view.months()))


NEURONS = (orders, bookmarks, customer_totals, monthly_revenue, answers)


def build(stores: Stores) -> CNS:
    """Make the graph run on stores.

    Args:
        stores: what its handlers find in ``ctx.shared``. It stays the caller's, who closes it.

    Returns:
        A CNS. One batch of commands may be going on in it at a time: a batch is one transaction.
    """
    return CNS(NEURONS, shared=stores)


class _NoStores:
    """What handlers find if somebody runs the graph that is only there to be looked at."""

    def __getattr__(self, name: str) -> Never:
        raise RuntimeError("this graph has no stores: make one that has with cnstra.demo.orders.build(stores)")


cns = CNS(NEURONS, shared=_NoStores())
