"""A dendrite made ready to be called: everything that is decided once, when the graph is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

from .. import faults
from ..wrapping import wrap
from .run import Activation
from .signal import Signal
from .slots import Slots

__all__ = ["Handler", "as_list", "check_response"]


class Handler:
    """One compiled dendrite."""

    __slots__ = (
        "arity", "axon", "call", "collateral", "collateral_name", "dendrite", "is_async", "is_join",
        "max_duration", "name", "neuron", "offload", "owned", "slots",
    )  # fmt: skip

    def __init__(self, dendrite: Any, slots: Slots[Any] | None) -> None:
        neuron = dendrite._neuron
        self.dendrite = dendrite
        self.neuron = neuron
        self.name: str = neuron._name
        self.axon = neuron._axon
        self.collateral = dendrite._collateral
        self.collateral_name: str = dendrite._collateral.name
        self.is_join: bool = dendrite._join is not None
        self.offload: bool = neuron._offload
        self.max_duration: float | None = neuron._max_duration
        self.owned = set(map(id, neuron._emits))
        self.slots = slots
        self.arity: int = dendrite._arity
        self.call: Any = dendrite._handler
        self.is_async: bool = dendrite._is_async

    def inside(self, middleware: Sequence[Any]) -> Self:
        """The same inside (more) middleware."""
        if not middleware:
            return self
        wrapped = copy(self)
        wrapped.call, wrapped.is_async = wrap(self.dendrite, middleware, self.call, self.arity, self.is_async)
        wrapped.arity = 3
        return wrapped

    def payload(self, activation: Activation) -> Any:
        if self.is_join:
            return [held.signal._payload for held in activation.joined]
        return activation.signal._payload


def as_list(value: Any) -> list[Any] | None:
    """The items of a list or tuple, None for anything else."""
    return [*value] if isinstance(value, list | tuple) else None


def check_response(handler: Handler, value: Any, enforce_ownership: bool) -> list[Signal]:
    """What a handler returned, as a list of signals, checked whole before any is emitted (S4)."""
    if value is None:
        return []
    many = as_list(value)
    signals: list[Signal] = [value] if many is None else many
    for index, signal in enumerate(signals):
        if type(signal) is not Signal:
            place = None if many is None else index
            raise faults.invalid_response(handler.name, handler.collateral_name, signal, place)
        if enforce_ownership and id(signal._collateral) not in handler.owned:
            raise faults.not_owned(handler.name, signal._collateral._name)
    return signals
