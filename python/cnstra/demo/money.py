"""Money as an integer number of cents: sums of it are exact, in Python and in SQLite alike."""

from __future__ import annotations

__all__ = ["dollars"]


def dollars(cents: int) -> str:
    """Write an amount for people.

    Args:
        cents: US cents; may be negative.

    Returns:
        Dollars with thousands separators and both decimals.

    Example:
        >>> dollars(250031563)
        '$2,500,315.63'
        >>> dollars(-5)
        '-$0.05'
    """
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02}"
