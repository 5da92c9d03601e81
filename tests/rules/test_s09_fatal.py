"""S9: exceptions that are neither errors nor cancellations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import CNS, Response, Stimulation, StimulationAborted, collateral, neuron

from ..conftest import RunLoop
from .gates import Gates, names, relay, sink

ping = collateral("ping", int)


a = collateral("a", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


class Fatal(BaseException):
    """Neither an error nor a cancellation."""


FATAL = [KeyboardInterrupt, SystemExit, Fatal]


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("depth", [1, 2])
def test_any_other_exception_aborts_the_run_and_propagates(kind: type[BaseException], depth: int) -> None:
    log: list[str] = []
    runs: list[Stimulation] = []
    error = kind("stop")
    bad = neuron("bad", concurrency=1)

    @bad.dendrite(a)
    def interrupt(payload: int, axon: None, ctx: Any) -> None:
        runs.append(ctx.stimulation)
        if payload:
            raise error

    cns = CNS([relay("source", ping, log, a), bad, sink("after", a, log)])
    outer = cns
    if depth == 2:

        def stimulate(payload: int) -> None:
            cns.stimulate(ping.create_signal(payload), on_drain=lambda drain: log.append("drain"))

        outer = CNS([neuron("outer").dendrite(collateral=ping, response=stimulate)])
    with pytest.raises(kind) as caught:
        outer.stimulate(ping.create_signal(1), on_drain=lambda drain: log.append("drain"))
    assert caught.value is error
    assert log == ["source", *["drain"] * depth], "what had settled is announced all the same"
    failure = aborted(runs[0])
    assert failure.reason is error
    assert names(runs[0].outstanding_tasks) == ["bad", "after"]
    assert [each.aborted for each in runs[0].failed_tasks] == [True, True]
    # Its slot was given back, and the graph is as good as new.
    assert cns.stimulate(ping.create_signal(0)).outcome == "completed"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_it_propagates_out_of_stimulate_in_a_loop(kind: type[BaseException], asynchronous: bool) -> None:
    runs: list[Stimulation] = []

    def interrupt(payload: int, axon: None, ctx: Any) -> None:
        runs.append(ctx.stimulation)
        raise kind("stop")

    async def interrupt_at_once(payload: int, axon: None, ctx: Any) -> None:
        interrupt(payload, axon, ctx)

    cns = CNS([neuron("bad").dendrite(collateral=ping, response=interrupt_at_once if asynchronous else interrupt)])
    with pytest.raises(kind):
        cns.stimulate(ping.create_signal(1))
    assert isinstance(aborted(runs[0]).reason, kind)
    assert names(runs[0].outstanding_tasks) == ["bad"]


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("where", ["response", "drain"])
def test_so_does_one_that_leaves_a_listener(kind: type[BaseException], where: str) -> None:
    log: list[str] = []
    cns = CNS([sink("ears", ping, log)])
    runs: list[Stimulation] = []

    def interrupt(event: Any) -> None:
        runs.append(event.stimulation)
        if len(runs) == 1:
            raise kind("stop")

    options: dict[str, Any] = {f"on_{where}": interrupt}
    with pytest.raises(kind):
        cns.stimulate(ping.create_signal(1), **options)
    assert isinstance(aborted(runs[0]).reason, kind)
    assert log == ([] if where == "response" else ["ears"])
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("fails", [False, True])
def test_a_listener_that_lets_one_out_does_not_keep_the_slot_of_the_activation(
    kind: type[BaseException], fails: bool
) -> None:
    hot = [True]

    def handle(payload: int) -> None:
        if fails and hot[0]:
            raise LookupError

    def interrupt(response: Response) -> None:
        if response.neuron is not None:
            raise kind("stop")

    cns = CNS([neuron("one", concurrency=1).dendrite(collateral=ping, response=handle)])
    with pytest.raises(kind):
        cns.stimulate(ping.create_signal(1), on_response=interrupt)
    hot[0] = False
    assert cns.stimulate(ping.create_signal(1), timeout=60).outcome == "completed"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_after_a_wait_it_leaves_the_loop(kind: type[BaseException], run_loop: RunLoop) -> None:
    log: list[str] = []
    runs: list[Stimulation] = []
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def interrupt(payload: int) -> None:
        await asyncio.sleep(0)
        raise kind("stop")

    cns = CNS([slow, sink("queued", ping, log)])

    async def main() -> None:
        runs.append(cns.stimulate(ping.create_signal(1), concurrency=1))
        await runs[0]

    with pytest.raises(kind):
        run_loop(main)
    assert log == []
    assert isinstance(aborted(runs[0]).reason, kind)
    assert names(runs[0].outstanding_tasks) == ["slow", "queued"]


@pytest.mark.anyio
async def test_after_a_wait_others_go_to_the_exception_handler_of_the_loop() -> None:
    gates = Gates()
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    slow = neuron("slow", concurrency=1).dendrite(collateral=ping, response=lambda _: gates.wait("slow"))
    cns = CNS([slow])
    run = cns.stimulate(ping.create_signal(1))
    error = Fatal("stop")
    await gates.fail("slow", error)
    assert told == [error]
    assert aborted(run).reason is error
    assert names(run.outstanding_tasks) == ["slow"]
    again = cns.stimulate(ping.create_signal(1))
    await gates.open("slow")
    assert again.outcome == "completed"


@pytest.mark.anyio
async def test_so_do_those_of_a_listener() -> None:
    gates = Gates()
    log: list[str] = []
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    cns = CNS([sink("parked", ping, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=lambda response: gates.wait("listener"))
    error = Fatal("stop")
    await gates.fail("listener", error)
    assert told == [error]
    assert aborted(run).reason is error
    assert (log, names(run.outstanding_tasks)) == ([], ["parked"])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_after_a_wait_of_a_listener_it_leaves_the_loop_too(kind: type[BaseException], run_loop: RunLoop) -> None:
    log: list[str] = []
    runs: list[Stimulation] = []

    async def interrupt(response: Response) -> None:
        await asyncio.sleep(0)
        raise kind("stop")

    async def main() -> None:
        runs.append(CNS([sink("parked", ping, log)]).stimulate(ping.create_signal(1), on_response=interrupt))
        await runs[0]

    with pytest.raises(kind):
        run_loop(main)
    assert log == []
    assert isinstance(aborted(runs[0]).reason, kind)
    assert names(runs[0].outstanding_tasks) == ["parked"]
