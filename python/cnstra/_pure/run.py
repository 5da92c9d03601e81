"""The state of one run: its queue, its counters, what is in flight, and when it is over.

Nothing here calls a handler or a listener, knows a thread or a clock: every method is a short step on plain data, and
whoever drives the run holds its lock for that step. Each activation is in exactly one of the collections below from
the moment it is reserved until it has settled; together they are the frontier (S17).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import Any

from .graph import Graph

__all__ = ["Activation", "Failure", "Phase", "Run"]

UNKNOWN = -1


class Phase(Enum):
    """Where a run stands between two turns, or in one."""

    IDLE = 0
    DISPATCHING = 1  # activations are taken: what feeds the run now is seen before the next one
    DRAINING = 2  # the queue is done with for this turn: what feeds the run now needs a further turn
    ENDED = 3


class Activation:
    """One (dendrite, signal) pair of a run. ``number`` and ``cause`` are the run's (S2); 0 means none."""

    __slots__ = ("cause", "dendrite", "hop", "joined", "number", "signal", "ticket")

    def __init__(
        self, number: int, cause: int, hop: int, dendrite: int, signal: Any, joined: Sequence[Activation] = ()
    ) -> None:
        self.number = number
        self.cause = cause
        self.hop = hop
        self.dendrite = dendrite  # UNKNOWN: the graph has none, and ``signal`` is the task as it was given
        self.signal = signal
        self.joined = joined  # what a join took over, in order of emission (S25)
        self.ticket = 0  # its place in the line for a slot


class Failure:
    """An activation that did not succeed, and why."""

    __slots__ = ("aborted", "activation", "error")

    def __init__(self, activation: Activation, error: BaseException | None, aborted: bool) -> None:
        self.activation = activation
        self.error = error
        self.aborted = aborted


