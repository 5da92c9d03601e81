"""The codecs of a graph: payloads and context values as bytes, by the types that the graph declares.

What they are made of:

    codec_arguments  what Codecs is given, checked
    codec_exact      compares what comes back with what was given
    codec_packing    MessagePack, and pydantic models in it
    codec_types      from a type to its codec
    codec_showing    payloads for people

What a type comes back as, where that is not obvious:

- A point in time with a time zone comes back in UTC; it is the same point. Without one it comes back without one, and
  without its ``fold``.
- An ``int`` in a ``float`` field comes back as a ``float``. An integer beyond 64 bits cannot be stored.
- What is annotated ``Sequence`` comes back as a list, ``Mapping`` as a dict, ``Set`` as a set: another collection in
  such a field cannot be stored, because it would be another one afterwards.
- Under ``Any``, ``object``, and an unparametrised ``list`` or ``dict``, what JSON has comes back, and bytes: neither
  tuples and sets nor instances of classes can be stored there.
- A dataclass is made without ``__init__``, but with ``__post_init__``. Attributes that are no fields are not stored.
- A pydantic model is validated again, and after that all of its fields count as set.
- A union of several classes is stored with the name of the class. Below the top of a payload, msgspec's rules hold:
  such a union must be of tagged Structs. To make a union of what was one class changes what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from cnstra import Collateral, Neuron, Signal

from .codec_arguments import by_name, fields_to_redact
from .codec_exact import an_instance, class_of, type_name
from .codec_packing import MsgspecError, Raw, pack, unpacker
from .codec_showing import REDACTED, plain, redacted, show_bytes, size_of
from .codec_types import NoCodecError, TypeCodec, codec_of, context_type_of
from .errors import CodecError, EncodingError

__all__ = ["Codec", "Codecs", "show_bytes"]


class Codec(NamedTuple):
    """How to make bytes of payloads or context values, for a type that MessagePack cannot carry, or to encrypt them.

    Attributes:
        encode: from a value to bytes; an exception fails the activation that emitted or set the value.
        decode: from these bytes to an equal value, whenever that may be. Nobody checks that it does.

    Both are called from the event loop, and from worker threads for neurons that are offloaded.

    Example:
        >>> from fractions import Fraction
        >>> from cnstra.durable import Codec
        >>> codec = Codec(lambda fraction: str(fraction).encode(), lambda data: Fraction(data.decode()))
        >>> codec.decode(codec.encode(Fraction(1, 3)))
        Fraction(1, 3)
    """

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Graph(Protocol):
    """What the codecs need of ``cns.network``."""

    @property
    def neurons(self) -> tuple[Neuron[Any, Any, Any, Any], ...]: ...
    def get_collaterals(self) -> tuple[Collateral[Any], ...]: ...


class _Given:
    """A user's codec as a ``TypeCodec``."""

    __slots__ = ("_decode", "_encode", "classes", "is_tagged")

    def __init__(self, codec: Codec) -> None:
        self._encode, self._decode = codec
        self.classes: dict[str, type] | None = None
        self.is_tagged = False

    def encode(self, value: Any, /) -> bytes:
        data: Any = self._encode(value)
        if type(data) is not bytes:
            raise TypeError(f"its codec made no bytes of it but {an_instance(data)}")
        return data

    def decode(self, data: bytes | Raw, /) -> Any:
        return self._decode(bytes(data))


