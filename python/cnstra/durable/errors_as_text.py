"""Errors as the record has them: one line, and a traceback of a bounded size, in characters that every store takes."""

from __future__ import annotations

import traceback

__all__ = ["describe", "is_storable", "storable", "traceback_text"]

_LONGEST = 32_768  # characters of a traceback: its end, where the error is, counts


def describe(error: BaseException) -> str:
    """The error in one line: its class and what it says."""
    name = type(error).__qualname__
    try:
        said = " ".join(str(error).split())
    except Exception as unsaid:
        said = f"<its __str__ raised {type(unsaid).__qualname__}>"
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if parts and isinstance(error, BaseExceptionGroup):
        said = f"{said}: {'; '.join(map(describe, parts[:3]))}"
    return storable(f"{name}: {said}" if said else name)


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it."""
    text = "".join(traceback.format_exception(error))
    return storable(text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}")


def storable(text: str) -> str:
    """The text, with what no database takes as text written out: lone surrogates, and NUL."""
    return text if is_storable(text) else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def is_storable(text: str) -> bool:
    """Whether every store can keep a text as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
