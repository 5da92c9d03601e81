"""cnstra: a neuron for each step, and nothing that a step causes starts before that step is committed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from cnstra import CNS, Collateral, Neuron, Signal, collateral, neuron
from cnstra.durable import Durable, Store

from .contender import STEPS, Contender, Place, Run

__all__ = ["ON_POSTGRES", "ON_SQLITE", "ON_SQLITE_FULL"]

State = dict[str, int]


def chain(ended: list[State]) -> tuple[CNS, Collateral[State]]:
    """As many neurons as there are steps; what the last one makes is noted in ``ended`` as well."""
    collaterals = [collateral(f"state{number}", State) for number in range(STEPS + 1)]

    def step(out: Collateral[State], is_last: bool) -> Any:
        def add_one(state: State) -> Signal[State]:
            made = {"count": state["count"] + 1}
            if is_last:
                ended.append(made)
            return out.create_signal(made)

        return add_one

    neurons: list[Neuron[Any, Any, Any, Any]] = [
        neuron(f"step{number}", {"out": collaterals[number + 1]}).dendrite(
            collateral=collaterals[number], response=step(collaterals[number + 1], number == STEPS - 1)
        )
        for number in range(STEPS)
    ]
    return CNS(neurons), collaterals[0]


@contextmanager
def opened(place: Place, store: Store) -> Generator[Run]:
    ended: list[State] = []
    cns, first = chain(ended)
    # Made in the loop in which it is used.
    durable = place.runner.run(entered(Durable(cns, store, sync="hop")))

    async def go() -> State:
        await (await durable.start(first.create_signal({"count": 0})))
        return ended.pop()

    async def check() -> None:
        run = await durable.start(first.create_signal({"count": 0}))
        await run
        tasks = (await durable.tasks(run.id, limit=10_000)).items
        assert [task.outputs[0]["payload"] for task in tasks] == [{"count": number + 1} for number in range(STEPS)]
        assert ended.pop() == {"count": STEPS}

    async def leave() -> None:
        await durable.__aexit__(None, None, None)

    try:
        place.runner.run(check())
        yield lambda: place.runner.run(go())
    finally:
        place.runner.run(leave())


async def entered(durable: Durable) -> Durable:
    await durable.__aenter__()
    return durable


def on_sqlite(place: Place, synchronous: str) -> Any:
    return opened(place, Store.open(f"sqlite:///{place.folder}/cnstra-{synchronous}.db", synchronous=synchronous))


FAIRNESS = (
    "a step is one commit: that it has finished, with its duration and what it has returned, and what is to be done "
    "next, as a row of its own. The commit compares the fence of the run, so that a process that was away cannot "
    'write what another has taken over. With `sync="turn"`, the default, the run does not wait for its commits, which '
    "is quicker; it is not what the others are compared with here. Nothing else commits meanwhile: many runs at once "
    "share their commits."
)

ON_SQLITE = Contender(
    name="cnstra",
    distributions=(),
    store="SQLite",
    settings='write-ahead log, `synchronous=NORMAL` (its default); `sync="hop"`',
    opened=lambda place: on_sqlite(place, "normal"),
    fairness=FAIRNESS,
)
ON_SQLITE_FULL = Contender(
    name='cnstra, `synchronous="full"`',
    distributions=(),
    store="SQLite",
    settings='write-ahead log, `synchronous=FULL`; `sync="hop"`',
    opened=lambda place: on_sqlite(place, "full"),
    fairness="",
)
ON_POSTGRES = Contender(
    name="cnstra",
    distributions=("psycopg",),
    store="PostgreSQL",
    settings='as the server is set up; `sync="hop"`',
    opened=lambda place: opened(place, Store.open(place.url, schema=place.schema)),
    fairness=FAIRNESS,
)
