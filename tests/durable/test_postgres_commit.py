"""The statements of a commit on PostgreSQL: one for a whole batch, by key, and looking again after a wait."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from cnstra.durable.port import Increment, RunEnd
from cnstra.durable.postgres import PostgresStore
from cnstra.durable.postgres_commit import SESSION, TYPES, Commit
from cnstra.durable.postgres_usual import usual_values

from .postgres import administrator, on_postgres, schema
from .store_bench import begin, change, commit, row

__all__ = ["schema"]

pytestmark = pytest.mark.once


def test_many_increments_with_many_rows_are_one_commit(schema: str) -> None:
    async def case(store: PostgresStore) -> None:
        claims = [await begin(store, f"run {number}") for number in range(30)]
        for base in range(0, 90, 30):
            batch = [
                Increment(
                    claim.key,
                    claim.fence,
                    added=[row(base + seq) for seq in range(1, 31)],
                    changed=[change(seq) for seq in range(base - 29, base - 9)] if base else [],
                    removed=list(range(base - 9, base + 1)) if base else [],
                    contexts={f"n{seq}": None if seq % 3 else b"x" for seq in range(base, base + 4)},
                )
                for claim in claims
            ]
            assert await store.commit(batch) == frozenset()
        end = RunEnd("aborted", "enough")
        assert await store.commit([Increment(claim.key, claim.fence, end=end) for claim in claims]) == frozenset()
        for claim in claims:
            tasks, _ = await store.list_tasks(claim.key, limit=1000)
            assert len(tasks) == 70
            assert [task.status for task in tasks].count("finished") == 40
            assert [task.status for task in tasks].count("aborted") == 30
            assert len((await store.frontier(claim.key)).contexts) == 6

    on_postgres(schema, case)


@pytest.mark.parametrize("end", [None, RunEnd("completed", None)])
@pytest.mark.parametrize("advance", [False, True])
@pytest.mark.parametrize("others", [0, 2])
def test_a_commit_that_had_to_wait_looks_again_whose_the_run_is(
    schema: str, end: RunEnd | None, advance: bool, others: int
) -> None:
    async def case(store: PostgresStore) -> None:
        rest = [await begin(store, f"other {number}") for number in range(others)]
        more = [Increment(claim.key, claim.fence, added=[row(1)], advance=advance) for claim in rest]
        for run_id, change_of_owner in (("kept", 0), ("taken", 1)):
            claim = await begin(store, run_id)
            increment = Increment(claim.key, claim.fence, added=[row(1)], end=end, advance=advance)
            with administrator() as connection:
                with connection.transaction():
                    connection.execute(
                        f'UPDATE "{schema}".cnstra_runs SET hops = 9, fence = fence + {change_of_owner} '
                        f"WHERE key = {claim.key}".encode()
                    )
                    committing = asyncio.create_task(store.commit([*more, increment]))
                    await asyncio.sleep(0.1)
                    assert not committing.done()
                assert await committing == ({claim.key} if change_of_owner else frozenset())
            assert len((await store.list_tasks(claim.key))[0]) == 1 - change_of_owner
            found = await store.find(run_id)
            assert found is not None
            assert (found.hops, found.status) == (9, "completed" if end and not change_of_owner else "running")

    on_postgres(schema, case)


def plan(connection: psycopg.Connection[Any], text: bytes, parameters: int) -> list[str]:
    """How a statement is executed once it is prepared: the lines that tell where rows come from, and by what."""
    connection.execute(b"PREPARE it AS " + text)
    lines = connection.execute(f"EXPLAIN EXECUTE it ({', '.join(['NULL'] * parameters)})".encode()).fetchall()
    connection.execute("DEALLOCATE it")
    return [line.strip(" ->").partition("  (cost")[0] for (line,) in lines if "Scan" in line or "Index Cond" in line]


@pytest.mark.parametrize("state", ["empty", "large", "large and analyzed"])
def test_a_commit_looks_everything_up_by_key(schema: str, state: str) -> None:
    """Else it would cost more the longer the run is, or the more runs there are, until the tables are analyzed."""
    batch = [
        Increment(number, 1, [row(1)], [change(2)], [3], {"a": b"1", "b": None}, 1, RunEnd("completed", None))
        for number in (1, 2)
    ]

    async def case(store: PostgresStore) -> None:
        with administrator() as connection:
            connection.execute(psycopg.sql.SQL("SET search_path TO {}").format(psycopg.sql.Identifier(schema)))
            for name, value in SESSION.items():
                connection.execute("SELECT set_config(%s, %s, false)", [name, value])
            if state.startswith("large"):
                connection.execute(
                    """
                    INSERT INTO cnstra_runs (run_id, status, owner, fence, attempt, hops, crashes, last_seq, created,
                        updated, tags, root, fingerprint)
                    SELECT n, CASE WHEN n % 100 = 0 THEN 'running' ELSE 'completed' END, 'owner', 1, 1, 0, 0, 0, 0, 0,
                        '{}', '', '' FROM generate_series(1, 20000) n
                    """
                )
                connection.execute(
                    """
                    INSERT INTO cnstra_tasks (run, seq, status, id, place, neuron, collateral, dendrite, hop, attempt)
                    SELECT 1 + n % 3, n, 'pending', '', 0, '', '', 0, 0, 0 FROM generate_series(1, 20000) n
                    """
                )
            if state == "large and analyzed":
                connection.execute("ANALYZE cnstra_runs, cnstra_tasks")
            looking = [Increment(one.key, 1, one.added, one.changed, one.removed, advance=False) for one in batch]
            usual = [
                [Increment(1, 1, [row(1)], [change(2, outputs=b"out")], advance=advance)] for advance in (False, True)
            ]
            for increments in (batch, batch[:1], looking, looking[:1], *usual):
                text, values = Commit(str.encode, [1] * len(TYPES)).of(increments)
                lines = plan(connection, text, len(values))
                scans = [line for line in lines if "cnstra_" in line]
                tables = ["runs", "tasks", *(["tasks"] if increments[0].removed else [])]
                tables += ["contexts", "attempts"] if increments[0].end else []
                assert [line.partition(" on ")[0] for line in scans] == [
                    f"Index Scan using cnstra_{table}_pkey" for table in tables
                ]
                for scan, condition in pairwise(lines):
                    if "cnstra_" in scan:
                        assert condition.startswith("Index Cond"), scan
                        assert ("AND" in condition) == ("runs" not in scan), condition

    on_postgres(schema, case)


@pytest.mark.parametrize("advance", [False, True])
def test_what_is_usual_is_written_again_to_the_same_values(schema: str, advance: bool) -> None:
    """As after an answer that was lost; and by the statement that it has for itself."""

    async def case(store: PostgresStore) -> None:
        claim = await begin(store)
        await commit(store, claim, added=[row(1)])
        done = change(1, outputs=b"out")
        usual = Increment(claim.key, claim.fence, [row(2, cause=1)], [done], hops=2, advance=advance)
        assert usual_values(usual) is not None
        await commit(store, claim, added=[row(2, cause=1, input=b"in", error="error", joined="1")])
        for _ in range(2):
            assert await store.commit([usual]) == frozenset()
            assert (await store.list_tasks(claim.key))[0] == [row(1)._replace(**done._asdict()), row(2, cause=1)]

    on_postgres(schema, case)


@pytest.mark.parametrize(
    "changes",
    [
        {"added": [row(2, cause=None, input=b"in")]},
        {"added": [row(2, joined="1")]},
        {"added": [row(1)]},
        {"added": [row(2), row(3)]},
        {"changed": [change(1, outputs=b"out", error="error")]},
        {"changed": [change(1)]},
        {"removed": [3]},
        {"contexts": {"neuron": None}},
        {"end": RunEnd("completed", None)},
    ],
)
def test_what_is_more_than_usual_is_told(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {"added": [row(2)], "changed": [change(1, outputs=b"out")], **changes}
    assert usual_values(Increment(1, 1, **values)) is None
