"""What a run begins with, as it is stored, and whether two begin with the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from cnstra import CNS, Signal

from .codecs import Codecs
from .errors import DurableError
from .errors_as_text import is_storable
from .graphs import Names
from .options import dump_options
from .port import NewRun, RunRow

__all__ = ["is_same_entry", "new_run", "signals_of"]


def signals_of(given: Any) -> Sequence[Signal[Any]]:
    """What was given to start a run with, as signals; TypeError if it is anything else."""
    signals: list[Any] = list(given) if isinstance(given, list | tuple) else [given]  # pyright: ignore[reportUnknownArgumentType]
    for signal in signals:
        if not isinstance(signal, Signal):
            raise TypeError(f"a run begins with a signal or a list of signals, not {type(signal).__name__}")
    return signals


def new_run(
    cns: CNS,
    codecs: Codecs,
    names: Names,
    signals: Sequence[Signal[Any]],
    *,
    run_id: str | None,
    options: Mapping[str, Any],
    scope: str | None,
    tags: Sequence[str],
    due: float | None = None,
) -> NewRun:
    """A run that is to be recorded.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, or cannot be stored.
        EncodingError: a payload cannot be stored.
    """
    if run_id is not None and not (isinstance(run_id, str) and run_id):
        raise TypeError(f"run_id must be a str that is not empty, not {run_id!r}")
    if scope is not None and not isinstance(scope, str):
        raise TypeError(f"scope must be a str, not {type(scope).__name__}")
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError("tags must be a sequence of str")
    for what, text in (("run_id", run_id), ("scope", scope), *(("a tag", tag) for tag in tags)):
        if text is not None and not is_storable(text):
            raise ValueError(f"{what} has characters that no store takes: NUL or lone surrogates, in {text!r}")
    return NewRun(
        run_id=uuid4().hex if run_id is None else run_id,
        root=uuid4().hex,
        entry=codecs.encode_signals(signals),
        options=dump_options(codecs, cns, options),
        fingerprint=names.fingerprint,
        scope=scope,
        tags=tuple(tags),
        due=due,
    )


def is_same_entry(names: Names, row: RunRow, new: NewRun) -> bool:
    """Whether a stored run began with the same signals."""
    if row.entry == new.entry:
        return True
    # Equal payloads may differ in bytes: the order of a set.
    try:
        before, now = names.signals(row.run_id, row.entry), names.signals(row.run_id, new.entry)
    except (DurableError, TypeError):
        return False
    return bool(before == now)
