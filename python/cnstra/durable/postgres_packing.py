"""Rows for PostgreSQL in its own binary format: an array of composite values, made in one go.

A commit sends up to sixty values. As scalars they would need a statement for each number of rows; as an array for each
column they take psycopg 0.2 ms to adapt and the server 0.2 ms to take apart, as much as a commit takes altogether. As
arrays of composite values it is one parameter for each kind of row: see ``docs/decisions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from struct import Struct
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

__all__ = ["Layout", "Rows", "words"]

Pack = Callable[[Any], bytes]

_INT8, _INT4, _TEXT, _BYTEA, _FLOAT8 = 20, 23, 25, 17, 701

# A column of a composite value: the OID of its type, its length in bytes or -1 for NULL, its bytes.
_column = Struct("!Ii").pack
# An array: one dimension, maybe with NULLs, the OID of its elements, how many there are, the first is number 1.
_array = Struct("!iiIii").pack
_length = Struct("!i").pack


def _text(value: str) -> bytes:
    data = value.encode()
    return _column(_TEXT, len(data)) + data


def words(value: str) -> str:
    """Whatever somebody had to say, so that it can be stored: PostgreSQL knows no NUL in a text, and UTF-8 no half of a
    surrogate pair."""
    return value.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _words(value: str) -> bytes:
    return _text(words(value))


def _bytea(value: bytes) -> bytes:
    return _column(_BYTEA, len(value)) + value


# By the name of the kind of column: how a value is packed, and the OID for NULL.
_KINDS: dict[str, tuple[Pack, int]] = {
    "int8": (partial(Struct("!Iiq").pack, _INT8, 8), _INT8),
    "int4": (partial(Struct("!Iii").pack, _INT4, 4), _INT4),
    "float8": (partial(Struct("!Iid").pack, _FLOAT8, 8), _FLOAT8),
    "text": (_text, _TEXT),
    "words": (_words, _TEXT),
    "bytea": (_bytea, _BYTEA),
}


class Rows(bytes):
    """An array of composite values as PostgreSQL reads it; a statement casts it to its type."""

    __slots__ = ()


class _RowsDumper(Dumper):
    # No type of its own: the server takes the one that the statement names.
    oid = 0
    format = pq.Format.BINARY

    def dump(self, obj: Rows) -> Rows:
        return obj


psycopg.adapters.register_dumper(Rows, _RowsDumper)


class Layout:
    """The columns of a composite type.

    Args:
        kinds: of its columns, in order: ``int8``, ``int4``, ``float8``, ``text``, ``words`` or ``bytea``.
    """

    def __init__(self, *kinds: str) -> None:
        self._columns = [(_KINDS[kind][0], _column(_KINDS[kind][1], -1)) for kind in kinds]
        self._count = _length(len(kinds))

    def pack(self, oid: int, rows: Iterable[Sequence[Any]]) -> Rows:
        """Rows of this layout as an array of the composite type with that OID.

        Raises:
            struct.error: a number is none, or too large for its column.
            UnicodeEncodeError: a text has half of a surrogate pair in it.
        """
        columns, count = self._columns, self._count
        parts: list[bytes] = []
        for row in rows:
            data = count + b"".join(
                [null if value is None else pack(value) for (pack, null), value in zip(columns, row, strict=True)]
            )
            parts.append(_length(len(data)) + data)
        return Rows(_array(1, 0, oid, len(parts), 1) + b"".join(parts))
