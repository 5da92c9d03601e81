"""Aborting from outside: a controller for whoever decides, and its signal for whoever has to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Never, Self, final

__all__ = ["AbortController", "AbortSignal"]


@final
class AbortSignal:
    """Tells, once and for good, that something is to be aborted. Made by ``AbortController``; safe in any thread.

    Example:
        >>> from cnstra import AbortController
        >>> controller = AbortController()
        >>> remove = controller.signal.add_listener(lambda reason: print("stop:", reason))
        >>> controller.abort("shutdown")
        stop: shutdown
        >>> controller.signal.aborted, controller.signal.reason
        (True, 'shutdown')
    """

    __slots__ = ("__weakref__", "_aborted", "_listeners", "_lock", "_reason")

    _aborted: bool
    _reason: object
    _listeners: dict[object, Callable[[object], object]]
    _lock: threading.Lock

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        raise TypeError("abort signals are made by a controller: use AbortController().signal")

    def __init_subclass__(cls) -> None:
        raise TypeError("AbortSignal is final and cannot be subclassed")

    @property
    def aborted(self) -> bool:
        """Whether ``abort`` was called."""
        return self._aborted

    @property
    def reason(self) -> object:
        """What the first ``abort`` was given; None if it was given nothing, or was not called yet."""
        return self._reason

    def add_listener(self, listener: Callable[[Any], object], /) -> Callable[[], None]:
        """Call a function once, when the signal is aborted; at once if it is already.

        Args:
            listener: called with the reason, in the thread that aborts. If it raises, that is logged on the logger
                ``cnstra``, and the other listeners are called all the same.

        Returns:
            A function that removes the listener; harmless after that, and after the abort.

        Raises:
            TypeError: the listener is not callable.
        """
        if not callable(listener):
            raise TypeError(f"a listener must be callable, not {type(listener).__name__}")
        key = object()
        with self._lock:
            if not self._aborted:
                self._listeners[key] = listener

                def remove() -> None:
                    with self._lock:
                        self._listeners.pop(key, None)

                return remove
        self._call(listener)
        return lambda: None

    async def wait(self) -> object:
        """Wait until the signal is aborted, in any event loop, whatever thread aborts it.

        Returns:
            The reason.
        """
        if not self._aborted:
            from . import aio

            await aio.wait_for_callback(self.add_listener)
        return self._reason

    def _abort(self, reason: object) -> None:
        with self._lock:
            if self._aborted:
                return
            self._reason = reason
            self._aborted = True
        fatal: BaseException | None = None
        while True:
            # One by one, so that a listener can still remove another; without the lock, so that it can do anything.
            with self._lock:
                if not self._listeners:
                    break
                listener = self._listeners.pop(next(iter(self._listeners)))
            try:
                self._call(listener)
            except BaseException as error:
                fatal = fatal or error
        if fatal is not None:
            raise fatal

    def _call(self, listener: Callable[[object], object]) -> None:
        try:
            listener(self._reason)
        except Exception:
            import logging

            logging.getLogger("cnstra").exception("a listener of an abort signal failed: %r", listener)

    def __repr__(self) -> str:
        if not self._aborted:
            return "<AbortSignal>"
        return "<AbortSignal aborted>" if self._reason is None else f"<AbortSignal aborted: {self._reason!r}>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: its listeners belong to this process")


@final
class AbortController:
    """Aborts whatever was given its signal: runs (``abort_signal=``), handlers, anything that listens.

    Example:
        >>> from cnstra import CNS, AbortController, collateral
        >>> tick = collateral("tick")
        >>> controller = AbortController()
        >>> controller.abort("not today")
        >>> CNS([]).stimulate(tick.create_signal(), abort_signal=controller.signal).outcome
        'aborted'
    """

    __slots__ = ("__weakref__", "_signal")

    def __init__(self) -> None:
        signal: AbortSignal = object.__new__(AbortSignal)
        signal._aborted = False
        signal._reason = None
        signal._listeners = {}
        signal._lock = threading.Lock()
        self._signal = signal

    def __init_subclass__(cls) -> None:
        raise TypeError("AbortController is final and cannot be subclassed")

    @property
    def signal(self) -> AbortSignal:
        """The signal that it aborts; always the same object."""
        return self._signal

    def abort(self, reason: object = None) -> None:
        """Abort the signal and call its listeners, from any thread.

        Args:
            reason: anything; the first call's counts, later calls do nothing.
        """
        self._signal._abort(reason)

    def __repr__(self) -> str:
        return "<AbortController, aborted>" if self._signal.aborted else "<AbortController>"

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: the listeners of its signal belong to this process")
