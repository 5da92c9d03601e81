"""Objects of another CNS, hostile payloads and stores, and event loops that are gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cnstra
from cnstra import (
    CNS,
    ActivationTask,
    GraphError,
    MemoryContextStore,
    NoReplyError,
    OwnershipError,
    Response,
    Stimulation,
    StimulationAborted,
    StimulationError,
    UnknownSubscriberError,
    collateral,
    neuron,
)


class Shop:
    """A CNS whose names are those of every other shop."""

    def __init__(self) -> None:
        self.order = collateral("order", int)
        self.paid = collateral("paid", int)
        self.heard: list[int] = []
        self.till = neuron("till", {"paid": self.paid}).dendrite(
            collateral=self.order, response=lambda n, axon: axon.paid.create_signal(n)
        )
        self.book = neuron("book").dendrite(collateral=self.paid, response=self.heard.append)
        self.cns = CNS([self.till, self.book])

    def works(self) -> bool:
        self.heard.clear()
        run = self.cns.stimulate(self.order.create_signal(7))
        return run.outcome == "completed" and self.heard == [7]


@pytest.fixture
def here() -> Shop:
    return Shop()


@pytest.fixture
def there() -> Shop:
    return Shop()


def test_a_signal_of_another_cns_reaches_nobody(here: Shop, there: Shop) -> None:
    responses: list[Response] = []
    run = here.cns.stimulate([there.order.create_signal(1), there.paid.create_signal(2)], on_response=responses.append)
    assert (run.outcome, here.heard, there.heard) == ("completed", [], [])
    assert [response.caused for response in responses] == [(), ()]
    assert here.works()
    assert there.works()


def test_a_signal_of_another_cns_that_a_handler_returns_is_not_owned(here: Shop, there: Shop) -> None:
    thief: Any = neuron("thief", {"stolen": collateral("stolen", int)})
    thief.dendrite(collateral=here.order, response=there.paid.create_signal)
    run = CNS([thief]).stimulate(here.order.create_signal(1))
    assert isinstance(run.failed_tasks[0].error, OwnershipError)
    assert there.heard == []
    assert here.works()


def test_tasks_of_another_cns_are_unknown(here: Shop, there: Shop) -> None:
    tasks = [
        ActivationTask(there.till, there.order.create_signal(1)),
        ActivationTask(here.till, there.order.create_signal(2)),
        ActivationTask(there.till, here.order.create_signal(3)),
        ActivationTask(here.till, here.paid.create_signal(4)),
    ]
    run = here.cns.activate(tasks)
    assert [type(failure.error) for failure in run.failed_tasks] == [UnknownSubscriberError] * 4
    assert [(failure.task.neuron, failure.task.signal) for failure in run.failed_tasks] == [
        (task.neuron, task.signal) for task in tasks
    ]
    assert all("network.load" in str(failure.error) for failure in run.failed_tasks)
    assert (here.heard, there.heard) == ([], [])
    assert here.works()


def test_the_frontier_of_another_cns_goes_over_by_name(here: Shop, there: Shop) -> None:
    run = there.cns.stimulate(there.order.create_signal(5), on_response=lambda r: r.stimulation.abort())
    tasks: Any = [here.cns.network.load(there.cns.network.dump(task)) for task in run.outstanding_tasks]
    assert here.cns.activate(tasks).outcome == "completed"
    assert here.heard == [5]
    stranger = CNS([neuron("stranger")])
    with pytest.raises(GraphError, match="'till'"):
        stranger.network.load(there.cns.network.dump(run.outstanding_tasks[0]))
    with pytest.raises(GraphError, match="'order'"):
        stranger.network.load(there.cns.network.dump(there.order.create_signal(1)))


@pytest.mark.anyio
async def test_a_reply_of_another_cns_never_comes(here: Shop, there: Shop) -> None:
    with pytest.raises(NoReplyError, match="'paid'"):
        await here.cns.query(here.order.create_signal(1), there.paid)
    assert await here.cns.query(here.order.create_signal(1), here.paid) == 1
    assert here.works()


def test_a_dendrite_of_one_cns_is_not_changed_by_another(here: Shop) -> None:
    second = CNS([here.book])
    with pytest.raises(GraphError, match="'book'"):
        here.book.dendrite(collateral=here.order, response=print)
    assert second.stimulate(here.paid.create_signal(3)).outcome == "completed"
    assert here.heard == [3]
    assert here.works()


class Hostile:
    """A payload that refuses everything but being passed on."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def test_payloads_are_passed_on_and_never_looked_at() -> None:
    order, paid = collateral("order", Hostile), collateral("paid", Hostile)
    payload = Hostile()
    heard: list[Any] = []
    seen: list[Response] = []
    till = neuron("till", {"paid": paid}).dendrite(
        collateral=order, response=lambda p, axon: axon.paid.create_signal(p)
    )

    def take(each: Hostile) -> None:
        heard.append(each)
        raise LookupError("lost")

    book = neuron("book").dendrite(collateral=paid, response=take)
    total = neuron("total").join(collateral=paid, response=lambda payloads: heard.append(payloads[0]))
    run = CNS([till, book, total]).stimulate(order.create_signal(payload), on_response=seen.append)
    assert [each is payload for each in heard] == [True, True]
    assert [type(failure.error) for failure in run.failed_tasks] == [LookupError]
    assert run.outstanding_tasks[0].signal.payload is payload
    assert all(response.final == (response is seen[-1]) for response in seen)