class Run:
    """The scheduler's view of one run."""

    __slots__ = (
        "aborted", "active", "cancelled", "concurrency", "current", "due", "errors", "failures", "fed", "graph",
        "granted", "held", "last_number", "last_ticket", "listening", "parked", "pending", "phase", "queue",
        "reserved", "suspended", "taken", "upstream", "waiting",
    )  # fmt: skip

    def __init__(self, graph: Graph, concurrency: int | None) -> None:
        self.graph = graph
        self.concurrency = concurrency
        self.phase = Phase.IDLE
        self.fed = False  # something waits for a turn
        self.aborted = False
        self.cancelled = False
        self.last_number = 0
        self.last_ticket = 0
        # S5's counters
        self.pending = 0
        self.active = 0
        self.listening = 0  # responses whose listeners have not all settled
        # where activations are
        self.reserved: deque[Activation] = deque()  # of the list that is being dispatched
        self.parked: dict[int, list[Activation]] = {}  # behind a response's listeners, by ticket
        self.queue: deque[Activation] = deque()
        self.waiting: dict[int, Activation] = {}  # for a slot, by number
        self.granted: deque[tuple[Activation, Exception | None]] = deque()  # got their slot, or never will
        self.taken: Activation | None = None  # and neither entered nor set to wait: the lock is let go of in between
        self.current: Activation | None = None  # its handler is on the stack
        self.suspended: dict[int, Activation] = {}  # its handler is a task or in a worker
        self.failures: list[Failure] = []
        self.errors: list[Exception] = []  # of activations and listeners, in order
        # joins: what each holds, how many unfinished activations can still reach it (those included that are for it and
        # have not arrived because a listener keeps them back), and which may be due
        self.held: list[list[Activation]] = [[] for _ in graph.join_neuron]
        self.upstream: list[int] = [0] * len(graph.join_neuron)
        self.due: set[int] = set()

    # -- reserving: an activation gets its number and is pending

    def reserve(
        self, dendrite: int, signal: Any, cause: int, hop: int, joined: Sequence[Activation] = ()
    ) -> Activation:
        self.last_number += 1
        self.pending += 1
        activation = Activation(self.last_number, cause, hop, dendrite, signal, joined)
        if self.upstream and dendrite != UNKNOWN:
            for join in self.graph.reach[self.graph.dendrite_neuron[dendrite]]:
                self.upstream[join] += 1
            own = self.graph.dendrite_join[dendrite]
            if own is not None:
                self.upstream[own] += 1
        return activation

    def emit(self, collateral: int | None, signal: Any, cause: int, hop: int) -> int:
        """Reserve the subscribers of one signal and tell how many they are; they wait in ``reserved``."""
        if collateral is None:
            return 0
        subscribers = self.graph.subscribers[collateral]
        for dendrite in subscribers:
            self.reserved.append(self.reserve(dendrite, signal, cause, hop))
        return len(subscribers)

    def caused(self, count: int) -> list[Activation]:
        """The next ``count`` of ``reserved``."""
        return [self.reserved[i] for i in range(count)]

    def deliver(self, count: int) -> None:
        """Append the next ``count`` of ``reserved`` to the queue."""
        for _ in range(count):
            self.append(self.reserved.popleft())

    def append(self, activation: Activation) -> None:
        join = None if activation.dendrite == UNKNOWN else self.graph.dendrite_join[activation.dendrite]
        if join is not None:
            self._discount(join)
        if join is None or activation.joined:
            self.queue.append(activation)
        else:
            self.held[join].append(activation)

    # -- response listeners as barriers (S6)

    def park(self, count: int) -> int:
        """Keep the next ``count`` of ``reserved`` back until ``unpark`` of the returned ticket."""
        self.last_ticket += 1
        self.listening += 1
        self.parked[self.last_ticket] = [self.reserved.popleft() for _ in range(count)]
        return self.last_ticket

    def unpark(self, ticket: int) -> None:
        self.listening -= 1
        for activation in self.parked.pop(ticket):
            self.append(activation)

    # -- taking, waiting for slots, entering

    def next(self) -> tuple[Activation, bool, Exception | None] | None:
        """Take the activation that is to be started now, whether it has its slot, and why it cannot start.

        None ends the dispatch: from here on what feeds the run needs a further turn.
        """
        if not self.aborted:
            if self.due:
                self._join()
            if self.granted:
                self.taken, error = self.granted.popleft()
                return self.taken, error is None, error
            if self.queue and (self.concurrency is None or self.active + len(self.waiting) < self.concurrency):
                self.taken = self.queue.popleft()
                return self.taken, False, None
        self.phase = Phase.DRAINING
        return None

    def wait(self, activation: Activation, ticket: int) -> None:
        self.taken = None
        activation.ticket = ticket
        self.waiting[activation.number] = activation

    def grant(self, number: int, error: Exception | None = None) -> bool:
        """A waiter got its slot (or, with an error, never will); False if it does not wait any more."""
        activation = None if self.aborted else self.waiting.pop(number, None)
        if activation is None:
            return False
        activation.ticket = 0
        self.granted.append((activation, error))
        return True

    def ungrant(self, number: int) -> None:
        """Take back a grant that nothing can come of: the activation waits again, and its slot is for somebody else."""
        for place, (activation, _) in enumerate(self.granted):
            if activation.number == number:
                del self.granted[place]
                self.waiting[number] = activation
                return

    def enter(self, activation: Activation) -> None:
        self.pending -= 1
        self.active += 1
        self.taken, self.current = None, activation

    def suspend(self, activation: Activation) -> None:
        self.current = None
        self.suspended[activation.number] = activation

    def is_entered(self, activation: Activation) -> bool:
        return self.current is activation or activation.number in self.suspended

    def settle(self, activation: Activation) -> None:
        """It has left the frontier, before its responses (S17)."""
        if self.current is activation:
            self.current = None
            self.active -= 1
        elif self.suspended.pop(activation.number, None) is not None:
            self.active -= 1
        else:
            self.pending -= 1  # failed without having been entered
            self.taken = None

    def fail(self, activation: Activation, error: BaseException | None, aborted: bool = False) -> None:
        self.failures.append(Failure(activation, error, aborted))
        if not aborted and isinstance(error, Exception):
            self.errors.append(error)

    def leave(self, activation: Activation) -> None:
        """What it caused is reserved: nothing more can come of it."""
        if self.upstream and activation.dendrite != UNKNOWN:
            for join in self.graph.reach[self.graph.dendrite_neuron[activation.dendrite]]:
                self._discount(join)

    def _discount(self, join: int) -> None:
        self.upstream[join] -= 1
        if not self.upstream[join]:
            self.due.add(join)

    def _join(self) -> None:
        """Activate the joins that nothing unfinished can reach any more, in order (S25)."""
        due, self.due = sorted(self.due), set()
        for join in due:
            held = self.held[join]
            if held and not self.upstream[join]:
                self.held[join] = []
                held.sort(key=_number)  # barriers may have delivered them in another order
                last = held[-1]
                hop = max(activation.hop for activation in held)
                self.append(self.reserve(last.dendrite, last.signal, last.cause, hop, held))
                self.pending -= len(held)
                for activation in held:
                    self.leave(activation)

    # -- the end of a turn

    def end_turn(self) -> bool:
        """Whether the run goes idle; otherwise a further turn has begun."""
        if self.fed:
            self.begin_turn()
            return False
        self.phase = Phase.IDLE
        return True

    def begin_turn(self) -> None:
        self.fed = False
        self.phase = Phase.DISPATCHING

    @property
    def in_flight(self) -> int:
        return self.active + self.listening

    def close(self) -> bool:
        """Whether the run is over: nothing can feed it from here on (S8, S10)."""
        over = not self.in_flight and (self.aborted or not self.pending)
        if over:
            self.phase = Phase.ENDED
        return over

    def unfinished(self) -> list[Activation]:
        """Every activation that is pending or active, in order of number."""
        return sorted(self._unfinished(), key=_number)

    def frontier(self) -> list[Activation]:
        """Every activation that has not succeeded, in order of number."""
        failed = (failure.activation for failure in self.failures)
        return sorted(chain(self._unfinished(), failed), key=_number)

    def end(self) -> list[Activation]:
        """Close an aborted or completed run; returns the activations that were never entered, in order."""
        self.phase = Phase.ENDED
        left = self.unfinished()
        for collection in (self.reserved, self.parked, self.queue, self.waiting, self.granted, self.suspended):
            collection.clear()
        self.taken = self.current = None
        self.held = []
        return left

    def _unfinished(self) -> Iterator[Activation]:
        current = (activation for activation in (self.taken, self.current) if activation is not None)
        return chain(
            current, self.suspended.values(), (activation for activation, _ in self.granted), self.waiting.values(),
            self.queue, *self.held, *self.parked.values(), self.reserved,
        )  # fmt: skip


def _number(activation: Activation) -> int:
    return activation.number
