"""S10 and S17: a run that is aborted at any point and resumed from its frontier does everything exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Collateral, Stimulation, collateral, neuron

from .gates import settle

Work = Counter[tuple[str, Any]]


class Witness:
    """Counts what succeeded, and aborts the run at the chosen point."""

    def __init__(self, kind: str, point: int) -> None:
        self.kind = kind
        self.point = point
        self.seen = 0
        self.done: Work = Counter()

    def meet(self, kind: str, run: Stimulation) -> None:
        if kind == self.kind:
            self.seen += 1
            if self.seen == self.point:
                run.abort("the chosen point")


# A graph is what each neuron hears, what it emits, and what it is: plain, asynchronous, slow, limited or a join.
GRAPHS: dict[str, dict[str, tuple[list[str], list[str], str]]] = {
    "a chain": {
        "one": (["in"], ["a"], "plain"),
        "two": (["a"], ["b"], "plain"),
        "three": (["b"], [], "plain"),
    },
    "an asynchronous chain": {
        "one": (["in"], ["a"], "slow"),
        "two": (["a"], ["b"], "at once"),
        "three": (["b"], [], "slow"),
    },
    "a fan": {
        "source": (["in"], ["a", "b"], "plain"),
        "left": (["a"], ["c"], "slow"),
        "right": (["b"], ["d"], "plain"),
        "ends": (["c", "d"], [], "slow"),
        "also": (["a", "b"], [], "at once"),
    },
    "one slot": {
        "source": (["in"], ["a"], "plain"),
        "limited": (["a"], ["b"], "limited"),
        "end": (["b"], [], "plain"),
        "other": (["a"], [], "slow"),
    },
    "a circle": {
        "left": (["in", "b"], ["a"], "plain"),
        "right": (["a"], ["b"], "slow"),
    },
    "a join": {
        "source": (["in"], ["a", "b"], "slow"),
        "left": (["a"], ["c"], "slow"),
        "right": (["b"], ["d"], "plain"),
        "total": (["c", "d"], ["e"], "join"),
        "end": (["e"], [], "plain"),
    },
}


def build(graph: str, witness: Witness) -> tuple[CNS, Collateral[Any]]:
    collaterals: dict[str, Collateral[Any]] = {}

    def channel(name: str) -> Collateral[Any]:
        return collaterals.setdefault(name, collateral(name, object))

    def handler(name: str, emits: list[str], kind: str) -> Callable[..., Any]:
        def start(ctx: Any) -> None:
            witness.meet("start", ctx.stimulation)

        def finish(payload: Any) -> Any:
            witness.done[name, str(payload)] += 1
            path = str(payload)
            if len(path) > 60:  # circles end some time
                return None
            return [channel(each).create_signal(f"{path}>{name}:{each}") for each in emits]

        def plain(payload: Any, axon: Any, ctx: Any) -> Any:
            start(ctx)
            return finish(payload)

        async def at_once(payload: Any, axon: Any, ctx: Any) -> Any:
            start(ctx)
            return finish(payload)

        async def slow(payload: Any, axon: Any, ctx: Any) -> Any:
            start(ctx)
            for _ in range(1 + len(str(payload)) % 3):
                await asyncio.sleep(0)
            return finish(payload)

        return {"plain": plain, "at once": at_once, "join": plain}.get(kind, slow)

    neurons = []
    for name, (hears, emits, kind) in GRAPHS[graph].items():
        made = neuron(name, {each: channel(each) for each in emits}, concurrency=1 if kind == "limited" else None)
        wire: Any = made.join if kind == "join" else made.dendrite
        wire(collateral=[channel(each) for each in hears], response=handler(name, emits, kind))
        neurons.append(made)
    return CNS(neurons), channel("in")


def options(witness: Witness, listener: str) -> dict[str, Any]:
    def on_response(response: Any) -> Any:
        witness.meet("response", response.stimulation)
        return asyncio.sleep(0) if listener == "slow listener" else None

    def on_drain(drain: Any) -> None:
        witness.meet("drain", drain.stimulation)

    return {"on_response": on_response, "on_drain": on_drain, "concurrency": 2 if listener == "two at once" else None}


def carried(cns: CNS, tasks: list[ActivationTask]) -> list[ActivationTask]:
    """The tasks as another process would see them: by name."""
    return [cns.network.load(cns.network.dump(task)) for task in tasks]


async def run_with_an_abort_at(graph: str, listener: str, kind: str, point: int) -> tuple[Work, int]:
    """Abort at the point, resume until it is done; what succeeded how often, and in how many runs."""
    witness = Witness(kind, point)
    cns, entry = build(graph, witness)
    run = cns.stimulate([entry.create_signal("x"), entry.create_signal("y")], **options(witness, listener))
    runs = 1
    while True:
        try:
            await run
        except Exception:
            assert run.outcome == "aborted"
        else:
            assert run.outstanding_tasks == []
            return witness.done, runs
        assert runs < 10, "it does not end"
        tasks = run.outstanding_tasks
        assert [task.id for task in tasks] == sorted(task.id or 0 for task in tasks)
        assert sorted(failure.task.id or 0 for failure in run.failed_tasks) == [task.id for task in tasks]
        run = cns.activate(carried(cns, tasks), **options(witness, listener))
        runs += 1


def compare(graph: str, done: Work, expected: Work) -> None:
    """Everything succeeded once; what a join was given may be split over the runs, but nothing is lost or doubled."""
    if graph != "a join":
        assert done == expected
        return
    joined = {"total", "end"}
    assert {k: n for k, n in done.items() if k[0] not in joined} == {
        k: n for k, n in expected.items() if k[0] not in joined
    }
    assert all(count == 1 for count in done.values())
    seen = Counter(part for name, payload in done if name == "total" for part in payload.strip("[]").split(", "))
    wanted = Counter(part for name, payload in expected if name == "total" for part in payload.strip("[]").split(", "))
    assert seen == wanted


@pytest.mark.anyio
@pytest.mark.parametrize("listener", ["plain listener", "slow listener", "two at once"])
@pytest.mark.parametrize("kind", ["start", "response", "drain"])
@pytest.mark.parametrize("graph", GRAPHS)
async def test_an_aborted_run_is_resumed_from_its_frontier_to_the_same_end(
    graph: str, kind: str, listener: str
) -> None:
    expected, runs = await run_with_an_abort_at(graph, listener, kind, 0)
    assert runs == 1
    assert all(count == 1 for count in expected.values())
    point = 0
    while runs > 1 or point == 0:
        point += 1
        done, runs = await run_with_an_abort_at(graph, listener, kind, point)
        compare(graph, done, expected)
    assert point > 1, "there are several points to abort at, and the last one was beyond the end"


@pytest.mark.anyio
@pytest.mark.parametrize("graph", [graph for graph in GRAPHS if graph != "a join"])
async def test_a_cancelled_run_loses_nothing_either_and_what_was_cancelled_is_done_again(graph: str) -> None:
    expected, _ = await run_with_an_abort_at(graph, "plain listener", "start", 0)
    witness = Witness("start", 0)
    cns, entry = build(graph, witness)
    run = cns.stimulate([entry.create_signal("x"), entry.create_signal("y")])
    passes = 0
    while run.outcome != "completed":
        passes += 1  # a little further each time
        for _ in range(passes):
            await asyncio.sleep(0)
        run.cancel()
        await settle()
        if run.outcome == "aborted":
            run = cns.activate(run.outstanding_tasks)
    assert passes > 1 or graph == "a chain"
    assert set(witness.done) == set(expected)
