"""S16: shared values, values of a run, and context variables."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from cnstra import CNS, Drain, Response, collateral, neuron

from .gates import Gates, settle

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)
var: ContextVar[str] = ContextVar("var", default="unset")


@pytest.fixture(autouse=True)
def _unset() -> Any:
    token = var.set("unset")
    yield
    var.reset(token)


def test_shared_is_the_same_object_everywhere() -> None:
    seen: list[Any] = []
    shared: dict[str, int] = {}
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    def emit(payload: int, axon: Any, ctx: Any) -> Any:
        seen.append(ctx.shared)
        return axon.a.create_signal(payload)

    two = neuron("two").dendrite(collateral=a, response=lambda n, axon, ctx: seen.append(ctx.shared))
    cns = CNS([one, two], shared=shared)
    cns.stimulate(ping.create_signal(1))
    cns.stimulate(ping.create_signal(1))
    assert len(seen) == 4
    assert all(each is shared for each in seen)
    assert cns.shared is shared


def test_shared_is_none_if_none_is_given() -> None:
    seen: list[Any] = []
    CNS([neuron("one").dendrite(collateral=ping, response=lambda n, axon, ctx: seen.append(ctx.shared))]).stimulate(
        ping.create_signal(1)
    )
    assert seen == [None]


@pytest.mark.anyio
async def test_stimulation_context_is_the_same_on_every_hop_of_its_run_and_of_no_other() -> None:
    seen: dict[int, list[Any]] = {1: [], 2: []}
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    async def emit(payload: int, axon: Any, ctx: Any) -> Any:
        seen[payload].append(ctx.stimulation_context)
        await asyncio.sleep(0)
        return axon.a.create_signal(payload)

    two = neuron("two").dendrite(collateral=a, response=lambda n, axon, ctx: seen[n].append(ctx.stimulation_context))
    cns = CNS([one, two])
    trace = object()
    runs = [cns.stimulate(ping.create_signal(1), stimulation_context=trace), cns.stimulate(ping.create_signal(2))]
    for run in runs:
        await run
    assert seen == {1: [trace, trace], 2: [None, None]}
    assert [run.stimulation_context for run in runs] == [trace, None]


def listening(log: list[tuple[str, str]], *, asynchronous: bool = False) -> dict[str, Any]:
    """Listeners that write down what they see of the variable."""

    def on_response(response: Response) -> Any:
        name = "entry" if response.neuron is None else response.neuron.name
        log.append((f"response of {name}", var.get()))
        return asyncio.sleep(0) if asynchronous else None

    def on_drain(drain: Drain) -> None:
        log.append(("drain", var.get()))

    return {"on_response": on_response, "on_drain": on_drain}


def test_what_a_sync_handler_sets_is_seen_by_what_the_run_does_later_and_not_by_the_caller() -> None:
    log: list[tuple[str, str]] = []
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    def emit(payload: int) -> Any:
        log.append(("one", var.get()))
        var.set("one")
        return a.create_signal(1)

    two = neuron("two").dendrite(collateral=a, response=lambda _: log.append(("two", var.get())))
    var.set("caller")
    CNS([one, two]).stimulate(ping.create_signal(1), **listening(log))
    assert log == [
        ("response of entry", "caller"),
        ("one", "caller"),
        ("response of one", "one"),
        ("two", "one"),
        ("response of two", "one"),
        ("drain", "one"),
    ]
    assert var.get() == "caller"


@pytest.mark.anyio
async def test_all_turns_run_in_the_context_of_the_stimulate_whatever_woke_them() -> None:
    gates = Gates()
    log: list[tuple[str, str]] = []
    slow = neuron("slow", {"a": a}, concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait(f"slow {payload}")
        return a.create_signal(payload)

    end = neuron("end").dendrite(collateral=a, response=lambda _: log.append(("end", var.get())))
    cns = CNS([slow, end])
    var.set("first caller")
    first = cns.stimulate(ping.create_signal(1))
    var.set("second caller")
    second = cns.stimulate(ping.create_signal(2), **listening(log, asynchronous=True))
    var.set("whoever opens the gate")
    assert set(gates.waiting) == {"slow 1"}
    await settle()
    await gates.open("slow 1")
    await gates.open("slow 2")
    assert (first.outcome, second.outcome) == ("completed", "completed")
    assert {value for name, value in log if name != "end"} == {"second caller"}
    assert [value for name, value in log if name == "end"] == ["first caller", "second caller"]


@pytest.mark.anyio
@pytest.mark.parametrize("suspends", [False, True])
async def test_what_an_async_handler_sets_is_its_own(suspends: bool) -> None:
    log: list[tuple[str, str]] = []
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    async def emit(payload: int) -> Any:
        log.append(("one", var.get()))
        var.set("one")
        if suspends:
            await asyncio.sleep(0)
        log.append(("one later", var.get()))
        return a.create_signal(1)

    two = neuron("two").dendrite(collateral=a, response=lambda _: log.append(("two", var.get())))
    var.set("caller")
    await CNS([one, two]).stimulate(ping.create_signal(1), **listening(log))
    assert [entry for entry in log if entry[0] != "drain"] == [
        ("response of entry", "caller"),
        ("one", "caller"),
        ("one later", "one"),
        ("response of one", "caller"),
        ("two", "caller"),
        ("response of two", "caller"),
    ]
    assert var.get() == "caller"


@pytest.mark.anyio
async def test_an_async_handler_sees_what_a_sync_one_had_set() -> None:
    seen: list[str] = []
    one = neuron("one", {"a": a})

    @one.dendrite(ping)
    def emit(payload: int) -> Any:
        var.set("one")
        return a.create_signal(1)

    async def look(payload: int) -> None:
        seen.append(var.get())
        await asyncio.sleep(0)
        seen.append(var.get())

    await CNS([one, neuron("two").dendrite(collateral=a, response=look)]).stimulate(ping.create_signal(1))
    assert seen == ["one", "one"]


@pytest.mark.anyio
async def test_a_token_can_be_reset_after_a_wait() -> None:
    seen: list[str] = []

    async def handle(payload: int) -> None:
        token = var.set("inside")
        await asyncio.sleep(0)
        seen.append(var.get())
        var.reset(token)
        seen.append(var.get())
        token = var.set("again")
        var.reset(token)
        await asyncio.sleep(0)

    await CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    assert seen == ["inside", "unset"]


@pytest.mark.anyio
async def test_an_async_listener_has_a_context_of_its_own() -> None:
    log: list[str] = []

    async def listener(response: Response) -> None:
        log.append(var.get())
        token = var.set("listener")
        await asyncio.sleep(0)
        var.reset(token)

    cns = CNS([neuron("one").dendrite(collateral=ping, response=lambda _: log.append(var.get()))])
    cns.add_response_listener(listener)
    await cns.stimulate(ping.create_signal(1), on_response=listener)
    assert log == ["unset"] * 5


@pytest.mark.parametrize("loop", [False, True])
def test_an_offloaded_handler_runs_in_a_copy(loop: bool) -> None:
    log: list[tuple[str, str]] = []
    one = neuron("one", {"a": a}, offload=True)

    @one.dendrite(ping)
    def work(payload: int) -> Any:
        log.append((threading.current_thread().name, var.get()))
        var.set("worker")
        return a.create_signal(1)

    two = neuron("two").dendrite(collateral=a, response=lambda _: log.append(("two", var.get())))
    cns = CNS([one, two])

    async def main() -> None:
        await cns.stimulate(ping.create_signal(1))

    var.set("caller")
    if loop:
        asyncio.run(main())
    else:
        cns.stimulate(ping.create_signal(1))
    assert [value for _, value in log] == ["caller", "caller"]
    assert log[0][0] != threading.current_thread().name


def test_a_run_takes_its_copy_once() -> None:
    log: list[str] = []

    def handle(payload: int) -> None:
        log.append(var.get())
        var.set("run")

    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle)])
    context = copy_context()
    context.run(var.set, "elsewhere")
    cns.stimulate(ping.create_signal(1))
    context.run(cns.stimulate, ping.create_signal(1))
    assert log == ["unset", "elsewhere"]
    assert (var.get(), context[var]) == ("unset", "elsewhere")


def test_a_nested_run_takes_a_copy_of_where_it_was_started() -> None:
    log: list[str] = []

    def set_and_look(payload: int) -> None:
        log.append(var.get())
        var.set("inner")

    inner = CNS([neuron("inner").dendrite(collateral=ping, response=set_and_look)])

    def call(payload: int) -> None:
        var.set("outer")
        inner.stimulate(ping.create_signal(1))
        log.append(var.get())

    CNS([neuron("outer").dendrite(collateral=ping, response=call)]).stimulate(ping.create_signal(1))
    assert log == ["outer", "outer"]


@pytest.mark.anyio
async def test_a_granted_run_of_another_thread_runs_in_its_own_context() -> None:
    log: list[str] = []
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def work(payload: int) -> None:
        if payload == 0:
            entered.set()
            release.wait(60)
        log.append(var.get())

    cns = CNS([slow])
    context = copy_context()
    context.run(var.set, "thread")
    thread = threading.Thread(target=context.run, args=(cns.stimulate, ping.create_signal(0)))
    thread.start()
    await asyncio.to_thread(entered.wait, 60)
    var.set("loop")
    run = cns.stimulate(ping.create_signal(1))
    release.set()
    await run
    await asyncio.to_thread(thread.join, 60)
    assert log == ["thread", "loop"]
