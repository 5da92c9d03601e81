"""Points in time and lengths of time: as people write them after an option, and as they read them in a table."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .problems import CommandError

__all__ = ["as_age", "as_iso", "as_length", "as_moment", "read_length", "read_moment"]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604_800.0}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.ASCII)

# What can be a due date, because it is a number, and is no date: beyond the years 1 to 9999.
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_800.0


def read_length(text: str, option: str) -> float:
    """Seconds, from a number and its unit.

    Args:
        text: like ``90s``, ``15m``, ``2h``, ``30d`` or ``1w``.
        option: whose value it is, for messages.

    Raises:
        CommandError: it is none.

    Example:
        >>> read_length("1.5h", "--since")
        5400.0
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None:
        raise CommandError(f"{option} {text!r} is no length of time: write 90s, 15m, 2h, 30d or 1w", status=2)
    return float(match[1]) * _SECONDS[match[2]]


def read_moment(text: str, option: str, now: float) -> float:
    """Seconds since the epoch, from a date, a date with a time, or a length of time before now.

    Args:
        text: like ``2h``, ``2026-11-25`` or ``2026-11-25T14:30:00+02:00``; UTC where no time zone is given.
        option: whose value it is, for messages.
        now: seconds since the epoch.

    Raises:
        CommandError: it is none.

    Example:
        >>> read_moment("1970-01-02", "--since", 0.0), read_moment("1h", "--since", 7200.0)
        (86400.0, 3600.0)
    """
    if _LENGTH.fullmatch(text.strip().lower()):
        return now - read_length(text, option)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError(
            f"{option} {text!r} is no point in time: write 2h for two hours ago, 2026-11-25 or 2026-11-25T14:30Z",
            status=2,
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def as_iso(moment: float | None) -> str | None:
    """A point in time for programs: ISO 8601, UTC, to the microsecond; None if calendars do not have it.

    Example:
        >>> as_iso(0.25)
        '1970-01-01T00:00:00.250000Z'
    """
    if moment is None or not _EARLIEST <= moment < _LATEST:
        return None
    return f"{datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def as_moment(moment: float) -> str:
    """A point in time for people.

    Example:
        >>> as_moment(0.25)
        '1970-01-01 00:00:00 UTC'
    """
    if not _EARLIEST <= moment < _LATEST:
        return "in no calendar"
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def as_age(seconds: float) -> str:
    """How long ago, roughly: in four columns.

    Example:
        >>> [as_age(s) for s in (0.2, 75, 7380, 260_000)]
        ['0s', '1m', '2h', '3d']
    """
    whole = max(int(seconds), 0)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if whole >= length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def as_length(seconds: float) -> str:
    """A length of time for people, in six columns at most up to years.

    Example:
        >>> [as_length(s) for s in (0.000012, 0.0042, 0.85, 3.14, 75, 7380, 260_000, 90_000_000)]
        ['0.01ms', '4.2ms', '850ms', '3.1s', '1m15s', '2h03m', '3d00h', '1042d']
    """
    seconds = min(max(seconds, 0.0), _LATEST)
    if seconds < 0.9995:
        number = seconds * 1e3
        return f"{number:.{2 if number < 0.995 else 1 if number < 9.95 else 0}f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    if whole < 100 * 86_400:
        return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
    return f"{round(seconds / 86_400)}d"
