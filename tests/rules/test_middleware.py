"""Section 2 of the design: middleware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    collateral,
    neuron,
)

from .gates import sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def test_middleware_is_called_once_per_dendrite_when_the_graph_is_compiled_first_one_outermost() -> None:
    log: list[str] = []

    def layer(name: str) -> Any:
        def wrap(dendrite: Any, handler: Any) -> Any:
            log.append(f"{name} wraps {dendrite.neuron.name} on {dendrite.collateral.name}")

            def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
                log.append(f"{name} before")
                result = handler(payload, axon, ctx)
                log.append(f"{name} after")
                return result

            return wrapped

        return wrap

    one = neuron("one").dendrite(collateral=ping, response=lambda _: log.append("handler"))
    one.dendrite(collateral=a, response=lambda n, axon, ctx: log.append(f"handler of {ctx.task.neuron.name}"))
    cns = CNS([one], middleware=[layer("outer"), layer("inner")])
    assert sorted(log) == [f"{name} wraps one on {each}" for name in ("inner", "outer") for each in ("a", "ping")]
    log.clear()
    cns.stimulate(ping.create_signal(1))
    cns.stimulate(a.create_signal(1))
    around = [
        ["outer before", "inner before", middle, "inner after", "outer after"]
        for middle in ("handler", "handler of one")
    ]
    assert log == around[0] + around[1]


@pytest.mark.anyio
async def test_middleware_may_make_a_handler_asynchronous_or_replace_it() -> None:
    log: list[str] = []

    def retry(dendrite: Any, handler: Any) -> Any:
        async def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            for _ in range(3):
                try:
                    result = handler(payload, axon, ctx)
                    return await result if asyncio.iscoroutine(result) else result
                except LookupError:
                    await asyncio.sleep(0)
            return None

        return wrapped

    async def flaky(payload: int) -> Any:
        log.append("tried")
        if len(log) < 3:
            raise LookupError
        return a.create_signal(payload)

    one = neuron("one", {"a": a}).dendrite(collateral=ping, response=flaky)
    cns = CNS([one, sink("end", a, log)], middleware=[retry])
    await cns.stimulate(ping.create_signal(1))
    assert log == ["tried"] * 3 + ["end"]
    double = CNS([one, sink("end", a, log)], middleware=[lambda dendrite, handler: lambda payload, axon, ctx: None])
    await double.stimulate(ping.create_signal(1))
    assert len(log) == 4


def test_async_middleware_is_refused_without_a_loop_before_any_of_its_code_runs() -> None:
    log: list[str] = []

    def wrap(dendrite: Any, handler: Any) -> Any:
        async def wrapped(payload: Any, axon: Any, ctx: Any) -> Any:
            log.append("ran")

        return wrapped

    run = CNS([sink("ears", ping, log)], middleware=[wrap]).stimulate(ping.create_signal(1))
    assert (run.outcome, log) == ("failed", [])
    assert "'ears'" in str(run.failed_tasks[0].error)


def test_what_middleware_returns_is_checked_like_any_result() -> None:
    def wrap(dendrite: Any, handler: Any) -> Any:
        return lambda payload, axon, ctx: 3

    run = CNS([sink("ears", ping, [])], middleware=[wrap]).stimulate(ping.create_signal(1))
    assert "int" in str(run.failed_tasks[0].error)


@pytest.mark.parametrize("result", [None, 3, "handler"])
def test_middleware_that_returns_no_handler_is_a_type_error_when_the_graph_is_compiled(result: Any) -> None:
    with pytest.raises(TypeError, match="middleware"):
        CNS([sink("ears", ping, [])], middleware=[lambda dendrite, handler: result])
    with pytest.raises(TypeError, match="middleware"):
        CNS([sink("ears", ping, [])], middleware=[result])


def test_middleware_that_raises_raises_out_of_the_compiling() -> None:
    def wrap(dendrite: Any, handler: Any) -> Any:
        raise LookupError("broken")

    log: list[str] = []
    ears = sink("ears", ping, log)
    with pytest.raises(LookupError, match="broken"):
        CNS([ears], middleware=[wrap])
    ears.dendrite(collateral=a, response=lambda _: log.append("a"))
    CNS([ears]).stimulate(a.create_signal(1))
    assert log == ["a"]
