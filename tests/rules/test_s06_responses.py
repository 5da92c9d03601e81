"""S6: response listeners, their order, and how they hold a run back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    HandlerCancelledError,
    MemoryContextStore,
    NoEventLoopError,
    Response,
    StimulationError,
    StimulationFailed,
    collateral,
    neuron,
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


class BrokenError(Exception):
    """What listeners of these tests raise."""


def test_a_failing_listener_makes_the_run_fail_after_everything_else_has_run() -> None:
    log: list[str] = []
    error = BrokenError()

    def fail(response: Response) -> None:
        if is_entry(response):
            raise error

    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    cns.add_response_listener(lambda response: log.append("other listener"))
    run = cns.stimulate(ping.create_signal(1), on_response=fail)
    assert log == ["other listener", "source", "other listener", "end", "other listener"]
    assert run.outcome == "failed"
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == (error,)
    assert "response listener" in error.__notes__[0]
    assert run.failed_tasks == []
    assert run.outstanding_tasks == []


@pytest.mark.anyio
@pytest.mark.parametrize("suspends", [False, True])
async def test_so_does_one_that_fails_asynchronously_its_own_parked_activations_included(suspends: bool) -> None:
    log: list[str] = []
    error = BrokenError()

    async def fail(response: Response) -> None:
        if is_entry(response):
            if suspends:
                await asyncio.sleep(0)
            raise error

    cns = CNS([relay("source", ping, log, a), sink("end", a, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=fail)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert caught.value.exceptions == (error,)
    assert log == ["source", "end"]


def test_every_failing_listener_is_told_in_order_with_failing_activations() -> None:
    errors = [BrokenError(n) for n in range(3)]

    def fail_at_entry(response: Response) -> None:
        if is_entry(response):
            raise errors[0]

    def fail_later(response: Response) -> None:
        if not is_entry(response):
            raise errors[2]

    def fail(payload: int) -> None:
        raise errors[1]

    cns = CNS([neuron("failing").dendrite(collateral=ping, response=fail)])
    cns.add_response_listener(fail_at_entry)
    run = cns.stimulate(ping.create_signal(1), on_response=fail_later)
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert failure.exceptions == tuple(errors)
    assert [each.error for each in run.failed_tasks] == [errors[1]]


def test_a_listener_that_fails_at_the_last_response_makes_a_completed_run_fail() -> None:
    def fail(response: Response) -> None:
        if response.final:
            raise BrokenError

    run = CNS([sink("ears", ping, [])]).stimulate(ping.create_signal(1), on_response=fail)
    assert run.outcome == "failed"
    assert isinstance(run.exception(), StimulationFailed)


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


def test_an_async_listener_without_a_loop_makes_the_run_fail_before_any_of_its_code_runs() -> None:
    log: list[str] = []

    async def listener(response: Response) -> None:
        log.append("listener")

    run = CNS([sink("ears", ping, log)]).stimulate(ping.create_signal(1), on_response=listener)
    assert log == ["ears"]
    failure = run.exception()
    assert isinstance(failure, StimulationFailed)
    assert [type(each) for each in failure.exceptions] == [NoEventLoopError] * 2
    assert isinstance(failure.exceptions[0], RuntimeError)


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
async def test_a_listener_that_awaits_its_own_run_is_told_so() -> None:
    async def listener(response: Response) -> None:
        await response.stimulation

    run = CNS([]).stimulate(ping.create_signal(1), on_response=listener)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert [type(error) for error in caught.value.exceptions] == [StimulationError]


@pytest.mark.anyio
async def test_a_cancelled_error_that_leaves_a_listener_is_wrapped() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()

    async def listener(response: Response) -> None:
        await future

    run = CNS([]).stimulate(ping.create_signal(1), on_response=listener)
    with pytest.raises(StimulationFailed) as caught:
        await run
    assert [type(error) for error in caught.value.exceptions] == [HandlerCancelledError]
    assert isinstance(caught.value.exceptions[0].__cause__, asyncio.CancelledError)


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
