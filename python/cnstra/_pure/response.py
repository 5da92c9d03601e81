"""What listeners are given."""

from __future__ import annotations

from typing import Any, Never, Self, final

__all__ = ["Drain", "Response"]


class _View:
    """A read-only record that the engine alone makes."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise TypeError(f"a {cls.__name__} is made by the engine, for listeners")

    def __setattr__(self, name: str, value: Any) -> Never:
        raise AttributeError(f"a {type(self).__name__} is read-only: {name!r} cannot be set")

    def __reduce__(self) -> Never:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: it belongs to a run of this process")

    @classmethod
    def _make(cls, **values: Any) -> Any:
        self = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        return self


@final
class Response(_View):
    """An activation finished, or a run was entered."""

    __slots__ = (
        "_activation", "_caused", "active_activations", "context_value", "error", "final", "hops", "input_signal",
        "neuron", "output_count", "output_index", "output_signal", "pending_activations", "queue_length", "stimulation",
    )  # fmt: skip

    stimulation: Any
    neuron: Any
    output_signal: Any
    error: Any
    _activation: Any
    _caused: Any

    @property
    def task(self) -> Any:
        return None if self._activation is None else self.stimulation._task(self._activation)

    @property
    def caused(self) -> Any:
        return tuple(self.stimulation._task(activation) for activation in self._caused)

    def __repr__(self) -> str:
        name = None if self.neuron is None else self.neuron.name
        return f"<Response of {'the entry' if name is None else repr(name)}: {self.error or self.output_signal!r}>"


@final
class Drain(_View):
    """A turn of a run ended."""

    __slots__ = ("active_activations", "last_id", "pending_activations", "queue_length", "stimulation")

    pending_activations: int
    active_activations: int

    def __repr__(self) -> str:
        return f"<Drain: {self.pending_activations} pending, {self.active_activations} active>"
