"""What comes back from bytes, compared with what was given: part by part, and by type as well as by value.

MessagePack has fewer types than Python. A member of an enum in a field that is annotated ``str``, a tuple in a
``dict[str, Any]``, an instance of a subclass: all of these can be encoded, and something else comes back. Neither
``==`` nor a second encoding sees all of it (``Colour.RED == 1``, a tuple and a list are the same bytes), and classes
need not have ``==``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from reprlib import repr as short
from typing import Any, NamedTuple
from uuid import UUID

__all__ = ["Shape", "an_instance", "class_of", "difference", "is_model", "shape_of", "type_name"]

# If two values of the same one of these types are equal, they are the same.
_PLAIN = frozenset({type(None), bool, int, float, str, bytes, date, timedelta, UUID, Decimal})

_Compare = Callable[[Any, Any], "tuple[str, str] | None"]


class Shape(NamedTuple):
    """What an instance of a class is made of.

    Attributes:
        names: of its fields, in order.
        get: all of their values, as one tuple.
    """

    names: tuple[str, ...]
    get: Callable[[Any], tuple[Any, ...]]


def is_model(cls: Any) -> bool:
    """Whether it is a class of pydantic models."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_core_schema__") and hasattr(cls, "model_validate")


def class_of(value: object) -> type:
    """``type(value)``, which type checkers do not take for a reason to know less about the value."""
    return type(value)


@lru_cache(4096)
def shape_of(cls: Any) -> Shape | None:
    """The fields of a dataclass, attrs class, Struct, named tuple or pydantic model; None if it is nothing of these."""
    if is_model(cls):
        # Besides the declared fields, those that a model may take in addition, and those that it keeps to itself.
        return _shape((*cls.__pydantic_fields__, "__pydantic_extra__", "__pydantic_private__"))
    if hasattr(cls, "__struct_fields__"):
        return _shape(cls.__struct_fields__)
    if hasattr(cls, "__dataclass_fields__"):
        from dataclasses import fields

        return _shape([field.name for field in fields(cls)])
    if hasattr(cls, "__attrs_attrs__"):
        return _shape([field.name for field in cls.__attrs_attrs__])
    if tuple in cls.__mro__ and hasattr(cls, "_fields"):
        return _shape(cls._fields)
    return None


def type_name(cls: Any) -> str:
    """How messages call a type."""
    if cls is None or cls is type(None):
        return "None"
    is_class = isinstance(cls, type) and not hasattr(cls, "__args__")
    return cls.__qualname__ if is_class else str(cls)


def an_instance(value: object) -> str:
    """How messages call a value: by its type alone, because it may be nobody's business who reads them."""
    if value is None:
        return "None"
    name = type_name(type(value))
    return f"{'an' if name[:1] in 'aeioAEIO' else 'a'} {name}"


def difference(given: Any, back: Any) -> str | None:
    """What is not the same in a value and in what its bytes were decoded to, in words; None if they are the same.

    An ``int`` may come back as an equal ``float``, for which type checkers accept it, a point in time in another time
    zone, and one without time zone without its ``fold``. Everything else must have the very type that it had, and so
    must its parts: equality that a class defines for itself does not count, nor do attributes that are no fields.

    Args:
        given: what was encoded.
        back: what was decoded.

    Cost: linear, and least for what is the same.
    """
    try:
        if _same(given, back):
            return None
    except ArithmeticError:
        pass  # a signalling NaN cannot even be asked whether it equals another
    found = _difference(given, back)
    if found is None:
        return None
    path, what = found
    return f"at {path}: {what}" if path else what


def _shape(names: Sequence[str]) -> Shape:
    if len(names) > 1:
        return Shape(tuple(names), attrgetter(*names))

    def get(value: object) -> tuple[Any, ...]:
        # attrgetter of one name gives no tuple, and there is none of no name.
        return tuple(getattr(value, name) for name in names)

    return Shape(tuple(names), get)


# --- Many parts at once, for what is the same


def _same(given: object, back: object) -> bool:
    """True if they are the same; False if they are not, or if this cannot tell."""
    kind = type(given)
    if kind is not type(back):
        return False
    if kind in _PLAIN:
        return given == back
    return _same_of(kind, given, back)


def _same_of(kind: type, given: Any, back: Any) -> bool:
    """The same for two values of one type that is not plain."""
    shape = shape_of(kind)
    if shape is not None:
        return _same_parts(shape.get(given), shape.get(back))
    if kind is list or kind is tuple:
        return _same_parts(given, back)
    if kind is dict:
        return _same_parts([*given], [*back]) and _same_parts([*given.values()], [*back.values()])
    if kind is datetime or kind is time:
        return _clock(given, back) is None
    return issubclass(kind, Enum) and bool(given == back)


