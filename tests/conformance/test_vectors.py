"""S2–S12: both engines do what the original did, on graphs that were drawn at random."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import cnstra

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "vectors.jsonl").read_text().splitlines()]


class Gates:
    """Futures that the driver opens one by one, in the order in which they were reached."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future

    def release(self, index: int) -> None:
        self.waiting.pop(index).set_result(None)


def shape(spec: dict[str, Any], axon: Any, payload: int) -> Any:
    following = payload - spec["cost"]
    if following < 0 or spec["shape"] == "none":
        return None
    if spec["shape"] == "empty":
        return []
    signals = [axon[name].create_signal(following) for name in spec["emit"]]
    return signals[0] if spec["shape"] == "one" else signals


def make_handler(name: str, spec: dict[str, Any], trace: list[Any], gates: Gates) -> Any:
    def start(payload: int, ctx: Any) -> None:
        event = {"t": "start", "neuron": name, "collateral": spec["collateral"], "payload": payload}
        if spec["touches_context"]:
            event["context"] = (ctx.get() or 0) + 1
            ctx.set(event["context"])
        trace.append(event)

    def finish(payload: int, axon: Any) -> Any:
        if payload == spec["fail_at"]:
            raise ValueError(f"boom {name} {payload}")
        return shape(spec, axon, payload)

    def plain(payload: int, axon: Any, ctx: Any) -> Any:
        start(payload, ctx)
        return finish(payload, axon)

    async def suspending(payload: int, axon: Any, ctx: Any) -> Any:
        start(payload, ctx)
        for _ in range(spec["awaits"]):
            await gates.wait()
        return finish(payload, axon)

    return suspending if spec["awaits"] else plain


def describe(kind: str, response: Any) -> dict[str, Any]:
    output = response.output_signal
    return {
        "t": kind,
        "neuron": response.neuron and response.neuron.name,
        "input": response.input_signal and response.input_signal.collateral_name,
        "output": output and output.collateral_name,
        "payload": output and output.payload,
        "queue_length": response.queue_length,
        "pending": response.pending_activations,
        "active": response.active_activations,
        "error": response.error and str(response.error),
    }


async def settle() -> None:
    """Let the loop run until nothing moves: no gate takes this many passes to be reached."""
    for _ in range(20):
        await asyncio.sleep(0)


async def drive(vector: dict[str, Any]) -> list[Any]:
    trace: list[Any] = []
    gates = Gates()
    graph, options = vector["graph"], vector["options"]
    collaterals = {name: cnstra.collateral(name, int) for name in graph["collaterals"]}
    neurons = []
    for spec in graph["neurons"]:
        neuron = cnstra.neuron(spec["name"], {name: collaterals[name] for name in spec["axon"]})
        for dendrite in spec["dendrites"]:
            handler = make_handler(spec["name"], dendrite, trace, gates)
            neuron.dendrite(collateral=collaterals[dendrite["collateral"]], response=handler)
        neurons.append(neuron)
    cns = cnstra.CNS(neurons)

    def on_response(response: Any) -> Any:
        trace.append(describe("response", response))
        output = response.output_signal
        if options["listener"] == "gated" and output and output.payload >= 0 and output.payload % 2 == 0:
            return gates.wait()
        return None

    def on_drain(drain: Any) -> None:
        trace.append(
            {
                "t": "drain",
                "queue_length": drain.queue_length,
                "pending": drain.pending_activations,
                "active": drain.active_activations,
            }
        )

    if options["global_listener"]:
        cns.add_response_listener(lambda response: trace.append(describe("global_response", response)))
    signals = [collaterals[s["collateral"]].create_signal(s["payload"]) for s in vector["stimulate"]]
    run = cns.stimulate(
        signals[0] if vector["single"] else signals,
        on_response=None if options["listener"] == "none" else on_response,
        on_drain=on_drain if options["drain"] else None,
        concurrency=options["concurrency"],
    )
    trace.append({"t": "returned"})
    releases = [event["index"] for event in vector["trace"] if event["t"] == "release"]
    opened = 0
    while True:
        await settle()
        if opened == options["abort_after_releases"]:
            run.abort()
            trace.append({"t": "abort"})
            await settle()
        if not gates.waiting:
            break
        index = releases[opened] if vector["compare"] == "trace" else 0
        trace.append({"t": "release", "index": index, "waiting": len(gates.waiting)})
        gates.release(index)
        opened += 1
    assert run.done()
    failed = [
        {
            "neuron": failure.task.neuron.name,
            "collateral": failure.task.collateral.name,
            "payload": failure.task.signal.payload,
            "aborted": failure.aborted,
            "error": str(failure.error),
        }
        for failure in run.failed_tasks
    ]
    outcome = "completed" if run.outcome == "completed" else "failed"
    trace.append({"t": "done", "outcome": outcome, "failed": failed, "contexts": run.context.get_all()})
    return trace


def without(events: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key not in keys} for event in events]


def comparable(trace: list[Any]) -> list[Any]:
    """The trace without the texts of errors that an abort made."""
    *events, done = trace
    failed = [{**f, "error": None if f["aborted"] else f["error"]} for f in done["failed"]]
    return [*events, {**done, "failed": failed}]


def multisets(trace: list[Any]) -> Any:
    *events, done = trace

    def count(*kinds: str) -> Counter[str]:
        chosen = [event for event in events if event["t"] in kinds]
        return Counter(
            json.dumps(event, sort_keys=True)
            for event in without(chosen, "queue_length", "pending", "active", "context")
        )

    failed = Counter(json.dumps(f, sort_keys=True) for f in without(done["failed"], "error"))
    return count("start"), count("response"), count("global_response"), done["outcome"], failed


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    trace = asyncio.run(drive(vector))
    expected = vector["trace"]
    if vector["compare"] == "trace":
        assert comparable(trace) == comparable(expected)
    else:
        assert multisets(trace) == multisets(expected)


def test_every_vector_is_there() -> None:
    assert len(VECTORS) == 294
