"""Absolute times of the cases and of what they are compared with, by pytest-benchmark: ``make bench-times``.

They are of one machine and one moment. What carries over are the ratios: ``make bench``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .case import FULL, Case
from .cases import CASES, NEED_BARE, bare_is_built
from .timing import Work, frozen, run_check


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each case is made once for both of its sides."""
    if request.param in NEED_BARE and not bare_is_built():
        pytest.skip("the bare loop is not built for this Python: make bench-times builds it")
    return CASES[request.param](FULL)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.parametrize("side", ["subject", "rival"])
def test_time(case: Case, side: str, runner: asyncio.Runner, benchmark: Any) -> None:
    work: Work = getattr(case, side)
    claim = case.claim
    run_check(work, runner)
    benchmark.group = claim.name
    benchmark.name = f"{claim.name if side == 'subject' else claim.against}: {work.units:,} × {claim.per}"
    benchmark.extra_info |= {"units": work.units, "per": claim.per}
    do: Callable[[], Any] = work.do
    with frozen():
        if work.prepare:
            benchmark.pedantic(do, setup=work.prepare, rounds=5)
        elif inspect.iscoroutinefunction(do):
            benchmark(lambda: runner.run(do()))
        else:
            benchmark(do)
