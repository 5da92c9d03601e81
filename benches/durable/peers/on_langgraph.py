"""LangGraph: a node for each step, and a checkpoint in SQLite before the next superstep starts."""

from __future__ import annotations

import importlib
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypedDict

from .contender import STEPS, Contender, Place, Run

__all__ = ["ON_SQLITE"]


class State(TypedDict):
    count: int


@contextmanager
def on_sqlite(place: Place) -> Generator[Run]:
    # Whoever has it on in the shell would measure, and send away, a trace of every run.
    os.environ["LANGSMITH_TRACING"] = "false"
    # By name, since types are checked where these are not installed.
    graphs: Any = importlib.import_module("langgraph.graph")
    savers: Any = importlib.import_module("langgraph.checkpoint.sqlite")
    file = place.folder / "langgraph.db"
    threads = count(1)

    def add_one(state: State) -> State:
        return {"count": state["count"] + 1}

    builder: Any = graphs.StateGraph(State)
    names = [f"step{number}" for number in range(STEPS)]
    for name in names:
        builder.add_node(name, add_one)
    for source, target in zip([graphs.START, *names], [*names, graphs.END], strict=True):
        builder.add_edge(source, target)
    with savers.SqliteSaver.from_conn_string(str(file)) as saver:
        graph = builder.compile(checkpointer=saver)

        def run() -> dict[str, int]:
            # Every superstep counts against the limit, whose purpose is to end loops.
            config = {"configurable": {"thread_id": str(next(threads))}, "recursion_limit": 10 * STEPS}
            ended: dict[str, int] = graph.invoke({"count": 0}, config, durability="sync")
            return ended

        assert run() == {"count": STEPS}
        (synchronous,) = saver.conn.execute("PRAGMA synchronous").fetchone()
        (mode,) = saver.conn.execute("PRAGMA journal_mode").fetchone()
        assert (mode, synchronous) == ("wal", 2), "the page says that it is a write-ahead log, and synchronous=FULL"
        beside = sqlite3.connect(file)
        # One for each superstep, one of the input, and one before the first.
        (checkpoints,) = beside.execute("SELECT count(*) FROM checkpoints WHERE thread_id = '1'").fetchone()
        beside.close()
        assert checkpoints == STEPS + 2, checkpoints
        yield run


ON_SQLITE = Contender(
    name="LangGraph, `SqliteSaver`",
    distributions=("langgraph", "langgraph-checkpoint-sqlite"),
    store="SQLite",
    settings='write-ahead log, `synchronous=FULL` (its default); `durability="sync"`',
    opened=on_sqlite,
    fairness=(
        "a superstep is two commits: what its nodes have returned, and the checkpoint of the whole state that follows "
        "from that. So there is a state at every step that can be looked at, gone back to and branched from, and the "
        "parallel nodes of a superstep that have succeeded are not run again. Nobody else is kept from continuing the "
        'same thread. Its default, `durability="async"`, does not wait for the checkpoint before it goes on; '
        "`SqliteSaver` is meant for small projects, as its documentation says. The machinery of its supersteps is in "
        "the numbers; made for steps that call language models, beside which such times vanish."
    ),
)
