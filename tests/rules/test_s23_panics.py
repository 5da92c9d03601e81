"""S23: a panic of the native engine is an exception, and the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import cnstra
from cnstra import CNS, Response, Stimulation, collateral, neuron

from .gates import names, settle, sink

pytestmark = pytest.mark.skipif(cnstra.engine != "native", reason="only Rust panics")

ping = collateral("ping", int)


def panic(message: str) -> None:
    from cnstra import _native

    exploding: Any = _native
    exploding._panic(message)


def is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException" and "no way" in str(error)


def panics(run: Callable[[], object]) -> None:
    """What comes out of it is a panic."""
    with pytest.raises(BaseException, match="no way") as caught:
        run()
    assert is_panic(caught.value)


@pytest.mark.parametrize("where", ["handler", "entry", "response", "drain", "second hop"])
def test_a_panic_becomes_an_exception_with_its_message_and_the_run_ends_aborted(where: str) -> None:
    runs: list[Stimulation] = []
    log: list[str] = []
    hot = [True]

    def handle(payload: int, axon: Any, ctx: Any) -> Any:
        runs.append(ctx.stimulation)
        if hot[0] and where == "second hop" and not payload:
            panic("no way")
        if hot[0] and where == "handler":
            panic("no way")
        return axon.ping.create_signal(payload - 1) if payload else None

    def listen(event: Any) -> None:
        runs.append(event.stimulation)
        if hot[0] and (where != "response" or event.neuron):
            panic("no way")

    listeners = {"entry": "on_response", "response": "on_response", "drain": "on_drain"}
    options: dict[str, Any] = {listeners[where]: listen} if where in listeners else {}
    one = neuron("one", {"ping": ping}, concurrency=1).dendrite(collateral=ping, response=handle)
    cns = CNS([one, sink("next", ping, log)])
    panics(lambda: cns.stimulate(ping.create_signal(1), **options))
    assert runs[0].outcome == "aborted"
    hot[0] = False
    log.clear()
    assert cns.stimulate(ping.create_signal(1), **options).outcome == "completed"
    assert log == ["next", "next"]


def test_what_was_not_done_is_in_the_frontier() -> None:
    runs: list[Stimulation] = []

    def handle(payload: int, axon: None, ctx: Any) -> None:
        runs.append(ctx.stimulation)
        panic("no way")

    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle), sink("next", ping, [])])
    panics(lambda: cns.stimulate(ping.create_signal(1)))
    assert names(runs[0].outstanding_tasks) == ["one", "next"]
    assert all(failure.aborted for failure in runs[0].failed_tasks)


@pytest.mark.parametrize("suspends", [False, True])
def test_a_panic_in_an_async_handler_too(suspends: bool) -> None:
    told: list[Any] = []
    runs: list[Stimulation] = []

    async def handle(payload: int, axon: None, ctx: Any) -> None:
        runs.append(ctx.stimulation)
        if suspends:
            await asyncio.sleep(0)
        panic("no way")

    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle)])

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        cns.stimulate(ping.create_signal(1))
        await settle()

    if suspends:
        asyncio.run(main())
        assert any(is_panic(error) for error in told)
    else:
        panics(lambda: asyncio.run(main()))
    assert runs[0].outcome == "aborted"
    assert names(runs[0].outstanding_tasks) == ["one"]


def test_a_panic_in_an_async_listener_too() -> None:
    told: list[Any] = []

    async def listen(response: Response) -> None:
        await asyncio.sleep(0)
        panic("no way")

    async def main() -> Stimulation:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        run = CNS([sink("parked", ping, [])]).stimulate(ping.create_signal(1), on_response=listen)
        await settle()
        return run

    run = asyncio.run(main())
    assert run.outcome == "aborted"
    assert any(is_panic(error) for error in told)
    assert names(run.outstanding_tasks) == ["parked"]
