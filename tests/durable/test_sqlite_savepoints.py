"""Transactional handlers on SQLite: what they write is committed with what tells of it, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cnstra.durable import LeaseLostError, StoreBusyError, StoreError, StoreUnavailableError
from cnstra.durable.port import Claim, Increment, RunEnd, Takeover
from cnstra.durable.sqlite import SqliteStore

from .sqlite_files import locked, on_file, read
from .store_bench import begin, change, commit, finish, inline, new_run, row

pytestmark = pytest.mark.once

INSERT = "INSERT INTO orders VALUES (?)"
TELL = {"changed": [change(1)]}


class Bench(NamedTuple):
    file: Path
    store: SqliteStore
    claim: Claim

    def savepoint(self, claim: Claim | None = None) -> Any:
        claim = claim or self.claim
        return self.store.savepoint(claim.key, claim.fence)

    def write(self, *values: Any, claim: Claim | None = None) -> None:
        """As a handler that succeeds."""
        with self.savepoint(claim) as transaction:
            for value in values:
                transaction.execute(INSERT, (value,))

    def tell(self, *claims: Claim) -> None:
        """Commit what tells of it."""
        batch = [Increment(claim.key, claim.fence, hops=1) for claim in claims or (self.claim,)]
        assert inline(self.store.commit(batch)) == frozenset()

    def orders(self) -> list[Any]:
        """What is committed."""
        return [order for (order,) in read(self.file, "SELECT id FROM orders ORDER BY id")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE orders (id PRIMARY KEY)")
    with on_file(file) as store:
        claim = inline(begin(store))
        inline(commit(store, claim, added=[row(1), row(2)]))
        yield Bench(file, store, claim)


# -- commit and rollback


def test_it_is_committed_with_the_increment(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        assert transaction.execute(INSERT, (1,)).rowcount == 1
        transaction.executemany(INSERT, [(2,), (3,)])
        assert transaction.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    assert bench.orders() == []
    inline(commit(bench.store, bench.claim, changed=[change(1)]))
    assert bench.orders() == [1, 2, 3]
    tasks, _ = inline(bench.store.list_tasks(bench.claim.key))
    assert [task.status for task in tasks] == ["finished", "pending"]


def test_an_exception_undoes_it_and_goes_on(bench: Bench) -> None:
    def fail() -> None:
        with bench.savepoint() as transaction:
            transaction.execute(INSERT, (1,))
            raise LookupError("the handler's own")

    with pytest.raises(LookupError, match="own"):
        fail()
    # Nothing is left open: others need not wait for a commit.
    with locked(bench.file):
        pass
    bench.tell()
    assert bench.orders() == []


def test_an_exception_undoes_no_other_handlers_work(bench: Bench) -> None:
    other = inline(begin(bench.store, "other"))
    bench.write(1)

    def fail() -> None:
        with bench.savepoint(other) as transaction:
            transaction.execute(INSERT, (2,))
            transaction.execute(INSERT, (1,))

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    bench.write(3, claim=other)
    assert bench.orders() == []
    bench.tell(bench.claim, other)
    assert bench.orders() == [1, 3]


def test_an_error_in_sql_can_be_dealt_with_in_the_handler(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        transaction.execute(INSERT, (1,))
        with pytest.raises(sqlite3.IntegrityError):
            transaction.execute(INSERT, (1,))
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            transaction.execute("SELECT * FROM missing")
        transaction.execute(INSERT, (2,))
    bench.tell()
    assert bench.orders() == [1, 2]


def test_it_is_given_up(bench: Bench) -> None:
    bench.write(1)
    bench.store.abandon()
    with locked(bench.file):
        pass
    bench.tell()
    bench.store.abandon()
    assert bench.orders() == []


def test_closing_is_no_commit(bench: Bench) -> None:
    bench.write(1)
    inline(bench.store.close())
    assert bench.orders() == []


def test_tables_can_be_made(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        transaction.execute("CREATE TABLE parcels (id)")
        transaction.execute("INSERT INTO parcels SELECT 7")
    bench.tell()
    assert read(bench.file, "SELECT * FROM parcels") == [(7,)]


# -- never one without the other


def test_a_commit_without_the_increment_is_refused(bench: Bench) -> None:
    other = inline(begin(bench.store, "other"))
    bench.write(1)
    with pytest.raises(StoreError, match=r"nothing tells of what handlers of the runs \[1\] wrote"):
        bench.tell(other)
    with pytest.raises(StoreError, match="nothing tells"):
        inline(bench.store.commit([]))
    assert bench.orders() == []
    bench.tell(other, bench.claim)
    assert bench.orders() == [1]


def test_nothing_else_writes_meanwhile(bench: Bench) -> None:
    store, claim = bench.store, bench.claim
    bench.write(1)
    calls: list[Any] = [
        lambda: store.register("owner", 60),
        lambda: store.unregister("owner"),
        lambda: store.create("owner", [new_run("another")]),
        lambda: store.claim("other", [Takeover(claim.key, claim.fence, "graph 2")], [], ["owner"]),
        lambda: store.give_up([], RunEnd("failed", None)),
        lambda: store.reopen("owner", "run", "graph 2"),
        lambda: store.request_cancel("run", "not needed"),
        lambda: store.prune(older_than=None, keep_last=None),
    ]
    for call in calls:
        with pytest.raises(StoreBusyError):
            inline(call())
    assert bench.orders() == []
    bench.tell()
    assert bench.orders() == [1]


def test_reading_goes_on(bench: Bench) -> None:
    store, key = bench.store, bench.claim.key
    with bench.savepoint() as transaction:
        transaction.execute(INSERT, (1,))
        assert inline(store.find("run")) is not None
        assert len(inline(store.frontier(key)).tasks) == 2
    assert len(inline(store.list_tasks(key))[0]) == 2
    assert len(inline(store.list_runs())) == len(inline(store.list_attempts(key))) == 1
    assert inline(store.candidates("other", [], [])) == []
    assert inline(store.owners()) == ["owner"]
    assert bench.orders() == []
    bench.tell()
    assert bench.orders() == [1]


def test_a_commit_within_a_handler_is_refused(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        transaction.execute(INSERT, (1,))
        with pytest.raises(StoreBusyError, match="is writing"):
            bench.tell()
    assert bench.orders() == []


def test_a_commit_that_fails_takes_it_along(bench: Bench) -> None:
    bench.write(1)
    # A task of that number is there.
    with pytest.raises(StoreError, match="UNIQUE"):
        inline(bench.store.commit([Increment(bench.claim.key, bench.claim.fence, added=[row(1)])]))
    # Its increment would tell of what is gone.
    with pytest.raises(StoreUnavailableError, match="rolled back"):
        bench.tell()
    with pytest.raises(StoreUnavailableError, match="rolled back"):
        bench.write(2)
    bench.store.abandon()
    bench.write(2)
    bench.tell()
    assert bench.orders() == [2]


@pytest.mark.parametrize("catches", [False, True])
@pytest.mark.parametrize("others_have_written", [False, True])
def test_what_the_database_rolls_back_by_itself_is_lost(bench: Bench, catches: bool, others_have_written: bool) -> None:
    other = inline(begin(bench.store, "other"))
    if others_have_written:
        bench.write(1, claim=other)

    def handle() -> None:
        with bench.savepoint() as transaction:
            transaction.execute(INSERT, (2,))
            try:
                transaction.execute("INSERT OR ROLLBACK INTO orders VALUES (2)")
            except sqlite3.IntegrityError:
                if not catches:
                    raise
                # It would be committed there and then, by itself.
                with pytest.raises(sqlite3.ProgrammingError, match="rolled the transaction back"):
                    transaction.execute(INSERT, (3,))

    expected = (StoreUnavailableError, "rolled back") if catches else (sqlite3.IntegrityError, "UNIQUE")
    with pytest.raises(expected[0], match=expected[1]):
        handle()
    if others_have_written:
        with pytest.raises(StoreUnavailableError, match="rolled back"):
            bench.tell(bench.claim, other)
        bench.store.abandon()
    bench.tell(bench.claim, other)
    assert bench.orders() == []


# -- who may


def test_only_the_owner_of_the_run_enters(bench: Bench) -> None:
    other = inline(begin(bench.store, "other"))
    inline(finish(bench.store, other))
    for claim in (bench.claim._replace(fence=2), bench.claim._replace(key=99), other):
        with pytest.raises(LeaseLostError, match=f"run number {claim.key}"), bench.savepoint(claim):
            raise AssertionError("it was entered")
        with locked(bench.file):
            pass
    bench.write(1)
    with pytest.raises(LeaseLostError), bench.savepoint(other):
        raise AssertionError("it was entered")
    bench.tell()
    assert bench.orders() == [1]


def test_a_locked_file_is_not_entered(bench: Bench) -> None:
    with locked(bench.file), pytest.raises(StoreBusyError), bench.savepoint():
        raise AssertionError("it was entered")
    bench.write(1)
    bench.tell()
    assert bench.orders() == [1]


# -- what a handler may not do


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN",
        "COMMIT",
        "commit;",
        "; COMMIT",
        "/* a comment */ -- and another\n  COMMIT",
        "END TRANSACTION",
        "ROLLBACK",
        "SAVEPOINT mine",
        "ROLLBACK TO cnstra",
        "RELEASE cnstra",
        "PRAGMA journal_mode=DELETE",
        "PRAGMA synchronous=OFF",
        "ATTACH DATABASE ':memory:' AS more",
        "DETACH DATABASE main",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "UPDATE cnstra_runs SET fence = 7",
        "INSERT INTO CNSTRA_owners VALUES ('me', 1e12)",
        "DELETE FROM main.cnstra_tasks",
        "REPLACE INTO cnstra_contexts VALUES (1, 'a', 'b')",
        "WITH a AS (SELECT 1) DELETE FROM cnstra_tasks",
        "DROP TABLE cnstra_runs",
        "ALTER TABLE cnstra_runs RENAME TO runs",
        "CREATE TABLE cnstra_mine (x)",
        "CREATE INDEX mine ON cnstra_runs (fence)",
        "CREATE TRIGGER mine AFTER INSERT ON cnstra_runs BEGIN DELETE FROM orders; END",
        "CREATE TEMP TRIGGER mine AFTER UPDATE ON cnstra_runs BEGIN DELETE FROM orders; END",
    ],
)
def test_what_is_refused(bench: Bench, sql: str) -> None:
    with bench.savepoint() as transaction:
        transaction.execute(INSERT, (1,))
        # As `sqlite3` has compiled it for the store itself, too.
        for text in (sql, sql):
            with pytest.raises(sqlite3.Error) as caught:
                transaction.execute(text)
        if "VACUUM" not in sql:
            assert type(caught.value) is sqlite3.ProgrammingError
            assert str(caught.value).startswith("a transactional handler cannot ")
        with pytest.raises(sqlite3.Error):
            transaction.executemany(sql, [()])
        cursor = transaction.execute(INSERT, (2,))
        for call in (
            lambda: cursor.execute(sql),
            lambda: cursor.executescript(sql),
            cursor.connection.commit,
            cursor.connection.rollback,
        ):
            with pytest.raises(sqlite3.Error):
                call()
        assert bench.orders() == []
    bench.store.abandon()
    assert bench.orders() == []
    found = inline(bench.store.find("run"))
    assert found is not None
    assert (found.fence, found.owner) == (1, "owner")


def test_one_statement_at_a_time(bench: Bench) -> None:
    one_error = pytest.raises((sqlite3.ProgrammingError, sqlite3.Warning), match="one statement at a time")
    with bench.savepoint() as transaction, one_error:
        transaction.execute("INSERT INTO orders VALUES (1); COMMIT")
    bench.tell()
    assert bench.orders() == []


def test_columns_may_be_called_anything(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        transaction.execute("CREATE TABLE parcels (cnstra_run, id)")
        transaction.execute("INSERT INTO parcels VALUES (1, 2)")
        transaction.execute("UPDATE parcels SET cnstra_run = 3")
        # To read the record is no harm.
        assert transaction.execute("SELECT run_id FROM cnstra_runs").fetchall() == [("run",)]
    bench.tell()
    assert read(bench.file, "SELECT * FROM parcels") == [(3, 2)]


def test_it_is_over_with_the_handler(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        assert repr(transaction) == "<Transaction: open>"
        transaction.executemany(INSERT, [(number,) for number in range(10)])
        reading = transaction.execute("SELECT id FROM orders")
        writing = transaction.execute("UPDATE orders SET id = id + 100 RETURNING id")
        assert (next(reading), next(writing)) == ((0,), (100,))
    assert repr(transaction) == "<Transaction: over>"
    with pytest.raises(sqlite3.ProgrammingError, match="over"):
        transaction.execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError, match="over"):
        transaction.executemany(INSERT, [(1,)])
    for cursor in (reading, writing):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            next(cursor)
    bench.tell()
    assert bench.orders() == list(range(100, 110))


def test_it_is_for_the_thread_of_the_handler(bench: Bench) -> None:
    with bench.savepoint() as transaction:
        errors: list[Exception] = []

        def elsewhere() -> None:
            try:
                transaction.execute(INSERT, (1,))
            except sqlite3.ProgrammingError as error:
                errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        (error,) = errors
        assert "thread" in str(error)
