"""Queries: neurons that read the read models, many at once, and never the event store."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from cnstra import Collateral, GraphError, Neuron, Signal, neuron

from .read_models import ReadModels, in_thread

__all__ = ["Queries"]

Q = TypeVar("Q")
R = TypeVar("R")


class Queries:
    """A neuron that answers queries from read models.

    Args:
        name: the neuron's.
        models: what is read.
        concurrency: how many queries are on their way at once; None is unlimited. As many as ``ReadModels`` has
            readers are answered at the same time.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.

    Example:
        >>> import asyncio
        >>> from sqlalchemy import Connection, text
        >>> from cnstra import CNS, collateral
        >>> from cnstra.cqrs import Queries, ReadModels
        >>> models = ReadModels("memory:")
        >>> reader = Queries("reader", models=models)
        >>> double, doubled = collateral("double", int), collateral("doubled", int)
        >>> @reader.answers(double, doubled)
        ... def answer(query: int, read: Connection) -> int:
        ...     return read.execute(text("SELECT :number * 2"), {"number": query}).scalar_one()
        >>> async def main() -> int:
        ...     return await CNS([reader.neuron]).query(double.create_signal(21), doubled)
        >>> asyncio.run(main())
        42
        >>> models.close()
    """

    def __init__(self, name: str, *, models: ReadModels, concurrency: int | None = None) -> None:
        if not isinstance(models, ReadModels):
            raise TypeError(f"queries {name!r}: models must be ReadModels, not {type(models).__name__}")
        # It says what is wrong with the name and the number.
        neuron(name, concurrency=concurrency)
        self.name = name
        self.models = models
        self._concurrency = concurrency
        self._answers: dict[Collateral[Any], tuple[Collateral[Any], Callable[[Any, Connection], Any]]] = {}
        self._neuron: Neuron[Any, Any, Any, Any] | None = None

    def answers(
        self, query: Collateral[Q], reply: Collateral[R]
    ) -> Callable[[Callable[[Q, Connection], R | None]], Callable[[Q, Connection], R | None]]:
        """Answer a query.

        The handler is a plain function of the query and a connection, which sees one moment of the read models and
        cannot write. It runs in a thread. None is no answer: ``cns.query`` fails with ``NoReplyError``.

        Args:
            query: the collateral of the question.
            reply: the collateral of the answer, which belongs to this neuron.

        Returns:
            A decorator that gives the handler back unchanged.

        Raises:
            TypeError: the handler is no plain function, or an argument is no collateral.
            GraphError: the query has an answer already, or the neuron has been made.
        """
        for one in (query, reply):
            if not isinstance(one, Collateral):
                raise TypeError(f"queries {self.name!r}: {one!r} is no collateral")

        def decorate(handler: Callable[[Q, Connection], R | None]) -> Callable[[Q, Connection], R | None]:
            if not callable(handler) or inspect.iscoroutinefunction(handler):
                raise TypeError(f"queries {self.name!r}: a handler must be a plain function, not {handler!r}")
            if self._neuron is not None:
                raise GraphError(f"queries {self.name!r} have their neuron already: declare all answers before the CNS")
            if query in self._answers:
                raise GraphError(f"queries {self.name!r} answer {query!r} already")
            self._answers[query] = (reply, handler)
            return handler

        return decorate

    @property
    def neuron(self) -> Neuron[Any, Any, Any, Any]:
        """The neuron, for the CNS; it is made when it is first asked for, and no answers can be added afterwards."""
        if self._neuron is None:
            replies = {reply.name: reply for reply, _ in self._answers.values()}
            made: Neuron[Any, Any, Any, Any] = neuron(self.name, replies or None, concurrency=self._concurrency)
            for query, (reply, handler) in self._answers.items():
                made.dendrite(collateral=query, response=self._responding(reply, handler))
            self._neuron = made
        return self._neuron

    def _responding(self, reply: Collateral[Any], handler: Callable[[Any, Connection], Any]) -> Callable[[Any], Any]:
        models = self.models

        def read(query: Any) -> Any:
            with models.engines.reading() as connection:
                return handler(query, connection)

        async def respond(query: Any) -> Signal[Any] | None:
            found = await in_thread(models.reading_threads(), lambda: read(query))
            return None if found is None else reply.create_signal(found)

        return respond

    def __repr__(self) -> str:
        return f"<Queries {self.name!r} with {len(self._answers)} answer{'s' * (len(self._answers) != 1)}>"
