"""S9: cancellation from outside, the shutdown of a loop, and exceptions that are no errors."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cnstra import CNS, HandlerCancelledError, Response, Stimulation, StimulationAborted, collateral, neuron

from ..conftest import RunLoop
from .gates import Gates, names, relay, settle, sink

ping = collateral("ping", int)
a = collateral("a", int)


def aborted(run: Stimulation) -> StimulationAborted:
    assert run.outcome == "aborted"
    error = run.exception()
    assert isinstance(error, StimulationAborted)
    return error


@pytest.mark.anyio
async def test_a_handler_whose_task_is_cancelled_from_outside_aborts_the_run_with_that_as_reason() -> None:
    tasks: list[Any] = []
    log: list[str] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    run = CNS([slow, sink("queued", ping, log)]).stimulate(ping.create_signal(1), concurrency=1)
    await settle()
    tasks[0].cancel("stop it")
    with pytest.raises(StimulationAborted) as caught:
        await run
    assert isinstance(caught.value.reason, asyncio.CancelledError)
    assert caught.value.reason.args == ("stop it",)
    assert log == []
    assert [(failure.task.neuron.name, failure.aborted) for failure in run.failed_tasks] == [
        ("slow", True),
        ("queued", True),
    ]
    assert all(failure.error is run.exception() for failure in run.failed_tasks)


@pytest.mark.anyio
async def test_so_does_one_that_is_cancelled_before_the_first_pass_of_the_loop() -> None:
    tasks: list[Any] = []
    seen: list[str] = []

    async def wait(payload: int) -> None:
        tasks.append(asyncio.current_task())
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("unwound")

    run = CNS([neuron("slow").dendrite(collateral=ping, response=wait)]).stimulate(ping.create_signal(1))
    tasks[0].cancel()
    await settle()
    assert seen == ["cancelled", "unwound"]
    assert isinstance(aborted(run).reason, asyncio.CancelledError)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["raises in its first step", "is interrupted at its first wait"])
async def test_so_does_one_that_cancels_its_own_task(how: str) -> None:
    async def handle(payload: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if how == "raises in its first step":
            raise asyncio.CancelledError
        await asyncio.sleep(3600)

    run = CNS([neuron("slow").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    await settle()
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert names(run.outstanding_tasks) == ["slow"]


@pytest.mark.anyio
async def test_a_cancellation_that_the_handler_survives_changes_nothing() -> None:
    tasks: list[Any] = []
    log: list[str] = []
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            task.uncancel()
        return a.create_signal(payload)

    run = CNS([slow, sink("end", a, log)]).stimulate(ping.create_signal(1))
    tasks[0].cancel()
    await run
    assert log == ["end"]


@pytest.mark.anyio
async def test_a_listener_whose_task_is_cancelled_from_outside_aborts_the_run() -> None:
    tasks: list[Any] = []
    log: list[str] = []

    async def listen(response: Response) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    run = CNS([sink("parked", ping, log)]).stimulate(ping.create_signal(1), on_response=listen)
    tasks[0].cancel()
    with pytest.raises(StimulationAborted):
        await run
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert (log, names(run.failed_tasks)) == ([], ["parked"])


def test_any_other_cancelled_error_is_an_ordinary_failure() -> None:
    log: list[str] = []

    def handle(payload: int) -> None:
        raise asyncio.CancelledError("somebody else's")

    run = CNS([neuron("odd").dendrite(collateral=ping, response=handle), sink("next", ping, log)]).stimulate(
        ping.create_signal(1)
    )
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, HandlerCancelledError)
    assert isinstance(failure.error.__cause__, asyncio.CancelledError)
    assert "'odd'" in str(failure.error)
    assert "'ping'" in str(failure.error)
    assert failure.aborted is False
    assert (run.outcome, log) == ("failed", ["next"])


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["sync", "first step", "after a wait", "a cancelled future", "a cancelled task"])
async def test_so_it_is_in_a_loop(how: str) -> None:
    log: list[str] = []

    def odd(payload: int) -> Any:
        if how == "sync":
            raise asyncio.CancelledError
        return suspending()

    async def suspending() -> None:
        if how == "after a wait":
            await asyncio.sleep(0)
        if how == "a cancelled future":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        if how == "a cancelled task":
            task = asyncio.create_task(asyncio.sleep(3600))
            asyncio.get_running_loop().call_soon(task.cancel)
            await task
        raise asyncio.CancelledError

    cns = CNS([neuron("odd").dendrite(collateral=ping, response=odd), sink("next", ping, log)])
    run = cns.stimulate(ping.create_signal(1))
    with pytest.raises(ExceptionGroup):
        await run
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, HandlerCancelledError)
    assert isinstance(failure.error.__cause__, asyncio.CancelledError)
    assert (run.outcome, log) == ("failed", ["next"])


class Started:
    """Handlers that block, and a record of those that were started."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.unwound: list[str] = []

    async def wait(self, name: str) -> None:
        self.names.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            self.unwound.append(name)


