"""The graph of the shop: commands, events, projections, queries."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path

import pytest

import cnstra
from cnstra import Drain, Response, StimulationAborted, StimulationFailed
from cnstra.demo import orders
from cnstra.demo.database import Database
from cnstra.demo.job import catch_up, run_batch
from cnstra.demo.model import (
    CustomerTotalsUpdated,
    GetBestCustomers,
    GetCustomer,
    GetRevenue,
    MonthlyRevenue,
    MonthlyRevenueUpdated,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
    UnknownCustomerError,
)
from cnstra.demo.read_store import ProjectionGapError
from cnstra.demo.stores import Stores

DAY = date(1997, 3, 4)

pytestmark = pytest.mark.anyio


def command(
    order_id: int, customer_id: int = 1, *, day: date = DAY, quantity: int = 1, amount: int = 100
) -> PlaceOrder:
    return PlaceOrder(order_id, customer_id, day, quantity, amount)


def signals(*commands: PlaceOrder) -> list[cnstra.Signal[PlaceOrder]]:
    return [orders.place_order.create_signal(c) for c in commands]


async def outcome_of(stores: Stores, *commands: PlaceOrder) -> list[OrderPlaced | OrderRejected]:
    """What became of each command."""
    events: list[OrderPlaced | OrderRejected] = []

    def watch(response: Response) -> None:
        found = orders.order_placed.match(response.output_signal) or orders.order_rejected.match(response.output_signal)
        if found:
            events.append(found.payload)

    await run_batch(orders.build(stores), stores, signals(*commands), watch)
    return events


async def test_a_valid_order_is_written_and_announced(stores: Stores) -> None:
    (event,) = await outcome_of(stores, command(7, 42, quantity=3, amount=2997))
    assert event == OrderPlaced(1, 7, 42, DAY, 3, 2997)
    assert stores.write.orders_after(0, 10) == [event]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (command(1, 0), "there is no customer 0: customers are numbered from 1"),
        (command(1, -6), "there is no customer -6"),
        (command(1, quantity=0), "a quantity of 0 is no order: it takes at least 1"),
        (command(1, quantity=-2), "a quantity of -2 is no order"),
        (command(1, amount=-1), "the amount is negative"),
    ],
)
async def test_an_order_that_breaks_a_rule_is_rejected_with_the_reason(
    bad: PlaceOrder, reason: str, stores: Stores
) -> None:
    (event,) = await outcome_of(stores, bad)
    assert isinstance(event, OrderRejected)
    assert event.order_id == 1
    assert event.reason.startswith(reason)
    assert stores.write.totals().orders == 0
    assert stores.view.customer_sums().orders == 0
    assert stores.write.rejected == 1


async def test_an_order_of_today_is_fine_and_one_of_tomorrow_is_not(tmp_path: Path) -> None:
    with Stores(tmp_path, today=DAY) as stores:
        first, second = await outcome_of(stores, command(1, day=DAY), command(2, day=DAY + timedelta(days=1)))
        assert isinstance(first, OrderPlaced)
        assert second == OrderRejected(2, "1997-03-05 is in the future")


async def test_a_free_order_is_an_order(stores: Stores) -> None:
    (event,) = await outcome_of(stores, command(1, amount=0))
    assert isinstance(event, OrderPlaced)


async def test_the_same_command_twice_is_one_order(stores: Stores) -> None:
    first, second = await outcome_of(stores, command(5, amount=100), command(5, amount=100))
    assert isinstance(first, OrderPlaced)
    assert second == OrderRejected(5, "order 5 has been placed already")
    assert stores.write.totals().orders == 1
    (third,) = await outcome_of(stores, command(5, amount=100))
    assert isinstance(third, OrderRejected)


async def test_projections_follow_and_each_tells_of_its_own_update(stores: Stores) -> None:
    emitted: list[tuple[str, object]] = []

    def watch(response: Response) -> None:
        if response.neuron is not None and response.output_signal is not None:
            emitted.append((response.neuron.name, response.output_signal.payload))

    cns = orders.build(stores)
    await run_batch(cns, stores, signals(command(1, 9)), watch)
    assert [name for name, _ in emitted] == ["orders", "customer_totals", "monthly_revenue"]
    assert [payload for _, payload in emitted[1:]] == [
        CustomerTotalsUpdated(9, 1),
        MonthlyRevenueUpdated("1997-03", 1),
    ]


async def test_read_your_projection(stores: Stores) -> None:
    """Who hears of the update reads the fresh value at once, though nothing is committed yet."""
    seen: list[tuple[int, int | None, bool]] = []

    def watch(response: Response) -> None:
        if updated := orders.customer_totals_updated.match(response.output_signal):
            fresh = stores.read.customer(updated.payload.customer_id)
            assert fresh is not None
            seen.append((updated.payload.position, fresh.spent, stores.view.customer(fresh.customer_id) is None))

    batch = signals(command(1, 7, amount=100), command(2, 7, amount=250), command(3, 7, amount=5))
    await run_batch(orders.build(stores), stores, batch, watch)
    # The fan-out of a list runs breadth first: all three orders are placed before the first projection runs.
    assert seen == [(1, 100, True), (2, 350, True), (3, 355, True)]
    committed = stores.view.customer(7)
    assert committed is not None
    assert committed.spent == 355


async def test_a_batch_is_one_commit_at_its_drain(stores: Stores) -> None:
    commits: list[str] = []

    def watch(name: str, database: Database) -> None:
        def trace(sql: str) -> None:
            if sql == "COMMIT":
                commits.append(name)

        database._connection.set_trace_callback(trace)

    watch("write", stores.write.database)
    watch("read", stores.read.database)
    cns = orders.build(stores)
    for first in (1, 101, 201):
        await run_batch(cns, stores, signals(*(command(n) for n in range(first, first + 100))))
    assert commits == ["write", "read"] * 3


async def test_a_drain_in_the_middle_of_a_batch_commits_nothing(stores: Stores) -> None:
    """A listener that suspends splits the run into turns; the orders wait for their projections."""
    at_drain: list[tuple[int, int]] = []
    sums: list[int] = []

    async def slow(response: Response) -> None:
        if orders.order_placed.match(response.output_signal):
            await asyncio.sleep(0)

    def on_drain(drain: Drain) -> None:
        stores.commit_at_drain(drain)
        at_drain.append((drain.queue_length, int(stores.write.database.dirty)))
        sums.append(stores.view.customer_sums().orders)

    cns = orders.build(stores)
    await cns.stimulate(signals(*(command(n) for n in range(1, 6))), on_response=slow, on_drain=on_drain)
    assert len(at_drain) > 1
    for queue_length, dirty in at_drain:
        assert bool(queue_length) == bool(dirty)
    assert set(sums) == {0, 5}
    assert stores.view.customer_sums() == stores.write.totals()


async def test_a_failure_leaves_nothing_of_the_batch(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    await outcome_of(stores, command(1))
    add_to_month = stores.read.add_to_month

    def failing(order: OrderPlaced) -> str | None:
        if order.position == 4:
            raise ValueError("boom")
        return add_to_month(order)

    monkeypatch.setattr(stores.read, "add_to_month", failing)
    with pytest.raises(StimulationFailed) as failure:
        await outcome_of(stores, *(command(n) for n in range(2, 10)))
    assert failure.value.subgroup(lambda error: str(error) == "boom")
    assert stores.write.totals().orders == stores.view.customer_sums().orders == stores.view.month_sums().orders == 1
    monkeypatch.undo()
    await outcome_of(stores, *(command(n) for n in range(2, 10)))
    assert stores.view.customer_sums() == stores.write.totals()
    assert stores.write.totals().orders == 9


async def test_an_aborted_batch_leaves_nothing(stores: Stores) -> None:
    cns = orders.build(stores)

    def stop(response: Response) -> None:
        if (found := orders.order_placed.match(response.output_signal)) and found.payload.position == 3:
            response.stimulation.abort("enough")

    with pytest.raises(StimulationAborted, match="enough"):
        await run_batch(cns, stores, signals(*(command(n) for n in range(1, 10))), stop)
    assert stores.write.totals().orders == stores.view.customer_sums().orders == 0
    assert stores.write.position == stores.read.position == 0


async def test_an_interrupt_leaves_nothing(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    cns = orders.build(stores)

    def interrupted(order: OrderPlaced) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(stores.read, "add_to_customer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await run_batch(cns, stores, signals(command(1), command(2)))
    assert stores.write.totals().orders == 0


async def test_catching_up_replays_the_events_that_are_missing(stores: Stores) -> None:
    cns = orders.build(stores)
    await run_batch(cns, stores, signals(*(command(n, n % 3 + 1) for n in range(1, 6))))
    # What a kill between the two commits leaves behind.
    for number in range(6, 26):
        stores.write.place(command(number, number % 3 + 1))
    stores.write.commit()
    assert await catch_up(cns, stores, size=7) == 20
    assert stores.view.customer_sums() == stores.write.totals()
    assert stores.view.month_sums().orders == 25
    assert await catch_up(cns, stores, size=7) == 0


async def test_an_order_before_catching_up_is_an_error_not_a_gap(stores: Stores) -> None:
    stores.write.place(command(1))
    stores.write.commit()
    with pytest.raises(StimulationFailed) as failure:
        await outcome_of(stores, command(2))
    assert failure.value.subgroup(ProjectionGapError)
    assert stores.write.totals().orders == 1


async def test_queries_go_through_the_graph(stores: Stores) -> None:
    cns = orders.build(stores)
    days = [date(1997, 3, 31), date(1997, 4, 1), date(1997, 4, 2)]
    batch = [command(n, n, day=day, amount=n * 1000) for n, day in enumerate(days, 1)]
    await run_batch(cns, stores, signals(*batch, command(4, 2, day=days[0], quantity=2, amount=1000)))
    customer = await cns.query(orders.get_customer.create_signal(GetCustomer(2)), orders.customer_found)
    assert (customer.orders, customer.quantity, customer.spent) == (2, 3, 3000)
    assert (customer.first_order, customer.last_order) == (days[0], days[1])
    best = await cns.query(orders.get_best_customers.create_signal(GetBestCustomers(2)), orders.best_customers_found)
    # Two of them spent the same; the smaller number comes first.
    assert [c.customer_id for c in best.customers] == [2, 3]
    revenue = await cns.query(orders.get_revenue.create_signal(GetRevenue()), orders.revenue_found)
    assert revenue.months == (MonthlyRevenue("1997-03", 2, 3, 2000), MonthlyRevenue("1997-04", 2, 2, 5000))


async def test_an_unknown_customer_is_an_error_that_names_them(stores: Stores) -> None:
    cns = orders.build(stores)
    with pytest.raises(StimulationFailed) as failure:
        await cns.query(orders.get_customer.create_signal(GetCustomer(4711)), orders.customer_found)
    (error,) = failure.value.exceptions
    assert isinstance(error, UnknownCustomerError)
    assert error.customer_id == 4711
    assert "customer 4711 is unknown" in str(error)
    # And nothing is broken by it.
    await run_batch(cns, stores, signals(command(1, 4711)))
    found = await cns.query(orders.get_customer.create_signal(GetCustomer(4711)), orders.customer_found)
    assert found.orders == 1


async def test_a_query_during_a_batch_commits_nothing(stores: Stores) -> None:
    cns = orders.build(stores)
    seen: list[int] = []

    def ask(response: Response) -> None:
        if orders.monthly_revenue_updated.match(response.output_signal):
            cns.stimulate(orders.get_revenue.create_signal(GetRevenue()))
            seen.append(stores.view.month_sums().orders)

    await run_batch(cns, stores, signals(command(1), command(2)), ask)
    assert seen == [0, 0]
    assert stores.view.month_sums().orders == 2


async def test_the_graph_that_is_there_to_be_looked_at_says_so_when_run() -> None:
    with pytest.raises(StimulationFailed) as failure:
        await orders.cns.stimulate(signals(command(1)))
    (error,) = failure.value.exceptions
    assert "has no stores" in str(error)
    assert "build(stores)" in str(error)


async def test_the_graph_knows_who_owns_what() -> None:
    network = orders.cns.network
    assert {n.name for n in orders.cns.neurons} == {
        "orders",
        "bookmarks",
        "customer_totals",
        "monthly_revenue",
        "answers",
    }
    assert network.get_parent_neuron(orders.order_placed) is orders.orders
    subscribers = [dendrite.neuron.name for dendrite in network.get_subscribers(orders.order_placed)]
    assert subscribers == ["customer_totals", "monthly_revenue"]
