"""Projections: read models that are made of the events of aggregates, inline or by following the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Table

from cnstra import Collateral, GraphError, MappingAxon, Neuron, Signal, collateral, neuron

from .advancing import Apply, Definition, OnError
from .aggregate import Aggregate
from .bindings import Binding, applying
from .errors import ProjectionError
from .following import Trouble, follow, until_caught_up
from .lag import Lag, lag_of
from .live import Live
from .positions import Parked
from .read_models import ReadModels
from .rebuilding import Progress, rebuild
from .recorded import Appended
from .store import EventStore
from .tables import check_declared

__all__ = ["Projection", "Updated"]

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Updated:
    """A read model has got further, as the payload of its projection's ``updated`` signal.

    Attributes:
        projection: the name.
        position: all events up to there are in the read model.
    """

    projection: str
    position: int


class Projection:
    """Makes tables of a read model from the events of aggregates.

    It is declared once and runs in either of two ways, or both at once. *Inline*: its neuron, in a CNS with those of
    the aggregates, applies events in the run that has appended them. *Following*: ``follow`` applies what is in the log
    as it comes, in this or another process; so does ``cnstra project MODULE:PROJECTION``. What is written and the
    position in the log are committed in one transaction, under a lock: an event is applied once, however many followers
    there are and wherever they die, and one that a run did not apply is applied by the next.

    Args:
        name: of the projection, its neuron, and its position in the database.
        tables: that it writes to; they have primary keys and no foreign keys. They are made if they are not there.
        store: the log that it is made from.
        models: the database that the tables are in.
        batch: how many events are applied in one transaction at most.
        on_error: ``"halt"`` stops the projection at an event that it cannot digest, until ``resume``; ``"park"`` puts
            the event aside, for ``retry_parked``, and goes on.

    Raises:
        ProjectionTableError: a table cannot be one of a projection.
        TypeError, ValueError: an argument is of the wrong type or out of range.

    Example:
        >>> from sqlalchemy import BigInteger, Column, MetaData, String, Table
        >>> from cnstra.cqrs import EventStore, Projection, ReadModels
        >>> totals = Table(
        ...     "totals",
        ...     MetaData(),
        ...     Column("customer", String, primary_key=True),
        ...     Column("cents", BigInteger, nullable=False),
        ... )
        >>> store, models = EventStore("memory:"), ReadModels("memory:")
        >>> customer_totals = Projection("customer_totals", totals, store=store, models=models)
        >>> customer_totals
        <Projection 'customer_totals' of no aggregate>
    """

    def __init__(
        self,
        name: str,
        *tables: Table,
        store: EventStore,
        models: ReadModels,
        batch: int = 1000,
        on_error: Literal["halt", "park"] = "halt",
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a projection must be a str, not {type(name).__name__}")
        if not name:
            raise ValueError("the name of a projection cannot be empty")
        if not isinstance(store, EventStore):
            raise TypeError(f"projection {name!r}: store must be an EventStore, not {type(store).__name__}")
        if not isinstance(models, ReadModels):
            raise TypeError(f"projection {name!r}: models must be ReadModels, not {type(models).__name__}")
        if not isinstance(batch, int) or isinstance(batch, bool):
            raise TypeError(f"projection {name!r}: batch must be an int, not {type(batch).__name__}")
        if batch < 1:
            raise ValueError(f"projection {name!r}: batch must be at least 1, not {batch}")
        if on_error not in ("halt", "park"):
            raise ValueError(f"projection {name!r}: on_error must be 'halt' or 'park', not {on_error!r}")
        check_declared(name, tables)
        for table in tables:
            models.claim(table.name, name)
        self.name = name
        self.tables = tables
        self.store = store
        self.models = models
        self.updated: Collateral[Updated] = collateral(f"{name}.updated", Updated)
        self._batch = batch
        self._on_error: OnError = on_error
        self._handlers: dict[str, Apply] = {}
        self._bound: list[Aggregate[Any, Any]] = []
        self._live: Live | None = None
        self._neuron: Neuron[MappingAxon[Updated], Updated, Any, Any] | None = None

    # -- declaring it

    def bind(self, aggregate: Aggregate[Any, E]) -> Binding[E]:
        """Apply the events of an aggregate.

        The handler is a plain function ``(event, write)``, or ``(event, write, recorded)`` to know where and when the
        event was recorded. It has to accept every event of the aggregate: one that was forgotten is a type error. It
        runs in a thread, and should depend on nothing but the event and the tables, so that a rebuild gives the same.

        Args:
            aggregate: whose events they are; it has the projection's event store.

        Returns:
            A decorator that gives the handler back unchanged.

        Raises:
            TypeError: that is no aggregate, or the handler is no function of two or three arguments.
            ValueError: the aggregate has another store.
            GraphError: it is bound already, or the projection is in use.
        """
        if not isinstance(aggregate, Aggregate):
            raise TypeError(f"projection {self.name!r}: {aggregate!r} is no Aggregate")
        if aggregate.store is not self.store:
            raise ValueError(
                f"projection {self.name!r} follows {self.store!r}, and aggregate {aggregate.name!r} is in "
                f"{aggregate.store!r}"
            )

        def add(handler: Callable[..., None]) -> None:
            if self._live is not None or self._neuron is not None:
                raise GraphError(f"projection {self.name!r} is in use already: bind its aggregates before")
            if aggregate.name in self._handlers:
                raise GraphError(f"projection {self.name!r} binds aggregate {aggregate.name!r} already")
            self._handlers[aggregate.name] = applying(self.name, handler)
            self._bound.append(aggregate)

        return Binding(add)

    @property
    def aggregates(self) -> Sequence[Aggregate[Any, Any]]:
        """Whose events it applies."""
        return tuple(self._bound)

    @property
    def neuron(self) -> Neuron[MappingAxon[Updated], Updated, Any, Any]:
        """The neuron that applies events inline, for the CNS; it is made when it is first asked for.

        It listens to ``appended`` of the bound aggregates. Whatever is in the log up to the position of that signal is
        applied, and then ``updated`` emitted. It fails with what ``advance`` raises; the events are in the log, and
        nothing is lost. Signals that come while it is busy are served together.
        """
        if self._neuron is None:
            self._ready()
            made = neuron(self.name, {"updated": self.updated})

            async def advance(appended: Appended) -> Signal[Updated]:
                position = await self.advance(appended.position)
                return self.updated.create_signal(Updated(self.name, position))

            made.dendrite(collateral=[one.appended for one in self._bound], response=advance)
            self._neuron = made
        return self._neuron

    def _ready(self) -> Live:
        if self._live is None:
            if not self._handlers:
                raise ProjectionError(f"projection {self.name!r} binds no aggregate")
            types = {cls: None for aggregate in self._bound for cls in aggregate.event_types}
            definition = Definition(
                self.name, self.tables, dict(self._handlers), tuple(types), self.store, self._batch, self._on_error
            )
            self._live = Live(definition, self.models)
        return self._live

    # -- running it

    async def advance(self, position: int) -> int:
        """Apply the log up to a position, unless that has been done.

        Args:
            position: of an event, as ``Appended`` has it.

        Returns:
            The position that was reached; it may be further.

        Raises:
            ProjectionHaltedError: an event cannot be digested, now or before.
            PositionError: the log ends before it.
            ReadModelError, ReadModelUnavailableError, EventStoreUnavailableError: what is wrong with a database.

        Cost: nothing, if this process knows that it has been applied; else a transaction per batch, in a thread.
        """
        live = self._ready()
        if live.reached < position:
            live.want(position)
            await live.in_its_thread(lambda: live.advance_through(position))
        return live.reached

    async def follow(self, *, on_trouble: Trouble | None = None) -> None:
        """Apply the log from where the projection is, and what is appended later, until this is cancelled.

        Followers of one projection share the work: each batch is applied by one of them, and those that have nothing
        to do stand by. One that is cancelled finishes its batch first.

        Args:
            on_trouble: called with the error when a database is away, which is tried again after a while, up to 5
                seconds. None lets the error end the follower.

        Raises:
            ProjectionHaltedError: an event cannot be digested; another follower may have met it.
            PositionError: the read model is further than the log: it was made from another.
            ReadModelError: the tables are not as they are declared, or not as the projection left them.
            ReadModelUnavailableError, EventStoreUnavailableError: a database is away.
        """
        await follow(self._ready(), on_trouble)

    async def catch_up(self) -> int:
        """Apply the log from where the projection is to its end.

        Returns:
            The position that was reached.

        Raises:
            ProjectionHaltedError, PositionError, ReadModelError, EventStoreUnavailableError: as of ``follow``.
        """
        live = self._ready()
        while True:
            step = await live.in_its_thread(live.step)
            if step is not None and step.is_last:
                return step.position

    # -- how far it has got

    async def caught_up(self, position: int, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it says how far it was
        """Wait until the read model has everything up to a position, whichever process applies it.

        Args:
            position: of an event, as ``Appended`` has it.
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it was not reached in time; the message says how far it is.
            PositionError: the log ends before it.
            ProjectionHaltedError: the projection is halted before it.
            ReadModelUnavailableError, EventStoreUnavailableError: a database is away.

        Cost: nothing if this process has applied it; otherwise a look at the database, again after 2 to 100 ms.
        """
        await until_caught_up(self._ready(), position, timeout)

    async def position(self) -> int:
        """The position up to which all events are in the read model, or parked; 0 if it has none.

        Raises:
            ReadModelUnavailableError: the database is away.
        """
        live = self._ready()
        standing = await live.reading(live.standing)
        return 0 if standing is None else standing.position

    async def lag(self) -> Lag:
        """How far the read model is behind the log.

        Raises:
            ReadModelUnavailableError, EventStoreUnavailableError: a database is away.

        Cost: three statements.
        """
        live = self._ready()
        return await live.reading(lambda: lag_of(live))

    # -- when something is wrong

    async def resume(self) -> int:
        """Try the event again at which the projection is halted.

        Returns:
            The position that was reached.

        Raises:
            ProjectionHaltedError: it still cannot be digested.
        """
        live = self._ready()
        return await live.in_its_thread(live.resume)

    async def parked(self) -> list[Parked]:
        """The events that were put aside, in the order of the log."""
        live = self._ready()
        return await live.reading(live.parked)

    async def retry_parked(self) -> list[Parked]:
        """Apply the events that were put aside, in the order of the log but after what came later.

        Returns:
            Those that still cannot be digested.
        """
        live = self._ready()
        return await live.in_its_thread(live.retry_parked)

    async def rebuild(self, *, progress: Callable[[Progress], object] | None = None, restart: bool = False) -> int:
        """Make the read model anew from the whole log, in fresh tables that take the place of the live ones at the end.

        The live ones are read, and go on, meanwhile. A rebuild that was killed goes on where it was; so does one that
        was halted. The tables may be declared otherwise than they are in the database. The swap is one transaction; on
        PostgreSQL it waits for who reads the tables, drops what was granted on them, and fails if a view needs them.

        Args:
            progress: called after each batch.
            restart: begin at the start of the log, even if a rebuild was going on.

        Returns:
            The position that was reached.

        Raises:
            ProjectionHaltedError: an event cannot be digested; the live tables stay as they are.
            ReadModelError: the tables cannot be swapped.
            ReadModelUnavailableError, EventStoreUnavailableError: a database is away.

        Cost: of each event what it cost at first, and nothing is kept of the log.
        """
        return await rebuild(self._ready(), progress, restart=restart)

    def __repr__(self) -> str:
        names = ", ".join(repr(one.name) for one in self._bound)
        return f"<Projection {self.name!r} of {names or 'no aggregate'}>"
