"""MessagePack by msgspec, with pydantic models added to what it knows.

Not JSON: that has neither NaN nor infinities nor bytes, and msgspec writes null for the first two without a word.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .codec_exact import is_model, type_name

try:
    from msgspec import UNSET, MsgspecError, Raw, msgpack
except ModuleNotFoundError as missing:
    if missing.name != "msgspec":
        raise
    raise ModuleNotFoundError(
        "cnstra.durable needs msgspec, which is not installed: pip install 'cnstra[durable]'", name="msgspec"
    ) from None

__all__ = ["UNSET", "Ext", "MsgspecError", "Raw", "pack", "unpack", "unpacker"]


def unpacker(hint: Any) -> Callable[[bytes | Raw], Any]:
    """What decodes a type.

    Raises:
        TypeError: msgspec cannot decode that type.
        NameError: an annotation in it cannot be resolved.
    """
    return msgpack.Decoder(hint, dec_hook=_decode_other).decode


def _encode_other(value: Any) -> Any:
    if is_model(type(value)):
        # round_trip leaves out what the model computes, and what its types do not take back.
        return Raw(_in_model.encode(value.model_dump(mode="python", by_alias=False, round_trip=True, warnings=False)))
    raise TypeError(f"there is no codec for {type_name(type(value))}")


def _encode_in_model(value: Any) -> Any:
    # A field of a type that pydantic knows and msgspec does not, like a path or an address.
    return sys.modules["pydantic_core"].to_jsonable_python(value)


def _decode_other(cls: Any, value: Any) -> Any:
    if is_model(cls):
        try:
            return cls.model_validate(value, strict=False, **_by_name(cls.model_validate.__func__))
        except ValueError as error:
            # pydantic's own words repeat what it was given, which has no business in a record of errors.
            words = _words(error)
        raise ValueError(words)
    if cls is object:
        return value
    raise TypeError(f"there is no codec for {type_name(cls)}")


@lru_cache(64)
def _by_name(validate: Any) -> dict[str, bool]:
    """What makes models take their fields by name, aliases or not; before pydantic 2.11 it was up to the model."""
    return {"by_alias": False, "by_name": True} if "by_name" in inspect.signature(validate).parameters else {}


def _words(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    found = errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the model'}: {one['msg']}" for one in found)


Ext = msgpack.Ext

# Both may be used by several threads at once, and by themselves from within: the state of an encoding is its own.
_in_model = msgpack.Encoder(enc_hook=_encode_in_model)
pack = msgpack.Encoder(enc_hook=_encode_other).encode
unpack = msgpack.Decoder().decode
