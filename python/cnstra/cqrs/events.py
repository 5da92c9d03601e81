"""Events as bytes, by the classes that were declared: nothing that a row of the log names is ever imported.

The state of a stored event is one JSON object: ``t`` the time, ``c`` the id of the command, ``v`` the version of the
class where that is not 1, ``e`` the event. The log can be read with any tool.

Versions and upcasts are those of the eventsourcing package: ``class_version: ClassVar[int] = 2``, and a static
``upcast_v1_v2(state)`` that changes the state of version 1 into that of version 2 in place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import msgspec
from eventsourcing.persistence import StoredEvent
from msgspec import inspect

from .errors import EventEncodingError, EventTypeError, UnknownEventError, UnknownEventVersionError
from .recorded import Recorded

__all__ = ["EventType", "EventTypes", "untyped"]


class _State(msgspec.Struct, omit_defaults=True):
    """What is in a stored event besides its place."""

    t: float
    c: str
    e: msgspec.Raw
    v: int = 1


_encode: Final = msgspec.json.Encoder().encode
_decode_state: Final = msgspec.json.Decoder(_State).decode


class EventType:
    """One event class, and how its objects are read and written.

    Args:
        cls: a dataclass, msgspec Struct or attrs class. Its name is its topic in the log, unless it says otherwise by
            ``topic: ClassVar[str]``: a class that is renamed keeps its old topic.

    Raises:
        EventTypeError: it cannot be one.
    """

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.topic: str = getattr(cls, "topic", cls.__name__)
        self.version: int = getattr(cls, "class_version", 1)
        if not isinstance(self.topic, str) or not self.topic or self.topic.startswith("$"):
            raise EventTypeError(
                f"event class {cls.__qualname__}: topic must be a str that is not empty and does not begin with a $"
            )
        if not isinstance(self.version, int) or self.version < 1:
            raise EventTypeError(f"event class {cls.__qualname__}: class_version must be an int from 1 on")
        missing = [name for name in map(_upcast_name, range(1, self.version)) if not callable(getattr(cls, name, None))]
        if missing:
            raise EventTypeError(
                f"event class {cls.__qualname__} has class_version {self.version} and no {', '.join(missing)}: a "
                f"static method that is given the state of the older version, as a dict, and changes it in place"
            )
        problem = untyped(cls)
        if problem is not None:
            raise EventTypeError(f"event class {cls.__qualname__} cannot be stored: {problem}")
        self._decode = cast("Callable[[msgspec.Raw], Any]", msgspec.json.Decoder(cls).decode)
        # A stored event with this one in it, if it is of this version.
        whole = msgspec.defstruct("_Whole", [("t", float), ("c", str), ("e", cls), ("v", int, 1)], gc=False)
        self.decode_whole = cast("Callable[[bytes], Any]", msgspec.json.Decoder(whole).decode)
        self._is_comparable = getattr(cls, "__eq__") is not getattr(object, "__eq__")  # noqa: B009

    def encode(self, event: Any, recorded_at: float, command_id: str) -> bytes:
        """An event of exactly this class as the state of a stored one.

        Raises:
            EventEncodingError: it would not come back as it is: a field has a value that its annotation does not allow.
        """
        try:
            raw = msgspec.Raw(_encode(event))
            found = self._decode(raw)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EventEncodingError(f"{event!r} cannot be stored as a {self.cls.__qualname__}: {error}") from error
        if self._is_comparable and found != event:
            raise EventEncodingError(
                f"{event!r} cannot be stored: it would come back as {found!r}; give its fields what they are "
                f"annotated with"
            )
        return _encode(_State(recorded_at, command_id, raw, self.version))

    def decode(self, state: _State) -> Any:
        """The event of a state.

        Raises:
            UnknownVersion, msgspec.MsgspecError, Exception: whatever is wrong with it, or what an upcast raises.
        """
        version = state.v
        if version == self.version:
            return self._decode(state.e)
        if version > self.version:
            raise _TooNewError(
                f"it is of version {version}, and {self.cls.__qualname__} knows none after {self.version}: deploy what "
                f"has written it, or newer"
            )
        fields = msgspec.json.decode(state.e)
        for older in range(version, self.version):
            getattr(self.cls, _upcast_name(older))(fields)
        return msgspec.convert(fields, self.cls, str_keys=True)


class EventTypes:
    """The event classes of a store, by class and by topic."""

    def __init__(self) -> None:
        self._by_class: dict[type[Any], EventType] = {}
        self._by_topic: dict[str, EventType] = {}

    def add(self, cls: type[Any]) -> EventType:
        """Declare a class; one that is declared already is left as it is.

        Raises:
            EventTypeError: it cannot be stored, or has the topic of another.
        """
        known = self._by_class.get(cls)
        if known is not None:
            return known
        new = EventType(cls)
        other = self._by_topic.get(new.topic)
        if other is not None:
            raise EventTypeError(
                f"event classes {_full_name(other.cls)} and {_full_name(cls)} have one topic in the log, "
                f"{new.topic!r}: give one of them another, topic: ClassVar[str] = ..."
            )
        self._by_class[cls] = self._by_topic[new.topic] = new
        return new

    def topics(self, classes: Iterable[type[Any]]) -> list[str]:
        """The topics of declared classes."""
        return [self.add(cls).topic for cls in classes]

    def encode(self, stream: str, version: int, event: Any, recorded_at: float, command_id: str) -> StoredEvent:
        """An event as it is stored.

        Raises:
            EventTypeError: its class is not declared.
            EventEncodingError: it cannot be stored.
        """
        cls = event.__class__
        kind = self._by_class.get(cls)
        if kind is None:
            raise EventTypeError(f"{event!r} is of {_full_name(cls)}, which is no declared event class")
        return StoredEvent(stream, version, kind.topic, kind.encode(event, recorded_at, command_id))

    def decode(self, stored: StoredEvent, position: int | None) -> Recorded[Any]:
        """A stored event as it was; ``position`` is its place in the log, if that is known.

        Raises:
            UnknownEventVersionError: newer code has written it.
            UnknownEventError: its class is not declared, or its state is not what that says.
        """
        stream = str(stored.originator_id)
        kind = self._by_topic.get(stored.topic)
        if kind is not None:
            # A log is read by this: of what is as it should be, one look at the bytes has to do.
            try:
                state = kind.decode_whole(stored.state)
            except Exception:
                pass  # told below
            else:
                if state.v == kind.version:
                    aggregate, _, name = stream.partition("/")
                    return Recorded(
                        state.e, position or 0, aggregate, name, stored.originator_version, state.t, state.c
                    )
        return self._decode_slowly(kind, stored, stream, position)

    def _decode_slowly(
        self, kind: EventType | None, stored: StoredEvent, stream: str, position: int | None
    ) -> Recorded[Any]:
        """The same, for events of older versions, and for those that something is wrong with."""
        where: dict[str, Any] = {
            "stream": stream,
            "version": stored.originator_version,
            "topic": stored.topic,
            "position": position,
        }
        if kind is None:
            known = ", ".join(sorted(self._by_topic)) or "none"
            raise UnknownEventError(
                f"no event class is declared for that topic (there are: {known}); a class that was renamed keeps its "
                f"topic by topic: ClassVar[str]",
                **where,
            )
        try:
            state = _decode_state(stored.state)
            event = kind.decode(state)
        except _TooNewError as error:
            raise UnknownEventVersionError(str(error), **where) from None
        except Exception as error:
            raise UnknownEventError(
                f"it cannot be read as {kind.cls.__qualname__} of version {kind.version}: {error}; a class whose "
                f"fields change needs a higher class_version and an upcast",
                **where,
            ) from error
        aggregate, _, name = stream.partition("/")
        return Recorded(event, position or 0, aggregate, name, stored.originator_version, state.t, state.c)


class _TooNewError(Exception):
    """The version is one that the class does not know."""


def _upcast_name(version: int) -> str:
    return f"upcast_v{version}_v{version + 1}"


def _full_name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def untyped(cls: Any) -> str | None:
    """Why objects of a class would not come back from JSON as they are; None if they do.

    It has to be a dataclass, msgspec Struct or attrs class all of whose fields are of types that say what is in them.
    """
    try:
        info: Any = inspect.type_info(cls)
    except Exception as error:
        return str(error)
    if not isinstance(info, inspect.DataclassType | inspect.StructType):
        return "it is no dataclass, msgspec Struct or attrs class"
    if dataclasses.is_dataclass(info.cls) and not all(field.init for field in dataclasses.fields(info.cls)):
        return "it has fields that its constructor does not take (init=False), which would be lost"
    return _problem(info, str(cls.__qualname__), set())


def _problem(info: Any, where: str, seen: set[Any]) -> str | None:
    """What in a type does not say what it is, and where; None if there is nothing."""
    match info:
        case inspect.AnyType():
            return f"{where} is of no certain type: annotate what is in it"
        case inspect.CustomType():
            return (
                f"{where} is of {info.cls.__qualname__}, which has no form in JSON: use builtins, dataclasses, Structs"
            )
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType() | inspect.NamedTupleType():
            if info.cls in seen:
                return None
            seen.add(info.cls)
            parts = [(field.type, f"{where}.{field.name}") for field in info.fields]
        case inspect.UnionType():
            parts = [(part, where) for part in info.types]
        case inspect.TupleType():
            parts = [(part, where) for part in info.item_types]
        case inspect.CollectionType():
            parts = [(info.item_type, f"an item of {where}")]
        case inspect.DictType():
            parts = [(info.key_type, f"a key of {where}"), (info.value_type, f"a value of {where}")]
        case _:
            parts = []
    for part, place in parts:
        problem = _problem(part, place, seen)
        if problem is not None:
            return problem
    return None
