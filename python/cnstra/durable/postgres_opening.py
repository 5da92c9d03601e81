"""From the URL of a PostgreSQL store to a connection, and from what is wrong with that to the errors of the port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

try:
    import psycopg
except ModuleNotFoundError as missing:
    if missing.name != "psycopg":
        raise
    raise ModuleNotFoundError(
        "a PostgreSQL store needs psycopg: pip install 'cnstra[postgres]'", name="psycopg"
    ) from missing
except ImportError as broken:
    # It is there, but finds no libpq.
    raise ImportError(f"psycopg cannot be used: {broken}; pip install 'cnstra[postgres]'", name="psycopg") from broken

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from .errors import StoreBusyError, StoreCorruptError, StoreError, StoreUnavailableError, StoreUrlError

__all__ = ["Parameters", "connect", "connect_blocking", "has_gone", "lost", "parse", "problem", "shown"]

Parameters = dict[str, Any]

# What a URL may say otherwise. A server that has vanished without a word is noticed within half a minute, not in hours.
_DEFAULTS: Final[Parameters] = {
    "application_name": "cnstra",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

_NO_SETTINGS: Final[Mapping[str, str]] = {}

# Classes of SQLSTATE, and whole ones; the whole ones count first.
_BUSY = {"40001", "40P01", "55P03"}
# With which the server ends a connection: it is shut down, has crashed, or one has been idle for too long.
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
_UNAVAILABLE = {
    "25006": "it is read-only",
    "28": "it does not let this user in",
    "3D": "there is no such database",
    "42501": "the user may not do that",
    "53": "it has no room left for it",
    "53100": "its disk is full",
    "53200": "it has no memory left",
    "53300": "it has too many connections; a smaller pool_size needs fewer",
    "57": "it was stopped in the middle of a statement",
    "58": "it cannot read or write its files",
}
# What has the name of a table of cnstra is none, or there is no such table.
_OTHER_TABLES = {"3F000", "42P01", "42P10", "42703", "42704", "42804", "42883", "22P03"}


def parse(url: str) -> Parameters:
    """What a URL says, as psycopg wants it.

    Raises:
        StoreUrlError: it cannot be read. The message has nothing of the URL in it that may be of a password.
    """
    place = url.partition("://")[2].partition("?")[0]
    authority, _, path = place.partition("/")
    found: dict[str, Any] | None
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error:
        # It quotes what it cannot read, and that may be of a password.
        found = None
    ports = str((found or {}).get("port") or "").split(",")
    if (
        found is None
        or authority.count("@") > 1
        or "@" in path
        or not all(port == "" or (port.isascii() and port.isdecimal() and 0 < int(port) < 65536) for port in ports)
    ):
        raise StoreUrlError(
            "the URL of the PostgreSQL store cannot be read: it is postgresql://user:password@host:port/database, and "
            "what is special in a URL (@ : / ? # %) is written with %, like %40, in user and password"
        )
    # The bytes of texts are made here.
    return {**_DEFAULTS, **found, "client_encoding": "utf8"}


def shown(parameters: Parameters) -> str:
    """The URL that messages show: who, where, which database, and nothing else."""
    user, database = parameters.get("user"), parameters.get("dbname")
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    where = ",".join(f"{_host(host)}:{port}" if port else _host(host) for host, port in zip(hosts, ports, strict=True))
    name = "" if user is None else f"{quote(str(user), safe='')}@"
    return f"postgresql://{name}{where}/{'' if database is None else quote(str(database), safe='')}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")


async def connect(
    url: str, parameters: Parameters, settings: Mapping[str, str] = _NO_SETTINGS
) -> psycopg.AsyncConnection[Any]:
    """A connection that commits every statement by itself.

    Args:
        url: what messages call the store.
        parameters: of the connection.
        settings: of its session.

    Raises:
        StoreError: there is none to be had.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    except psycopg.Error as error:
        raise problem(url, error, connecting=True) from None
    try:
        if settings:
            await connection.execute(_set(settings))
    except BaseException as error:
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise problem(url, error) from error
        raise
    return connection


def connect_blocking(
    url: str, parameters: Parameters, settings: Mapping[str, str] = _NO_SETTINGS
) -> psycopg.Connection[Any]:
    """The same, for a thread that may wait."""
    try:
        connection = psycopg.Connection.connect(**parameters, autocommit=True)
    except psycopg.Error as error:
        raise problem(url, error, connecting=True) from None
    try:
        if settings:
            connection.execute(_set(settings))
    except psycopg.Error as error:
        connection.close()
        raise problem(url, error) from error
    return connection


def _set(settings: Mapping[str, str]) -> bytes:
    calls = [f"set_config('{name}', '{value}', false)" for name, value in settings.items()]
    return f"SELECT {', '.join(calls)}".encode()


def has_gone(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    """Whether the server has ended a connection that nobody uses at the moment.

    Cost: two system calls that do not wait; a round trip to find out would cost a hundred times as much.
    """
    if connection.closed:
        return True
    try:
        # The first reads what the server said at last, the second that there is nothing more to come.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.Error:
        return True
    return connection.pgconn.transaction_status != pq.TransactionStatus.IDLE


def lost(error: psycopg.Error) -> bool:
    """Whether an error means that the connection is gone, and with it the answer to what was asked last."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith("08") or state in _ENDED


def problem(url: str, error: psycopg.Error, *, connecting: bool = False) -> StoreError:
    """The error of the port for one of psycopg."""
    state = error.sqlstate
    said = " ".join((error.diag.message_primary or str(error)).split())
    if connecting:
        return StoreUnavailableError(f"{url}: it cannot be reached ({said})")
    if lost(error):
        return StoreUnavailableError(f"{url}: the connection was lost ({said})")
    if state is None:
        return StoreError(f"{url}: {said}")
    if state in _BUSY:
        return StoreBusyError(f"{url}: somebody else is writing the same ({said})")
    reason = _UNAVAILABLE.get(state)
    if reason is None and state not in _OTHER_TABLES:
        reason = _UNAVAILABLE.get(state[:2])
    if reason is not None:
        return StoreUnavailableError(f"{url}: {reason} ({said})")
    if state in _OTHER_TABLES:
        return StoreCorruptError(f"{url}: its tables are not those of a store of cnstra ({said})")
    if state.startswith("XX"):
        return StoreCorruptError(f"{url}: it is damaged ({said})")
    return StoreError(f"{url}: {said} ({state})")
