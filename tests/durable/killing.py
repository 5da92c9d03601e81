"""Processes that place orders durably and are killed, and what must be in the database afterwards."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..demo.sample import expected, some_orders

CHILD = Path(__file__).with_name("kill_child.py")
BATCH = 50


@dataclass(frozen=True)
class Shop:
    """Where orders are placed, and which."""

    url: str
    schema: str | None
    orders: Path

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite:")

    def begin(self, **plan: Any) -> Child:
        """Start a process; what it is to do beside placing the orders is in ``kill_child.Plan``."""
        whole = {"url": self.url, "schema": self.schema, "orders": str(self.orders), "batch": BATCH} | plan
        process = subprocess.Popen(
            [sys.executable, str(CHILD), json.dumps(whole)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Child(process)

    def finish(self, **plan: Any) -> dict[str, Any]:
        """Place all that is left in one more process, which nobody kills."""
        return self.begin(**plan).succeed()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives, ``cnstra_`` tables included."""
        if self.is_sqlite:
            connection = sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=10)
            try:
                return connection.execute(query).fetchall()
            finally:
                connection.close()
        import psycopg

        with psycopg.connect(self.url) as there:
            return there.execute(query.encode()).fetchall()

    def assert_whole(self) -> None:
        """All orders have been placed and counted once, to the cent, and nothing is left to do."""
        wanted = expected(self.orders.read_text(encoding="utf-8"))
        assert self.rows("SELECT run_id, status FROM cnstra_runs WHERE status <> 'completed'") == []
        assert self.rows("SELECT run, seq, status FROM cnstra_tasks WHERE status <> 'finished'") == []
        assert self.rows("SELECT run, number FROM cnstra_attempts WHERE ended IS NULL OR status = 'running'") == []
        assert self.rows(
            "SELECT count(*), CAST(sum(quantity) AS BIGINT), CAST(sum(amount) AS BIGINT) FROM demo_orders"
        ) == [(wanted.orders, wanted.quantity, wanted.cents)]
        assert self.rows("SELECT * FROM demo_rejections") == []
        customers = self.rows("SELECT customer_id, orders, quantity, spent FROM demo_customer_totals")
        assert {customer: tuple(sums) for customer, *sums in customers} == wanted.customers
        months = self.rows("SELECT month, orders, revenue FROM demo_monthly_revenue")
        assert {month: tuple(sums) for month, *sums in months} == wanted.months
        # The key of demo_effects has kept every activation from taking effect twice; here is that each has once.
        effects = sorted(activation for (activation,) in self.rows("SELECT activation FROM demo_effects"))
        assert effects == sorted(id_ for (id_,) in self.rows("SELECT id FROM cnstra_tasks"))
        lines = sorted(line for (line,) in self.rows("SELECT line FROM demo_bookmarks"))
        assert {f"orders-{line}" for line in lines} == {run for (run,) in self.rows("SELECT run_id FROM cnstra_runs")}
        assert lines[-1] == wanted.orders + 1
        assert len(effects) == 3 * wanted.orders + len(lines)


class Child:
    """A process that places orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_until_ready(self) -> None:
        """What it takes to start Python is not what is to be interrupted."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() in ("ready\n", "")

    def is_paused(self) -> bool:
        """Whether it stops by a signal; if not, it ends before."""
        found = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_STOPPED

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def was_killed(self) -> bool:
        """Whether it ended by SIGKILL; if not, it must have done all of its work."""
        _, errors = self.end()
        if self.process.returncode == -signal.SIGKILL:
            return True
        assert self.process.returncode == 0, errors
        return False

    def succeed(self) -> dict[str, Any]:
        """What it tells in the end, when all is done."""
        output, errors = self.end()
        assert self.process.returncode == 0, errors
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
        return told

    def fail(self) -> str:
        """The one line that it says when it cannot go on."""
        _, errors = self.end()
        assert self.process.returncode == 1, errors
        *_, last = errors.splitlines()
        assert last.startswith("error: "), errors
        return last

    def end(self, timeout: float = 100) -> tuple[str, str]:
        try:
            return self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, errors = self.process.communicate()
            raise AssertionError(f"a process did not end: {output}{errors}") from None


@contextmanager
def shop_on(kind: str, folder: Path, orders: int, seed: int = 0) -> Generator[Shop]:
    """A new shop, on one kind of database."""
    path = folder / f"orders-{orders}-{seed}.csv"
    path.write_text(some_orders(orders, seed), encoding="utf-8")
    if kind == "sqlite":
        file = folder / "runs.db"
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        yield Shop(f"sqlite:///{quote(str(file))}", None, path)
        return
    import psycopg
    from psycopg import sql

    from .postgres import fresh_schema, postgres_url

    with fresh_schema("cnstra kill") as schema:
        with psycopg.connect(postgres_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        yield Shop(url_within(postgres_url(), schema), schema, path)


def url_within(url: str, schema: str, **settings: str) -> str:
    """A URL whose connections find their tables in a schema.

    A process that is killed takes nothing with it that the server has, so they need not wait for its disk.
    """
    settings = {"search_path": f'"{schema}"', "synchronous_commit": "off"} | settings
    options = " ".join(f"-c{name}={value}".replace(" ", "\\ ") for name, value in settings.items())
    return f"{url}{'&' if '?' in url else '?'}options={quote(options)}"
