"""S15: one context value per neuron per run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cnstra import CNS, Context, ContextStore, Drain, MemoryContextStore, Response, collateral, neuron, neuron_factory

from .gates import Gates, relay, settle

ping = collateral("ping", int)
a, b, c = collateral("a", int), collateral("b", int), collateral("c", int)


def counter(name: str, heard: Any = ping, *emitted: Any) -> Any:
    """A neuron that counts its activations in its context."""
    counting = neuron(name, {each.name: each for each in emitted})

    @counting.dendrite(heard)
    def count(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.set(ctx.get(0) + 1)
        return [each.create_signal(payload) for each in emitted]

    return counting


def test_a_value_is_kept_per_neuron_and_run() -> None:
    cns = CNS([counter("one"), counter("two", a)])
    first = cns.stimulate([ping.create_signal(1), ping.create_signal(2), a.create_signal(3)])
    second = cns.stimulate(ping.create_signal(1))
    assert first.context.get_all() == {"one": 2, "two": 1}
    assert second.context.get_all() == {"one": 1}


def test_all_dendrites_of_a_neuron_share_its_value() -> None:
    both = neuron("both")
    both.dendrite(collateral=ping, response=lambda n, axon, ctx: ctx.set((ctx.get() or 0) + 1))
    both.dendrite(collateral=a, response=lambda n, axon, ctx: ctx.set((ctx.get() or 0) + 10))
    assert CNS([both]).stimulate([ping.create_signal(1), a.create_signal(1)]).context.get_all() == {"both": 11}


def test_get_set_and_delete() -> None:
    seen: list[Any] = []

    def handle(payload: int, axon: None, ctx: Context[Any, Any]) -> None:
        seen.append(ctx.get())
        seen.append(ctx.get("default"))
        ctx.set(None)
        seen.append(ctx.get("default"))
        ctx.set(3)
        seen.append(ctx.get("default"))
        ctx.delete()
        ctx.delete()
        seen.append(ctx.get("default"))

    run = CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(1))
    run.raise_for_failure()
    assert seen == [None, "default", None, 3, "default"]
    assert run.context.get_all() == {}


def test_methods_can_be_detached() -> None:
    seen: list[Any] = []

    def handle(payload: int, axon: None, ctx: Context[Any, Any]) -> None:
        get, set_, delete = ctx.get, ctx.set, ctx.delete
        set_(payload)
        seen.append(get())
        delete()
        seen.append(get())

    CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(7)).raise_for_failure()
    assert seen == [7, None]


@pytest.mark.anyio
async def test_a_context_may_be_used_after_a_wait_and_after_the_handler_has_returned() -> None:
    kept: list[Any] = []

    async def handle(payload: int, axon: None, ctx: Any) -> None:
        await asyncio.sleep(0)
        ctx.set(payload)
        kept.append(ctx)

    run = CNS([neuron("one").dendrite(collateral=ping, response=handle)]).stimulate(ping.create_signal(7))
    await run
    assert kept[0].get() == 7
    kept[0].set(8)
    assert run.context.get("one") == 8


def test_a_context_knows_its_run_and_its_task() -> None:
    seen: list[Any] = []
    shared = object()

    def handle(payload: int, axon: None, ctx: Any) -> None:
        seen.append((ctx.cns, ctx.stimulation, ctx.shared, ctx.task.neuron, ctx.task.id, ctx.abort_signal.aborted))

    cns = CNS([neuron("one").dendrite(collateral=ping, response=handle)], shared=shared)
    run = cns.stimulate(ping.create_signal(1))
    assert seen == [(cns, run, shared, cns.neurons[0], 1, False)]


def test_a_response_carries_the_value_of_its_neuron() -> None:
    values: list[Any] = []
    cns = CNS([counter("one"), relay("two", ping, [])])
    cns.stimulate(
        [ping.create_signal(1), ping.create_signal(2)],
        on_response=lambda r: values.append((r.neuron and r.neuron.name, r.context_value)),
    )
    assert values == [(None, None), (None, None), ("one", 1), ("two", None), ("one", 2), ("two", None)]


def test_a_store_may_be_given_and_shared() -> None:
    store = MemoryContextStore({"one": 5})
    cns = CNS([counter("one")])
    runs = [cns.stimulate(ping.create_signal(1), context_store=store) for _ in range(2)]
    assert store.get_all() == {"one": 7}
    assert all(run.context is store for run in runs)


class Recorder:
    """A store of somebody's own, that is no subclass of anything."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.calls: list[str] = []

    def get(self, name: str, default: Any = None, /) -> Any:
        self.calls.append(f"get {name}")
        return self.values.get(name, default)

    def set(self, name: str, value: Any, /) -> None:
        self.calls.append(f"set {name}")
        self.values[name] = value

    def delete(self, name: str, /) -> None:
        self.calls.append(f"delete {name}")
        self.values.pop(name, None)

    def get_all(self) -> dict[str, Any]:
        return dict(self.values)

    def set_all(self, values: Mapping[str, Any], /) -> None:
        self.values = dict(values)


