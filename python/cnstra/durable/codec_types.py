"""From a type to what makes bytes of its values and values of the bytes, or the reason why there is no such thing."""

from __future__ import annotations

import enum
import functools
import inspect
import typing
import warnings
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import UnionType
from typing import Any, Protocol, Union
from uuid import UUID

from msgspec import inspect as types

from cnstra import Context

from .codec_exact import difference, is_model, type_name
from .codec_packing import Ext, Raw, pack, unpacker

__all__ = ["NoCodecError", "TypeCodec", "codec_of", "context_type_of"]


class NoCodecError(Exception):
    """A type has no codec; the message tells why."""


class TypeCodec(Protocol):
    """What encodes and decodes the values of one type.

    Attributes:
        classes: of its values, by name; None if they may be of any.
        is_tagged: whether it stores that name with each value.
    """

    classes: dict[str, type] | None
    is_tagged: bool

    def encode(self, value: Any, /) -> bytes:
        """Any exception says that the value cannot be stored."""
        ...

    def decode(self, data: bytes | Raw, /) -> Any:
        """Any exception says that the bytes are of no such value."""
        ...


def codec_of(hint: Any, *, verify: bool) -> TypeCodec:
    """The codec of a type.

    Args:
        hint: a payload type, or the type of a context value.
        verify: whether it decodes what it has encoded, and refuses what does not come back as it was.

    Raises:
        NoCodecError: there is none.
    """
    hint = Any if hint is object else hint
    try:
        return _Native(hint, verify)
    except NoCodecError:
        alternatives = _alternatives(hint)
        if len(alternatives) < 2:
            raise
    return _Tagged(alternatives, verify)


def context_type_of(neuron: Any) -> Any:
    """The type of a neuron's context value: its ``context_type``, or what its handlers say of their context."""
    declared = neuron.context_type
    if declared is not None:
        return declared
    said: list[Any] = []
    for dendrite in neuron.dendrites:
        hint = _context_hint(dendrite.handler) if dendrite.arity == 3 else Any
        if hint is not Any and hint is not object and not isinstance(hint, typing.TypeVar) and hint not in said:
            said.append(hint)
    return functools.reduce(_union, said) if said else Any


# --- Codecs


class _Native:
    """A type that msgspec can do, with the hooks for models."""

    __slots__ = ("_decode", "_verify", "classes", "is_tagged")

    def __init__(self, hint: Any, verify: bool) -> None:
        info = _info(hint)
        problems = [*dict.fromkeys(_problems(info, "it", set()))]
        if problems:
            raise NoCodecError("; ".join(problems))
        self.classes = _classes(info)
        self._decode = unpacker(hint)
        self.is_tagged = False
        self._verify = verify

    def encode(self, value: Any, /) -> bytes:
        data = pack(value)
        if self._verify and (found := difference(value, self._decode(data))) is not None:
            raise ValueError(found)
        return data

    def decode(self, data: bytes | Raw, /) -> Any:
        return self._decode(data)


class _Tagged:
    """A union that msgspec cannot do: with each value the name of its class is stored."""

    __slots__ = ("_by_class", "_by_tag", "_names", "classes", "is_tagged")

    def __init__(self, alternatives: list[Any], verify: bool) -> None:
        self._by_class: dict[type, tuple[bytes, TypeCodec]] = {}
        self._by_tag: dict[str, TypeCodec] = {}
        self._names = ", ".join(map(type_name, alternatives))
        classes: dict[str, type] = {}
        for hint in alternatives:
            codec = _Native(hint, verify)
            if codec.classes is None:
                raise NoCodecError(
                    f"{type_name(hint)} can be of any class, so that nothing tells it from the rest of it"
                )
            for tag, cls in codec.classes.items():
                if tag in classes:
                    raise NoCodecError(f"nothing tells two of its alternatives apart: both are called {tag}")
                classes[tag] = cls
                self._by_tag[tag] = codec
                # An array of two, of which the second is appended when there is one.
                self._by_class[cls] = b"\x92" + pack(tag), codec
        self.classes: dict[str, type] | None = classes
        self.is_tagged = True
        if float in self._by_class:
            self._by_class.setdefault(int, self._by_class[float])

    def encode(self, value: object, /) -> bytes:
        found = self._by_class.get(type(value))
        if found is None:
            raise ValueError(f"it would have to be exactly one of {self._names}")
        head, codec = found
        return head + codec.encode(value)

    def decode(self, data: bytes | Raw, /) -> Any:
        tag, rest = _tag_and_rest(data)
        codec = self._by_tag.get(tag)
        if codec is None:
            raise ValueError(f"it is stored as {tag}, and now it would have to be one of {self._names}")
        return codec.decode(rest)


_tag_and_rest = unpacker(tuple[str, Raw])


# --- What a type is made of


def _info(hint: Any) -> types.Type:
    try:
        return types.type_info(hint)
    except NameError as error:
        raise NoCodecError(
            f"an annotation in it cannot be resolved ({error}): define that at module level, or use annotations that "
            f"are no strings"
        ) from error
    except Exception as error:
        # Of many kinds: msgspec's own, and those of whatever a class runs when its annotations are looked at.
        raise NoCodecError(_first_line(error)) from error


