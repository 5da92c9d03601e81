"""S6: response listeners, their order, and how they hold a run back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    MemoryContextStore,
    Response,
    collateral,
)

from .gates import Gates, relay, settle, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def is_entry(response: Response) -> bool:
    return response.neuron is None


def test_the_local_one_comes_first_then_global_ones_in_order_of_registration() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, [])])
    for name in ("first", "second", "third"):
        cns.add_response_listener(lambda response, name=name: log.append(name))  # type: ignore[misc]
    cns.stimulate(ping.create_signal(1), on_response=lambda response: log.append("local"))
    assert log == ["local", "first", "second", "third"] * 2


def test_a_listener_may_be_registered_twice_and_each_is_removed_by_its_own_remover() -> None:
    log: list[str] = []
    cns = CNS([])

    def listener(response: Response) -> None:
        log.append("heard")

    removers = [cns.add_response_listener(listener), cns.add_response_listener(listener)]
    for expected in (2, 1, 0):
        log.clear()
        cns.stimulate(ping.create_signal(1))
        assert len(log) == expected
        if removers:
            remove = removers.pop(0)
            remove()
            remove()  # harmless


def test_a_snapshot_is_taken_per_response() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, [])])

    def late(response: Response) -> None:
        log.append("late")

    def first(response: Response) -> None:
        log.append("first")
        remove_second()
        if is_entry(response):
            cns.add_response_listener(late)

    cns.add_response_listener(first)
    remove_second = cns.add_response_listener(lambda response: log.append("second"))
    cns.stimulate(ping.create_signal(1))
    assert log == ["first", "second", "first", "late"]


def test_listeners_hear_every_run_of_the_cns() -> None:
    heard: list[Any] = []
    cns = CNS([sink("ears", ping, [])])
    cns.add_response_listener(lambda response: heard.append(response.stimulation))
    runs = [cns.stimulate(ping.create_signal(1)), cns.stimulate([])]
    assert heard == [runs[0], runs[0], runs[1]]


def test_a_response_says_what_happened() -> None:
    responses: list[Response] = []
    source = relay("source", ping, [], a)
    cns = CNS([source])
    signal = ping.create_signal(3)
    run = cns.stimulate(signal, on_response=responses.append)
    entry, answer = responses
    assert (entry.neuron, entry.input_signal, entry.output_signal, entry.task) == (None, None, signal, None)
    assert (answer.neuron, answer.input_signal, answer.output_signal) == (source, signal, a.create_signal(3))
    assert (entry.error, answer.error) == (None, None)
    assert (entry.stimulation, answer.stimulation) == (run, run)
    assert answer.task is not None
    assert (answer.task.neuron, answer.task.signal, answer.task.id) == (source, signal, 1)


@pytest.mark.anyio
async def test_all_are_called_before_any_is_awaited() -> None:
    log: list[str] = []

    def listener(name: str) -> Any:
        def call(response: Response) -> Any:
            log.append(f"{name} called")
            return work()

        async def work() -> None:
            log.append(f"{name} started")
            await asyncio.sleep(0)
            log.append(f"{name} settled")

        return call

    cns = CNS([])
    cns.add_response_listener(listener("first"))
    cns.add_response_listener(lambda response: log.append("plain called"))
    cns.add_response_listener(listener("second"))
    run = cns.stimulate(ping.create_signal(1), on_response=listener("local"))
    called = ["local called", "first called", "plain called", "second called"]
    assert log == [*called, "local started", "first started", "second started"]
    await run
    assert log[7:] == ["local settled", "first settled", "second settled"]


@pytest.mark.anyio
async def test_if_none_suspends_nothing_is_deferred() -> None:
    log: list[str] = []

    async def at_once(response: Response) -> None:
        log.append("listener")

    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    cns.add_response_listener(at_once)
    run = cns.stimulate(ping.create_signal(1), on_response=at_once)
    assert run.outcome == "completed"
    assert log == ["listener"] * 2 + ["source"] + ["listener"] * 2 + ["end"] + ["listener"] * 2


@pytest.mark.anyio
async def test_a_listener_is_a_barrier_for_what_its_response_caused_alone() -> None:
    gates = Gates()
    log: list[str] = []
    source = relay("source", ping, log, a, b)
    cns = CNS([source, relay("hears a", a, log), relay("hears b", b, log)])

    def checkpoint(response: Response) -> Any:
        return gates.wait("checkpoint") if response.output_signal == a.create_signal(1) else None

    run = cns.stimulate(ping.create_signal(1), on_response=checkpoint)
    assert log == ["source", "hears b"]
    assert not run.done()
    await gates.open("checkpoint")
    assert log == ["source", "hears b", "hears a"]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_activations_are_parked_until_all_have_settled() -> None:
    gates = Gates()
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    for name in ("first", "second"):
        cns.add_response_listener(lambda response, name=name: gates.wait(name) if is_entry(response) else None)  # type: ignore[misc]
    run = cns.stimulate(ping.create_signal(1), on_response=lambda r: gates.wait("local") if is_entry(r) else None)
    for name in ("second", "local", "first"):
        assert log == []
        await gates.open(name)
    assert log == ["ears"]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_a_listener_makes_per_hop_checkpoints_possible() -> None:
    stored: list[list[int]] = []
    log: list[str] = []
    neurons = [relay("one", ping, log, a), relay("two", a, log, b), sink("three", b, log)]

    async def store(response: Response) -> None:
        await asyncio.sleep(0)
        stored.append([task.id or 0 for task in response.stimulation.outstanding_tasks])
        log.append("stored")

    await CNS(neurons).stimulate(ping.create_signal(1), on_response=store)
    assert log == ["stored", "one", "stored", "two", "stored", "three", "stored"]
    assert stored == [[1], [2], [3], []]


@pytest.mark.anyio
async def test_a_run_is_not_complete_until_the_last_listener_has_settled() -> None:
    gates = Gates()
    cns = CNS([sink("ears", ping, [])])
    run = cns.stimulate(ping.create_signal(1), on_response=lambda r: None if is_entry(r) else gates.wait("last"))
    await settle()
    assert not run.done()
    await gates.open("last")
    assert run.outcome == "completed"


def test_with_no_listener_no_response_is_made() -> None:
    class Store(MemoryContextStore):
        __slots__ = ()
        looked = 0

        def get(self, name: str, default: Any = None, /) -> Any:
            Store.looked += 1
            return super().get(name, default)

    cns = CNS([sink("ears", ping, [])])
    cns.stimulate(ping.create_signal(1), context_store=Store())
    assert Store.looked == 0, "a response would have taken the context value along"
    cns.stimulate(ping.create_signal(1), context_store=Store(), on_response=lambda response: None)
    assert Store.looked == 1


@pytest.mark.anyio
async def test_a_listener_may_return_any_awaitable() -> None:
    log: list[str] = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    run = CNS([sink("ears", ping, log)]).stimulate(
        ping.create_signal(1), on_response=lambda response: future if is_entry(response) else None
    )
    await settle()
    assert log == []
    future.set_result(None)
    await run
    assert log == ["ears"]


@pytest.mark.anyio
async def test_what_a_listener_gives_is_ignored() -> None:
    async def listener(response: Response) -> Any:
        return a.create_signal(1)

    log: list[str] = []
    cns = CNS([sink("ears", ping, log), sink("not reached", a, log)])
    cns.add_response_listener(lambda response: a.create_signal(2))
    await cns.stimulate(ping.create_signal(1), on_response=listener)
    assert log == ["ears"]


@pytest.mark.anyio
async def test_a_listener_may_start_and_await_another_run() -> None:
    log: list[str] = []
    audit = CNS([sink("audit", b, log)])

    async def listener(response: Response) -> None:
        await audit.stimulate(b.create_signal(1))

    await CNS([sink("ears", ping, log)]).stimulate(ping.create_signal(1), on_response=listener)
    assert log == ["audit", "ears", "audit"]


@pytest.mark.anyio
async def test_a_listener_is_a_task_from_its_first_step() -> None:
    tasks: list[Any] = []

    async def listener(response: Response) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    here = asyncio.current_task()
    run = CNS([]).stimulate(ping.create_signal(1), on_response=listener)
    assert asyncio.current_task() is here
    await run
    assert len({id(task) for task in tasks}) == 1
    assert tasks[0] is not here
    assert tasks[0] is not None


@pytest.mark.anyio
async def test_barriers_that_open_in_another_order_deliver_in_that_order() -> None:
    gates = Gates()
    log: list[str] = []
    cns = CNS([sink("hears a", a, log), sink("hears b", b, log)])
    run = cns.stimulate(
        [a.create_signal(1), b.create_signal(2)],
        on_response=lambda r: gates.wait(str(r.output_index)) if is_entry(r) else None,
    )
    await gates.open("1")
    await gates.open("0")
    await run
    assert log == ["hears b", "hears a"]


def test_a_response_has_what_listeners_need() -> None:
    """The list of the design, so that none is forgotten."""
    seen: list[Response] = []
    CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_response=seen.append)
    wanted = (
        "task neuron input_signal output_signal output_index output_count caused error hops queue_length "
        "pending_activations active_activations context_value stimulation final"
    )
    for response in seen:
        for name in wanted.split():
            assert hasattr(response, name)
