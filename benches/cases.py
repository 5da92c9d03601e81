"""The cases: what of the engine is measured, what it is compared with, and how much it may cost beside that.

Each function below makes one case, in the sizes that it is given. Nothing is timed here: ``ratios`` and ``test_times``
do that, after both sides have shown their results.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any

import cnstra
from cnstra import CNS, ActivationTask, Response, Stimulation

from . import graphs
from .case import Case, Claim, Sizes
from .graphs import AnyNeuron, Graph
from .timing import Work
from .witness import Witness
from .works import assert_outcome, assert_passed_on, fanned_out, stimulated, suspending_each_time

__all__ = ["CASES", "NEED_BARE", "bare_is_built"]


def bare_is_built() -> bool:
    """Whether there is the native module for this Python; without it only the folder of its sources has this name."""
    found = importlib.util.find_spec("benches.bare")
    return found is not None and found.origin is not None


def chain(sizes: Sizes) -> Case:
    """The price of a hop: to find the next dendrite, to keep the books, to check who owns what was emitted."""
    from .bare import Unwrapper

    graph = graphs.chain(sizes.chain)
    handlers, axons, signal = graph.handlers, graph.axons, graph.signal
    token = object()
    marked: Any = graph.collaterals[0]
    unwrapper = Unwrapper(marked.create_signal(token), token)

    def call_all() -> Any:
        return unwrapper.chain(handlers, axons, signal)

    def check() -> None:
        with Witness(*handlers) as seen:
            last = call_all()
        assert_passed_on(seen, graph)
        assert last == signal.payload

    return Case(
        Claim(
            name=f"chain of {sizes.chain:,} sync neurons that emit one signal",
            against="the same handlers in the bare loop, which only unwraps the signal",
            per="hop",
            limit=1.5,
        ),
        subject=stimulated(graph),
        rival=Work(call_all, sizes.chain, check),
    )


def fan_out(sizes: Sizes) -> Case:
    """The price of an activation that causes nothing."""
    from .bare import fan_out

    graph = graphs.fan(sizes.sinks)
    handlers, axons, payload = graph.handlers, graph.axons, graph.signal.payload

    def call_all() -> int:
        return fan_out(handlers, axons, payload)

    def check() -> None:
        with Witness(graphs.sink) as seen:
            assert call_all() == sizes.sinks
        assert sum(seen.payloads) == sizes.sinks * payload

    return Case(
        Claim(
            name=f"fan-out to {sizes.sinks:,} sinks",
            against="the same handlers in the bare loop",
            per="activation",
            limit=1.4,
        ),
        subject=fanned_out(graph),
        rival=Work(call_all, sizes.sinks, check),
    )


def one_run(sizes: Sizes) -> Case:
    """The price of a run: both sides are called from native code, so that this is all there is to see."""
    from .bare import repeat, repeat_one

    graph = graphs.fan(1)
    stimulate, signal, times = graph.cns.stimulate, graph.signal, sizes.runs
    (axon,), payload = graph.axons, graph.signal.payload

    def run_all() -> int:
        return repeat_one(stimulate, signal, times)

    def call_all() -> int:
        return repeat(graphs.sink, axon, payload, times)

    def check_of(do: Callable[[], int]) -> Callable[[], None]:
        def check() -> None:
            with Witness(graphs.sink) as seen:
                assert do() == times
            assert sum(seen.payloads) == times * payload
            assert_outcome(stimulate(signal))

        return check

    return Case(
        Claim(
            name="one run of one sink, `stimulate` to completion",
            against="one call of the handler in the bare loop",
            per="run",
            limit=6,
        ),
        subject=Work(run_all, times, check_of(run_all)),
        rival=Work(call_all, times, check_of(call_all)),
    )


def listener(sizes: Sizes) -> Case:
    """What it costs to be told of everything: a response is made and given for each hop."""
    graph = graphs.chain(sizes.chain)
    stimulate, signal = graph.cns.stimulate, graph.signal

    def listen(response: Response) -> None:
        pass

    def run() -> Stimulation:
        return stimulate(signal, on_response=listen)

    def check() -> None:
        with Witness(*graph.handlers) as seen:
            assert_outcome(run())
        assert_passed_on(seen, graph)
        with Witness(listen) as heard:
            run()
        # One for the entry, and one for each hop; the last signal has come all the way.
        assert len(heard.payloads) == sizes.chain + 1
        assert heard.payloads[-1].output_signal.payload == signal.payload

    return Case(
        Claim(
            name="the chain with one response listener",
            against="the chain without",
            per="hop",
            limit=4,
        ),
        subject=Work(run, sizes.chain, check),
        rival=stimulated(graph),
    )


def async_chain(sizes: Sizes) -> Case:
    """What it costs that each handler runs as a task of its own, with its own context, although it never suspends."""
    graph = graphs.async_chain(sizes.chain)
    stimulate, signal, handlers, payload = graph.cns.stimulate, graph.signal, graph.handlers, graph.signal.payload

    async def run() -> None:
        await stimulate(signal)

    async def call_all() -> None:
        for handler in handlers:
            await handler(payload)

    def check_of(do: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        async def check() -> None:
            with Witness(*handlers) as seen:
                await do()
            assert_passed_on(seen, graph)

        return check

    return Case(
        Claim(
            name=f"chain of {sizes.chain:,} async handlers that never suspend",
            against="`await handler(p)` in a coroutine",
            per="hop",
            limit=4,
        ),
        subject=Work(run, sizes.chain, check_of(run)),
        rival=Work(call_all, sizes.chain, check_of(call_all)),
    )


def suspended(sizes: Sizes) -> Case:
    """A run that waits, beside the task that anybody would write."""
    graph = graphs.suspending()
    stimulate, signal, (handler,), payload = graph.cns.stimulate, graph.signal, graph.handlers, graph.signal.payload
    times = sizes.waits

    async def run_all() -> None:
        for _ in range(times):
            await stimulate(signal)

    async def call_all() -> None:
        for _ in range(times):
            await asyncio.create_task(handler(payload))

    return Case(
        Claim(
            name="a run with one handler that suspends once",
            against="`await asyncio.create_task(handler(p))`",
            per="run",
            limit=1.3,
        ),
        subject=Work(run_all, times, suspending_each_time(run_all, graph, times)),
        rival=Work(call_all, times, suspending_each_time(call_all, graph, times)),
    )


def crowd(sizes: Sizes) -> Case:
    """The same, all at once."""
    graph = graphs.suspending()
    cns, signal, (handler,), payload = graph.cns, graph.signal, graph.handlers, graph.signal.payload
    times = sizes.crowd

    async def run_all() -> None:
        async with cns:
            for _ in range(times):
                cns.stimulate(signal)

    async def call_all() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(times):
                group.create_task(handler(payload))

    async def check() -> None:
        await suspending_each_time(run_all, graph, times)()
        async with cns:
            runs = [cns.stimulate(signal) for _ in range(times)]
            assert {run.outcome for run in runs} == {"running"}
        for run in runs:
            assert_outcome(run)

    return Case(
        Claim(
            name=f"{sizes.crowd:,} such runs at once",
            against=f"a TaskGroup with {sizes.crowd:,} such tasks",
            per="run",
            limit=1.3,
        ),
        subject=Work(run_all, times, check),
        rival=Work(call_all, times, suspending_each_time(call_all, graph, times)),
    )


def resume(sizes: Sizes) -> Case:
    """What was left of a run goes on: each task is a Python object that is checked, looked up and counted first."""
    graph = graphs.fan(sizes.sinks)
    signal, count = graph.signal, sizes.tasks
    tasks = [ActivationTask(graph.neurons[number % sizes.sinks], signal) for number in range(count)]
    activate = graph.cns.activate

    def run() -> Stimulation:
        return activate(tasks)

    def check() -> None:
        with Witness(graphs.sink) as seen:
            assert_outcome(run())
        assert sum(seen.payloads) == count * signal.payload

    return Case(
        Claim(
            name=f"resuming {count:,} tasks with `activate`",
            against="the fan-out",
            per="activation",
            limit=2,
        ),
        subject=Work(run, count, check),
        rival=fanned_out(graph),
    )


def building(sizes: Sizes) -> Case:
    """A graph is compiled from neurons that are new each time, as the first time is the one that counts."""
    size = sizes.neurons
    fresh: list[AnyNeuron] = []
    _, handlers, collaterals = graphs.row(size, "hop", lambda _: graphs.relay())

    def make() -> list[AnyNeuron]:
        return [
            cnstra.neuron(f"n{number}", {"out": collaterals[number + 1]}).dendrite(
                collateral=collaterals[number], response=handlers[number]
            )
            for number in range(size)
        ]

    def prepare() -> None:
        fresh[:] = make()

    def build() -> CNS:
        return CNS(fresh)

    def check_build() -> None:
        signal = collaterals[0].create_signal(3)
        graph = Graph(build(), fresh, handlers, collaterals, signal)
        assert len(graph.cns.neurons) == size
        stimulated(graph).check()

    def check_make() -> None:
        made = make()
        assert len({neuron.name for neuron in made}) == size
        assert [neuron.axon.out for neuron in made] == collaterals[1:]

    return Case(
        Claim(
            name=f"building a CNS of {size:,} neurons",
            against="making its neurons",
            per="neuron",
            limit=0.5,
        ),
        subject=Work(build, size, check_build, prepare),
        rival=Work(make, size, check_make),
    )


def many_neurons(sizes: Sizes) -> Case:
    """Whether a hop costs the same however large the graph is: one run through all neurons, many through few."""
    large, small = graphs.chain(sizes.many_neurons), graphs.chain(sizes.chain)
    stimulate, signal, times = small.cns.stimulate, small.signal, sizes.many_neurons // sizes.chain

    def run_small() -> None:
        for _ in range(times):
            stimulate(signal)

    return Case(
        Claim(
            name=f"a hop on a graph of {sizes.many_neurons:,} neurons",
            against=f"a hop on one of {sizes.chain:,}",
            per="hop",
            limit=3,
        ),
        subject=stimulated(large),
        rival=Work(run_small, times * sizes.chain, stimulated(small).check),
    )


def engines(sizes: Sizes) -> Case:
    """What the native engine is good for."""
    from tests.engines import load_python

    native, pure = graphs.chain(sizes.chain), graphs.chain(sizes.chain, package=load_python())
    return Case(
        Claim(
            name="the chain, native engine",
            against="the chain, pure Python engine",
            per="hop",
            limit=12,
            faster=True,
        ),
        subject=stimulated(native),
        rival=stimulated(pure),
    )


CASES: dict[str, Callable[[Sizes], Case]] = {
    case.__name__: case
    for case in (
        chain, fan_out, one_run, listener, async_chain, suspended, crowd, resume, building, many_neurons, engines,
    )
}  # fmt: skip
"""All of them, by the names that ``--only`` looks at, in the order of the table."""

NEED_BARE = {"chain", "fan_out", "one_run"}
"""Those that cannot be made without the native module."""
