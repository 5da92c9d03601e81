"""Where the context values of a run are kept: one per neuron, by neuron name (S15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never, Protocol, Self, runtime_checkable

__all__ = ["ContextStore", "MemoryContextStore"]


@runtime_checkable
class ContextStore(Protocol):
    """What ``context_store=`` takes: anything with these methods, over a dictionary, a file or a database.

    Values are what handlers gave to ``ctx.set``. A store may be shared by several runs and is then called by all of
    them, from every thread that runs one.
    """

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of the neuron of that name, ``default`` if it has none."""
        ...

    def set(self, name: str, value: Any, /) -> None:
        """Keep a value for the neuron of that name."""
        ...

    def delete(self, name: str, /) -> None:
        """Forget the value of the neuron of that name; nothing happens if it has none."""
        ...

    def get_all(self) -> dict[str, Any]:
        """All values by neuron name, in a dictionary of the caller's own."""
        ...

    def set_all(self, values: Mapping[str, Any], /) -> None:
        """Replace everything by these values."""
        ...


class MemoryContextStore:
    """The default ``ContextStore``: a dictionary.

    Args:
        values: what it holds at first, by neuron name; it is copied.

    Example:
        >>> from cnstra import MemoryContextStore
        >>> store = MemoryContextStore({"users": 1})
        >>> store.set("mailer", 2)
        >>> store.delete("users")
        >>> store.get_all()
        {'mailer': 2}
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] | None = None, /) -> None:
        self._values: dict[str, Any] = {} if values is None else dict(values)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of the neuron of that name, ``default`` if it has none."""
        return self._values.get(name, default)

    def set(self, name: str, value: Any) -> None:
        """Keep a value for the neuron of that name."""
        self._values[name] = value

    def delete(self, name: str) -> None:
        """Forget the value of the neuron of that name; nothing happens if it has none."""
        self._values.pop(name, None)

    def get_all(self) -> dict[str, Any]:
        """All values by neuron name, in a new dictionary."""
        return self._values.copy()

    def set_all(self, values: Mapping[str, Any]) -> None:
        """Replace everything by these values; they are copied."""
        self._values = dict(values)

    def __repr__(self) -> str:
        return f"<MemoryContextStore {', '.join(self._values) or 'empty'}>"

    def __copy__(self) -> Self:
        return type(self)(self._values)

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        import copy

        return type(self)(copy.deepcopy(self._values, memo))

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: carry its get_all(), and give that to set_all of another")
