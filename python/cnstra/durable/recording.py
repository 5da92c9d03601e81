"""What is noted of one run while it goes on: which activations there are, what became of them, and what is not stored
yet.

The engine numbers the activations of one attempt; a recording numbers those of the run, over all attempts, and gives
each its stable id. It learns of them from the run's responses, which name what each signal causes, and hands what has
changed since the last commit to the store as one increment.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from math import inf
from threading import RLock
from typing import Any, Literal

from cnstra import ActivationTask, Drain, Response

from .activation import activation_id
from .codecs import Codecs
from .contexts import RunContexts
from .errors import EncodingError
from .errors_as_text import describe, traceback_text
from .noted import Noted
from .port import Change, Claim, Frontier, Increment, Row, RunEnd

__all__ = ["Recording", "Volume"]

# Seconds after which the row of a run that goes on is brought up to date: it would cost each turn a third more.
_ADVANCE_EVERY = 1.0

Volume = Literal["full", "frontier"]


class Recording:
    """The record of one attempt at a run, as far as it is not in the store.

    Args:
        claim: the right to write it.
        codecs: of the graph.
        volume: ``"full"`` keeps finished activations, ``"frontier"`` only what is needed to go on.
        original: names of neurons and collaterals as ids are made of, by what they are called now.
    """

    def __init__(self, claim: Claim, codecs: Codecs, volume: Volume, original: dict[str, str]) -> None:
        self.key = claim.key
        self.fence = claim.fence
        self.run_id = claim.run_id
        self.attempt = claim.attempt
        self.root = claim.root
        self.hops = claim.hops
        self.codecs = codecs
        self.contexts = RunContexts(codecs, self)
        self.live: Any = None  # what listens to the run
        # Activations that the engine has as pending or active, by its number for them.
        self.by_number: dict[int, Noted] = {}
        self._keeps_all = volume == "full"
        self._original = original
        self._numbers = count(claim.last_seq + 1)
        self._dirty: dict[int, Noted] = {}
        self._lock = RLock()  # handlers in worker threads are entered there
        self._last_number = 0  # the engine's, up to which all are known, or were
        self._next_advance = 0.0

    @property
    def backlog(self) -> int:
        """How many activations have changed since the last commit was begun."""
        return len(self._dirty)

    # -- what an earlier attempt has left

    def resume(self, frontier: Frontier, renamed: dict[str, str]) -> list[Noted]:
        """Take over a frontier; the activations to resume, in order. Number them by ``by_number`` when they are
        resumed."""
        causes: dict[int, Noted] = {}
        found: dict[int, Noted] = {}
        left: list[Noted] = []
        for row in frontier.tasks:
            noted = found[row.seq] = Noted(
                self, row.seq, row.id, row.cause, row.place, (row.neuron, row.collateral, row.dendrite), row.hop
            )
            noted.is_stored = True
            noted.status = row.status
            noted.input = row.input
            if row.joined:
                noted.joined = tuple(found[int(seq)] for seq in row.joined.split(","))
                for part in noted.joined:
                    part.is_kept = True
            elif row.cause and not self._keeps_all:
                parent = causes.get(row.cause)
                if parent is None:
                    # What it was is of no interest any more; that it is there, and when it may go, is.
                    parent = causes[row.cause] = Noted(self, row.cause, "", None, 0, ("", "", 0), 0)
                    parent.is_stored, parent.status = True, "finished"
                noted.parent = parent
                parent.children += 1
            if row.status == "pending":
                left.append(noted)
        self.contexts.load(frontier.contexts, renamed)
        self._last_number = len(left)
        return left

    # -- what happens

    def answered(self, response: Response) -> bool:
        """A response: an activation is finished, or the run is entered. Tells whether it causes anything."""
        task = response.task
        if task is None:
            cause, cause_id, noted = 0, self.root, None
        else:
            assert task.id is not None
            noted = self._known(task, task.id)
            if response.output_index == 0:
                self._settle(noted, response.error)
            if response.output_index + 1 >= response.output_count:
                del self.by_number[task.id]
            cause, cause_id = noted.seq, noted.id
        caused = response.caused
        if caused:
            first, last = caused[0].id or 0, caused[-1].id or 0
            if first > self._last_number + 1:
                # The handler has enqueued something: that was reserved before what it returned (S3).
                self._adopt_new(response.stimulation.activation_tasks, before=first)
            self._last_number = last
            if noted is not None and noted.predicted:
                for child in caused:
                    assert child.id is not None
                    self.by_number[child.id] = noted.predicted.pop(0)
            else:
                parent = None if noted is None else self.parent_for(noted)
                for child in caused:
                    assert child.id is not None
                    names = (child.neuron.name, child.signal.collateral_name, child.dendrite)
                    self.by_number[child.id] = self.expect(
                        names, child.hop, cause, cause_id, response.output_index, parent
                    )
        if noted is not None and not self._keeps_all and response.output_index + 1 >= response.output_count:
            # Not earlier: what needs its outputs may be caused by the last of them alone.
            self._drop_if_done(noted)
        return bool(caused)

    def parent_for(self, noted: Noted) -> Noted | None:
        """What its children have to remember of it, so that its outputs stay while they are needed."""
        return None if self._keeps_all else noted

    def expect(
        self, names: tuple[str, str, int], hop: int, cause: int, cause_id: str, place: int, parent: Noted | None
    ) -> Noted:
        """Note an activation that is pending from now on."""
        noted = self.foresee(names, hop, cause, cause_id, place, parent)
        self._dirty[noted.seq] = noted
        return noted

    def foresee(
        self, names: tuple[str, str, int], hop: int, cause: int, cause_id: str, place: int, parent: Noted | None
    ) -> Noted:
        """An activation that is going to be pending; whoever foresees it also has it written."""
        id_ = activation_id(cause_id, place, *self._named(names))
        noted = Noted(self, next(self._numbers), id_, cause, place, names, hop)
        if parent is not None:
            noted.parent = parent
            parent.children += 1
        return noted

    def adopt(self, task: ActivationTask) -> Noted:
        """Note an activation that no response has told of: a join that has become due, or one that was enqueued."""
        names = (task.neuron.name, task.signal.collateral_name, task.dendrite)
        if task.joined:
            parts = tuple(self._part(part) for part in task.joined)
            # The same however they arrived: run again, they may come in another order.
            id_ = activation_id("+".join(sorted(part.id for part in parts)), 0, self._named(names)[0], "", 0)
            noted = Noted(self, next(self._numbers), id_, parts[-1].cause, parts[-1].place, names, task.hop)
            noted.joined = parts
            noted.problem = next((part.problem for part in parts if part.problem is not None), None)
        else:
            seq = next(self._numbers)
            id_ = activation_id(f"{self.root} enqueued in attempt {self.attempt}", seq, *self._named(names))
            noted = Noted(self, seq, id_, None, 0, names, task.hop)
            try:
                noted.input = self.codecs.encode_payload(names[1], task.signal.payload)
            except EncodingError as error:
                noted.problem = error
        if noted.problem is None:
            self._dirty[noted.seq] = noted
        if task.id is not None:
            self.by_number[task.id] = noted
            if task.id == self._last_number + 1:
                self._last_number = task.id
        return noted

    def _part(self, task: ActivationTask) -> Noted:
        """What a join has taken over; it was pending by itself, unless it was enqueued with the join."""
        part = None if task.id is None else self.by_number.pop(task.id, None)
        if part is None:
            part = self.adopt(replace(task, id=None))
        part.status = "joined"
        part.is_kept = True
        self._dirty[part.seq] = part
        return part

    def _named(self, names: tuple[str, str, int]) -> tuple[str, str, int]:
        """As they were called first: a renamed neuron's activations keep their ids."""
        neuron, collateral, dendrite = names
        return self._original.get(neuron, neuron), self._original.get(collateral, collateral), dendrite

    def reconcile(self, drain: Drain) -> None:
        """A turn is over: note what no response of it has told of, what was enqueued and joins that have become
        due."""
        if drain.last_id > self._last_number:
            self._adopt_new(drain.stimulation.activation_tasks)
            self._last_number = drain.last_id

    def _adopt_new(self, tasks: Iterable[ActivationTask], before: float = inf) -> None:
        """Note those of the run's unfinished activations, up to a number, that are not known yet."""
        with self._lock:
            for task in tasks:
                if task.id not in self.by_number and task.id is not None and task.id < before:
                    self.adopt(task)

    def _known(self, task: ActivationTask, number: int) -> Noted:
        noted = self.by_number.get(number)
        if noted is None:
            with self._lock:
                # A worker thread may be about to enter what a turn that ends meanwhile finds not to be known.
                noted = self.by_number.get(number) or self.adopt(task)
        return noted

    def enter(self, task: ActivationTask) -> Noted:
        """A handler is being entered.

        Raises:
            EncodingError: what it would be given cannot be stored, so that it could not be given that again.
        """
        assert task.id is not None
        noted = self._known(task, task.id)
        if noted.problem is not None:
            raise noted.problem
        noted.started = time.time()
        noted.entered = time.monotonic()
        return noted

    def _settle(self, noted: Noted, error: BaseException | None) -> None:
        noted.attempt = self.attempt
        if noted.hop > self.hops:
            self.hops = noted.hop
        if noted.trusted:
            return
        noted.settle_clock()
        self._dirty[noted.seq] = noted
        if error is None:
            self.finish(noted)
        else:
            noted.status = "failed"
            noted.outputs = None
            noted.error = describe(error)
            noted.traceback = traceback_text(error)

    def finish(self, noted: Noted) -> None:
        """It has succeeded: what only it needed may go."""
        self.succeed(noted)
        self.let_go(noted)

    def succeed(self, noted: Noted) -> None:
        """It has succeeded, if what tells of it is committed: until then what it needs stays."""
        noted.status = "finished"
        for part in noted.joined:
            part.is_kept = False

    def let_go(self, noted: Noted) -> None:
        """That it has succeeded is committed, or is going to be together with this: what only it needed may go."""
        if self._keeps_all:
            return
        with self._lock:
            for done in (noted, *noted.joined):
                parent, done.parent = done.parent, None
                if parent is not None:
                    parent.children -= 1
                    self._drop_if_done(parent)
                if done is not noted:
                    self._drop_if_done(done)

    def take_back(self, noted: Noted, increment: Increment) -> None:
        """What ``take_alone`` gave has not been committed: it has not succeeded."""
        noted.status = "pending"
        for part in noted.joined:
            part.is_kept = True
        self.contexts.give_back(increment.contexts)

    def _drop_if_done(self, noted: Noted) -> None:
        """With ``volume="frontier"``: whether a finished one is needed for its outputs decides at the next commit."""
        if self._is_done(noted):
            if noted.is_stored:
                self._dirty[noted.seq] = noted
            else:
                self._dirty.pop(noted.seq, None)

    # -- what is to be written

    def take(self, end: RunEnd | None = None) -> Increment:
        """Everything that has changed since the last time. It counts as stored from then on."""
        with self._lock:
            dirty, self._dirty = self._dirty, {}
        return self._increment(dirty.values(), self.contexts.take(), end)

    def take_alone(self, noted: Noted, children: Sequence[Noted]) -> Increment:
        """The finish of one activation, with what it causes and its neuron's context, for a transaction of its own."""
        self.hops = max(self.hops, noted.hop)
        all_of_it = (noted, *noted.joined, *children)
        with self._lock:
            for one in all_of_it:
                self._dirty.pop(one.seq, None)
        return self._increment(all_of_it, self.contexts.take(noted.neuron), None)

    def _increment(self, noted: Iterable[Noted], contexts: dict[str, bytes | None], end: RunEnd | None) -> Increment:
        added: list[Row] = []
        changed: list[Change] = []
        removed: list[int] = []
        for one in noted:
            if not self._keeps_all and self._is_done(one):
                if one.is_stored:
                    removed.append(one.seq)
            elif one.is_stored:
                changed.append(one.change())
            else:
                one.is_stored = True
                added.append(one.row())
        now = time.monotonic()
        advance = end is not None or now >= self._next_advance
        if advance:
            self._next_advance = now + _ADVANCE_EVERY
        return Increment(self.key, self.fence, added, changed, removed, contexts, self.hops, end, advance)

    @staticmethod
    def _is_done(noted: Noted) -> bool:
        """Whether nothing that is left to do needs it."""
        return noted.status in ("finished", "joined") and not noted.children and not noted.is_kept
