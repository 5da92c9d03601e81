"""The messages of the shop. Amounts are integer US cents, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = [
    "BestCustomers",
    "Bookmark",
    "CustomerTotals",
    "CustomerTotalsUpdated",
    "GetBestCustomers",
    "GetCustomer",
    "GetRevenue",
    "MonthlyRevenue",
    "MonthlyRevenueUpdated",
    "OrderPlaced",
    "OrderRejected",
    "PlaceOrder",
    "RevenueByMonth",
    "Totals",
    "UnknownCustomerError",
]


# Commands: what somebody wants. They may be refused.


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Place an order.

    Args:
        order_id: who sends the command chooses it, once: a second order with it is refused.
        customer_id: who buys.
        placed_on: the day of the order.
        quantity: how many CDs.
        amount: the price of all of them, in cents.
    """

    order_id: int
    customer_id: int
    placed_on: date
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Keep the place in the source of the commands, in the same commit as the orders that were read up to it.

    Args:
        line: the last line that was read; line 1 is the header.
        digest: of all lines up to there, so that another file is recognised.
        malformed: how many lines up to there were no commands.
    """

    line: int
    digest: str
    malformed: int


# Events: what happened. They cannot be refused.


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """An order is in the write store.

    Args:
        position: its place in the sequence of all orders: 1, 2, … without gaps. Projections count on that.
        order_id, customer_id, placed_on, quantity, amount: what the command said.
    """

    position: int
    order_id: int
    customer_id: int
    placed_on: date
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """An order was refused, and why."""

    order_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class CustomerTotalsUpdated:
    """The totals of this customer include the order at this position."""

    customer_id: int
    position: int


@dataclass(frozen=True, slots=True)
class MonthlyRevenueUpdated:
    """The revenue of this month (``YYYY-MM``) includes the order at this position."""

    month: str
    position: int


# Queries, and what answers them.


@dataclass(frozen=True, slots=True)
class GetCustomer:
    """Ask for one customer's totals."""

    customer_id: int


@dataclass(frozen=True, slots=True)
class GetBestCustomers:
    """Ask for the ``limit`` customers who spent most."""

    limit: int


@dataclass(frozen=True, slots=True)
class GetRevenue:
    """Ask for the revenue of every month that had an order."""


@dataclass(frozen=True, slots=True)
class CustomerTotals:
    """What one customer bought: number of orders, number of CDs, cents, and the days of the first and last order."""

    customer_id: int
    orders: int
    quantity: int
    spent: int
    first_order: date
    last_order: date


@dataclass(frozen=True, slots=True)
class BestCustomers:
    """The customers who spent most, best first; of equals the one with the smaller number."""

    customers: tuple[CustomerTotals, ...]


@dataclass(frozen=True, slots=True)
class MonthlyRevenue:
    """One month (``YYYY-MM``): number of orders, number of CDs, cents."""

    month: str
    orders: int
    quantity: int
    revenue: int


@dataclass(frozen=True, slots=True)
class RevenueByMonth:
    """All months that had an order, in order of time."""

    months: tuple[MonthlyRevenue, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums by which stores are compared. ``customers`` is None where the store does not know them."""

    orders: int
    customers: int | None
    quantity: int
    revenue: int


class UnknownCustomerError(LookupError):
    """A query named a customer who has never ordered."""

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"customer {customer_id} is unknown: there is no order of theirs")
        self.customer_id = customer_id