def _problems(info: types.Type, where: str, seen: set[int]) -> Iterator[str]:
    """Why values of a type cannot be stored, each with where that is."""
    match info:
        case types.Metadata(type=inner):
            yield from _problems(inner, where, seen)
        case types.CustomType(cls=cls):
            reason = _reason(cls)
            if reason is not None:
                yield f"{where} is {reason}"
        case types.UnionType(types=alternatives):
            for one in alternatives:
                yield from _problems(one, where, seen)
        case types.CollectionType(item_type=item):
            yield from _problems(item, f"an item of {where}", seen)
        case types.TupleType(item_types=items):
            for place, one in enumerate(items):
                yield from _problems(one, f"item {place} of {where}", seen)
        case types.DictType(key_type=key, value_type=value):
            yield from _problems(key, f"a key of {where}", seen)
            yield from _problems(value, f"a value of {where}", seen)
        case types.DataclassType() | types.StructType() | types.TypedDictType() | types.NamedTupleType():
            if id(info) not in seen:  # it may contain itself
                seen.add(id(info))
                yield from _problems_of_fields(info, seen)
        case _:
            pass


def _problems_of_fields(
    info: types.DataclassType | types.StructType | types.TypedDictType | types.NamedTupleType, seen: set[int]
) -> Iterator[str]:
    name, cls = type_name(info.cls), typing.get_origin(info.cls) or info.cls
    is_attrs = hasattr(cls, "__attrs_attrs__")
    if isinstance(info, types.DataclassType) and issubclass(cls, _MORE_THAN_FIELDS):
        yield f"{name} is more than its fields, which are all that is stored"
    for field in info.fields:
        where = f"{name}.{field.name}"
        if is_attrs and field.name.startswith("_"):
            yield f"{where} is private, and of attrs classes msgspec leaves private fields out"
        elif type(field.default).__name__ == "FieldInfo":
            yield f"{where} has a default that pydantic alone understands: make {name} a BaseModel"
        else:
            yield from _problems(field.type, where, seen)


def _reason(cls: Any) -> str | None:
    """Why a class that msgspec does not know by itself cannot be stored; None if it can."""
    if cls is object or isinstance(cls, enum.EnumMeta):
        return None
    if not is_model(cls):
        return f"of type {type_name(cls)}"
    reason = ""
    # A model that pydantic can describe in neither way has something in it that it only knows by its class.
    for mode in ("serialization", "validation"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cls.model_json_schema(mode=mode)
        except Exception as error:
            if not type(error).__module__.startswith("pydantic"):
                return None  # a default, say, that cannot be shown in a description
            reason = f"of type {type_name(cls)}, which pydantic cannot make JSON of: {_first_line(error)}"
        else:
            return None
    return reason


def _classes(info: types.Type) -> dict[str, type] | None:
    """The classes of the values of a type, by name; None if they may be of any."""
    if isinstance(info, types.Metadata):
        return _classes(info.type)
    if isinstance(info, types.UnionType):
        found: dict[str, type] = {}
        for one in info.types:
            classes = _classes(one)
            if classes is None:
                return None
            found.update(classes)
        return found
    if isinstance(info, types.LiteralType):
        return {type(value).__qualname__: type(value) for value in info.values}
    if type(info) in _CLASSES:
        cls = _CLASSES[type(info)]
    else:
        named: Any = getattr(info, "cls", object)
        cls = typing.get_origin(named) or named
    return None if cls is object else {cls.__qualname__: cls}


def _alternatives(hint: Any) -> list[Any]:
    """The alternatives of a union, those of unions within it included; of anything else, itself."""
    origin: Any = typing.get_origin(hint)
    if origin is Union or origin is UnionType:
        return [*dict.fromkeys(one for part in typing.get_args(hint) for one in _alternatives(part))]
    if origin is typing.Annotated:
        inside = _alternatives(hint.__origin__)
        return inside if len(inside) > 1 else [hint]
    # Of `type X = A | B`, which Python 3.11 does not have.
    if hasattr(hint, "__value__"):
        return _alternatives(hint.__value__)
    if hasattr(origin, "__value__"):
        return _alternatives(origin.__value__[typing.get_args(hint)])
    return [hint]


def _context_hint(handler: Any) -> Any:
    """The ``C`` of a handler's ``Context[C, S]``; Any if it does not say, or in names that cannot be looked up."""
    try:
        annotation = [*inspect.signature(handler).parameters.values()][2].annotation
        while hasattr(handler, "func"):
            handler = handler.func  # of a functools.partial
        function: Any = handler if inspect.isroutine(handler) else type(handler).__call__
        holder = type("hints", (), {"__annotations__": {"ctx": annotation}})
        hint = typing.get_type_hints(holder, inspect.unwrap(function).__globals__)["ctx"]
    except Exception:
        # Annotations may be anything, and none of it matters before a value is set that cannot be stored.
        return Any
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Context else Any


def _union(one: Any, other: Any) -> Any:
    return one | other


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


# An instance of a dataclass that is one of these too has more in it than its fields.
_MORE_THAN_FIELDS = (BaseException, list, tuple, dict, set, frozenset, str, bytes, int, float)

_CLASSES: dict[type[types.Type], type] = {
    types.AnyType: object,
    types.NoneType: type(None),
    types.BoolType: bool,
    types.IntType: int,
    types.FloatType: float,
    types.StrType: str,
    types.BytesType: bytes,
    types.ByteArrayType: bytearray,
    types.MemoryViewType: memoryview,
    types.DateTimeType: datetime,
    types.DateType: date,
    types.TimeType: time,
    types.TimeDeltaType: timedelta,
    types.UUIDType: UUID,
    types.DecimalType: Decimal,
    types.RawType: Raw,
    types.ExtType: Ext,
    types.ListType: list,
    types.SetType: set,
    types.FrozenSetType: frozenset,
    types.TupleType: tuple,
    types.VarTupleType: tuple,
    types.DictType: dict,
    types.TypedDictType: dict,
}
