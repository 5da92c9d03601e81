"""What can be seen of a run, as plain data: the same on both engines, and readable where it is not."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Drained", "Ended", "Ending", "Event", "Failure", "Heard", "Note", "Started", "Task"]


class Task(NamedTuple):
    """An ``ActivationTask``."""

    id: int | None
    neuron: str
    place: int
    collateral: str
    payload: Any
    hop: int
    cause: int | None
    joined: tuple[Any, ...]

    @classmethod
    def of(cls, task: Any) -> Task:
        return cls(
            task.id,
            task.neuron.name,
            task.dendrite,
            task.collateral.name,
            task.signal.payload,
            task.hop,
            task.cause,
            cls.all_of(task.joined),
        )

    @classmethod
    def all_of(cls, tasks: Any) -> tuple[Task, ...]:
        return tuple(map(cls.of, tasks))

    def __repr__(self) -> str:
        joined = f" of {[part.id for part in self.joined]}" if self.joined else ""
        place = self.place or ""
        return f"#{self.id}<-{self.cause} {self.neuron}{place}({self.collateral} {self.payload}) hop {self.hop}{joined}"


class Started(NamedTuple):
    """A handler was entered. ``task``, ``context`` and ``frontier`` are None where it was not given a ctx."""

    run: int
    neuron: str
    part: int
    payloads: tuple[Any, ...]
    task: Task | None
    context: Any
    frontier: tuple[Task, ...] | None


class Ended(NamedTuple):
    """The code of a handler was left, in whatever way; ``outcome`` is the run's, None if the run is not known yet."""

    run: int
    neuron: str
    part: int
    path: str
    outcome: str | None


class Heard(NamedTuple):
    """A listener was given a response. ``gate`` is the label of the gate at which it waits, if it does."""

    run: int
    listener: str
    task: Task | None
    input: Any
    output: Any
    place: int
    outputs: int
    caused: tuple[Task, ...]
    error: str | None
    hops: int
    queue_length: int
    pending: int
    active: int
    context: Any
    final: bool
    outcome: str
    unfinished: tuple[int | None, ...]
    frontier: tuple[Task, ...] | None
    gate: str | None

    @classmethod
    def of(cls, run: int, listener: str, response: Any, frontier: tuple[Task, ...] | None, gate: str | None) -> Heard:
        task = None if response.task is None else Task.of(response.task)
        assert (None if response.neuron is None else response.neuron.name) == (task and task.neuron)
        return cls(
            run,
            listener,
            task,
            _signal(response.input_signal),
            _signal(response.output_signal),
            response.output_index,
            response.output_count,
            Task.all_of(response.caused),
            _error(response.error),
            response.hops,
            response.queue_length,
            response.pending_activations,
            response.active_activations,
            response.context_value,
            response.final,
            response.stimulation.outcome,
            tuple(task.id for task in response.stimulation.activation_tasks),
            frontier,
            gate,
        )


class Drained(NamedTuple):
    """A drain listener was told that a turn is over."""

    run: int
    listener: str
    queue_length: int
    pending: int
    active: int
    last_id: int
    frontier: tuple[Task, ...] | None


class Note(NamedTuple):
    """Anything else: what the driver, a handler or a listener did, or met."""

    kind: str
    run: int
    text: str
    frontier: tuple[Task, ...] | None


class Failure(NamedTuple):
    """A ``TaskFailure``."""

    task: Task
    error: str | None
    aborted: bool


class Ending(NamedTuple):
    """What became of a run in the end."""

    run: int
    outcome: str
    exception: str | None
    failures: tuple[Failure, ...]
    frontier: tuple[Task, ...]
    unfinished: int
    contexts: Any

    @classmethod
    def of(cls, number: int, run: Any) -> Ending:
        failures = tuple(Failure(Task.of(f.task), _error(f.error), f.aborted) for f in run.failed_tasks)
        return cls(
            number,
            run.outcome,
            _error(run.exception()) if run.done() else None,
            failures,
            Task.all_of(run.outstanding_tasks),
            len(run.activation_tasks),
            run.context.get_all(),
        )


Event = Started | Ended | Heard | Drained | Note | Ending


def _signal(signal: Any) -> Any:
    return None if signal is None else (signal.collateral_name, signal.payload)


def _error(error: BaseException | None) -> str | None:
    """An error with its notes and what it is made of; nothing of it that differs from process to process."""
    if error is None:
        return None
    words = [type(error).__name__, str(error), *getattr(error, "__notes__", ())]
    parts = getattr(error, "exceptions", ())
    if error.__cause__ is not None:
        words.append(f"from {type(error.__cause__).__name__}")
    return " | ".join(words) + (f" {[_error(part) for part in parts]}" if parts else "")
