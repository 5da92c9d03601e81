"""What CQRS promises, each promise by itself: two sides, two stores, projections, fresh reads, late reads, replays.

The page docs/recipes/cqrs.md tells the same as prose; these are the parts of it that must never break.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from cnstra import (
    CNS,
    Axon,
    Collateral,
    Context,
    OwnershipError,
    Response,
    Signal,
    StimulationFailed,
    collateral,
    neuron,
    neuron_factory,
)

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class CreateUser:
    name: str
    email: str


@dataclass(frozen=True)
class UserCreated:
    id: str
    name: str
    email: str


@dataclass(frozen=True)
class ReadModelUpdated:
    user_id: str


@dataclass(frozen=True)
class GetUser:
    id: str


@dataclass(frozen=True)
class UserView:
    id: str
    email: str
    display_name: str


class UserNotFoundError(LookupError):
    pass


@dataclass
class Database:
    """A store whose every access takes a pass of the event loop, and which keeps a record of them."""

    rows: dict[str, object] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    async def put(self, key: str, row: object) -> None:
        await asyncio.sleep(0)
        self.rows[key] = row
        self.log.append(f"put {key}")

    async def get(self, key: str) -> object:
        await asyncio.sleep(0)
        self.log.append(f"get {key}")
        return self.rows.get(key)


@dataclass
class Databases:
    write: Database = field(default_factory=Database)
    read: Database = field(default_factory=Database)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))


create_user = collateral("create_user", CreateUser)
get_user = collateral("get_user", GetUser)
Ctx = Context[int, Databases]
app = neuron_factory(context=int, shared=Databases)


class UserAxon(Axon[UserCreated]):
    user_created: Collateral[UserCreated]


class ReadModelAxon(Axon[ReadModelUpdated]):
    read_model_updated: Collateral[ReadModelUpdated]


class AnswerAxon(Axon[UserView]):
    user_found: Collateral[UserView]


user_axon, read_model_axon, answer_axon = UserAxon(), ReadModelAxon(), AnswerAxon()
commands = app.neuron("commands", user_axon)
projection = app.neuron("projection", read_model_axon)
queries = app.neuron("queries", answer_axon)


@commands.dendrite(create_user)
async def create(command: CreateUser, axon: UserAxon, ctx: Ctx) -> Signal[UserCreated]:
    event = UserCreated(f"user-{next(ctx.shared.ids)}", command.name, command.email)
    await ctx.shared.write.put(event.id, event)
    return axon.user_created.create_signal(event)


@projection.dendrite(user_axon.user_created)
async def project(event: UserCreated, axon: ReadModelAxon, ctx: Ctx) -> Signal[ReadModelUpdated]:
    await ctx.shared.read.put(event.id, UserView(event.id, event.email, f"{event.name} ({event.email})"))
    return axon.read_model_updated.create_signal(ReadModelUpdated(event.id))


@queries.dendrite(get_user)
async def find(query: GetUser, axon: AnswerAxon, ctx: Ctx) -> Signal[UserView]:
    found = await ctx.shared.read.get(query.id)
    if found is None:
        raise UserNotFoundError(f"User {query.id} not found")
    assert isinstance(found, UserView)
    return axon.user_found.create_signal(found)


JOHN = CreateUser("John Doe", "john@example.com")


@pytest.fixture
def databases() -> Databases:
    return Databases()


@pytest.fixture
def cns(databases: Databases) -> CNS:
    return CNS([commands, projection, queries], shared=databases)


# Commands and queries in one graph


async def test_a_command_writes_and_announces(cns: CNS, databases: Databases) -> None:
    event = await cns.query(create_user.create_signal(JOHN), user_axon.user_created)
    assert event == UserCreated("user-1", "John Doe", "john@example.com")
    assert databases.write.rows == {"user-1": event}


async def test_a_query_answers_through_the_graph(cns: CNS) -> None:
    await cns.stimulate(create_user.create_signal(JOHN))
    found = await cns.query(get_user.create_signal(GetUser("user-1")), answer_axon.user_found)
    assert found == UserView("user-1", "john@example.com", "John Doe (john@example.com)")


async def test_a_query_for_nobody_is_an_error_that_names_them(cns: CNS) -> None:
    with pytest.raises(StimulationFailed) as failure:
        await cns.query(get_user.create_signal(GetUser("user-123")), answer_axon.user_found)
    (error,) = failure.value.exceptions
    assert isinstance(error, UserNotFoundError)
    assert str(error) == "User user-123 not found"


async def test_a_query_may_also_be_stimulated_and_awaited(cns: CNS) -> None:
    await cns.stimulate(create_user.create_signal(JOHN))
    run = cns.stimulate(get_user.create_signal(GetUser("user-1")))
    await run
    assert run.outcome == "completed"


# The write path and the read path are apart


async def test_the_command_side_writes_to_the_write_database_alone(cns: CNS, databases: Databases) -> None:
    await CNS([commands], shared=databases).stimulate(create_user.create_signal(JOHN))
    assert databases.write.log == ["put user-1"]
    assert databases.read.log == []


async def test_a_query_touches_the_read_model_alone(cns: CNS, databases: Databases) -> None:
    await cns.stimulate(create_user.create_signal(JOHN))
    databases.write.log.clear()
    await cns.query(get_user.create_signal(GetUser("user-1")), answer_axon.user_found)
    assert databases.write.log == []
    assert databases.read.log[-1] == "get user-1"


async def test_the_read_model_has_a_shape_of_its_own(cns: CNS, databases: Databases) -> None:
    await cns.stimulate(create_user.create_signal(JOHN))
    assert type(databases.write.rows["user-1"]) is UserCreated
    assert type(databases.read.rows["user-1"]) is UserView


async def test_the_event_triggers_the_projection_and_nothing_else_does(cns: CNS, databases: Databases) -> None:
    causes: list[tuple[str, str]] = []

    def watch(response: Response) -> None:
        if response.neuron is not None and response.input_signal is not None:
            causes.append((response.neuron.name, response.input_signal.collateral_name))

    await cns.stimulate(create_user.create_signal(JOHN), on_response=watch)
    # The name of an axon's collateral is the name of its annotation.
    assert causes == [("commands", "create_user"), ("projection", "user_created")]


async def test_one_more_projection_changes_no_handler(databases: Databases) -> None:
    counted: list[str] = []
    statistics = neuron("statistics").dendrite(
        collateral=user_axon.user_created, response=lambda event: counted.append(event.name)
    )
    cns = CNS([commands, projection, statistics], shared=databases)
    await cns.stimulate(create_user.create_signal(JOHN))
    assert counted == ["John Doe"]
    assert "user-1" in databases.read.rows


async def test_a_projection_that_fails_leaves_the_command_and_the_others_alone(databases: Databases) -> None:
    def broken(event: UserCreated) -> None:
        raise OSError("the index is gone")

    index = neuron("index").dendrite(collateral=user_axon.user_created, response=broken)
    run = CNS([commands, index, projection], shared=databases).stimulate(create_user.create_signal(JOHN))
    with pytest.raises(StimulationFailed) as failure:
        await run
    assert [str(error) for error in failure.value.exceptions] == ["the index is gone"]
    assert "user-1" in databases.write.rows
    assert "user-1" in databases.read.rows
    # And the part that failed can be done again, by itself.
    assert [failed.task.neuron for failed in run.failed_tasks] == [index]


# Read your projection


async def test_who_hears_of_the_update_reads_the_fresh_value(cns: CNS, databases: Databases) -> None:
    mails: list[tuple[str, str]] = []
    logged: list[UserView] = []

    async def on_response(response: Response) -> None:
        if updated := read_model_axon.read_model_updated.match(response.output_signal):
            view = await databases.read.get(updated.payload.user_id)
            assert isinstance(view, UserView)
            await asyncio.sleep(0)
            mails.append((view.email, view.display_name))
            logged.append(view)

    await cns.stimulate(create_user.create_signal(JOHN), on_response=on_response)
    # The run is not over before its listeners are: the side effects have happened.
    assert mails == [("john@example.com", "John Doe (john@example.com)")]
    assert len(logged) == 1


async def test_a_stream_reads_the_fresh_value_too(cns: CNS, databases: Databases) -> None:
    seen: list[object] = []
    async with cns.stream(create_user.create_signal(JOHN)) as responses:
        async for response in responses:
            if updated := read_model_axon.read_model_updated.match(response.output_signal):
                seen.append(databases.read.rows[updated.payload.user_id])
    assert seen == [UserView("user-1", "john@example.com", "John Doe (john@example.com)")]


async def test_the_update_is_announced_after_it_was_made(cns: CNS, databases: Databases) -> None:
    order: list[str] = []

    def watch(response: Response) -> None:
        if user_axon.user_created.match(response.output_signal):
            order.append(f"created, visible: {'user-1' in databases.read.rows}")
        if read_model_axon.read_model_updated.match(response.output_signal):
            order.append(f"updated, visible: {'user-1' in databases.read.rows}")

    await cns.stimulate(create_user.create_signal(JOHN), on_response=watch)
    assert order == ["created, visible: False", "updated, visible: True"]


# Eventual consistency


async def test_a_query_in_between_sees_what_was_there_before(cns: CNS, databases: Databases) -> None:
    written = asyncio.Event()

    def watch(response: Response) -> None:
        if user_axon.user_created.match(response.output_signal):
            written.set()

    put, hold = databases.read.put, asyncio.Event()

    async def slow_put(key: str, row: object) -> None:
        await hold.wait()
        await put(key, row)

    databases.read.put = slow_put  # type: ignore[method-assign]
    run = cns.stimulate(create_user.create_signal(JOHN), on_response=watch)
    await written.wait()
    with pytest.raises(StimulationFailed):
        await cns.query(get_user.create_signal(GetUser("user-1")), answer_axon.user_found)
    hold.set()
    await run
    assert await cns.query(get_user.create_signal(GetUser("user-1")), answer_axon.user_found)


# Context is metadata of a run, not the place of an aggregate


async def test_context_is_gone_with_the_run_and_the_store_is_not(databases: Databases) -> None:
    counting = app.neuron("counting", UserAxon())

    @counting.dendrite(create_user)
    async def count_and_create(command: CreateUser, axon: UserAxon, ctx: Ctx) -> Signal[UserCreated]:
        ctx.set(ctx.get(0) + 1)
        event = UserCreated(f"attempt-{ctx.get()}", command.name, command.email)
        await ctx.shared.write.put(event.id, event)
        return axon.user_created.create_signal(event)

    cns = CNS([counting], shared=databases)
    for _ in range(2):
        await cns.stimulate(create_user.create_signal(JOHN))
    assert databases.write.log == ["put attempt-1", "put attempt-1"]


# What the separation gives


async def test_both_sides_scale_by_themselves(databases: Databases) -> None:
    active = {"writer": 0, "reader": 0}
    peak = {"writer": 0, "reader": 0}

    async def work(side: str) -> None:
        active[side] += 1
        peak[side] = max(peak[side], active[side])
        await asyncio.sleep(0.001)
        active[side] -= 1

    async def write(command: CreateUser) -> None:
        await work("writer")

    async def read(query: GetUser) -> None:
        await work("reader")

    cns = CNS(
        [
            neuron("writer", concurrency=1).dendrite(collateral=create_user, response=write),
            neuron("reader", concurrency=5).dendrite(collateral=get_user, response=read),
        ]
    )
    async with cns:
        for number in range(10):
            cns.stimulate(create_user.create_signal(JOHN))
            cns.stimulate(get_user.create_signal(GetUser(str(number))))
    assert peak == {"writer": 1, "reader": 5}


async def test_both_sides_may_be_graphs_of_their_own(databases: Databases) -> None:
    write_side = CNS([commands, projection], shared=databases)
    read_side = CNS([queries], shared=databases)
    await write_side.stimulate(create_user.create_signal(JOHN))
    found = await read_side.query(get_user.create_signal(GetUser("user-1")), answer_axon.user_found)
    assert found.display_name == "John Doe (john@example.com)"


async def test_the_read_side_cannot_emit_events_of_the_command_side(databases: Databases) -> None:
    forger = neuron("forger").dendrite(
        collateral=get_user,
        # The type checkers say the same, before anything runs.
        response=lambda query: user_axon.user_created.create_signal(UserCreated(query.id, "", "")),  # type: ignore[arg-type, return-value]
    )
    with pytest.raises(StimulationFailed) as failure:
        await CNS([commands, forger], shared=databases).stimulate(get_user.create_signal(GetUser("user-1")))
    assert failure.value.subgroup(OwnershipError)


# Further patterns


async def test_event_sourcing_rebuilds_the_read_model_from_the_events(cns: CNS, databases: Databases) -> None:
    for name in ("Ada", "Grace", "Barbara"):
        await cns.stimulate(create_user.create_signal(CreateUser(name, f"{name.lower()}@example.org")))
    before = dict(databases.read.rows)
    events = [event for event in databases.write.rows.values() if isinstance(event, UserCreated)]
    databases.read.rows.clear()
    databases.write.log.clear()
    await cns.stimulate([user_axon.user_created.create_signal(event) for event in events])
    assert databases.read.rows == before
    # The command side was not asked again.
    assert databases.write.log == []


async def test_event_sourcing_rebuilds_an_aggregate(databases: Databases) -> None:
    """A join gets all events of a run at once, in order: a fold over them is the aggregate."""
    deposited, withdrawn = collateral("deposited", int), collateral("withdrawn", int)
    balances: list[int] = []
    account = neuron("account")

    @account.join(deposited, withdrawn)
    def fold(amounts: list[int]) -> None:
        balances.append(sum(amounts))

    history = [deposited.create_signal(100), withdrawn.create_signal(-30), deposited.create_signal(5)]
    await CNS([account]).stimulate(history)
    assert balances == [75]


@dataclass(frozen=True)
class PlaceOrder:
    item: str
    cents: int


@dataclass(frozen=True)
class Reserved:
    item: str
    cents: int


@dataclass(frozen=True)
class Paid:
    item: str


@dataclass(frozen=True)
class Declined:
    item: str


class StockAxon(Axon[Reserved]):
    reserved: Collateral[Reserved]


class PaymentAxon(Axon[Paid | Declined]):
    paid: Collateral[Paid]
    declined: Collateral[Declined]


@pytest.mark.parametrize(("cents", "left", "outcome"), [(100, {"lamp": 0}, "Paid"), (9999, {"lamp": 1}, "Declined")])
async def test_a_saga_undoes_what_an_aggregate_did_when_another_refuses(
    cents: int, left: dict[str, int], outcome: str
) -> None:
    place_order = collateral("place_order", PlaceOrder)
    stock, payment, orders = neuron("stock", StockAxon()), neuron("payment", PaymentAxon()), neuron("orders")
    shelf, told = {"lamp": 1}, list[str]()

    @stock.dendrite(place_order)
    def reserve(command: PlaceOrder, axon: StockAxon) -> Signal[Reserved]:
        shelf[command.item] -= 1
        return axon.reserved.create_signal(Reserved(command.item, command.cents))

    @payment.dendrite(stock.axon.reserved)
    async def charge(event: Reserved, axon: PaymentAxon) -> Signal[Paid] | Signal[Declined]:
        await asyncio.sleep(0)
        if event.cents > 1000:
            return axon.declined.create_signal(Declined(event.item))
        return axon.paid.create_signal(Paid(event.item))

    @stock.dendrite(payment.axon.declined)
    def put_back(event: Declined) -> None:
        shelf[event.item] += 1

    @orders.bind(payment.axon)
    def tell(event: Paid | Declined) -> None:
        told.append(type(event).__name__)

    await CNS([stock, payment, orders]).stimulate(place_order.create_signal(PlaceOrder("lamp", cents)))
    assert shelf == left
    assert told == [outcome]