class Codecs:
    """All codecs of one graph: what turns payloads and context values into bytes and back.

    Every value is decoded right after it was encoded and compared, part by part, with what it was: what does not come
    back with the same types and values is refused when it is emitted or set, not found out after a crash.

    Args:
        network: ``cns.network``.
        codecs: of collaterals, by themselves or by name, in place of what their payload types say.
        context_codecs: of neurons, by themselves or by name, in place of the types of their context values.
        max_size: bytes that an encoded payload or context value may have at most; None is unlimited.
        redact: names of fields that are not shown, by collateral; ``"card.number"`` is a field of a field. They are
            stored all the same, because a pending activation needs its input: to keep something out of the store in
            plain, give a codec that encrypts.
        verify: False leaves the comparison out, and trusts every handler to emit what its collateral declares.

    Raises:
        CodecError: types without codec; the message names all of them.
        TypeError: an argument is of the wrong type.
        ValueError: a collateral or neuron that the graph does not have, a field that no payload has, a size below 1.

    Cost: encoding is linear in what is encoded; for small payloads the comparison takes longer than the encoding.
        Instances can be used by several threads at once.

    Example:
        >>> from dataclasses import dataclass
        >>> from cnstra import CNS, collateral, neuron
        >>> from cnstra.durable.codecs import Codecs
        >>> @dataclass
        ... class Paid:
        ...     amount: int
        ...     card: str
        >>> paid = collateral("paid", Paid)
        >>> shop = neuron("shop").dendrite(collateral=paid, response=lambda payload: None)
        >>> codecs = Codecs(CNS([shop]).network, redact={paid: ["card"]})
        >>> data = codecs.encode_payload("paid", Paid(42, "4000 1234"))
        >>> codecs.decode_payload("paid", data)
        Paid(amount=42, card='4000 1234')
        >>> codecs.show_payload("paid", data)
        {'amount': 42, 'card': '[redacted]'}
        >>> codecs.encode_payload("paid", Paid("42", "4000 1234"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        cnstra.durable.errors.EncodingError: collateral 'paid': a Paid cannot be stored: Expected `int`, got `str` - ...
    """

    def __init__(
        self,
        network: Graph,
        *,
        codecs: Mapping[Collateral[Any] | str, Codec] = {},
        context_codecs: Mapping[Neuron[Any, Any, Any, Any] | str, Codec] = {},
        max_size: int | None = None,
        redact: Mapping[Collateral[Any] | str, Collection[str]] = {},
        verify: bool = True,
    ) -> None:
        if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int)):
            raise TypeError(f"max_size must be a number of bytes or None, not {an_instance(max_size)}")
        if max_size is not None and max_size < 1:
            raise ValueError(f"max_size must be at least 1, not {max_size}")
        self._max_size = max_size
        self._values = codec_of(Any, verify=True)
        # What decode_signals made last of which bytes: whoever asks for one place asks for others too.
        self._last: tuple[bytes, list[tuple[str, bytes]]] = b"", []
        collaterals = {collateral.name: collateral for collateral in network.get_collaterals()}
        neurons = {neuron.name: neuron for neuron in network.neurons}
        given = by_name(codecs, collaterals, "codecs", "collateral")
        given_contexts = by_name(context_codecs, neurons, "context_codecs", "neuron")
        without: list[str] = []
        self._payloads = {
            name: _codec(given.get(name), collateral.payload_type, verify, f"collateral {name!r}", without)
            for name, collateral in collaterals.items()
        }
        self._contexts = {
            name: _codec(given_contexts.get(name), context_type, verify, f"the context of neuron {name!r}", without)
            for name, context_type in ((name, context_type_of(neuron)) for name, neuron in neurons.items())
        }
        if without:
            raise CodecError(
                f"durable runs cannot store everything that this graph carries: {'; '.join(without)}. Use dataclasses, "
                f"msgspec Structs (for a union within a payload, with tag=True), TypedDicts, attrs classes or pydantic "
                f"models of such and of builtins; or give Durable(..., codecs={{collateral: Codec(encode, decode)}}), "
                f"for a context context_codecs={{neuron: ...}}"
            )
        self._redact = {
            name: fields_to_redact(name, fields, self._payloads[name].classes)
            for name, fields in by_name(redact, collaterals, "redact", "collateral").items()
        }

    # -- payloads

    def encode_payload(self, collateral_name: str, payload: Any) -> bytes:
        """A payload as bytes.

        Args:
            collateral_name: whose payload it is.
            payload: what it carries.

        Raises:
            EncodingError: it would not come back as it is, or has too many bytes; or there is no such collateral. The
                message names the collateral and the type of the payload, but nothing of its values.
        """
        return self._encode(self._payloads, "collateral", collateral_name, payload)

    def decode_payload(self, collateral_name: str, data: bytes) -> Any:
        """A payload from its bytes.

        Raises:
            EncodingError: they do not fit the type that the collateral has now, or there is no such collateral.
        """
        return self._decode(self._payloads, "collateral", collateral_name, data)

    def show_payload(self, collateral_name: str, data: bytes) -> Any:
        """A payload for people and for JSON, without what is to be redacted.

        Args:
            collateral_name: whose payload it is; if the graph does not have it, ``show_bytes`` it is.
            data: its bytes. If they do not fit the type, they are shown by themselves too, unless something in them is
                to be redacted: then nothing is shown.

        Returns:
            As of ``show_bytes``. A value of a union that is stored with the name of its class has that as ``"$type"``.
            What a ``Codec`` decodes to something that is no builtin is shown as ``"<N bytes>"``.
        """
        codec = self._payloads.get(collateral_name)
        if codec is None:
            return show_bytes(data)
        fields = self._redact.get(collateral_name)
        try:
            value = codec.decode(data)
            shown = plain(value)
        except Exception:
            # Of many kinds: somebody is looking at what is there, and it is there whatever has become of the class.
            if isinstance(codec, _Given):
                return size_of(data)
            return show_bytes(data) if fields is None else REDACTED
        if fields is not None:
            shown = redacted(shown, fields)
        return {"$type": type(value).__qualname__, **shown} if codec.is_tagged and class_of(shown) is dict else shown

    # -- context values

    def encode_context(self, neuron_name: str, value: Any) -> bytes:
        """A neuron's context value as bytes.

        Raises:
            EncodingError: as of ``encode_payload``; the message names the neuron.
        """
        return self._encode(self._contexts, "the context of neuron", neuron_name, value)

    def decode_context(self, neuron_name: str, data: bytes) -> Any:
        """A neuron's context value from its bytes.

        Raises:
            EncodingError: as of ``decode_payload``; the message names the neuron.
        """
        return self._decode(self._contexts, "the context of neuron", neuron_name, data)

    # -- signals

    def encode_signals(self, signals: Sequence[Signal[Any]]) -> bytes:
        """Signals as bytes: the entry of a run, or what an activation emitted.

        Raises:
            EncodingError: as of ``encode_payload``, for the first one that cannot be stored.
        """
        return pack([(name := s.collateral_name, self.encode_payload(name, s.payload)) for s in signals])

    @staticmethod
    def decode_signals(data: bytes) -> list[tuple[str, bytes]]:
        """The names of the collaterals of stored signals, each with the bytes of its payload.

        Raises:
            EncodingError: these are not the bytes of signals.
        """
        try:
            signals: list[tuple[str, bytes]] = _signals(data)
            return signals
        except Exception as error:
            raise EncodingError(f"these {len(data)} bytes are no stored signals: {error}") from error

    def payload_at(self, data: bytes, place: int) -> tuple[str, bytes]:
        """One of stored signals, as in ``decode_signals``.

        Args:
            data: the signals. They are kept until others are asked for, so that all places of one take linear time.
            place: which, counted from 0.

        Raises:
            EncodingError: these are not the bytes of signals, or not of that many.
        """
        kept, signals = self._last
        if kept is not data:
            signals = self.decode_signals(data)
            self._last = data, signals
        if not 0 <= place < len(signals):
            raise EncodingError(f"{len(signals)} signals are stored, so that there is none at place {place}")
        return signals[place]

    # -- options

    def encode_value(self, value: Any) -> bytes:
        """The options of a run as bytes: anything made of builtins.

        Raises:
            EncodingError: it is not, so that it would not come back as it is.
        """
        try:
            return self._values.encode(value)
        except Exception as error:
            raise EncodingError(f"the options of a run cannot be stored: {_words(error)}") from error

    def decode_value(self, data: bytes) -> Any:
        """The options of a run from their bytes.

        Raises:
            EncodingError: these are not the bytes of options.
        """
        try:
            return self._values.decode(data)
        except Exception as error:
            raise EncodingError(f"these {len(data)} bytes are no stored options: {_words(error)}") from error

    def _encode(self, codecs: Mapping[str, TypeCodec], what: str, name: str, value: Any) -> bytes:
        codec = codecs.get(name)
        if codec is None:
            raise EncodingError(f"{what} {name!r}: the graph does not have it")
        try:
            data = codec.encode(value)
        except Exception as error:
            # Of many kinds: codecs, hooks of classes and validators are other people's code.
            raise EncodingError(f"{what} {name!r}: {an_instance(value)} cannot be stored: {_words(error)}") from error
        if self._max_size is not None and len(data) > self._max_size:
            raise EncodingError(
                f"{what} {name!r}: {an_instance(value)} has {len(data)} bytes, and max_size is {self._max_size}"
            )
        return data

    def _decode(self, codecs: Mapping[str, TypeCodec], what: str, name: str, data: bytes) -> Any:
        codec = codecs.get(name)
        if codec is None:
            raise EncodingError(f"{what} {name!r}: the graph does not have it")
        try:
            return codec.decode(data)
        except Exception as error:
            raise EncodingError(
                f"{what} {name!r}: what is stored does not fit its type, which may have changed since: {_words(error)}"
            ) from error


_signals = unpacker(list[tuple[str, bytes]])


def _codec(given: Any, hint: Any, verify: bool, whose: str, without: list[str]) -> TypeCodec:
    """The codec of one collateral or neuron; if there is none, an entry in ``without``, and one that is not used."""
    if given is not None:
        if not isinstance(given, Codec) or not callable(given.encode) or not callable(given.decode):
            raise TypeError(f"the codec of {whose} must be a Codec(encode, decode), not {an_instance(given)}")
        return _Given(given)
    try:
        return codec_of(hint, verify=verify)
    except NoCodecError as error:
        without.append(f"{whose} ({type_name(hint)}): {error}")
        return codec_of(None, verify=verify)


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it contains itself, or is nested too deeply"
    text = str(error)
    return (
        text
        if text and isinstance(error, ValueError | TypeError | MsgspecError)
        else f"{type(error).__qualname__} {text}".rstrip()
    )