def test_a_handler_that_returns_something_hostile_fails_with_an_invalid_response() -> None:
    order = collateral("order", int)
    handlers: list[Any] = [lambda _: Hostile(), lambda _: [Hostile()]]
    neurons: list[Any] = [neuron(f"n{n}").dendrite(collateral=order, response=each) for n, each in enumerate(handlers)]
    run = CNS(neurons).stimulate(order.create_signal(1))
    assert [type(failure.error) for failure in run.failed_tasks] == [cnstra.InvalidResponseError] * 2


class Store(MemoryContextStore):
    """A store whose look-ups fail while it is broken."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        super().__init__()
        self.broken = True

    def get(self, name: str, default: Any = None, /) -> Any:
        if self.broken:
            raise OSError("disk")
        return super().get(name, default)


def test_a_store_that_fails_when_a_response_is_made_fails_the_run_like_a_listener(here: Shop) -> None:
    store = Store()
    seen: list[Any] = []
    run = here.cns.stimulate(
        here.order.create_signal(1), context_store=store, on_response=lambda r: seen.append(r.context_value)
    )
    assert here.heard == [1], "everything else has run"
    assert run.outcome == "failed"
    failure: Any = run.exception()
    assert [repr(error) for error in failure.exceptions] == ["OSError('disk')"] * 2
    assert seen == [None] * 3
    assert run.failed_tasks == []
    store.broken = False
    assert here.cns.stimulate(here.order.create_signal(1), context_store=store).outcome == "completed"
    assert here.works()


def test_a_store_may_look_at_the_run_that_asks_it(here: Shop) -> None:
    runs: list[Stimulation] = []
    frontiers: list[int] = []

    class Curious(MemoryContextStore):
        __slots__ = ()

        def get(self, name: str, default: Any = None, /) -> Any:
            frontiers.append(len(runs[0].outstanding_tasks))
            return super().get(name, default)

    run = here.cns.stimulate(
        here.order.create_signal(1), context_store=Curious(), on_response=lambda r: runs.append(r.stimulation)
    )
    assert run.outcome == "completed"
    assert frontiers == [1, 0]


def lose_a_run(cns: CNS, signal: Any) -> Stimulation:
    """A run that suspended in a loop which was closed without a shutdown."""
    loop = asyncio.new_event_loop()

    async def start() -> Stimulation:
        return cns.stimulate(signal)

    run = loop.run_until_complete(start())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    assert not run.done()
    return run


def slow_shop() -> tuple[CNS, Any, list[int]]:
    order = collateral("order", int)
    heard: list[int] = []
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(order)
    async def wait(payload: int) -> None:
        heard.append(payload)
        if payload:
            await asyncio.Event().wait()

    return CNS([slow]), order, heard


def test_a_run_of_a_loop_that_is_gone_ends_aborted_when_it_is_awaited_elsewhere() -> None:
    cns, order, heard = slow_shop()
    run = lose_a_run(cns, order.create_signal(1))

    async def main() -> None:
        with pytest.raises(StimulationAborted, match="closed"):
            await run
        await cns.stimulate(order.create_signal(0))

    asyncio.run(main())
    assert heard == [1, 0]
    assert [task.neuron.name for task in run.outstanding_tasks] == ["slow"]


def test_its_slot_goes_to_a_run_of_the_next_loop() -> None:
    cns, order, heard = slow_shop()
    run = lose_a_run(cns, order.create_signal(1))
    cns.run(order.create_signal(0))
    assert heard == [1, 0]
    assert run.outcome == "aborted"


@pytest.mark.parametrize("how", ["abort", "cancel", "enqueue"])
def test_whoever_feeds_or_stops_it_ends_it(how: str) -> None:
    cns, order, heard = slow_shop()
    run = lose_a_run(cns, order.create_signal(1))
    if how == "enqueue":
        run.enqueue([ActivationTask(cns.neurons[0], order.create_signal(0))])
    else:
        getattr(run, how)("too late")
    assert run.outcome == "aborted"
    with pytest.raises(StimulationAborted):
        run.raise_for_failure()
    with pytest.raises(StimulationError):
        run.enqueue([])
    assert heard == [1]
    cns.run(order.create_signal(0))
    assert heard == [1, 0]


def test_awaiting_without_a_loop_is_a_runtime_error() -> None:
    cns, order, _ = slow_shop()

    async def main() -> Stimulation:
        return cns.stimulate(order.create_signal(1))

    loop = asyncio.new_event_loop()
    try:
        run = loop.run_until_complete(main())

        async def wait() -> None:
            await run

        coroutine = wait()
        with pytest.raises(RuntimeError, match="event loop"):
            coroutine.send(None)
        assert not run.done()
        run.cancel()
        for _ in range(5):
            loop.run_until_complete(asyncio.sleep(0))
        assert run.outcome == "aborted"
    finally:
        loop.close()
