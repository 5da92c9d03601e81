"""Runs, queries, streams, listeners, stores and stored tasks, as a user's type checker sees them."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_type

from cnstra import (
    CNS,
    AbortController,
    AbortSignal,
    ActivationTask,
    Collateral,
    ContextStore,
    Dendrite,
    Drain,
    MemoryContextStore,
    Neuron,
    Response,
    Signal,
    Stimulation,
    StimulationAborted,
    StimulationFailed,
    StimulationGate,
    TaskFailure,
    afferent_path,
    collateral,
    modality,
    neuron,
)


@dataclass(frozen=True)
class Ask:
    text: str


@dataclass(frozen=True)
class Answer:
    text: str


ask = collateral("ask", Ask)
answer = collateral("answer", Answer)
either = Collateral[Ask | Answer]("either")
answering = neuron("answering", {"answer": answer}).dendrite(
    collateral=ask, response=lambda question, axon: axon.answer.create_signal(Answer(question.text))
)
cns = CNS([answering, neuron("other")], shared={"rate": 3}, auto_cleanup_contexts=True, enforce_ownership=False)
CNS([answering, "other"])  # error: no neuron
CNS([answering], middleware=[3])  # error: no function
assert_type(either.create_signal(Ask("?")), Signal[Ask | Answer])


# --- runs

run = cns.stimulate(ask.create_signal(Ask("?")))
assert_type(run, Stimulation)
assert_type(run.done(), bool)
assert_type(run.outcome, Literal["running", "completed", "failed", "aborted"])
assert_type(run.exception(), StimulationFailed | StimulationAborted | None)
assert_type(run.outstanding_tasks, list[ActivationTask])
assert_type(run.failed_tasks, list[TaskFailure])
assert_type(run.cns, CNS)
assert_type(run.context, ContextStore)
for failure in run.failed_tasks:
    assert_type(failure.task.neuron, Neuron[Any, Any, Any, Any])
    assert_type(failure.error, BaseException)
if run.outcome == "done":  # error: no outcome of a run
    pass
cns.stimulate(ask)  # error: a collateral is no signal
cns.stimulate([ask.create_signal(Ask("?")), answer.create_signal(Answer("!"))], timeout=3, concurrency=4)
cns.stimulate([], timeout="3")  # error: a number of seconds
cns.stimulate([], retries=3)  # error: no such option
cns.activate(run.outstanding_tasks, max_hops=10)
cns.activate([ActivationTask(answering, ask.create_signal(Ask("?")), dendrite=0, hop=2)])
cns.activate(run)  # error: no tasks
run.enqueue([run.outstanding_tasks[0]])


# --- listeners


def on_response(response: Response) -> None:
    assert_type(response.output_signal, Signal[Any] | None)
    assert_type(response.neuron, Neuron[Any, Any, Any, Any] | None)
    assert_type(response.caused, tuple[ActivationTask, ...])
    assert_type(response.final, bool)
    if answered := answer.match(response.output_signal):
        assert_type(answered, Signal[Answer])
        assert_type(answered.payload.text, str)


async def checkpoint(response: Response) -> None: ...


def on_drain(drain: Drain) -> None:
    assert_type(drain.queue_length, int)


async def slow_drain(drain: Drain) -> None: ...


cns.stimulate([], on_response=on_response, on_drain=on_drain)
cns.stimulate([], on_response=checkpoint)
cns.stimulate([], on_response=on_drain)  # error: for drains
cns.stimulate([], on_drain=slow_drain)  # error: drains are synchronous
assert_type(cns.add_response_listener(checkpoint), Callable[[], None])
cns.add_drain_listener(on_drain)()


# --- queries, streams, gates


async def main(signal: Signal[Ask]) -> None:
    assert_type(await cns.stimulate(signal), None)
    reply = await cns.query(signal, answer, timeout=3.0)
    assert_type(reply, Answer)
    assert_type(cns.run_query(signal, answer), Answer)
    assert_type(cns.run(signal), None)
    await cns.query(signal, "answer")  # error: a name is no collateral
    stream = cns.stream(signal, buffer=10)
    also: AsyncIterator[Response] = stream
    async with stream as responses:
        async for response in responses:
            assert_type(response, Response)
    await stream.aclose()
    async with cns as same:
        assert_type(same, CNS)
    gate = StimulationGate(cns, signal, timeout=3)
    assert_type(gate.drain(), Stimulation)
    assert_type(gate.abort("enough"), bool)
    print(also)


# --- abort, contexts, modalities

controller = AbortController()
assert_type(controller.signal, AbortSignal)
controller.abort()
controller.abort("reason")
assert_type(controller.signal.add_listener(lambda reason: print(reason)), Callable[[], None])
controller.signal.add_listener(3)  # error: not callable


class Store:
    """Somebody's own store; its parameters may be named as it likes."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, fallback: Any = None) -> Any:
        return self.values.get(key, fallback)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def get_all(self) -> dict[str, Any]:
        return dict(self.values)

    def set_all(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)


cns.stimulate([], abort_signal=controller.signal, context_store=Store(), stimulation_context=object())
cns.stimulate([], context_store=MemoryContextStore({"answering": 3}))
cns.stimulate([], context_store={})  # error: a dict is no store
cns.stimulate([], abort_signal=controller)  # error: the controller instead of its signal
cns.stimulate([], modality=modality("http"), afferent_path=afferent_path("admin"))
cns.stimulate([], modality="http")  # error: a name is no modality


# --- middleware and the network


def timed(dendrite: Dendrite[Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    print(dendrite.neuron.name, dendrite.collateral.name, dendrite.arity)
    return handler


observed = CNS([answering], middleware=[timed])
assert_type(observed.with_middleware(timed, timed), CNS)
assert_type(observed.enforce_ownership, bool)
observed.with_middleware([timed])  # error: a list is no function
observed.with_middleware(lambda handler: handler)  # error: a dendrite comes first
network = observed.network
assert_type(network.get_subscribers(ask), tuple[Dendrite[Any], ...])
assert_type(network.get_parent_neuron(answer), Neuron[Any, Any, Any, Any] | None)
assert_type(network.get_orphans().unheard, tuple[Collateral[Any], ...])
assert_type(network.dump(ask.create_signal(Ask("?"))), dict[str, Any])
assert_type(network.to_mermaid(), str)
network.get_subscribers("ask")  # error: a name is no collateral
