"""The store in a SQLite file: what every store does, its URLs, and everything that can be wrong with a file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnstra.durable import (
    SchemaTooNewError,
    Store,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
    StoreUrlError,
)
from cnstra.durable import sqlite_schema as schema
from cnstra.durable.port import Increment
from cnstra.durable.sqlite import SqliteStore

from .sqlite_files import on_file
from .store_bench import begin, commit, finish, inline, new_run, row
from .store_conformance import StoreConformance

pytestmark = pytest.mark.once


class TestSqliteStoreConforms(StoreConformance):
    async def store(self, place: Path) -> Store:
        store = Store.open(f"sqlite:///{place}/runs.db")
        await store.connect()
        return store


def connecting(file: Path) -> Coroutine[Any, Any, None]:
    return SqliteStore(f"sqlite:///{file}").connect()


def pragma(store: SqliteStore, name: str) -> Any:
    assert store._savepoints is not None
    return store._savepoints.connection.execute(f"PRAGMA {name}").fetchone()[0]


# -- URLs


def test_a_url_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    for path, file in {
        "runs.db": "runs.db",
        "below/runs.db": "below/runs.db",
        f"{tmp_path}/absolute.db": "absolute.db",
        "100%25%20%C3%A4%3F.db": "100% ä?.db",
        "file:odd#name.db": "file:odd#name.db",
    }.items():
        store = Store.open(f"sqlite:///{path}")
        assert store.url == f"sqlite:///{path}"
        assert repr(store) == f"<Store sqlite:///{path}>"
        assert not (tmp_path / file).exists(), "nothing is opened yet"
        inline(store.connect())
        assert (tmp_path / file).is_file()
        inline(store.close())


def test_a_relative_file_is_the_one_of_when_the_store_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path)
    store = Store.open("sqlite:///runs.db")
    monkeypatch.chdir(tmp_path / "later")
    inline(store.connect())
    inline(store.close())
    assert (tmp_path / "runs.db").is_file()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "three slashes"),
        ("sqlite://runs.db", "three slashes"),
        ("sqlite:///", "memory://"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///runs.db?synchronous=full", "as arguments"),
        ("sqlite:///runs.db?", "as arguments"),
        ("sqlite:///%00.db", "NUL"),
        ("sqlite:///%ff.db", "UTF-8"),
    ],
)
def test_a_url_that_names_none(url: str, words: str) -> None:
    with pytest.raises(StoreUrlError, match=words) as caught:
        Store.open(url)
    assert url in str(caught.value)


def test_its_options() -> None:
    with pytest.raises(ValueError, match="'normal' or 'full', not 'off'"):
        Store.open("sqlite:///runs.db", synchronous="off")
    with pytest.raises(TypeError, match="pool_size"):
        Store.open("sqlite:///runs.db", pool_size=3)


# -- opening


def test_how_it_is_opened(tmp_path: Path) -> None:
    with on_file(tmp_path / "runs.db") as store, on_file(tmp_path / "full.db", synchronous="full") as full:
        assert (pragma(store, "journal_mode"), pragma(store, "synchronous")) == ("wal", 1)
        assert (pragma(full, "journal_mode"), pragma(full, "synchronous")) == ("wal", 2)
        assert pragma(store, "busy_timeout") <= 10


def test_a_new_file_has_the_newest_schema(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    for _ in range(2):
        with on_file(file):
            pass
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("SELECT number FROM cnstra_schema").fetchall()
        assert found == [(number,) for number, _ in schema.MIGRATIONS]


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "runs.db"
    with on_file(file) as store:
        inline(begin(store))
    later = (*schema.MIGRATIONS, (2, ("ALTER TABLE cnstra_runs ADD COLUMN more TEXT",)))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "NEWEST", 2)
    monkeypatch.setattr("cnstra.durable.sqlite_opening.NEWEST", 2)
    for _ in range(2):
        with on_file(file) as store:
            assert inline(store.find("run")) is not None
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT more FROM cnstra_runs").fetchall() == [(None,)]
        assert connection.execute("SELECT number FROM cnstra_schema").fetchall() == [(1,), (2,)]


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*schema.MIGRATIONS, (2, ("CREATE TABLE half (x)", "CREATE TABLE half (x)")))
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    with pytest.raises(StoreError, match="half"):
        inline(connecting(tmp_path / "runs.db"))
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    with on_file(file):
        pass
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO cnstra_schema VALUES (42, 0)")
        connection.execute("PRAGMA journal_mode=DELETE")
    with pytest.raises(SchemaTooNewError, match=rf"number 42, .* up to {schema.NEWEST}") as caught:
        inline(connecting(file))
    assert str(file) in str(caught.value)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_file_of_an_application(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, note TEXT)")
        connection.execute("INSERT INTO runs VALUES (1, 'theirs')")
    with on_file(file) as store:
        inline(begin(store))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT * FROM runs").fetchall() == [(1, "theirs")]


def test_a_store_that_is_not_open(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/runs.db")
    inline(store.close())
    store.abandon()
    for call in (lambda: inline(store.find("run")), lambda: store.beat("owner", 1), lambda: store.savepoint(1, 1)):
        with pytest.raises(StoreUnavailableError, match="not open"):
            call()


# -- what can be wrong with a file


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=f"there is no directory {tmp_path}/none"):
        inline(connecting(tmp_path / "none" / "runs.db"))


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=f"{tmp_path} is a directory"):
        inline(connecting(tmp_path))


@pytest.mark.parametrize("size", [2, 50, 100, 5000, 100_000])
def test_a_file_that_is_no_database(tmp_path: Path, size: int) -> None:
    file = tmp_path / "letters.txt"
    file.write_bytes((b"no database\n" * (size // 12 + 1))[:size])
    with pytest.raises(StoreCorruptError, match="no SQLite database") as caught:
        inline(connecting(file))
    assert str(file) in str(caught.value)
    assert file.stat().st_size == size


def test_an_empty_file_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "runs.db").touch()
    with on_file(tmp_path / "runs.db") as store:
        assert inline(store.find("run")) is None


def filled(file: Path) -> None:
    with on_file(file) as store:
        for number in range(20):
            claim = inline(begin(store, f"run {number}"))
            inline(commit(store, claim, added=[row(seq, input=b"x" * 500) for seq in range(1, 50)]))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_file(tmp_path: Path, part: float) -> None:
    file = tmp_path / "runs.db"
    filled(file)
    with file.open("r+b") as opened_file:
        opened_file.truncate(int(file.stat().st_size * part))
    with pytest.raises(StoreCorruptError, match="damaged") as caught:
        inline(connecting(file))
    assert str(file) in str(caught.value)


def test_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    filled(file)
    data = bytearray(file.read_bytes())
    data[4096 * 2 :] = b"\xa5" * (len(data) - 4096 * 2)
    file.write_bytes(data)

    def use() -> None:
        with on_file(file) as store:
            inline(store.find("run 1"))
            inline(begin(store, "another"))

    with pytest.raises(StoreCorruptError, match="damaged"):
        use()


def test_tables_that_are_not_its_own(tmp_path: Path) -> None:
    for number, statement in enumerate(["CREATE TABLE cnstra_schema (x)", "CREATE TABLE cnstra_runs (x)"]):
        file = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)
        with pytest.raises(StoreCorruptError, match="not those of a store of cnstra"):
            inline(connecting(file))


@contextmanager
def as_nobody() -> Iterator[Path]:
    """As somebody whom permissions keep from things, which they do not keep root from; gives a directory of theirs."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


