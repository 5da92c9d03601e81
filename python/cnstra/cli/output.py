"""Standard output, which may be a terminal, a file on a full disk, a pipe that nobody reads any more, or closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from rich.console import Console

from .problems import CommandError

__all__ = ["Terminal", "discard_output", "ensure_output", "guests_elsewhere", "standard_output", "write", "writing"]

# Where standard output goes while ``sys.stdout`` is lent to a user's program.
_own: list[TextIO] = []


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
        standard_output().flush()
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
        standard_output().write(text)


def standard_output() -> TextIO:
    """Where ``write`` writes, also while ``sys.stdout`` is something else."""
    return _own[-1] if _own else sys.stdout


@contextmanager
def guests_elsewhere() -> Generator[None]:
    """What a user's program prints inside goes to standard error: it is no part of what the command says, and does not
    fail if whoever reads that has gone."""
    _own.append(standard_output())
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _own.pop()


def ensure_output() -> None:
    """Python starts without standard streams where they are closed; what is written to them then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - it lives as long as we do


def discard_output() -> None:
    """Nothing more can be written: what is still buffered must not be tried once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, standard_output().fileno())
    os.close(nowhere)