def _same_parts(mine: Sequence[Any], theirs: Sequence[Any]) -> bool:
    kinds = [*map(type, mine)]
    if kinds != [*map(type, theirs)]:
        return False
    if _PLAIN.issuperset(kinds):
        return mine == theirs
    if len(kinds) > 1 and kinds.count(kinds[0]) == len(kinds):
        split = _splitter(kinds[0])
        if split is not None:
            my_parts: list[Any] = []
            their_parts: list[Any] = []
            return split(mine, my_parts) == split(theirs, their_parts) and _same_parts(my_parts, their_parts)
    for kind, part, other in zip(kinds, mine, theirs, strict=True):
        if kind in _PLAIN:
            if part != other:
                return False
        elif not _same_of(kind, part, other):
            return False
    return True


@lru_cache(4096)
def _splitter(kind: type) -> Callable[[Sequence[Any], list[Any]], Any] | None:
    """What adds the parts of many values of a type to a list, and returns what must be equal besides."""
    shape = shape_of(kind)
    if shape is not None:
        get = shape.get
        return lambda values, parts: parts.extend(chain.from_iterable(map(get, values)))
    if kind in (list, tuple):
        return _split_sequences
    return _split_dicts if kind is dict else None


def _split_sequences(values: Sequence[Any], parts: list[Any]) -> list[int]:
    parts.extend(chain.from_iterable(values))
    return [*map(len, values)]


def _split_dicts(values: Sequence[dict[Any, Any]], parts: list[Any]) -> list[int]:
    parts.extend(chain.from_iterable(values))
    parts.extend(chain.from_iterable(map(dict[Any, Any].values, values)))
    return [*map(len, values)]


# --- Part by part, for what is not, and where


def _difference(given: object, back: object) -> tuple[str, str] | None:
    """Where the difference lies, as one would write it in Python, and what it is."""
    kind = type(given)
    if kind is not type(back):
        if kind is int and type(back) is float and given == back:
            return None
        return "", f"{an_instance(given)} would come back as {an_instance(back)}"
    return _difference_of(kind, given, back)


def _difference_of(kind: type, given: Any, back: Any) -> tuple[str, str] | None:
    compare = _COMPARE.get(kind)
    if compare is not None:
        return compare(given, back)
    shape = shape_of(kind)
    if shape is None:
        return _value(given, back)
    return _parts(shape.get(given), shape.get(back), lambda place: f".{shape.names[place]}")


def _value(given: Any, back: Any) -> tuple[str, str] | None:
    is_same = given is back or given == back
    return None if is_same else ("", f"{an_instance(given)} would come back as another one")


def _float(given: float, back: float) -> tuple[str, str] | None:
    return None if math.isnan(given) and math.isnan(back) else _value(given, back)


def _decimal(given: Decimal, back: Decimal) -> tuple[str, str] | None:
    return None if str(given) == str(back) else ("", "a Decimal would come back as another one")


def _clock(given: datetime | time, back: datetime | time) -> tuple[str, str] | None:
    if given.tzinfo is None or back.tzinfo is None:
        if given.tzinfo is not back.tzinfo:
            return "", f"{an_instance(given)} would come back without its time zone"
    elif isinstance(given, datetime) and isinstance(back, datetime):
        # In an hour that is repeated, those of different time zones are never equal.
        return _value(given.astimezone(UTC), back.astimezone(UTC))
    return _value(given, back)


def _items(given: Sequence[Any], back: Sequence[Any]) -> tuple[str, str] | None:
    return _parts(given, back, lambda place: f"[{place}]")


def _dict(given: dict[Any, Any], back: dict[Any, Any]) -> tuple[str, str] | None:
    if len(given) != len(back):
        return "", f"{len(given)} keys would come back as {len(back)}"
    keys = [*given]
    found = _parts(keys, [*back], lambda place: f"[{short(keys[place])}]")
    if found is not None:
        return found[0], f"in the key, {found[1]}"
    return _parts([*given.values()], [*back.values()], lambda place: f"[{short(keys[place])}]")


def _set(given: Iterable[Any], back: Iterable[Any]) -> tuple[str, str] | None:
    left = {member: member for member in back}
    for member in given:
        found = _member(member, left)
        if found is not None:
            return found
    return ("", f"{an_instance(given)} would come back with more members") if left else None


def _member(member: Any, left: dict[Any, Any]) -> tuple[str, str] | None:
    if member in left:
        return _difference(member, left.pop(member))
    # NaN, and instances of classes whose == is that of object, are equal to themselves alone.
    for other in left:
        if _difference(member, other) is None:
            del left[other]
            return None
    return "", f"{an_instance(member)} in a set would not come back as it is"


def _parts(given: Sequence[Any], back: Sequence[Any], where: Callable[[int], str]) -> tuple[str, str] | None:
    if len(given) != len(back):
        return "", f"{len(given)} parts would come back as {len(back)}"
    for place, part in enumerate(given):
        found = _difference(part, back[place])
        if found is not None:
            return where(place) + found[0], found[1]
    return None


_COMPARE: Mapping[type, _Compare] = {
    float: _float,
    Decimal: _decimal,
    datetime: _clock,
    time: _clock,
    list: _items,
    tuple: _items,
    dict: _dict,
    set: _set,
    frozenset: _set,
}
