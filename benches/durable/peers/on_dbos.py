"""DBOS: a workflow that calls a step again and again, each checkpointed in PostgreSQL when it has returned."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from .contender import STEPS, Contender, Place, Run

__all__ = ["ON_POSTGRES"]


@contextmanager
def on_postgres(place: Place) -> Generator[Run]:
    # By name, since types are checked where it is not installed.
    dbos: Any = importlib.import_module("dbos").DBOS

    def add_one(state: dict[str, int]) -> dict[str, int]:
        return {"count": state["count"] + 1}

    step = dbos.step(name="add_one")(add_one)

    def chain() -> dict[str, int]:
        state = {"count": 0}
        for _ in range(STEPS):
            state = step(state)
        return state

    dbos(
        config={
            "name": "cnstra-bench",
            "system_database_url": place.url,
            "dbos_system_schema": place.schema,
            "log_level": "WARNING",
        }
    )
    workflow: Run = dbos.workflow(name="chain")(chain)
    dbos.launch()
    try:
        assert workflow() == {"count": STEPS}
        with psycopg.connect(place.url) as connection:
            outputs = sql.SQL("SELECT count(*), count(DISTINCT workflow_uuid) FROM {}").format(
                sql.Identifier(place.schema, "operation_outputs")
            )
            assert connection.execute(outputs).fetchone() == (STEPS, 1)
        yield workflow
    finally:
        dbos.destroy()


ON_POSTGRES = Contender(
    name="DBOS",
    distributions=("dbos",),
    store="PostgreSQL",
    settings="as the server is set up",
    opened=on_postgres,
    fairness=(
        "a step is two transactions: one looks whether it is recorded already and whether the workflow was cancelled, "
        "the other compares the owner and records what the step returned. The workflow is code: on recovery it is run "
        "again from the top and given what is recorded, so it must be deterministic, and nothing pending is stored. "
        "Around it are queues, schedules, events, messages between workflows, and retries of steps, none of which is "
        "used here. Payloads are pickled by default. It has threads that poll the database meanwhile."
    ),
)
