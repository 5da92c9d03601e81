"""S3: one queue, turns, and an order that does not depend on who is asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, AbortController, ActivationTask, Drain, Neuron, Response, collateral, neuron

from .gates import Gates, relay, settle, sink

ping = collateral("ping", int)


class Soon:
    """An awaitable that is no coroutine and never suspends."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        return self.value
        yield


def plain(value: Any) -> Any:
    return value


async def coroutine(value: Any) -> Any:
    return value


def awaitable(value: Any) -> Any:
    return Soon(value)


KINDS: dict[str, Callable[[Any], Any]] = {"plain": plain, "coroutine": coroutine, "awaitable": awaitable}


@pytest.mark.anyio
@pytest.mark.parametrize("listener", [None, *KINDS])
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
async def test_nothing_suspends_so_order_depends_on_neither_handlers_nor_listeners(
    first: str, second: str, listener: str | None
) -> None:
    log: list[str] = []
    a, b = collateral("a", int), collateral("b", int)

    def handler(name: str, kind: str, emit: Any = None) -> Callable[[int], Any]:
        def run(payload: int) -> Any:
            log.append(name)
            return KINDS[kind](None if emit is None else emit.create_signal(payload))

        return run

    cns = CNS(
        [
            neuron("A", {"a": a}).dendrite(collateral=ping, response=handler("A", first, a)),
            neuron("B", {"b": b}).dendrite(collateral=ping, response=handler("B", second, b)),
            neuron("A's child").dendrite(collateral=a, response=handler("A's child", second)),
            neuron("B's child").dendrite(collateral=b, response=handler("B's child", first)),
        ]
    )
    on_response = None if listener is None else lambda response: KINDS[listener](None)
    run = cns.stimulate(ping.create_signal(1), on_response=on_response)
    assert run.outcome == "completed", "everything reachable without waiting has run when stimulate returns"
    assert log == ["A", "B", "A's child", "B's child"]
    await run


def test_the_queue_is_first_in_first_out_over_all_depths() -> None:
    log: list[str] = []
    c = {name: collateral(name, int) for name in ("a", "b", "c", "d", "e", "f")}
    cns = CNS(
        [
            relay("1", ping, log, c["a"], c["b"]),
            relay("2", ping, log, c["c"]),
            relay("a", c["a"], log, c["d"]),
            relay("b", c["b"], log),
            relay("c", c["c"], log, c["e"], c["f"]),
            relay("d", c["d"], log),
            relay("e", c["e"], log),
            relay("f", c["f"], log),
        ]
    )
    assert cns.stimulate(ping.create_signal(0)).outcome == "completed"
    assert log == ["1", "2", "a", "b", "c", "d", "e", "f"]


def test_what_stimulate_runs_is_one_turn() -> None:
    drains: list[Drain] = []
    pong = collateral("pong", int)
    log: list[str] = []
    cns = CNS([relay("a", ping, log, pong), relay("b", ping, log), relay("c", pong, log)])
    cns.stimulate([ping.create_signal(1), ping.create_signal(2)], on_drain=drains.append)
    assert (len(log), len(drains)) == (6, 1)
    cns.activate([ActivationTask(cns.neurons[0], ping.create_signal(1))], on_drain=drains.append)
    assert (len(log), len(drains)) == (8, 2)


def waiting_neuron(gates: Gates, *emitted: Any, **limits: Any) -> Neuron[Any, Any, Any, Any]:
    waiter = neuron("waiter", {each.name: each for each in emitted}, **limits)

    @waiter.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"handler {payload}")
        return [each.create_signal(payload) for each in emitted]

    return waiter


@pytest.mark.anyio
async def test_each_settled_handler_is_a_turn() -> None:
    gates = Gates()
    drains: list[Drain] = []
    pong = collateral("pong", int)
    log: list[str] = []
    cns = CNS([waiting_neuron(gates, pong), sink("end", pong, log)])
    run = cns.stimulate([ping.create_signal(1), ping.create_signal(2)], on_drain=drains.append)
    assert len(drains) == 1
    await gates.open("handler 2")
    assert (len(drains), log) == (2, ["end"])
    await gates.open("handler 1")
    assert (len(drains), log) == (3, ["end", "end"])
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_what_suspends_has_its_place_when_it_settles() -> None:
    gates = Gates()
    log: list[str] = []
    a, b = collateral("a", int), collateral("b", int)
    cns = CNS(
        [
            waiting_neuron(gates, a),
            relay("sync", ping, log, b),
            sink("waiter's child", a, log),
            sink("sync's child", b, log),
        ]
    )
    run = cns.stimulate(ping.create_signal(1))
    assert log == ["sync", "sync's child"]
    await gates.open("handler 1")
    await run
    assert log == ["sync", "sync's child", "waiter's child"]


