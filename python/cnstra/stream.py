"""A run as an async iterator over its responses."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, final

from . import aio
from ._engine import Response, Stimulation
from .faults import check_limit

__all__ = ["ResponseStream"]


class _Buffer:
    """Between the run, which fills it, and the stream, which empties it. It knows neither of the two, so that a stream
    that nobody holds any more is collected although its run goes on."""

    __slots__ = ("limit", "responses", "room", "wake")

    def __init__(self, limit: int | None) -> None:
        self.responses: deque[Response] = deque()
        self.limit = limit
        self.wake: Callable[..., object] | None = None  # the reader's, while it waits
        self.room: deque[Callable[..., object]] = deque()  # of listeners that wait for room

    def tap(self, response: Response) -> Any:
        self.responses.append(response)
        self.notify()
        if self.limit is not None and len(self.responses) > self.limit:
            return aio.wait_for_callback(self._wait_for_room)
        return None

    def notify(self, *_: object) -> None:
        wake, self.wake = self.wake, None
        if wake is not None:
            wake()

    def pop(self) -> Response:
        response = self.responses.popleft()
        if self.room:
            self.room.popleft()()
        return response

    def open(self) -> None:
        """Nobody reads any more: let every listener that waits go on."""
        self.limit = None
        while self.room:
            self.room.popleft()()

    def _wait_for_room(self, wake: Callable[..., object]) -> Callable[[], object]:
        self.room.append(wake)
        return lambda: self.room.remove(wake) if wake in self.room else None

    def wait_for_response(self, wake: Callable[..., object]) -> Callable[[], object]:
        self.wake = wake
        if self.responses:
            self.notify()
        return lambda: setattr(self, "wake", None)


@final
class ResponseStream(AsyncIterator[Response]):
    """Every response of a run, in order; what ``cns.stream`` returns.

    It ends when the run has ended and all responses have been read: with the end of the iteration if the run completed,
    else with what awaiting the run would raise. Closing it, leaving its ``async with`` block, or dropping it cancels
    the run.

    Example:
        >>> import asyncio
        >>> from cnstra import CNS, collateral, neuron
        >>> number = collateral("number", int)
        >>> cns = CNS([neuron("printer").dendrite(collateral=number, response=print)])
        >>> async def main() -> None:
        ...     async with cns.stream(number.create_signal(3)) as responses:
        ...         async for response in responses:
        ...             print(response.hops, response.final)
        >>> asyncio.run(main())
        3
        0 False
        1 True
    """

    __slots__ = ("__weakref__", "_buffer", "_closed", "_stimulation")

    def __init__(self, prepare: Callable[[Callable[[Response], Any]], Stimulation], buffer: int | None) -> None:
        check_limit("buffer", buffer)
        self._closed = False
        self._buffer = _Buffer(buffer)
        self._stimulation = prepare(self._buffer.tap)
        self._stimulation._on_end(self._buffer.notify)
        self._stimulation._begin()

    @property
    def stimulation(self) -> Stimulation:
        """The run that is streamed."""
        return self._stimulation

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Response:
        while True:
            if self._closed:
                raise StopAsyncIteration
            if self._buffer.responses:
                return self._buffer.pop()
            if self._stimulation.done():
                self._closed = True
                self._stimulation.raise_for_failure()
                raise StopAsyncIteration
            await aio.wait_for_callback(self._wait)

    def _wait(self, wake: Callable[..., object]) -> Callable[[], object]:
        forget = self._buffer.wait_for_response(wake)
        if self._stimulation.done():
            self._buffer.notify()
        return forget

    async def aclose(self) -> None:
        """Cancel the run if it has not ended, and wait until it has."""
        self._closed = True
        self._buffer.open()
        self._buffer.responses.clear()
        if not self._stimulation.done():
            self._stimulation.cancel("its stream was closed")
            await aio.wait_for_callback(self._stimulation._on_end)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        stimulation: Stimulation | None = getattr(self, "_stimulation", None)
        if stimulation is not None and not stimulation.done():
            self._buffer.open()
            stimulation.cancel("its stream was dropped")

    def __repr__(self) -> str:
        return f"<ResponseStream of {self._stimulation!r}>"
