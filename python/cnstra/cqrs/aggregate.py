"""Aggregates: what commands are decided on, and the neuron that emits what was decided."""

from __future__ import annotations

import asyncio
import inspect
import random
import typing
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, overload
from uuid import uuid4

from cnstra import Axon, Collateral, Context, GraphError, Neuron, Signal, neuron
from cnstra.durable import current_activation

from .errors import AggregateExistsError, ConflictError, EventTypeError, UnknownAggregateError
from .recorded import Appended
from .states import SnapshotType, State
from .store import EventStore
from .writing import Applied, Command, Conflict

__all__ = ["Aggregate"]

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")

# What a command comes to: one event, several in order, or nothing.
Decision: TypeAlias = "E | Sequence[E] | None"

# Seconds, at most, before the first repetition after a conflict; it doubles with each.
_JITTER: Final = 0.01


class Aggregate(Generic[S, E]):
    """One kind of aggregate: its events, how they make its state, and the commands that it decides.

    Events and states are data and commands are functions: ``evolve`` makes the state from the events, and what a
    command's function returns is appended to the log, with optimistic concurrency, and emitted as signals in order.
    (The form is Jérémie Chassaing's decider.) These functions run in the thread of the event store: they should be
    pure and quick. What they raise fails the activation, and nothing is appended.

    Args:
        name: the neuron's, and of the streams in the log; without a slash.
        axon: the events, as the collaterals that they are emitted on: a class per collateral.
        evolve: ``(state or None, event) -> state``; it has to accept every event of the axon.
        store: where the events are kept.
        retries: how often a command is decided anew when others append to its aggregate in between.
        snapshot_every: how many events apart snapshots of the state are taken; None takes none. It needs the return
            annotation of ``evolve``, a dataclass, msgspec Struct or attrs class.
        concurrency: how many commands are on their way at once; None is unlimited.

    Raises:
        EventTypeError: an event cannot be stored, or two collaterals have one class.
        TypeError, ValueError: another argument is of the wrong type or out of range.

    Cost: a command is a pass through the thread of the store. What waits there together is one transaction.

    Example:
        >>> import asyncio
        >>> from dataclasses import dataclass, replace
        >>> from cnstra import CNS, Axon, Collateral, collateral
        >>> from cnstra.cqrs import Aggregate, EventStore
        >>> @dataclass(frozen=True)
        ... class Deposit:
        ...     account: str
        ...     cents: int
        >>> @dataclass(frozen=True)
        ... class Deposited:
        ...     cents: int
        >>> @dataclass(frozen=True)
        ... class Account:
        ...     cents: int
        >>> class AccountEvents(Axon[Deposited]):
        ...     deposited: Collateral[Deposited]
        >>> def evolve(account: Account | None, event: Deposited) -> Account:
        ...     return Account((account.cents if account else 0) + event.cents)
        >>> store = EventStore("memory:")
        >>> accounts = Aggregate("accounts", AccountEvents(), evolve, store=store)
        >>> deposit = collateral("deposit", Deposit)
        >>> @accounts.command(deposit, of=lambda command: command.account, missing_ok=True)
        ... def add(command: Deposit, account: Account | None) -> Deposited:
        ...     return Deposited(command.cents)
        >>> async def main() -> None:
        ...     cns = CNS([accounts.neuron])
        ...     for _ in range(2):
        ...         done = await cns.query(deposit.create_signal(Deposit("ada", 5)), accounts.appended)
        ...     print(done.version, done.position, (await accounts.state("ada")))
        >>> asyncio.run(main())
        2 2 Account(cents=10)
        >>> store.close()
    """

    def __init__(
        self,
        name: str,
        axon: Axon[E],
        evolve: Callable[[S | None, E], S],
        *,
        store: EventStore,
        retries: int = 5,
        snapshot_every: int | None = None,
        concurrency: int | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of an aggregate must be a str, not {type(name).__name__}")
        if not name or "/" in name or name.startswith("$"):
            raise ValueError(f"an aggregate cannot be called {name!r}: not empty, no slash in it, and no $ first")
        if not isinstance(axon, Axon):
            raise TypeError(f"aggregate {name!r}: axon must be an instance of a class of Axon, not {axon!r}")
        if not callable(evolve):
            raise TypeError(f"aggregate {name!r}: evolve must be a function of state and event, not {evolve!r}")
        if not isinstance(store, EventStore):
            raise TypeError(f"aggregate {name!r}: store must be an EventStore, not {type(store).__name__}")
        for what, number, least in (("retries", retries, 0), ("snapshot_every", snapshot_every, 1)):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
                raise TypeError(f"aggregate {name!r}: {what} must be an int, not {type(number).__name__}")
            if number is not None and number < least:
                raise ValueError(f"aggregate {name!r}: {what} must be at least {least}, not {number}")
        self.name = name
        self.axon = axon
        self.store = store
        self.appended: Collateral[Appended] = Collateral(f"{name}.appended", Appended)
        self._evolve = evolve
        self._retries = retries
        self._concurrency = concurrency
        self._collaterals = self._declare()
        self._snapshots: SnapshotType | None = None
        if snapshot_every is not None:
            self._snapshots = SnapshotType(name, _state_type(name, evolve), snapshot_every)
        self._commands: dict[Collateral[Any], Callable[[Any, Any, Context[Any, Any]], Awaitable[Any]]] = {}
        self._neuron: Neuron[Any, Any, Any, Any] | None = None

    def _declare(self) -> dict[type[Any], Collateral[Any]]:
        """The axon's collaterals by the class of their payloads."""
        found: dict[type[Any], Collateral[Any]] = {}
        for channel in vars(self.axon).values():
            cls = channel.payload_type
            if not isinstance(cls, type):
                raise EventTypeError(
                    f"aggregate {self.name!r}: {channel!r} carries {cls!r}, which is no class of events"
                )
            if cls in found:
                raise EventTypeError(
                    f"aggregate {self.name!r}: {found[cls]!r} and {channel!r} both carry {cls.__qualname__}, so that "
                    f"such an event would not say which one it is for"
                )
            self.store.declare(cls)
            found[cls] = channel
        return found

    @property
    def event_types(self) -> tuple[type[E], ...]:
        """The classes of its events, in the order of the axon."""
        return tuple(self._collaterals)

    @property
    def neuron(self) -> Neuron[Any, Any, Any, Any]:
        """The neuron, for the CNS; it is made when it is first asked for, and no commands can be added afterwards."""
        if self._neuron is None:
            owned = {channel.name: channel for channel in (*self._collaterals.values(), self.appended)}
            made: Neuron[Any, Any, Any, Any] = neuron(self.name, owned, concurrency=self._concurrency)
            for channel, handler in self._commands.items():
                made.dendrite(collateral=channel, response=handler)
            self._neuron = made
        return self._neuron

    # -- declaring commands

    def create(
        self, collateral: Collateral[C], *, of: Callable[[C], str], command_id: Callable[[C], str] | None = None
    ) -> Callable[[Callable[[C], Decision[E]]], Callable[[C], Decision[E]]]:
        """Decide a command that makes a new aggregate; for one that exists it fails with ``AggregateExistsError``.

        Args:
            collateral: of the command.
            of: the id of the aggregate that a command is for.
            command_id: the command's id, of a command: it is applied once, however often it is delivered. Without it
                commands of durable runs have the id of their activation, and others none.

        Returns:
            A decorator for a function ``(command) -> event, events or None``, which it gives back.

        Raises:
            GraphError: the neuron has been made, or the collateral has a command already.

        Cost: no look at the log, where there is no such aggregate.
        """

        def decorate(decide: Callable[[C], Decision[E]]) -> Callable[[C], Decision[E]]:
            def decision(command: C, state: State, aggregate: str) -> Decision[E]:
                if state.version:
                    raise AggregateExistsError(
                        f"{self.name} {aggregate!r} exists already, and {collateral.name!r} creates it"
                    )
                return decide(command)

            self._add(collateral, decide, decision, of, command_id, is_new=True)
            return decide

        return decorate

    @overload
    def command(
        self,
        collateral: Collateral[C],
        *,
        of: Callable[[C], str],
        command_id: Callable[[C], str] | None = None,
        missing_ok: Literal[False] = False,
    ) -> Callable[[Callable[[C, S], Decision[E]]], Callable[[C, S], Decision[E]]]: ...
    @overload
    def command(
        self,
        collateral: Collateral[C],
        *,
        of: Callable[[C], str],
        command_id: Callable[[C], str] | None = None,
        missing_ok: Literal[True],
    ) -> Callable[[Callable[[C, S | None], Decision[E]]], Callable[[C, S | None], Decision[E]]]: ...
    def command(
        self,
        collateral: Collateral[C],
        *,
        of: Callable[[C], str],
        command_id: Callable[[C], str] | None = None,
        missing_ok: bool = False,
    ) -> Any:
        """Decide a command on the state of its aggregate; without one it fails with ``UnknownAggregateError``.

        Args:
            collateral, of, command_id: as of ``create``.
            missing_ok: whether the state may be None, for an aggregate that has no events.

        Returns:
            A decorator for a function ``(command, state) -> event, events or None``, which it gives back.

        Raises:
            GraphError: the neuron has been made, or the collateral has a command already.
        """

        def decorate(decide: Callable[[C, Any], Decision[E]]) -> Callable[[C, Any], Decision[E]]:
            def decision(command: C, state: State, aggregate: str) -> Decision[E]:
                if not state.version and not missing_ok:
                    raise UnknownAggregateError(
                        f"{self.name} {aggregate!r} is unknown, and {collateral.name!r} is for it"
                    )
                return decide(command, state.value)

            self._add(collateral, decide, decision, of, command_id, is_new=False)
            return decide

        return decorate

    def _add(
        self,
        collateral: Collateral[C],
        decide: Callable[..., Any],
        decision: Callable[[C, State, str], Decision[E]],
        of: Callable[[C], str],
        command_id: Callable[[C], str] | None,
        *,
        is_new: bool,
    ) -> None:
        if self._neuron is not None:
            raise GraphError(f"aggregate {self.name!r} has its neuron already: declare its commands before the CNS")
        if collateral in self._commands:
            raise GraphError(f"aggregate {self.name!r} has a command on {collateral!r} already")
        if inspect.iscoroutinefunction(decide):
            raise TypeError(
                f"aggregate {self.name!r}: what decides {collateral.name!r} must be a plain function: it only decides, "
                f"and runs in the thread of the store"
            )

        async def handle(command: C, axon: object, ctx: Context[Any, Any]) -> list[Signal[Any]]:
            aggregate = of(command)
            if not isinstance(aggregate, str) or not aggregate:
                raise TypeError(
                    f"aggregate {self.name!r}: of= of {collateral.name!r} must give a str that is not empty, "
                    f"not {aggregate!r}"
                )
            key = _durable_id() if command_id is None else command_id(command)
            applied = await self._apply(
                aggregate, collateral.name, key, partial(self._decide, decision, command, aggregate), is_new=is_new
            )
            signals = [self._collaterals[type(event)].create_signal(event) for event in applied.events]
            return [*signals, self.appended.create_signal(applied.appended)]

        self._commands[collateral] = handle

    # -- applying them

    def _decide(
        self, decision: Callable[[C, State, str], Decision[E]], command: C, aggregate: str, state: State
    ) -> Sequence[E]:
        decided = decision(command, state, aggregate)
        if decided is None:
            return ()
        events: Sequence[Any] = cast("Any", decided) if isinstance(decided, list | tuple) else (decided,)
        for event in events:
            if type(event) not in self._collaterals:
                names = ", ".join(cls.__qualname__ for cls in self._collaterals)
                raise EventTypeError(f"aggregate {self.name!r} has no event like {event!r}; it has {names}")
        return cast("Sequence[E]", events)

    async def _apply(
        self, aggregate: str, kind: str, key: str | None, decide: Callable[[State], Sequence[Any]], *, is_new: bool
    ) -> Applied:
        repetition = 0

        def command(done: asyncio.Future[Applied]) -> Command:
            # After a conflict there is something in the log.
            may_be_new = is_new and repetition == 0
            return Command(
                self.name,
                aggregate,
                kind,
                key or uuid4().hex,
                key is not None,
                decide,
                may_be_new,
                self._evolve,
                self._snapshots,
                done,
                done.get_loop(),
            )

        while True:
            try:
                return await self.store.apply(command)
            except Conflict as conflict:
                if repetition == self._retries:
                    raise ConflictError(
                        f"{kind!r} was not applied to {self.name} {aggregate!r}: others appended to it each of the "
                        f"{self._retries + 1} times that it was tried"
                    ) from conflict.__cause__
            await asyncio.sleep(random.uniform(0, _JITTER * 2**repetition))
            repetition += 1

    async def state(self, aggregate: str) -> S | None:
        """The state of an aggregate as the log has it now; None if it has no events. For tests, and for a look.

        Raises:
            UnknownEventError: an event cannot be read.
            EventStoreUrlError, EventStoreUnavailableError: the store cannot be used.
        """
        found: list[State] = []

        def look(state: State) -> Sequence[Any]:
            found.append(state)
            return ()

        await self._apply(aggregate, "", None, look, is_new=False)
        return cast("S | None", found[-1].value)

    def __repr__(self) -> str:
        return f"<Aggregate {self.name!r} with {len(self._commands)} command{'s' * (len(self._commands) != 1)}>"


def _durable_id() -> str | None:
    """The id of the activation, in a durable run: a rerun after a crash is then no second command."""
    try:
        return current_activation().id
    except LookupError:
        return None


def _state_type(name: str, evolve: Callable[..., Any]) -> Any:
    try:
        found = typing.get_type_hints(evolve).get("return")
    except Exception as error:
        raise TypeError(f"aggregate {name!r}: the annotations of evolve cannot be resolved: {error}") from error
    if found is None:
        raise TypeError(f"aggregate {name!r}: snapshots need the return annotation of evolve")
    return found
