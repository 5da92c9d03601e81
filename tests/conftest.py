"""What all tests share: every kind of event loop, and the refusal of noise."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import pytest

T = TypeVar("T")
Factory = Callable[[], asyncio.AbstractEventLoop]


def _eager_loop() -> asyncio.AbstractEventLoop:
    """A loop whose tasks run their first step when they are made."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    return loop


def _factories() -> dict[str, Factory]:
    found: dict[str, Factory] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    if sys.version_info >= (3, 12):
        found["eager"] = _eager_loop
    return found


_LOOPS = [pytest.param(factory, id=name) for name, factory in _factories().items()]


@pytest.fixture(params=_LOOPS)
def loop_factory(request: pytest.FixtureRequest) -> Factory:
    """What makes the event loop of the test, for each kind of loop there is."""
    factory: Factory = request.param
    return factory


@pytest.fixture
def anyio_backend(loop_factory: Factory) -> tuple[str, dict[str, object]]:
    """Async tests (``@pytest.mark.anyio``) run on each kind of loop."""
    return "asyncio", {"loop_factory": loop_factory}


class RunLoop(Protocol):
    """``asyncio.run`` on the loop of the test."""

    def __call__(self, main: Callable[[], Coroutine[Any, Any, T]], /) -> T: ...


@pytest.fixture
def run_loop(loop_factory: Factory) -> RunLoop:
    """For tests of what happens before, after or without a loop: ``asyncio.run``, for each kind of loop there is."""

    def run(main: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main())

    return run


@pytest.fixture(autouse=True)
def no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A test in which asyncio or cnstra has something to complain about has failed, unless it clears the log itself."""
    yield
    noise = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name in ("asyncio", "cnstra") and record.levelno >= logging.WARNING
    ]
    assert not noise, noise
