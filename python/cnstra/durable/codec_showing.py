"""Payloads for people and for JSON: plain builtins, without what is nobody's business."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from .codec_exact import class_of, is_model, shape_of, type_name
from .codec_packing import UNSET, pack, unpack

__all__ = ["REDACTED", "plain", "redacted", "show_bytes", "size_of"]

REDACTED = "[redacted]"


def show_bytes(data: bytes) -> Any:
    """What bytes hold, as far as they tell by themselves: for a store whose graph is not at hand.

    Args:
        data: an encoded payload or context value.

    Returns:
        Dictionaries with ``str`` keys, lists, ``str``, numbers, ``bool`` and None; ``"<N bytes>"`` if it is no
        MessagePack, as of a ``Codec`` that encrypts.

    Example:
        >>> from cnstra.durable.codecs import show_bytes
        >>> show_bytes(b"\\x81\\xa6number\\x2a"), show_bytes(b"\\xc1")
        ({'number': 42}, '<1 bytes>')
    """
    try:
        return plain(unpack(data))
    except Exception:
        # Of many kinds: whatever is wrong with them, they are shown as what they are.
        return size_of(data)


def size_of(data: Collection[Any]) -> str:
    """What is shown in place of bytes."""
    return f"<{len(data)} bytes>"


def plain(value: Any) -> Any:
    """A value as builtins that JSON has; instances of classes become dictionaries of their fields.

    Raises:
        TypeError: something in it is none of what a codec can carry.
    """
    kind = class_of(value)
    shape = shape_of(kind)
    if issubclass(kind, Enum):
        return plain(value.value)
    if value is None or issubclass(kind, bool | int | str):
        return value
    if issubclass(kind, float):
        return value if math.isfinite(value) else str(value)
    if issubclass(kind, bytes | bytearray | memoryview):
        return size_of(value)
    if issubclass(kind, date | time):
        return value.isoformat()
    if issubclass(kind, timedelta | Decimal | UUID):
        return str(value)
    if issubclass(kind, dict):
        return {key if isinstance(key, str) else str(plain(key)): plain(part) for key, part in value.items()}
    if is_model(kind):
        # As it is stored: what only pydantic knows in it has no parts to be looked into.
        return plain(unpack(pack(value)))
    if shape is not None:
        parts = zip(shape.names, shape.get(value), strict=True)
        return {name: plain(part) for name, part in parts if part is not UNSET}
    if issubclass(kind, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    raise TypeError(f"{type_name(kind)} has no plain form")


def redacted(shown: Any, fields: Collection[str]) -> Any:
    """What is shown, with some fields replaced.

    Args:
        shown: of ``plain``.
        fields: names of the keys to replace, with dots between the keys of dictionaries in dictionaries. The items of a
            list are looked into as if each stood alone.
    """
    kind = class_of(shown)
    if kind is list:
        return [redacted(part, fields) for part in shown]
    if kind is not dict:
        return shown
    below: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        below.setdefault(name, []).append(rest)
    return {key: _redacted_field(part, below.get(key)) for key, part in shown.items()}


def _redacted_field(part: Any, paths: list[str] | None) -> Any:
    if paths is None:
        return part
    return REDACTED if "" in paths else redacted(part, paths)
