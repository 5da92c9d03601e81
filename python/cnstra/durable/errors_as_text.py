"""Errors as the record has them: one line, and a traceback of a bounded size."""

from __future__ import annotations

import traceback

__all__ = ["describe", "traceback_text"]

_LONGEST = 32_768  # characters of a traceback: its end, where the error is, counts


def describe(error: BaseException) -> str:
    """The error in one line: its class and what it says."""
    said = " ".join(str(error).split())
    name = type(error).__qualname__
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if parts and isinstance(error, BaseExceptionGroup):
        said = f"{said}: {'; '.join(map(describe, parts[:3]))}"
    return f"{name}: {said}" if said else name


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