def test_a_store_is_anything_with_the_methods_and_is_asked_by_neuron_name() -> None:
    store = Recorder()
    assert isinstance(store, ContextStore)
    CNS([counter("one")]).stimulate(ping.create_signal(1), context_store=store)
    assert store.calls == ["get one", "set one"]


def test_a_store_that_fails_fails_the_activation_that_asked_it() -> None:
    class Broken(Recorder):
        def get(self, name: str, default: Any = None, /) -> Any:
            raise OSError("disk")

    log: list[str] = []
    run = CNS([counter("one"), relay("two", ping, log)]).stimulate(ping.create_signal(1), context_store=Broken())
    assert [repr(failure.error) for failure in run.failed_tasks] == ["OSError('disk')"]
    assert log == ["two"]


@pytest.mark.anyio
async def test_runs_that_go_on_side_by_side_do_not_see_each_other() -> None:
    gates = Gates()
    slow = neuron("slow")

    @slow.dendrite(ping)
    async def wait(payload: int, axon: None, ctx: Any) -> None:
        ctx.set(payload)
        await gates.wait(f"slow {payload}")
        assert ctx.get() == payload

    cns = CNS([slow])
    runs = [cns.stimulate(ping.create_signal(n)) for n in range(3)]
    for n in (2, 0, 1):
        await gates.open(f"slow {n}")
    assert [run.outcome for run in runs] == ["completed"] * 3


def test_a_factory_bakes_the_types_in_and_changes_nothing_else() -> None:
    factory = neuron_factory(context=int, shared=str)
    one = factory.neuron("one", {"a": a}, concurrency=2, max_duration=1.5)

    @one.dendrite(ping)
    def count(payload: int, axon: Any, ctx: Context[int, str]) -> Any:
        ctx.set((ctx.get() or 0) + len(ctx.shared))
        return axon.a.create_signal(payload)

    assert (one.concurrency, one.max_duration) == (2, 1.5)
    assert CNS([one], shared="four").stimulate(ping.create_signal(1)).context.get_all() == {"one": 4}


def contexts_at_drains(cns: CNS, signals: Any, **options: Any) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cns.stimulate(signals, on_drain=lambda drain: seen.append(drain.stimulation.context.get_all()), **options)
    return seen


def test_auto_cleanup_drops_values_that_nothing_can_reach_any_more_before_the_drain() -> None:
    neurons = [counter("one", ping, a), counter("two", a, b), counter("three", b)]
    assert contexts_at_drains(CNS(neurons), ping.create_signal(1)) == [{"one": 1, "two": 1, "three": 1}]
    assert contexts_at_drains(CNS(neurons, auto_cleanup_contexts=True), ping.create_signal(1)) == [{}]


