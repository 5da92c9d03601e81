"""S20: programs without an event loop, and handlers in worker threads."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

import pytest

from cnstra import CNS, NoEventLoopError, Response, StimulationTimeout, collateral, neuron

from .gates import names, sink

ping = collateral("ping", int)
a = collateral("a", int)


def test_without_a_loop_stimulate_returns_an_ended_run() -> None:
    log: list[str] = []
    source = neuron("source", {"a": a}).dendrite(collateral=ping, response=lambda n, axon: axon.a.create_signal(n))
    run = CNS([source, sink("end", a, log)]).stimulate(ping.create_signal(1))
    assert (run.outcome, log) == ("completed", ["end"])


class Later:
    """An object whose call is asynchronous."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def __call__(self, payload: int) -> None:
        self.log.append("ran")


@pytest.mark.parametrize("how", ["async def", "object", "plain function", "awaitable"])
def test_an_async_handler_fails_before_any_of_its_code_runs(how: str) -> None:
    log: list[str] = []

    async def handle(payload: int) -> None:
        log.append("ran")

    class Custom:
        def __await__(self) -> Any:
            log.append("ran")
            yield

    handlers: dict[str, Any] = {
        "async def": handle,
        "object": Later(log),
        "plain function": lambda payload: handle(payload),  # noqa: PLW0108
        "awaitable": lambda payload: Custom(),
    }
    cns = CNS([neuron("later").dendrite(collateral=ping, response=handlers[how]), sink("next", ping, log)])
    run = cns.stimulate(ping.create_signal(1))
    assert (run.outcome, log) == ("failed", ["next"])
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, NoEventLoopError)
    assert isinstance(failure.error, RuntimeError)
    assert "'later'" in str(failure.error)
    assert "'ping'" in str(failure.error)
    assert "cns.run" in str(failure.error)


def test_the_same_cns_runs_it_inside_a_loop() -> None:
    log: list[str] = []
    cns = CNS([neuron("later").dendrite(collateral=ping, response=Later(log))])
    assert cns.stimulate(ping.create_signal(1)).failed_tasks
    cns.run(ping.create_signal(1))
    assert log == ["ran"]


def test_offload_runs_a_plain_function_in_a_worker_thread_and_the_run_waits_for_it() -> None:
    threads: list[int] = []
    log: list[str] = []
    heavy = neuron("heavy", {"a": a}, offload=True)

    @heavy.dendrite(ping)
    def work(payload: int) -> Any:
        threads.append(threading.get_ident())
        time.sleep(0.01)
        return a.create_signal(payload)

    run = CNS([heavy, sink("end", a, log)]).stimulate(ping.create_signal(1))
    assert (run.outcome, log) == ("completed", ["end"])
    assert threads != [threading.get_ident()]


@pytest.mark.anyio
async def test_in_a_loop_it_does_not_block_the_loop() -> None:
    threads: list[int] = []
    log: list[str] = []
    release = threading.Event()
    heavy = neuron("heavy", {"a": a}, offload=True)

    @heavy.dendrite(ping)
    def work(payload: int) -> Any:
        threads.append(threading.get_ident())
        assert release.wait(60)
        return a.create_signal(payload)

    end = neuron("end").dendrite(collateral=a, response=lambda _: threads.append(threading.get_ident()))
    run = CNS([heavy, end, sink("next", ping, log)]).stimulate(ping.create_signal(1))
    assert log == ["next"]
    assert not run.done()
    release.set()
    await run
    assert threads[0] != threading.get_ident()
    assert threads[1] == threading.get_ident(), "what it returns goes on in the run's own thread"


@pytest.mark.parametrize("loop", [False, True])
def test_workers_work_side_by_side(loop: bool) -> None:
    barrier = threading.Barrier(3, timeout=60)
    heavy = neuron("heavy", offload=True)

    @heavy.dendrite(ping)
    def meet(payload: int) -> None:
        barrier.wait()

    cns = CNS([heavy])
    signals = [ping.create_signal(n) for n in range(3)]
    if loop:
        cns.run(signals)
    else:
        cns.stimulate(signals).raise_for_failure()


@pytest.mark.parametrize("loop", [False, True])
def test_what_fails_in_a_worker_fails_the_activation(loop: bool) -> None:
    error = LookupError("lost")

    def work(payload: int) -> None:
        raise error

    cns = CNS([neuron("heavy", offload=True).dendrite(collateral=ping, response=work)])

    async def main() -> Any:
        run = cns.stimulate(ping.create_signal(1))
        with pytest.raises(ExceptionGroup):
            await run
        return run

    run = asyncio.run(main()) if loop else cns.stimulate(ping.create_signal(1))
    assert [failure.error for failure in run.failed_tasks] == [error]


@pytest.mark.anyio
async def test_what_a_worker_returns_may_be_awaited_on_the_loop() -> None:
    threads: list[int] = []

    async def later(payload: int) -> Any:
        threads.append(threading.get_ident())
        await asyncio.sleep(0)
        threads.append(threading.get_ident())
        return a.create_signal(payload)

    log: list[str] = []
    heavy = neuron("heavy", {"a": a}, offload=True).dendrite(collateral=ping, response=lambda n: later(n))  # noqa: PLW0108
    await CNS([heavy, sink("end", a, log)]).stimulate(ping.create_signal(1))
    assert threads == [threading.get_ident()] * 2
    assert log == ["end"]


