"""What can go wrong outside the program, each with a message that a person can act upon."""

from __future__ import annotations

__all__ = ["MalformedLineError", "SourceError", "StoreError"]


class StoreError(Exception):
    """A store cannot be used: not a database, of another program, in use, on a full or read-only disk."""


class SourceError(Exception):
    """The file of orders cannot be used: missing, damaged, of another form, or not the file that the stores know."""


class MalformedLineError(SourceError):
    """A line is no order, and the source was told to be strict."""