needs_permissions = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions as POSIX has them")


@needs_permissions
def test_a_read_only_file() -> None:
    with as_nobody() as folder:
        file = folder / "runs.db"
        with on_file(file):
            pass
        file.chmod(0o400)
        with pytest.raises(StoreUnavailableError, match=f"{file} is read-only"):
            inline(connecting(file))


@needs_permissions
def test_a_read_only_directory() -> None:
    with as_nobody() as folder:
        with on_file(folder / "runs.db"):
            pass
        folder.chmod(0o500)
        with pytest.raises(StoreUnavailableError, match=r"cannot be made|read-only"):
            inline(connecting(folder / "runs.db"))
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            inline(connecting(folder / "new.db"))


@needs_permissions
def test_a_directory_that_may_not_be_entered() -> None:
    with as_nobody() as folder:
        (folder / "below").mkdir()
        (folder / "below").chmod(0o000)
        try:
            with pytest.raises(StoreUnavailableError, match="Permission denied"):
                inline(connecting(folder / "below" / "runs.db"))
        finally:
            (folder / "below").chmod(0o700)


def test_a_full_disk(tmp_path: Path) -> None:
    with on_file(tmp_path / "runs.db") as store:
        claim = inline(begin(store))
        # What SQLite says of a limit of its own is what it says of a disk.
        pragma(store, f"max_page_count={pragma(store, 'page_count') + 20}")
        too_much = [row(seq, input=b"x" * 4000) for seq in range(1, 100)]
        batch = [Increment(claim.key, claim.fence, added=too_much, hops=7)]
        with pytest.raises(StoreUnavailableError, match="full"):
            inline(store.commit(batch))
        with pytest.raises(StoreUnavailableError, match="full"):
            inline(store.create("owner", [new_run("large", entry=b"x" * 1_000_000)]))
        assert [run.hops for run in inline(store.list_runs())] == [0]
        assert inline(store.frontier(claim.key)).tasks == []
        pragma(store, "max_page_count=1000000")
        assert inline(store.commit(batch)) == frozenset()
        inline(finish(store, claim))


def test_a_file_that_is_taken_away(tmp_path: Path) -> None:
    for beats_before in (False, True):
        with on_file(tmp_path / "runs.db") as store:
            if beats_before:
                store.beat("owner", 60)
            for file in tmp_path.iterdir():
                file.unlink()
            with pytest.raises(StoreUnavailableError, match="moved or removed"):
                store.beat("owner", 60)
            assert list(tmp_path.iterdir()) == [], "nothing is made in its place"
            with on_file(tmp_path / "runs.db"), pytest.raises(StoreUnavailableError, match="moved or removed"):
                store.beat("owner", 60)