@pytest.mark.anyio
async def test_the_last_settled_listener_of_a_response_is_a_turn() -> None:
    gates = Gates()
    drains: list[Drain] = []
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])

    async def other(response: Response) -> None:
        if response.neuron is None:
            await gates.wait("other")

    async def mine(response: Response) -> None:
        if response.neuron is None:
            await gates.wait("mine")

    cns.add_response_listener(other)
    run = cns.stimulate(ping.create_signal(1), on_response=mine, on_drain=drains.append)
    await gates.open("mine")
    assert (len(drains), log) == (1, [])
    await gates.open("other")
    assert (len(drains), log) == (2, ["ears"])
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_a_granted_slot_is_a_turn_of_the_run_that_gets_it() -> None:
    gates = Gates()
    drains: list[Drain] = []
    cns = CNS([waiting_neuron(gates, concurrency=1)])
    holder = cns.stimulate(ping.create_signal(1))
    waiter = cns.stimulate(ping.create_signal(2), on_drain=drains.append)
    assert len(drains) == 1
    await gates.open("handler 1")
    assert (len(drains), holder.outcome) == (2, "completed")
    await gates.open("handler 2")
    assert (len(drains), waiter.outcome) == (3, "completed")


@pytest.mark.anyio
async def test_an_abort_with_nothing_in_flight_is_a_turn() -> None:
    gates = Gates()
    drains: list[Drain] = []
    cns = CNS([waiting_neuron(gates, concurrency=1)])
    holder = cns.stimulate(ping.create_signal(1))
    waiter = cns.stimulate(ping.create_signal(2), on_drain=drains.append)
    waiter.abort()
    assert (len(drains), waiter.outcome) == (2, "aborted")
    holder.abort()
    await gates.open("handler 1")


@pytest.mark.anyio
async def test_enqueue_is_a_turn_that_runs_at_once() -> None:
    gates = Gates()
    drains: list[Drain] = []
    log: list[str] = []
    pong = collateral("pong", int)
    ears = sink("ears", pong, log)
    cns = CNS([waiting_neuron(gates), ears])
    run = cns.stimulate(ping.create_signal(1), on_drain=drains.append)
    run.enqueue([ActivationTask(ears, pong.create_signal(1)), ActivationTask(ears, pong.create_signal(2))])
    assert (len(drains), log) == (2, ["ears", "ears"])
    await gates.open("handler 1")
    assert run.outcome == "completed"


