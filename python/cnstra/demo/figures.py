"""Figures as people write them. Money is an integer number of cents: sums of it are exact, in Python as in SQLite."""

from __future__ import annotations

__all__ = ["counted", "dollars"]


def dollars(cents: int) -> str:
    """Write an amount.

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


def counted(number: int, thing: str) -> str:
    """Write a number of things, whose plural ends in s.

    Example:
        >>> counted(1, "order"), counted(69659, "order")
        ('1 order', '69,659 orders')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