def test_a_loop_that_shuts_down_starts_no_handlers_of_a_run_that_waits_for_a_task(run_loop: RunLoop) -> None:
    started = Started()
    slow = neuron("slow", {"a": a})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        try:
            await started.wait("slow")
        except asyncio.CancelledError:
            return a.create_signal(1)

    cns = CNS([slow, sink("queued", ping, started.names), sink("child", a, started.names)])

    async def main() -> Stimulation:
        run = cns.stimulate(ping.create_signal(1), concurrency=1)
        await settle()
        return run

    run = run_loop(main)
    assert (started.names, started.unwound) == (["slow"], ["slow"])
    assert run.done()


def test_nor_of_one_that_waits_for_a_slot(run_loop: RunLoop) -> None:
    started = Started()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    async def wait(payload: int) -> None:
        await started.wait(f"slow {payload}")

    cns = CNS([slow])

    async def main() -> list[Stimulation]:
        return [cns.stimulate(ping.create_signal(n)) for n in range(4)]

    runs = run_loop(main)
    assert (started.names, started.unwound) == (["slow 0"], ["slow 0"])
    assert [run.outcome for run in runs] == ["aborted"] * 4
    assert all(isinstance(aborted(run).reason, asyncio.CancelledError) for run in runs)


def test_nor_of_one_that_waits_for_a_slot_held_in_another_thread(run_loop: RunLoop) -> None:
    started: list[int] = []
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def wait(payload: int) -> None:
        started.append(payload)
        entered.set()
        release.wait(60)

    cns = CNS([slow])
    holder = threading.Thread(target=cns.stimulate, args=(ping.create_signal(1),))
    holder.start()
    entered.wait(60)

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(2))

    run = run_loop(main)
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    release.set()
    holder.join(60)
    assert started == [1]
    assert cns.stimulate(ping.create_signal(3)).outcome == "completed"


def test_nor_of_one_that_waits_for_a_worker(run_loop: RunLoop) -> None:
    log: list[str] = []
    heavy = neuron("heavy", {"a": a}, offload=True)

    @heavy.dendrite(ping)
    def work(payload: int, axon: Any, ctx: Any) -> Any:
        stop = threading.Event()
        ctx.abort_signal.add_listener(lambda reason: stop.set())
        log.append("heavy")
        assert stop.wait(60), "nobody told it"
        return a.create_signal(1)

    cns = CNS([heavy, sink("child", a, log)])

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(1))

    run = run_loop(main)
    assert log == ["heavy"]
    assert isinstance(aborted(run).reason, asyncio.CancelledError)


def test_nor_of_one_that_waits_for_a_listener(run_loop: RunLoop) -> None:
    started = Started()
    cns = CNS([sink("parked", ping, started.names)])

    async def main() -> Stimulation:
        return cns.stimulate(ping.create_signal(1), on_response=lambda response: started.wait("listener"))

    run = run_loop(main)
    assert (started.names, started.unwound) == (["listener"], ["listener"])
    assert isinstance(aborted(run).reason, asyncio.CancelledError)
    assert names(run.outstanding_tasks) == ["parked"]


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
