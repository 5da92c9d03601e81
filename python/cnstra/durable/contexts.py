"""The context values of a durable run: what handlers see, and what of it has to be written at the end of a turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .codecs import Codecs
from .errors import EncodingError

__all__ = ["RunContexts"]

# What cannot be changed in place: to read one does not make it worth another look.
_CONSTANT = (int, str, float, bytes, bool, type(None))


class RunContexts:
    """The ``ContextStore`` of one run.

    A value is encoded when it is set, so that one that cannot be stored fails the activation that sets it. What a
    handler has read it may have changed in place: at the end of the turn that is encoded again, and written if it
    differs; if it cannot be any more, the run fails. A change in place in a later turn than the ``get`` is seen at the
    next ``get`` or ``set`` only.

    Args:
        codecs: of the graph.
        recording: the run.
    """

    __slots__ = ("_codecs", "_dirty", "_read", "_unstorable", "_values", "_written", "recording")

    def __init__(self, codecs: Codecs, recording: Any) -> None:
        self.recording = recording
        self._codecs = codecs
        self._values: dict[str, Any] = {}
        self._written: dict[str, bytes] = {}  # as the store has them, or is about to have them
        self._dirty: dict[str, bytes | None] = {}
        self._read: set[str] = set()
        self._unstorable: set[str] = set()  # neurons of whose values that has been told

    def load(self, stored: Mapping[str, bytes], renamed: Mapping[str, str]) -> None:
        """Take over what an earlier attempt has left."""
        for name, data in stored.items():
            now = renamed.get(name, name)
            self._values[now] = self._codecs.decode_context(now, data)
            if now == name:
                self._written[name] = data
            else:
                self._dirty[name] = None
                self._dirty[now] = data

    def get(self, name: str, default: Any = None, /) -> Any:
        try:
            value = self._values[name]
        except KeyError:
            return default
        if type(value) not in _CONSTANT:
            self._read.add(name)
        return value

    def set(self, name: str, value: Any, /) -> None:
        self._dirty[name] = self._codecs.encode_context(name, value)
        self._values[name] = value

    def delete(self, name: str, /) -> None:
        if self._values.pop(name, self) is not self:
            self._dirty[name] = None
            self._read.discard(name)

    def get_all(self) -> dict[str, Any]:
        self._read.update(self._values)
        return self._values.copy()

    def set_all(self, values: Mapping[str, Any], /) -> None:
        for name in self._values.keys() - values.keys():
            self.delete(name)
        for name, value in values.items():
            self.set(name, value)

    def settle(self) -> list[EncodingError]:
        """The turn is over: encode again what was read in it, and may have been changed in place.

        Returns:
            Why that cannot be done, once for each neuron; in the store such a value stays as it was.
        """
        problems: list[EncodingError] = []
        if not self._read:
            return problems
        # Copies: handlers in worker threads get and set theirs meanwhile.
        read = [*self._read]
        self._read.difference_update(read)
        for name in read:
            if name in self._values:
                try:
                    self._dirty[name] = self._codecs.encode_context(name, self._values[name])
                except EncodingError as error:
                    if name not in self._unstorable:
                        self._unstorable.add(name)
                        problems.append(error)
        return problems

    def take(self, only: str | None = None) -> dict[str, bytes | None]:
        """What has to be written, of one neuron or of all; it counts as written from then on.

        Raises:
            EncodingError: that of the one neuron was changed in place, and cannot be stored any more.
        """
        if only is not None and only in self._read:
            self._read.discard(only)
            if only in self._values:
                self._dirty[only] = self._codecs.encode_context(only, self._values[only])
        if not self._dirty:
            return {}
        taken: dict[str, bytes | None] = {}
        for name in [*self._dirty] if only is None else [only] * (only in self._dirty):
            data: Any = self._dirty.pop(name, self)
            if data is self or self._written.get(name) == data:
                continue
            taken[name] = data
            if data is None:
                self._written.pop(name, None)
            else:
                self._written[name] = data
        return taken

    def give_back(self, taken: Mapping[str, bytes | None]) -> None:
        """What was taken has not been written after all."""
        for name, data in taken.items():
            self._written.pop(name, None)
            self._dirty.setdefault(name, data)
