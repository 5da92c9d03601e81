"""Standard output, which may be a terminal, a file on a full disk, a pipe that nobody reads any more, or closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from .problems import CommandError

__all__ = ["Terminal", "discard_output", "ensure_output", "write", "writing"]


class Terminal(Console):
    """A rich console on standard output. Its ``print`` raises what ``writing`` does."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        with writing():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Called by rich, which would end the process with status 1."""
        raise BrokenPipeError


@contextmanager
def writing() -> Generator[None, None, None]:
    """What is inside writes to standard output, and nowhere else.

    Raises:
        BrokenPipeError: its reader has gone.
        CommandError: it cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise CommandError(f"standard output cannot be written: {error.strerror or error}") from error


def write(text: str) -> None:
    """Write text to standard output.

    Raises:
        BrokenPipeError, CommandError: see ``writing``.
    """
    with writing():
        sys.stdout.write(text)


def ensure_output() -> None:
    """Python starts without standard streams where they are closed; what is written to them then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - it lives as long as we do


def discard_output() -> None:
    """Nothing more can be written: what is still buffered must not be tried once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