def test_no_handler_is_entered_from_inside_another_and_feeding_does_not_open_a_turn() -> None:
    log: list[str] = []
    drains: list[Drain] = []
    pong = collateral("pong", int)
    late = sink("enqueued", pong, log)
    feeder = neuron("feeder", {"emitted": collateral("emitted", int)})

    @feeder.dendrite(ping)
    def feed(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.stimulation.enqueue([ActivationTask(late, pong.create_signal(1))])
        log.append("fed")
        return axon.emitted.create_signal(1)

    cns = CNS([feeder, late, sink("queued before", ping, log), sink("emitted", feeder.axon.emitted, log)])
    cns.stimulate(ping.create_signal(1), on_drain=drains.append)
    # The tasks are appended at the call: after what was queued before, before what the handler returns.
    assert log == ["fed", "queued before", "enqueued", "emitted"]
    assert len(drains) == 1


def test_what_a_listener_feeds_is_in_the_queue_before_the_next_activation_is_taken() -> None:
    log: list[str] = []
    drains: list[Drain] = []
    pong = collateral("pong", int)
    late = sink("enqueued", pong, log)

    def on_response(response: Response) -> None:
        if response.neuron is None:
            response.stimulation.enqueue([ActivationTask(late, pong.create_signal(1))])
            log.append("listener")

    cns = CNS([late, sink("heard", ping, log)])
    cns.stimulate(ping.create_signal(1), on_response=on_response, on_drain=drains.append)
    assert log == ["listener", "enqueued", "heard"]
    assert len(drains) == 1


def test_what_another_thread_feeds_during_a_turn_is_processed_in_that_turn() -> None:
    log: list[str] = []
    drains: list[Drain] = []
    pong = collateral("pong", int)
    late = sink("enqueued", pong, log)
    feeder = neuron("feeder", {"next": collateral("next", int)})

    @feeder.dendrite(ping)
    def feed(payload: int, axon: Any, ctx: Any) -> Any:
        task = ActivationTask(late, pong.create_signal(1))
        thread = threading.Thread(target=ctx.stimulation.enqueue, args=([task],))
        thread.start()
        thread.join()
        log.append("fed")
        return axon.next.create_signal(1)

    cns = CNS([feeder, late, sink("next", feeder.axon.next, log)])
    cns.stimulate(ping.create_signal(1), on_drain=drains.append)
    assert log == ["fed", "enqueued", "next"]
    assert len(drains) == 1


@pytest.mark.anyio
async def test_what_a_drain_listener_feeds_is_a_further_turn() -> None:
    gates = Gates()
    log: list[str] = []
    pong = collateral("pong", int)
    ears = sink("ears", pong, log)
    cns = CNS([waiting_neuron(gates), ears])

    def on_drain(drain: Drain) -> None:
        log.append(f"drain, {drain.pending_activations} pending")
        if log.count("ears") < 2:
            drain.stimulation.enqueue([ActivationTask(ears, pong.create_signal(1))])
            log.append("not entered from here")

    run = cns.stimulate(ping.create_signal(1), on_drain=on_drain)
    turn = ["drain, 0 pending", "not entered from here", "ears"]
    assert log == [*turn, *turn, "drain, 0 pending"]
    await gates.open("handler 1")
    assert run.outcome == "completed"
    assert log[-1] == "drain, 0 pending"


def test_an_abort_from_a_drain_listener_ends_the_run_after_a_completed_turn() -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    run = cns.stimulate(ping.create_signal(1), on_drain=lambda drain: drain.stimulation.abort("enough"))
    assert (log, run.outcome) == (["ears"], "aborted")


def test_completion_is_checked_after_the_drain() -> None:
    outcomes: list[str] = []
    cns = CNS([sink("ears", ping, [])])
    run = cns.stimulate(ping.create_signal(1), on_drain=lambda drain: outcomes.append(drain.stimulation.outcome))
    assert (outcomes, run.outcome) == (["running"], "completed")


def test_a_nested_run_has_its_own_queue_and_runs_at_once() -> None:
    log: list[str] = []
    inner = CNS([sink("inner", ping, log)])
    outer = neuron("outer").dendrite(
        collateral=ping, response=lambda _: log.append(inner.stimulate(ping.create_signal(1)).outcome)
    )
    CNS([outer, sink("next", ping, log)]).stimulate(ping.create_signal(1))
    assert log == ["inner", "completed", "next"]


def test_a_handler_may_stimulate_its_own_cns() -> None:
    log: list[int] = []
    counter = neuron("counter")

    @counter.dendrite(ping)
    def count(payload: int, axon: None, ctx: Any) -> None:
        if payload:
            ctx.cns.stimulate(ping.create_signal(payload - 1))
        log.append(payload)

    CNS([counter]).stimulate(ping.create_signal(3))
    assert log == [0, 1, 2, 3]


@pytest.mark.anyio
async def test_two_handlers_that_settle_in_one_pass_of_the_loop_are_taken_in_that_order() -> None:
    gates = Gates()
    log: list[Any] = []
    pong = collateral("pong", int)
    end = neuron("end").dendrite(collateral=pong, response=log.append)
    cns = CNS([waiting_neuron(gates, pong), end])
    run = cns.stimulate([ping.create_signal(n) for n in range(4)])
    await settle()
    for n in (2, 0, 3, 1):
        gates.set(f"handler {n}")
    await run
    assert log == [2, 0, 3, 1]


def test_an_aborted_run_takes_nothing_from_its_queue() -> None:
    log: list[str] = []
    controller = AbortController()
    stop = neuron("stop").dendrite(collateral=ping, response=lambda _: controller.abort("stop"))
    run = CNS([stop, sink("queued", ping, log)]).stimulate(ping.create_signal(1), abort_signal=controller.signal)
    assert (log, run.outcome) == ([], "aborted")


@pytest.mark.anyio
async def test_stimulate_does_not_let_the_loop_run() -> None:
    passes: list[str] = []
    asyncio.get_running_loop().call_soon(passes.append, "pass")
    pong = collateral("pong", int)
    relayer = neuron("relayer", {"pong": pong})

    @relayer.dendrite(ping)
    async def pass_on(payload: int) -> Any:
        return pong.create_signal(payload)

    run = CNS([relayer, sink("end", pong, [])]).stimulate(ping.create_signal(1))
    assert (run.outcome, passes) == ("completed", [])
    await settle()
    assert passes == ["pass"]
