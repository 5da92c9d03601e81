"""LangGraph: nodes that update a shared state, compiled without a checkpointer, store or cache, and with tracing off.

Plain nodes are run by ``invoke`` and async ones by ``ainvoke``, its quicker choice for each.
"""

from __future__ import annotations

import asyncio
import operator
import os
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender

# Whoever has it on in the shell would measure, and send away, a trace of every run.
os.environ["LANGSMITH_TRACING"] = "false"


class Value(TypedDict):
    value: int


class Count(TypedDict):
    count: Annotated[int, operator.add]


def build_chain(node: Any, count: int) -> Any:
    builder = StateGraph(Value)
    names = [f"step{number}" for number in range(count)]
    for name in names:
        builder.add_node(name, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(source, target)
    # Every superstep counts against the limit, whose purpose is to end loops.
    return builder.compile().with_config({"recursion_limit": 10 * SIZE})


def chain(count: int) -> Case:
    def add_one(state: Value) -> Value:
        return {"value": state["value"] + 1}

    graph = build_chain(add_one, count)

    def case() -> int:
        value: int = graph.invoke({"value": 0})["value"]
        return value

    return case


def async_chain() -> Case:
    async def add_one(state: Value) -> Value:
        return {"value": state["value"] + 1}

    graph = build_chain(add_one, SIZE)

    async def case() -> int:
        value: int = (await graph.ainvoke({"value": 0}))["value"]
        return value

    return case


def fan_out() -> Case:
    def receive(state: Count) -> Count:
        return {"count": 1}

    builder = StateGraph(Count)
    for number in range(SIZE):
        builder.add_node(f"subscriber{number}", receive)
        builder.add_edge(START, f"subscriber{number}")
        builder.add_edge(f"subscriber{number}", END)
    graph = builder.compile()

    def case() -> int:
        count: int = graph.invoke({"count": 0})["count"]
        return count

    return case


def suspended() -> Case:
    box = Box()

    async def wait(state: Value) -> None:
        await asyncio.sleep(0)
        box.value += state["value"]

    graph = build_chain(wait, 1)

    async def case() -> int:
        box.value = 0
        await asyncio.gather(*(graph.ainvoke({"value": 1}) for _ in range(SIZE)))
        return box.value

    return case


CONTENDER = Contender(
    name="LangGraph",
    what="agents as graphs, in supersteps",
    distribution="langgraph",
    cases={
        CHAIN: lambda: chain(SIZE),
        FAN_OUT: fan_out,
        ASYNC_CHAIN: async_chain,
        RUN: lambda: chain(1),
        SUSPENDED: suspended,
    },
    remarks={FAN_OUT: "The subscribers run in a pool of threads and are counted by a reducer of the state."},
    fairness=(
        "runs in supersteps: all nodes that are due, then one update of the state through its channels and reducers. "
        "That gives a state at every step that can be saved, gone back to and branched from, interrupts for a person's "
        "answer, streaming of every update, and retries and caches per node; none of it is used here, but the "
        "machinery is in the numbers. Made for steps that call language models, beside which such times vanish."
    ),
)