@pytest.mark.anyio
async def test_auto_cleanup_keeps_what_an_unfinished_activation_can_still_reach() -> None:
    gates = Gates()
    slow = neuron("slow", {"b": b})

    @slow.dendrite(a)
    async def wait(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.set("slow")
        await gates.wait("slow")
        return b.create_signal(payload)

    cns = CNS(
        [counter("before", ping, a), slow, counter("after", b, c), counter("leaf", c)], auto_cleanup_contexts=True
    )
    seen: list[dict[str, Any]] = []
    run = cns.stimulate(
        [c.create_signal(0), b.create_signal(0), ping.create_signal(1)],
        on_drain=lambda drain: seen.append(drain.stimulation.context.get_all()),
    )
    # Nothing reaches 'before' any more; 'slow' is active, and 'after' and 'leaf' lie behind it.
    assert seen == [{"slow": "slow", "after": 1, "leaf": 2}]
    await gates.open("slow")
    assert seen[1:] == [{}]
    assert run.outcome == "completed"


@pytest.mark.anyio
async def test_auto_cleanup_drops_cycles_and_leaves_and_keeps_a_cycle_that_is_still_going() -> None:
    gates = Gates()
    # left and right pass a signal to and fro; right waits each time.
    left, right = counter("left", a, b), neuron("right", {"a": a, "c": c})

    @right.dendrite(b)
    async def wait(payload: int, axon: Any, ctx: Any) -> Any:
        ctx.set((ctx.get() or 0) + 1)
        await gates.wait("right")
        return [a.create_signal(payload - 1)] if payload else [c.create_signal(0)]

    cns = CNS([left, right, counter("leaf", c)], auto_cleanup_contexts=True)
    seen: list[dict[str, Any]] = []
    run = cns.stimulate(a.create_signal(1), on_drain=lambda drain: seen.append(drain.stimulation.context.get_all()))
    await gates.open("right")
    await gates.open("right")
    assert run.outcome == "completed"
    assert seen == [{"left": 1, "right": 1}, {"left": 2, "right": 2}, {}]


@pytest.mark.anyio
async def test_auto_cleanup_counts_what_waits_at_a_listener_or_for_a_slot() -> None:
    gates = Gates()
    limited = neuron("limited", concurrency=1)

    @limited.dendrite(a)
    async def wait(payload: int, axon: None, ctx: Any) -> None:
        ctx.set(payload)
        await gates.wait(f"limited {payload}")

    cns = CNS([limited, counter("parked", b)], auto_cleanup_contexts=True)
    seen: list[dict[str, Any]] = []

    def on_response(response: Response) -> Any:
        return gates.wait("listener") if response.output_signal == b.create_signal(9) else None

    def on_drain(drain: Drain) -> None:
        seen.append(drain.stimulation.context.get_all())

    run = cns.stimulate(
        [b.create_signal(0), b.create_signal(9), a.create_signal(1), a.create_signal(2)],
        on_response=on_response,
        on_drain=on_drain,
    )
    assert seen == [{"parked": 1, "limited": 1}]
    await gates.open("limited 1")
    assert seen[-1] == {"parked": 1, "limited": 2}
    await gates.open("limited 2")
    assert seen[-1] == {"parked": 1}
    await gates.open("listener")
    assert seen[-1] == {}
    assert run.outcome == "completed"


def test_auto_cleanup_never_touches_a_store_that_the_caller_gave() -> None:
    store = MemoryContextStore({"somebody else": 1})
    cns = CNS([counter("one")], auto_cleanup_contexts=True)
    assert contexts_at_drains(cns, ping.create_signal(1), context_store=store) == [{"somebody else": 1, "one": 1}]


def test_auto_cleanup_leaves_names_alone_that_are_no_neurons() -> None:
    kept: list[dict[str, Any]] = []
    one = neuron("one")

    @one.dendrite(ping)
    def handle(payload: int, axon: None, ctx: Any) -> None:
        ctx.stimulation.context.set("of the caller", payload)
        ctx.set(payload)

    cns = CNS([one], auto_cleanup_contexts=True)
    cns.stimulate(ping.create_signal(1), on_drain=lambda drain: kept.append(drain.stimulation.context.get_all()))
    assert kept == [{"of the caller": 1}]


@pytest.mark.anyio
async def test_auto_cleanup_goes_by_what_neurons_own_not_by_what_they_emit() -> None:
    gates = Gates()
    quiet = neuron("quiet", {"b": b}).dendrite(collateral=a, response=lambda _: gates.wait("quiet"))
    cns = CNS([quiet, counter("behind", b)], auto_cleanup_contexts=True)
    seen: list[dict[str, Any]] = []
    run = cns.stimulate(
        [b.create_signal(1), a.create_signal(1)],
        on_drain=lambda drain: seen.append(drain.stimulation.context.get_all()),
    )
    await gates.open("quiet")
    await settle()
    assert seen == [{"behind": 1}, {}]
    assert run.outcome == "completed"
