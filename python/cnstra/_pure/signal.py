"""Collaterals and the signals that they mint."""

from __future__ import annotations

import types
from typing import Any, Never, Self, final

__all__ = ["Collateral", "Signal"]

_MISSING: Any = object()


@final
class Collateral:
    """A named, typed channel; signals are routed by its identity, never by its name."""

    __slots__ = ("__weakref__", "_name", "_payload_type")

    _name: str
    _payload_type: Any

    def __new__(cls, name: str, payload_type: Any = None, /) -> Collateral:
        if not isinstance(name, str):
            raise TypeError(f"a collateral's name must be a str, not {type(name).__name__}")
        if not name:
            raise ValueError("a collateral needs a name that is not empty")
        self = object.__new__(cls)
        self._name = name
        self._payload_type = payload_type
        return self

    def __init_subclass__(cls) -> None:
        raise TypeError("Collateral is final and cannot be subclassed")

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(cls, item)

    # Collateral[A | B]("name") calls the class and then tells the object which alias made it.
    @property
    def __orig_class__(self) -> Any:
        raise AttributeError("__orig_class__")

    @__orig_class__.setter
    def __orig_class__(self, alias: Any) -> None:
        if self._payload_type is None:
            self._payload_type = alias.__args__[0]

    @property
    def name(self) -> str:
        return self._name

    @property
    def payload_type(self) -> Any:
        return self._payload_type

    def create_signal(self, payload: Any = _MISSING, /) -> Signal:
        if payload is _MISSING:
            if self._payload_type is not None and self._payload_type is not type(None):
                expected = getattr(self._payload_type, "__name__", self._payload_type)
                raise TypeError(f"collateral {self._name!r} carries {expected}: create_signal needs a payload")
            payload = None
        signal = object.__new__(Signal)
        _set_collateral(signal, self)
        _set_payload(signal, payload)
        return signal

    def match(self, signal: Signal | None, /) -> Signal | None:
        if signal is None:
            return None
        if type(signal) is not Signal:
            raise TypeError(f"match takes a Signal or None, not {type(signal).__name__}")
        return signal if signal._collateral is self else None

    def __collateral__(self) -> Any:
        raise TypeError("__collateral__ exists for type checkers alone")

    def __repr__(self) -> str:
        return f"<Collateral {self._name!r}>"

    def __copy__(self) -> Collateral:
        return self

    def __deepcopy__(self, memo: Any, /) -> Collateral:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it is its identity that routes; send its name and look it up")


@final
class Signal:
    """A collateral and a payload; immutable."""

    __slots__ = ("_collateral", "_payload")
    __match_args__ = ("collateral", "payload")

    _collateral: Collateral
    _payload: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise TypeError("signals are made by a collateral: use collateral.create_signal(payload)")

    def __init_subclass__(cls) -> None:
        raise TypeError("Signal is final and cannot be subclassed")

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(cls, item)

    def __setattr__(self, name: str, value: Any) -> Never:
        raise AttributeError(f"a Signal is immutable: {name!r} cannot be set")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"a Signal is immutable: {name!r} cannot be deleted")

    @property
    def collateral(self) -> Collateral:
        return self._collateral

    @property
    def collateral_name(self) -> str:
        return self._collateral._name

    @property
    def payload(self) -> Any:
        return self._payload

    def __eq__(self, other: object) -> Any:
        if type(other) is not Signal:
            return NotImplemented
        return self._collateral is other._collateral and self._payload == other._payload

    def __hash__(self) -> int:
        return hash((id(self._collateral), self._payload))

    def __repr__(self) -> str:
        return f"<Signal {self._collateral._name!r} {self._payload!r}>"

    def __copy__(self) -> Signal:
        return self

    def __deepcopy__(self, memo: Any, /) -> Signal:
        import copy

        return self._collateral.create_signal(copy.deepcopy(self._payload, memo))

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: use cns.network.dump(signal), which carries it by name")


# A Signal refuses assignment, so its slots are filled through their descriptors.
_set_collateral = Signal.__dict__["_collateral"].__set__
_set_payload = Signal.__dict__["_payload"].__set__
