"""Money is exact and reads like money."""

from __future__ import annotations

import pytest

from cnstra.demo.figures import counted, dollars

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (0, "$0.00"),
        (5, "$0.05"),
        (-5, "-$0.05"),
        (-12345, "-$123.45"),
        (250031563, "$2,500,315.63"),
        # Beyond what a float can tell apart.
        (9007199254740993, "$90,071,992,547,409.93"),
    ],
)
def test_dollars(cents: int, text: str) -> None:
    assert dollars(cents) == text


def test_counted() -> None:
    assert [counted(n, "order") for n in (0, 1, 2, 12345)] == ["0 orders", "1 order", "2 orders", "12,345 orders"]
