"""Burr: actions that read and write an immutable state, and transitions between them.

An application is built beforehand and run again and again with new inputs, as in its examples with a loop of turns: the
last action leads back to the first. Without a tracker, a persister or hooks, which is its quickest way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from burr.core import Application, ApplicationBuilder, State, action
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


@action(reads=[], writes=["value"])
def begin(state: State[Any], start: int) -> State[Any]:
    return state.update(value=start + 1)


@action(reads=["value"], writes=["value"])
def add_one(state: State[Any]) -> State[Any]:
    return state.update(value=state["value"] + 1)


@action(reads=[], writes=["value"])
async def begin_async(state: State[Any], start: int) -> State[Any]:
    return state.update(value=start + 1)


@action(reads=["value"], writes=["value"])
async def add_one_async(state: State[Any]) -> State[Any]:
    return state.update(value=state["value"] + 1)


def build(first: Any, following: Any, count: int) -> Application[Any]:
    names = [f"step{number}" for number in range(count)]
    actions: dict[str, Any] = {**dict.fromkeys(names, following), names[0]: first}
    return (
        ApplicationBuilder()
        .with_actions(**actions)
        .with_transitions(*zip(names, [*names[1:], names[0]], strict=True))
        .with_entrypoint(names[0])
        .build()
    )


def chain(count: int) -> Case:
    application, last = build(begin, add_one, count), f"step{count - 1}"

    def case() -> int:
        _, _, state = application.run(halt_after=[last], inputs={"start": 0})
        value: int = state["value"]
        return value

    return case


def async_chain() -> Case:
    application, last = build(begin_async, add_one_async, SIZE), f"step{SIZE - 1}"

    async def case() -> int:
        _, _, state = await application.arun(halt_after=[last], inputs={"start": 0})
        value: int = state["value"]
        return value

    return case


def suspended() -> Case:
    box = Box()

    @action(reads=[], writes=[])
    async def wait(state: State[Any], value: int) -> State[Any]:
        await asyncio.sleep(0)
        box.value += value
        return state

    applications = [build(wait, wait, 1) for _ in range(SIZE)]

    async def case() -> int:
        box.value = 0
        await asyncio.gather(*(one.arun(halt_after=["step0"], inputs={"value": 1}) for one in applications))
        return box.value

    return case


CONTENDER = Contender(
    name="Burr",
    what="state machine over immutable state",
    distribution="apache-burr",
    cases={CHAIN: lambda: chain(SIZE), ASYNC_CHAIN: async_chain, RUN: lambda: chain(1), SUSPENDED: suspended},
    remarks={
        FAN_OUT: "A state machine is in one action at a time; its parallel actions are applications of their own.",
        RUN: "A further run of an application that exists; building one per run would cost several times as much.",
        SUSPENDED: "One application for each run, built beforehand: an application is one run at a time.",
    },
    fairness=(
        "every step makes a new state, checked for what the action declared to write, so there is always a whole state "
        "to persist, fork or go back to; cnstra keeps what is left to do, not what the data was. Burr also "
        "has streaming actions, persisters, and a user interface that shows past runs."
    ),
)
