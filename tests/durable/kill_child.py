"""A process that places orders durably, and does what a test wants done to it: it is killed, stopped, kept small.

``python kill_child.py '{"url": …}'``; see ``Plan``. It writes ``ready`` when it begins, and a line of JSON at its end.
Its exit status is 0, or 1 with one line on standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from cnstra.demo.durable_job import place_durably
from cnstra.demo.ledger import Ledger
from cnstra.demo.model import OrderRejected
from cnstra.demo.problems import SourceError, StoreError
from cnstra.demo.source import Malformed, OrderFile
from cnstra.durable import DurableError, Store, sqlite_opening


class Plan(TypedDict, total=False):
    """What a test wants.

    Keys:
        url, schema: of the store; the schema of PostgreSQL alone.
        orders, batch: what to place.
        settings: of ``Durable``.
        at: a signal that this process sends to itself when it executes the nth statement of the store: ``before``,
            ``during`` (it was sent, and nobody has read the answer) or ``after``. SQLite knows ``before``, and
            ``outside``, which counts the statements that begin a transaction.
        wait: seconds to wait after each commit of its journal, so that there is time to do something to it.
        largest: bytes that a file may have that it writes.
    """

    url: str
    schema: str | None
    orders: str
    batch: int
    settings: dict[str, Any]
    at: tuple[str, int, int]
    wait: float
    largest: int


class Silent:
    """An observer who only counts."""

    def __init__(self) -> None:
        self.batches = 0
        self.line: int | None = None

    def recovered(self, batches: int) -> None:
        self.batches += batches

    def resumed(self, line: int) -> None:
        self.line = line

    def malformed(self, problem: Malformed) -> None:
        pass

    def rejected(self, event: OrderRejected) -> None:
        pass

    def committed(self, line: int) -> None:
        pass


statements = 0


def signal_at_statement(url: str, moment: str, count: int, number: int) -> None:
    def send() -> None:
        os.kill(os.getpid(), number)

    def is_now() -> bool:
        global statements
        statements += 1
        return statements == count

    def trace(statement: str) -> None:
        if (moment == "before" or statement.startswith("BEGIN")) and is_now():
            send()

    if url.startswith("sqlite:"):

        class Watched:
            """The module, with connections that are watched."""

            @staticmethod
            def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
                connection: sqlite3.Connection = sqlite3.connect(*arguments, **options)
                connection.set_trace_callback(trace)
                return connection

            def __getattr__(self, name: str) -> Any:
                return getattr(sqlite3, name)

        sqlite_opening.sqlite3 = Watched()  # type: ignore[attr-defined,assignment]
        return
    import psycopg

    # Everything that is sent to a server goes through it.
    wait: Callable[..., Any] = psycopg.AsyncConnection.wait

    async def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        now = is_now()
        if now and moment == "before":
            send()
        if now and moment == "during":
            # By the next pass of the loop it has been sent, and an answer needs one more to be read.
            asyncio.get_running_loop().call_soon(send)
        result = await wait(self, *arguments, **options)
        if now and moment == "after":
            send()
        return result

    psycopg.AsyncConnection.wait = watched  # type: ignore[method-assign]


def after_each_commit(store: Store, do: Callable[[], object]) -> None:
    commit = store.commit

    async def commit_and_more(batch: Any) -> frozenset[int]:
        refused = await commit(batch)
        do()
        return refused

    store.commit = commit_and_more  # type: ignore[method-assign]


def main(plan: Plan) -> int:
    schema, url = plan.get("schema"), plan["url"]
    store = Store.open(url) if schema is None else Store.open(url, schema=schema)
    if "at" in plan:
        signal_at_statement(url, *plan["at"])
    if "wait" in plan:
        seconds = plan["wait"]
        after_each_commit(store, lambda: time.sleep(seconds))
    if "largest" in plan:
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan["largest"], plan["largest"]))
    observer = Silent()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        outcome = asyncio.run(
            place_durably(
                store,
                Ledger(url, store.url),
                OrderFile(Path(plan["orders"])),
                observer,
                size=plan["batch"],
                **plan.get("settings", {}),
            )
        )
    except (SourceError, StoreError, DurableError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    told = {"placed": outcome.placed, "recovered": observer.batches, "resumed": observer.line, "statements": statements}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
