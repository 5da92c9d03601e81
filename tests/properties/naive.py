"""The rules in their plainest form: a run in which nothing suspends, without a thought for cost.

It has as much of the package's API as ``Execution`` needs, looks everything up anew each time, and shares no code with
the engines but the public errors. Neurons without limits only: where nothing suspends, a slot is always free.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

from cnstra import (
    HandlerCancelledError,
    InvalidResponseError,
    MaxHopsError,
    MemoryContextStore,
    OwnershipError,
    StimulationAborted,
    StimulationError,
    StimulationFailed,
    UnknownSubscriberError,
)

__all__ = ["naive"]


class Collateral:
    def __init__(self, name: str, payload_type: Any) -> None:
        self.name = name

    def create_signal(self, payload: Any) -> Any:
        return SimpleNamespace(collateral=self, collateral_name=self.name, payload=payload)


class Neuron:
    def __init__(self, name: str, axon: Any = None, concurrency: int | None = None) -> None:
        self.name = name
        self.owned = list((axon or {}).values())
        self.dendrites: list[tuple[Any, Any, Any]] = []  # collateral, handler, what makes them one join

    def dendrite(self, collateral: Any, response: Any, *, join: Any = None) -> Neuron:
        for one in collateral if isinstance(collateral, list) else [collateral]:
            self.dendrites.append((one, response, join))
        return self

    def join(self, collateral: Any, response: Any) -> Neuron:
        return self.dendrite(collateral, response, join=object())

    def place(self, index: int) -> int:
        collateral = self.dendrites[index][0]
        return sum(earlier is collateral for earlier, _, _ in self.dendrites[:index])


class Task(SimpleNamespace):
    """A task and an activation at once."""

    def __init__(
        self,
        neuron: Any,
        signal: Any,
        dendrite: int = 0,
        hop: int = 1,
        number: Any = None,
        cause: Any = None,
        joined: Any = (),
    ) -> None:
        super().__init__(
            neuron=neuron, signal=signal, dendrite=dendrite, hop=hop, id=number, cause=cause, joined=joined,
            collateral=signal.collateral,
        )  # fmt: skip


class CNS:
    def __init__(self, neurons: list[Neuron], *, auto_cleanup_contexts: bool, enforce_ownership: bool) -> None:
        self.neurons = neurons
        self.cleanup = auto_cleanup_contexts
        self.enforce = enforce_ownership
        self.listeners: list[Any] = []
        self.drains: list[Any] = []

    def add_response_listener(self, listener: Any) -> None:
        self.listeners.append(listener)

    def add_drain_listener(self, listener: Any) -> None:
        self.drains.append(listener)

    def stimulate(self, signal: Any, **options: Any) -> Run:
        run = Run(self, **options)
        signals = signal if isinstance(signal, list) else [signal]
        reserved = [run.reserve_subscribers(one, None, 1) for one in signals]
        run.respond(None, signals, reserved, None)
        run.go()
        return run

    def activate(self, tasks: list[Task], **options: Any) -> Run:
        run = Run(self, **options)
        run.append(tasks)
        run.go()
        return run

    def reachable(self, neuron: Neuron) -> list[Neuron]:
        """What can be reached from it, itself only over a cycle."""
        found: list[Neuron] = []
        stack = [neuron]
        while stack:
            owned = stack.pop().owned
            for other in self.neurons:
                if other not in found and any(heard in owned for heard, _, _ in other.dendrites):
                    found.append(other)
                    stack.append(other)
        return found


class Run:
    def __init__(
        self,
        cns: CNS,
        on_response: Any = None,
        on_drain: Any = None,
        concurrency: Any = None,
        max_hops: int | None = None,
        context_store: Any = None,
    ) -> None:
        self.cns = cns
        self.listeners = [] if on_response is None else [on_response]
        self.drains = [] if on_drain is None else [on_drain]
        self.max_hops = max_hops
        self.context = context_store or MemoryContextStore()
        self.own_context = context_store is None
        self.outcome = "running"
        self.aborted = self.cancelled = False
        self.reason: object = None
        self.count = 0
        self.queue: list[Task] = []
        self.held: list[Task] = []
        self.reserved: list[Task] = []
        self.entered: Task | None = None
        self.failures: list[Any] = []
        self.errors: list[Exception] = []
        self.error: BaseException | None = None

    # -- as its callers see it

    @property
    def activation_tasks(self) -> list[Task]:
        entered = [] if self.entered is None else [self.entered]
        return sorted([*entered, *self.queue, *self.held, *self.reserved], key=lambda task: task.id)

    @property
    def outstanding_tasks(self) -> list[Task]:
        failed = [failure.task for failure in self.failures]
        return sorted([*self.activation_tasks, *failed], key=lambda task: task.id)

    @property
    def failed_tasks(self) -> list[Any]:
        for failure in self.failures:
            failure.error = failure.error or self.error
        return self.failures

    def done(self) -> bool:
        return self.outcome != "running"

    def exception(self) -> BaseException | None:
        return self.error

    def abort(self, reason: object) -> None:
        if not self.aborted:
            self.aborted, self.reason = True, reason

    def cancel(self, reason: object) -> None:
        self.abort(reason)
        self.cancelled = True

    def enqueue(self, tasks: list[Task]) -> None:
        if not self.activation_tasks:
            raise StimulationError("ended")
        self.append(tasks)

    def __await__(self) -> Generator[Any, Any, None]:
        if not self.done():
            raise StimulationError("its own")
        if self.error is not None:
            raise self.error
        return
        yield

    # -- running

    def reserve(self, task: Task, cause: Task | None, hop: int) -> Task:
        self.count += 1
        task.id, task.cause, task.hop = self.count, cause and cause.id, hop
        self.reserved.append(task)
        return task

    def reserve_subscribers(self, signal: Any, cause: Task | None, hop: int) -> list[Task]:
        return [
            self.reserve(Task(neuron, signal, neuron.place(index)), cause, hop)
            for neuron in self.cns.neurons
            for index, (collateral, _, _) in enumerate(neuron.dendrites)
            if collateral is signal.collateral
        ]

    def append(self, tasks: list[Task]) -> None:
        mine = [self.reserve(Task(task.neuron, task.signal, task.dendrite), None, task.hop) for task in tasks]
        self.deliver(mine)

    def deliver(self, tasks: list[Task]) -> None:
        for task in tasks:
            self.reserved.remove(task)
            found = self.find(task)
            (self.queue if found is None or found[2] is None else self.held).append(task)

    def find(self, task: Task) -> Any:
        places = [found for found in task.neuron.dendrites if found[0] is task.collateral]
        return places[task.dendrite] if task.neuron in self.cns.neurons else None

    def go(self) -> None:
        while True:
            while not self.aborted and self.take():
                pass
            self.clean()
            event = SimpleNamespace(stimulation=self, last_id=self.count, **self.counters())
            for listener in (*self.drains, *self.cns.drains):
                try:
                    listener(event)
                except Exception as error:
                    self.errors.append(error)
            if self.aborted or not self.activation_tasks:
                break
        for task in self.activation_tasks:
            self.failures.append(SimpleNamespace(task=task, error=None, aborted=True))
        self.queue, self.held = [], []
        if self.aborted:
            self.outcome, self.error = "aborted", StimulationAborted(self.reason, self.errors)
        elif self.errors:
            self.outcome, self.error = "failed", StimulationFailed("", self.errors)
        else:
            self.outcome = "completed"

    def take(self) -> bool:
        self.join()
        if not self.queue:
            return False
        task = self.entered = self.queue.pop(0)
        was_entered = False
        value: Any = None
        error: Exception | None = None
        found = self.find(task)
        if found is None:
            error = UnknownSubscriberError()
        elif self.max_hops is not None and task.hop > self.max_hops:
            error = MaxHopsError()
        else:
            was_entered = True
            payload = [part.signal.payload for part in task.joined] if task.joined else task.signal.payload
            arguments = payload, SimpleNamespace(), Context(self, task)
            required = len(inspect.signature(found[1]).parameters)
            try:
                value = finish(found[1](*arguments[:required]))
            except asyncio.CancelledError:
                error = HandlerCancelledError()
            except Exception as raised:
                error = raised
        if self.cancelled and was_entered:
            self.entered = None
            self.failures.append(SimpleNamespace(task=task, error=None, aborted=True))
            return True
        signals = [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
        if error is None:
            for signal in signals:
                if not isinstance(signal, SimpleNamespace):
                    error = InvalidResponseError()
                elif self.cns.enforce and signal.collateral not in task.neuron.owned:
                    error = OwnershipError()
                if error is not None:
                    break
        self.entered = None
        if error is not None:
            signals = []
            self.failures.append(SimpleNamespace(task=task, error=error, aborted=False))
            self.errors.append(error)
        reserved = [self.reserve_subscribers(signal, task, task.hop + 1) for signal in signals]
        self.respond(task, signals, reserved, error)
        return True

    def join(self) -> None:
        for neuron in self.cns.neurons:
            seen = []
            for _, _, join in neuron.dendrites:
                if join is None or join in seen:
                    continue
                seen.append(join)
                held = [task for task in self.held if self.find(task)[2] is join]
                others = [task for task in self.activation_tasks if task not in held and self.find(task)]
                if not held or any(neuron in self.cns.reachable(task.neuron) for task in others):
                    continue
                held.sort(key=lambda task: task.id)
                last = held[-1]
                task = Task(neuron, last.signal, last.dendrite, joined=held)
                self.reserve(task, None, max(part.hop for part in held))
                task.cause = last.cause
                self.reserved.remove(task)
                self.queue.append(task)
                self.held = [task for task in self.held if task not in held]

    def counters(self) -> dict[str, int]:
        everything = len(self.activation_tasks)
        active = 0 if self.entered is None else 1
        return {"queue_length": everything, "pending_activations": everything - active, "active_activations": active}

    def respond(self, task: Task | None, signals: list[Any], reserved: list[Any], error: Any) -> None:
        for index, signal in enumerate(signals or [None]):
            caused = reserved[index] if signals else []
            response = SimpleNamespace(
                task=task,
                neuron=task and task.neuron,
                input_signal=task and task.signal,
                output_signal=signal,
                output_index=index,
                output_count=len(signals),
                caused=tuple(caused),
                error=error,
                hops=0 if task is None else task.hop,
                context_value=None if task is None else self.context.get(task.neuron.name),
                final=not self.activation_tasks and index + 1 >= len(signals) and not self.aborted,
                stimulation=self,
                **self.counters(),
            )
            answers = []
            for listener in (*self.listeners, *self.cns.listeners):
                try:
                    answers.append(listener(response))
                except Exception as failure:
                    self.errors.append(failure)
            for answer in answers:
                try:
                    finish(answer)
                except Exception as failure:
                    self.errors.append(failure)
            self.deliver(caused)

    def clean(self) -> None:
        if self.cns.cleanup and self.own_context:
            here = [task.neuron for task in self.activation_tasks if self.find(task)]
            for neuron in self.cns.neurons:
                if neuron not in here and not any(neuron in self.cns.reachable(other) for other in here):
                    self.context.delete(neuron.name)


class Context:
    def __init__(self, run: Run, task: Task) -> None:
        self.stimulation, self.task = run, task

    def get(self) -> Any:
        return self.stimulation.context.get(self.task.neuron.name)

    def set(self, value: Any) -> None:
        self.stimulation.context.set(self.task.neuron.name, value)

    def delete(self) -> None:
        self.stimulation.context.delete(self.task.neuron.name)


def finish(value: Any) -> Any:
    """What an awaitable that never suspends gives."""
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    try:
        wait().send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("suspended")


naive = SimpleNamespace(
    collateral=Collateral,
    neuron=Neuron,
    CNS=CNS,
    ActivationTask=Task,
    MemoryContextStore=MemoryContextStore,
    StimulationError=StimulationError,
)
