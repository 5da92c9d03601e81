"""The error that is one line for the person at the terminal, and an exit status for the shell."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """A command cannot do what it was asked.

    Args:
        message: one line that names the culprit, and the way out where there is one.
        status: the exit status: 1 for an error, 2 for a wrong use.
    """

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
