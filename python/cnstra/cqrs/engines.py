"""From the URL of read models to the engines of SQLAlchemy that write and read them, and from their errors to ours."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

try:
    from sqlalchemy import Connection, Engine, create_engine, event
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"the CQRS kit needs {missing.name}: pip install 'cnstra[cqrs]'", name=missing.name
    ) from missing
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool, StaticPool

from cnstra.durable import StoreUrlError

from .connecting import shown
from .errors import ReadModelUnavailableError, ReadModelUrlError

__all__ = ["Engines", "is_unavailable", "open_engines", "words"]

# Seconds for which a writer waits while another process writes the file.
_LOCK_TIMEOUT: Final = 10.0
# Seconds, and between two attempts: several processes that make one new file have to try again.
_OPENING: Final = 5.0
_AGAIN: Final = 0.005
# Writers are one a projection, and one more while it is rebuilt.
_WRITERS: Final = 5

# What is wrong with the file, and not with a statement or a row.
_SQLITE_UNAVAILABLE: Final = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}
# Classes of SQLSTATE that are about the server, the connection to it, or others who use it.
_POSTGRES_UNAVAILABLE: Final = {"08", "28", "3D", "40", "53", "55", "57", "58"}
_READ_ONLY_TRANSACTION: Final = "25006"


@dataclass(frozen=True, slots=True)
class Engines:
    """Open read models.

    Attributes:
        url: what messages call them; without a password.
        writer, reader: of connections that may write, and of such that may not.
        turn: who writes in this process; where the database knows only one writer, asking for turns is faster and
            fairer than the looks that it takes for a lock.
        reading_turn: likewise for those who read.
    """

    url: str
    writer: Engine
    reader: Engine
    turn: AbstractContextManager[Any]
    reading_turn: AbstractContextManager[Any]

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """A connection in a transaction that is committed in the end, and rolled back by an exception."""
        with self.turn, self.problems(writing=True), self.writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection on which one moment of the database can be read."""
        with self.reading_turn, self.problems(writing=False), self.reader.connect() as connection:
            yield connection

    @contextmanager
    def problems(self, *, writing: bool) -> Generator[None]:
        """Errors of the database, and not of what it was asked, are told as what is wrong with it."""
        try:
            yield
        except DBAPIError as error:
            if is_unavailable(error, writing=writing):
                raise ReadModelUnavailableError(
                    f"read models {self.url} cannot be used: {words(error.orig or error)}"
                ) from error
            raise
        except PoolTimeoutError as error:
            raise ReadModelUnavailableError(f"read models {self.url} cannot be used: {words(error)}") from error

    def close(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self.writer.dispose()


def words(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def is_unavailable(error: BaseException, *, writing: bool = True) -> bool:
    """Whether it tells of the database: trying again later may work, and another statement would not have."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, ReadModelUnavailableError)
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        # An error that SQLite has not raised itself has no code.
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return code in _SQLITE_UNAVAILABLE or (writing and code == sqlite3.SQLITE_READONLY)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return state[:2] in _POSTGRES_UNAVAILABLE or (writing and state == _READ_ONLY_TRANSACTION)


def open_engines(url: str, *, readers: int) -> Engines:
    """Engines for what a URL names. They connect when they are first used.

    Args:
        url: of SQLite, PostgreSQL, or memory.
        readers: how many may read at once.

    Raises:
        ReadModelUrlError: it names none.
    """
    if url in ("memory:", "memory://"):
        return _in_memory()
    try:
        match url.partition("://")[0]:
            case "sqlite":
                return _on_sqlite(url, readers)
            case "postgresql" | "postgres":
                return _on_postgres(url, readers)
            case _:
                pass
    except StoreUrlError as error:
        raise ReadModelUrlError(str(error)) from None
    raise ReadModelUrlError(
        f"{shown(url)!r} names no database for read models: use sqlite:///path/to/models.db, "
        f"postgresql://user@host/database or memory:"
    )


def _in_memory() -> Engines:
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False),
        poolclass=StaticPool,
    )
    _begin_with(engine, "BEGIN")
    # There is one connection for all.
    turn = threading.Lock()
    return Engines("memory:", engine, engine, turn, turn)


def _on_sqlite(url: str, readers: int) -> Engines:
    from cnstra.durable.sqlite_opening import file_of

    file = str(file_of(url))
    writer = _sqlite_engine(lambda: _open_file(file, read_only=False), "BEGIN IMMEDIATE", _WRITERS)
    reader = _sqlite_engine(lambda: _open_file(file, read_only=True), "BEGIN", readers)
    return Engines(url, writer, reader, threading.Lock(), nullcontext())


def _sqlite_engine(creator: Callable[[], sqlite3.Connection], begin: str, size: int) -> Engine:
    engine = create_engine("sqlite://", creator=creator, poolclass=QueuePool, pool_size=size, max_overflow=-1)
    _begin_with(engine, begin)
    return engine


def _begin_with(engine: Engine, statement: str) -> None:
    # The module of Python would begin transactions late, and not before DDL.
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    event.listen(engine, "begin", begin)


def _open_file(file: str, *, read_only: bool) -> sqlite3.Connection:
    deadline = time.monotonic() + _OPENING
    while True:
        connection = sqlite3.connect(file, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            # Whoever reads does not wait for who writes. A file that is read-only keeps what it has.
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            # What a power failure takes from the end is applied once more: positions are in the same file.
            connection.execute("PRAGMA synchronous=NORMAL")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            return connection
        except sqlite3.Error as error:
            connection.close()
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_READONLY and read_only:
                return sqlite3.connect(file, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
            # SQLite waits for most locks by itself, but not for what several processes do at once to a new file.
            if code != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN)


def _on_postgres(url: str, readers: int) -> Engines:
    # In this order: it says what to install.
    import psycopg

    from cnstra.durable.postgres_opening import parse
    from cnstra.durable.postgres_opening import shown as shown_parameters

    parameters = parse(url)

    def connect(*, writes: bool) -> psycopg.Connection[Any]:
        connection = psycopg.connect(**parameters)
        if writes and "synchronous_commit" not in str(parameters.get("options")):
            # What a crash of the server takes from the end is applied once more: the positions are with it.
            connection.execute("SET synchronous_commit TO off")
            connection.commit()
        return connection

    def engine(size: int, *, writes: bool, **options: Any) -> Engine:
        return create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(writes=writes),
            pool_size=size,
            max_overflow=-1,
            # A server that was restarted in between is no error.
            pool_pre_ping=True,
            use_native_hstore=False,
            **options,
        )

    reader = engine(readers, writes=False, isolation_level="REPEATABLE READ").execution_options(
        postgresql_readonly=True
    )
    return Engines(shown_parameters(parameters), engine(_WRITERS, writes=True), reader, nullcontext(), nullcontext())
