"""pydantic-graph: async steps wired by a ``GraphBuilder``, with instrumentation off. Its steps are always async."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from pydantic_graph import Graph, GraphBuilder, StepContext, reduce_sum
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


async def add_one(ctx: StepContext[None, None, int]) -> int:
    return ctx.inputs + 1


def build_chain(count: int) -> Graph[None, None, int, int]:
    builder = GraphBuilder(input_type=int, output_type=int, auto_instrument=False)
    steps = [builder.step(add_one, node_id=f"step{number}") for number in range(count)]
    builder.add(builder.edge_from(builder.start_node).to(steps[0]))
    for step, following in pairwise(steps):
        builder.add(builder.edge_from(step).to(following))
    builder.add(builder.edge_from(steps[-1]).to(builder.end_node))
    return builder.build()


def chain(count: int) -> Case:
    graph = build_chain(count)

    async def case() -> int:
        return await graph.run(inputs=0, infer_name=False)

    return case


def fan_out() -> Case:
    async def count(ctx: StepContext[None, None, int]) -> int:
        return ctx.inputs

    builder = GraphBuilder(input_type=int, output_type=int, auto_instrument=False)
    subscribers = [builder.step(count, node_id=f"subscriber{number}") for number in range(SIZE)]
    total = builder.join(reduce_sum, initial=0)
    builder.add(
        builder.edge_from(builder.start_node).to(*subscribers),
        builder.edge_from(*subscribers).to(total),
        builder.edge_from(total).to(builder.end_node),
    )
    graph = builder.build()

    async def case() -> int:
        return await graph.run(inputs=1, infer_name=False)

    return case


def suspended() -> Case:
    box = Box()

    async def wait(ctx: StepContext[None, None, int]) -> int:
        await asyncio.sleep(0)
        box.value += ctx.inputs
        return ctx.inputs

    builder = GraphBuilder(input_type=int, output_type=int, auto_instrument=False)
    step = builder.step(wait)
    builder.add(builder.edge_from(builder.start_node).to(step), builder.edge_from(step).to(builder.end_node))
    graph = builder.build()

    async def case() -> int:
        box.value = 0
        await asyncio.gather(*(graph.run(inputs=1, infer_name=False) for _ in range(SIZE)))
        return box.value

    return case


CONTENDER = Contender(
    name="pydantic-graph",
    what="typed graph of async steps",
    distribution="pydantic-graph",
    cases={
        FAN_OUT: fan_out,
        ASYNC_CHAIN: lambda: chain(SIZE),
        RUN: lambda: chain(1),
        SUSPENDED: suspended,
    },
    remarks={
        CHAIN: "Its steps are always `async`: see `async chain`.",
        FAN_OUT: "With `async` subscribers, the only ones it has, and the join that it needs to end such a run.",
        RUN: "An `async` handler, awaited inside the event loop.",
    },
    fairness=(
        "each step is a task of its own, which hands its result to the run over a stream. Values flow along the edges "
        "to one typed result; there are joins with reducers, mapping over iterables, injected dependencies, and a run "
        "can be driven step by step. Made for agents that call language models, beside which such "
        "times vanish."
    ),
)