def test_without_a_loop_what_a_worker_returns_cannot_be_awaited() -> None:
    log: list[str] = []

    async def later(payload: int) -> None:
        log.append("ran")

    heavy = neuron("heavy", offload=True).dendrite(collateral=ping, response=lambda n: later(n))  # noqa: PLW0108
    run = CNS([heavy]).stimulate(ping.create_signal(1))
    assert isinstance(run.failed_tasks[0].error, NoEventLoopError)
    assert log == []


def test_a_run_without_a_loop_waits_for_a_slot() -> None:
    log: list[int] = []
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def work(payload: int) -> None:
        log.append(payload)
        if payload == 0:
            entered.set()
            assert release.wait(60)

    cns = CNS([slow])
    holder = threading.Thread(target=cns.stimulate, args=(ping.create_signal(0),))
    holder.start()
    assert entered.wait(60)
    drained = threading.Timer(0.02, release.set)
    drained.start()
    assert cns.stimulate(ping.create_signal(1)).outcome == "completed"
    holder.join(60)
    drained.join(60)
    assert log == [0, 1]


def test_a_run_without_a_loop_that_waits_can_time_out() -> None:
    entered, release = threading.Event(), threading.Event()
    slow = neuron("slow", concurrency=1)

    @slow.dendrite(ping)
    def work(payload: int) -> None:
        entered.set()
        assert release.wait(60)

    cns = CNS([slow])
    holder = threading.Thread(target=cns.stimulate, args=(ping.create_signal(0),))
    holder.start()
    assert entered.wait(60)
    run = cns.stimulate(ping.create_signal(1), timeout=0.01)
    assert isinstance(run.exception(), StimulationTimeout)
    assert names(run.outstanding_tasks) == ["slow"]
    release.set()
    holder.join(60)
    assert cns.stimulate(ping.create_signal(2)).outcome == "completed"


def test_a_worker_that_takes_too_long_is_waited_for_and_then_the_run_is_timed_out() -> None:
    log: list[str] = []

    def work(payload: int) -> None:
        time.sleep(0.05)
        log.append("worked")

    cns = CNS([neuron("heavy", offload=True).dendrite(collateral=ping, response=work), sink("next", a, log)])
    run = cns.stimulate(ping.create_signal(1), timeout=0.01)
    assert isinstance(run.exception(), StimulationTimeout)
    assert log == ["worked"]
    assert names(run.outstanding_tasks) == ["heavy"]


def test_a_nested_run_without_a_loop_waits_for_its_worker() -> None:
    log: list[str] = []
    inner = CNS([neuron("heavy", offload=True).dendrite(collateral=ping, response=lambda _: log.append("worker"))])

    def call(payload: int) -> None:
        log.append(inner.stimulate(ping.create_signal(1)).outcome)

    assert CNS([neuron("outer").dendrite(collateral=ping, response=call)]).stimulate(ping.create_signal(1)).done()
    assert log == ["worker", "completed"]


def test_a_worker_may_start_a_run_of_its_own() -> None:
    log: list[str] = []
    inner = CNS([sink("inner", ping, log)])
    heavy = neuron("heavy", offload=True).dendrite(
        collateral=ping, response=lambda _: log.append(inner.stimulate(ping.create_signal(1)).outcome)
    )
    assert CNS([heavy]).stimulate(ping.create_signal(1)).outcome == "completed"
    assert log == ["inner", "completed"]


def test_cns_run_runs_to_completion_inside_a_loop_and_raises_what_awaiting_would() -> None:
    log: list[str] = []

    async def wait(payload: int) -> None:
        await asyncio.sleep(0)
        if not payload:
            raise LookupError("lost")
        log.append("ran")

    cns = CNS([neuron("one").dendrite(collateral=ping, response=wait)])
    responses: list[Response] = []
    cns.run(ping.create_signal(1), on_response=responses.append)
    assert (log, len(responses)) == (["ran"], 2)
    with pytest.raises(ExceptionGroup):
        cns.run(ping.create_signal(0))


@pytest.mark.anyio
async def test_cns_run_refuses_where_a_loop_runs() -> None:
    cns = CNS([])
    with pytest.raises(RuntimeError, match="loop runs"):
        cns.run(ping.create_signal(1))
    with pytest.raises(RuntimeError, match="loop runs"):
        cns.run_query(ping.create_signal(1), ping)


def test_workers_that_are_the_first_to_use_context_or_abort_signal_share_them() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            barrier = threading.Barrier(6, timeout=60)
            signals: list[Any] = []

            def work(payload: int, axon: None, ctx: Any, barrier: Any = barrier, signals: Any = signals) -> None:
                barrier.wait()
                ctx.set(payload)
                signals.append(ctx.abort_signal)

            neurons = [neuron(f"worker {n}", offload=True).dendrite(collateral=ping, response=work) for n in range(6)]
            run = CNS(neurons).stimulate(ping.create_signal(7))
            assert run.context.get_all() == {each.name: 7 for each in neurons}
            assert len(set(map(id, signals))) == 1
    finally:
        sys.setswitchinterval(interval)
