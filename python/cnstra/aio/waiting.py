"""Waiting, in any loop, for what another thread or a run brings about."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .loop import current

__all__ = [
    "await_run",
    "current_task",
    "owner_of_current_task",
    "run",
    "settle",
    "wait",
    "wait_for_callback",
    "wait_for_run",
    "wait_on_run",
]


def current_task() -> Any:
    """The task that is running."""
    import asyncio

    return asyncio.current_task()


def owner_of_current_task() -> Any:
    """(stimulation, activation number) of the handler whose own task is running, None elsewhere.

    A listener's number is -1: it holds no slot, nor does it keep the handlers of its run from giving theirs back.
    """
    here = current()
    task = None if here is None else here._asyncio.current_task(here.loop)
    # Each engine has a carrier of its own, and no other coroutine has such an attribute.
    owner = None if task is None else getattr(task.get_coro(), "cnstra_owner", None)
    if owner is None:
        return None
    stimulation, number = owner
    return stimulation, number or -1


def wait(register: Callable[[Callable[..., object]], Callable[[], object]]) -> Generator[Any, Any, None]:
    """Wait, in any loop, until the callback that ``register`` is given is called, from any thread.

    ``register`` returns what takes the callback back.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def wake(*_: object) -> None:
        if asyncio._get_running_loop() is loop:
            settle(future)
        else:
            try:
                loop.call_soon_threadsafe(settle, future)
            except RuntimeError:
                pass  # the loop of whoever waited is closed: nobody waits any more

    forget = register(wake)
    try:
        yield from future
    finally:
        forget()


def settle(future: Any) -> None:
    """What a future waited for has come."""
    if not future.done():
        future.set_result(None)


def wait_on_run(
    run: Any, register: Callable[[Callable[..., object]], Callable[[], object]]
) -> Generator[Any, Any, None]:
    """``wait`` for something that a run brings about; a handler that does so cannot give its slot back before (S12)."""
    owner = owner_of_current_task()
    if owner is not None:
        run._begin_await(owner)
    try:
        yield from wait(register)
    finally:
        if owner is not None:
            run._end_await(owner)


def await_run(run: Any) -> Generator[Any, Any, None]:
    """What ``await stimulation`` does."""
    if not run.done():
        yield from wait_on_run(run, run._on_end)
    run.raise_for_failure()


async def wait_for_callback(register: Callable[[Callable[..., object]], Callable[[], object]]) -> None:
    """``wait`` as a coroutine."""
    await _Awaitable(wait(register))


async def wait_for_run(run: Any, register: Callable[[Callable[..., object]], Callable[[], object]]) -> None:
    """``wait_on_run`` as a coroutine."""
    await _Awaitable(wait_on_run(run, register))


class _Awaitable:
    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[Any, Any, None]) -> None:
        self._generator = generator

    def __await__(self) -> Generator[Any, Any, None]:
        return self._generator


def run(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """``asyncio.run``; RuntimeError where a loop runs already."""
    import asyncio

    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an event loop runs in this thread already: await cns.stimulate(...) or cns.query(...) instead"
        )
    return asyncio.run(make())
