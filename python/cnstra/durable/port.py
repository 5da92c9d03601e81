"""The port that every store implements: what durable runs need of a database, and nothing more.

It speaks in rows and bytes. A store knows neither signals nor graphs nor codecs; it keeps what it is given, decides by
its own clock and its own lock who owns a run, and writes a batch of increments whole or not at all.

How a run lies in a store:

- A **run** row has its entry (encoded signals), its options and its state. ``key`` is the store's own number for it,
  never given twice.
- A **task** row is one activation, by (``key``, ``seq``). The frontier is the rows whose status is ``pending``,
  ``failed`` or ``aborted``: what is left to do. A row has the outputs of its activation and not its input: that is
  output number ``place`` of the row ``cause``, or of the run's entry where ``cause`` is 0. Only what nobody caused
  (``cause`` None, it was enqueued) carries its own input.
- A **context** row is the value of one neuron in one run.
- An **attempt** row is one stretch of a run in one process.
- An **owner** row is a process and its lease: one row to renew, however many runs the process has.

Who may write: a run has a ``fence``, a number that grows with every change of owner. An increment carries the fence of
its owner and is refused if that is not the run's any more: a process that was away cannot overwrite what its
successor did (M. Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Literal

from .records import Attempt, RunStatus
from .rows import (
    FRONTIER,
    Beat,
    Candidate,
    Change,
    Claim,
    Frontier,
    Increment,
    NewRun,
    Row,
    RunEnd,
    RunRow,
    Takeover,
)

__all__ = [
    "FRONTIER",
    "Beat",
    "Candidate",
    "Change",
    "Claim",
    "Frontier",
    "Increment",
    "NewRun",
    "Row",
    "RunEnd",
    "RunRow",
    "Store",
    "Takeover",
]


class Store(ABC):
    """A store of durable runs: made by ``Store.open(url)``, connected by ``Durable``.

    All of it is called from one event loop, but for ``beat``.

    Every method raises ``StoreUnavailableError`` if the store cannot be reached, is full or read-only,
    ``StoreBusyError`` if somebody else has locked it, and ``StoreCorruptError`` if it is damaged. None of them has done
    anything then, unless what was lost is a server's answer: what ``create`` or ``claim`` did is a candidate for its
    owner then, and ``commit`` and ``transaction`` say what holds for them.
    """

    inline: ClassVar[bool]
    """Whether its coroutines never suspend, so that ``coroutine.send(None)`` runs them whole. A locked store raises
    ``StoreBusyError`` instead of making the loop wait for more than a few milliseconds."""

    transactions: ClassVar[Literal["savepoint", "connection"] | None]
    """How transactional neurons are run: in a savepoint of the transaction that the next commit ends (a plain function,
    on the loop's thread), on a connection of their own (a coroutine, or a plain function in a worker), or not at
    all."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What messages call it: its URL without password."""

    @staticmethod
    def open(url: str, **options: Any) -> Store:
        """Find the store that a URL names. Nothing is opened yet.

        Args:
            url: ``memory://``, ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db``, or
                ``postgresql://user@host:port/database``.
            **options: of that kind of store. SQLite: ``synchronous``, ``"normal"`` (survives the death of the process;
                the default) or ``"full"`` (survives that of the machine). PostgreSQL: ``schema`` (``"public"``), in
                which its tables are, and ``pool_size`` (10), connections for transactional neurons and reads.

        Raises:
            StoreUrlError: there is no such kind of store, or the URL is not complete.
            TypeError: that kind of store has no such option.
            ModuleNotFoundError: its driver is not installed; the message says what to install.

        Example:
            >>> from cnstra.durable import Store
            >>> Store.open("sqlite:///runs.db")
            <Store sqlite:///runs.db>
        """
        from .opening import open_store

        return open_store(url, options)

    def __repr__(self) -> str:
        return f"<Store {self.url}>"

    # -- life

    @abstractmethod
    async def connect(self) -> None:
        """Open it, and bring its schema up to date, under a lock. Raises SchemaTooNewError, StoreCorruptError."""

    @abstractmethod
    async def close(self) -> None:
        """Close it; what is not committed is gone. May be called again, and on one that is not open."""

    # -- owners

    @abstractmethod
    async def register(self, owner: str, lease: float) -> None:
        """Enter an owner, whose lease runs out ``lease`` seconds from now, by the store's clock."""

    @abstractmethod
    def beat(self, owner: str, lease: float) -> Beat:
        """Renew an owner's lease, entering it anew if it is gone. Called from a thread of its own: uses a connection of
        its own, which it opens again after an error, and may wait for a lock for a second or so."""

    @abstractmethod
    async def unregister(self, owner: str) -> None:
        """Forget an owner: its unended attempts end ``released``, and its runs are nobody's from now on."""

    @abstractmethod
    async def owners(self) -> list[str]:
        """Every owner that is entered, be its lease over or not: whoever asks may know of one that it is dead."""

    # -- runs

    @abstractmethod
    async def create(self, owner: str, runs: Sequence[NewRun]) -> list[Claim | None]:
        """Record runs; None for each whose id is taken already, which changes nothing. One without ``due`` belongs to
        the owner at once, with fence 1 and attempt 1; one with it is ``scheduled``, has fence 0 and attempt 0 and no
        owner (its claim says so too). One transaction."""

    @abstractmethod
    async def candidates(
        self, owner: str, live: Collection[int], dead: Collection[str], *, run_id: str | None = None, limit: int = 1000
    ) -> list[Candidate]:
        """Runs that may be taken over, oldest first: running ones that nobody owns, whose owner's lease has run out, is
        in ``dead``, or is ``owner`` itself, but none in ``live``; and scheduled ones that are due. With ``run_id``,
        that one alone, if it may be taken over."""

    @abstractmethod
    async def claim(
        self, owner: str, takeovers: Sequence[Takeover], live: Collection[int], dead: Collection[str]
    ) -> list[Claim]:
        """Take over those that may still be taken over by the rules of ``candidates`` and whose fence is still the one
        given. Each gets the next fence, a new attempt and the given fingerprint; its unended attempt ends ``lost``, and
        then ``crashes`` is one more (not so if nobody owned it, or ``owner`` itself did). A scheduled one becomes
        ``running``."""

    @abstractmethod
    async def give_up(self, takeovers: Sequence[Takeover], end: RunEnd) -> int:
        """End runs that nobody should try any more, if their fence is still the one given; returns how many. Their
        unended attempts end ``lost``."""

    @abstractmethod
    async def reopen(self, owner: str, run_id: str, fingerprint: str) -> Claim | None:
        """Take a ``failed`` or ``aborted`` run up again, as a new attempt with the next fence, without error or wish to
        cancel and with ``crashes`` 0; its failed and aborted tasks are pending again, without errors. None if it is
        not in such a state."""

    @abstractmethod
    async def request_cancel(self, run_id: str, reason: str) -> RunRow | None:
        """Ask for the end of a run, and return it as it stands then; None if there is none. A scheduled one, or one
        whose owner is nobody or expired, is given up there and then: ``aborted``, the reason its error; an ended one is
        left alone. Of several reasons the first stays."""

    @abstractmethod
    async def commit(self, batch: Sequence[Increment]) -> frozenset[int]:
        """Write increments in one transaction, but for those whose run has ended or has another fence: their keys are
        returned, and nothing of them is written. A run that ends has no owner any more, and its attempt ends as it
        does. What advances a run sets its ``crashes`` to 0. At most one increment a run. A StoreError of a task
        that is added and is there already, or of savepoints whose runs are not in the batch, is a mistake of the
        caller.

        If the answer of a server is lost (StoreUnavailableError), nobody knows whether the batch was written. To commit
        the same batch again is right in both cases: tasks that are added again are written to the same values, which
        is no mistake there, and a run that has ended by that fence and with that very end counts as written."""

    @abstractmethod
    async def frontier(self, key: int) -> Frontier:
        """What is left to do in a run."""

    # -- the record

    @abstractmethod
    async def find(self, run_id: str) -> RunRow | None:
        """A run by its id."""

    @abstractmethod
    async def list_runs(
        self,
        *,
        status: RunStatus | None = None,
        scope: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[RunRow]:
        """Runs, the newest first (by ``key``); ``since`` is the earliest ``created``, ``before`` the key that all on
        this page are smaller than."""

    @abstractmethod
    async def list_attempts(self, key: int) -> list[Attempt]:
        """The attempts of a run, in order."""

    @abstractmethod
    async def list_tasks(self, key: int, *, after: int = 0, limit: int = 100) -> tuple[list[Row], dict[int, bytes]]:
        """The tasks of a run with a ``seq`` beyond ``after``, in order, and the outputs of what caused them by seq, as
        far as the store has them."""

    @abstractmethod
    async def prune(self, *, older_than: float | None, keep_last: int | None) -> int:
        """Remove ended runs that were last written more than ``older_than`` seconds ago, and that are not among the
        ``keep_last`` newest ended ones (a limit that is None is not one); returns how many. Owners whose lease ran out
        long ago and who own nothing go too."""

    # -- transactions

    def savepoint(self, key: int, fence: int) -> Any:
        """For ``transactions == "savepoint"``: a context manager around one transactional handler, that enters a
        savepoint of the transaction that the next ``commit`` ends, and gives what ``current_transaction()`` is to be.
        An exception undoes what was written since and goes on. Raises LeaseLostError, StoreBusyError when it is
        entered."""
        raise NotImplementedError

    def abandon(self) -> None:  # noqa: B027 - nothing to do where there are no savepoints
        """Roll back the transaction that savepoints have opened, if there is one: the next commit cannot be made."""

    def transaction(self) -> Any:
        """For ``transactions == "connection"``: an async context manager, a transaction on a connection of its own; it
        gives an object with ``connection`` (what ``current_transaction()`` is to be) and ``async commit(increment) ->
        bool``, the last thing that is called on it: it writes the increment and commits everything, or refuses it
        (False) and rolls back. Leaving it in any other way rolls back.

        If the connection is lost while it commits, the store finds out what became of it. If nothing tells within half
        a minute, it raises a StoreUnavailableError that says so: the increment must not be written by ``commit`` then,
        and the run has to be read again. An error of the database that the handler is to blame for, as a constraint
        that is checked in the end, is raised as it is; nothing is written then."""
        raise NotImplementedError

    def blocking_transaction(self) -> Any:
        """The same for a plain function in a worker thread: a context manager, with ``commit(increment) -> bool``."""
        raise NotImplementedError
