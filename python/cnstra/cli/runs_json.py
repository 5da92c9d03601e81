"""Runs for programs: JSON, with points in time as ISO 8601 in UTC, and payloads only where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from cnstra.durable import Attempt, Run, Task

from .output import write
from .times import as_iso

__all__ = ["as_json", "write_json", "write_json_line"]

_MOMENTS = frozenset({"created", "updated", "due", "lease_until", "started", "ended"})
_SIGNALS = frozenset({"entry", "outputs"})


def as_json(record: Run | Attempt | Task, *, payloads: bool = False) -> dict[str, Any]:
    """A run, an attempt or a task as JSON has it, by the names that it has in Python.

    Args:
        record: of a store.
        payloads: with inputs, and with the payloads of signals.
    """
    found: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _MOMENTS:
            value = as_iso(value)
        elif field.name in _SIGNALS and not payloads:
            value = [{"collateral": signal["collateral"]} for signal in value]
        if field.name != "input" or payloads:
            found[field.name] = value
    return found


def write_json(document: Mapping[str, Any]) -> None:
    """Write one document, for people to look at as well."""
    write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_json_line(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write one document as one line."""
    write(json.dumps(document, allow_nan=False) + "\n")
