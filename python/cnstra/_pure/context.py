"""What a handler of three arguments is given beside payload and axon."""

from __future__ import annotations

import types
from typing import Any, Never, Self, final

from .run import Activation

__all__ = ["Context"]


@final
class Context:
    """One activation's view of its run."""

    __slots__ = ("_activation", "_name", "_stimulation")

    _stimulation: Any
    _name: str
    _activation: Activation

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise TypeError("contexts are made by the engine, for handlers that take (payload, axon, ctx)")

    def __init_subclass__(cls) -> None:
        raise TypeError("Context is final and cannot be subclassed")

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(cls, item)

    @classmethod
    def _make(cls, stimulation: Any, name: str, activation: Activation) -> Context:
        self = object.__new__(cls)
        self._stimulation = stimulation
        self._name = name
        self._activation = activation
        return self

    def get(self, default: Any = None, /) -> Any:
        return self._stimulation.context.get(self._name, default)

    def set(self, value: Any, /) -> None:
        self._stimulation.context.set(self._name, value)

    def delete(self) -> None:
        self._stimulation.context.delete(self._name)

    @property
    def shared(self) -> Any:
        return self._stimulation.cns.shared

    @property
    def stimulation_context(self) -> Any:
        return self._stimulation.stimulation_context

    @property
    def abort_signal(self) -> Any:
        return self._stimulation._abort_signal()

    @property
    def cns(self) -> Any:
        return self._stimulation.cns

    @property
    def stimulation(self) -> Any:
        return self._stimulation

    @property
    def task(self) -> Any:
        return self._stimulation._task(self._activation)

    def __repr__(self) -> str:
        return f"<Context of neuron {self._name!r}>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it belongs to a run of this process")
