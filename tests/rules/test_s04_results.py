"""S4: what a handler may return, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest

from cnstra import CNS, InvalidResponseError, OwnershipError, Response, Stimulation, collateral, neuron

from .gates import Gates, sink

ping = collateral("ping", int)
a, b = collateral("a", int), collateral("b", int)


def answer_with(make: Callable[[], Any], log: list[str]) -> tuple[Stimulation, list[Response]]:
    """Run a neuron that owns a and b and returns what ``make`` makes, on a graph where both are heard."""
    responses: list[Response] = []
    source = neuron("source", {"a": a, "b": b}).dendrite(collateral=ping, response=lambda _: make())
    cns = CNS([source, sink("hears a", a, log), sink("hears b", b, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append)
    return run, [response for response in responses if response.neuron is source]


class Pair(NamedTuple):
    first: Any
    second: Any


RESULTS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "None": (lambda: None, []),
    "a signal": (lambda: a.create_signal(1), ["hears a"]),
    "a list": (lambda: [b.create_signal(1), a.create_signal(2)], ["hears b", "hears a"]),
    "a tuple": (lambda: (a.create_signal(1), b.create_signal(2)), ["hears a", "hears b"]),
    "a named tuple": (lambda: Pair(b.create_signal(1), b.create_signal(2)), ["hears b", "hears b"]),
    "an empty list": (list, []),
    "an empty tuple": (tuple, []),
    "one signal twice": (lambda: [a.create_signal(1)] * 2, ["hears a", "hears a"]),
}


@pytest.mark.parametrize("result", RESULTS)
def test_a_handler_returns_none_or_a_signal_or_a_list_or_tuple_of_signals(result: str) -> None:
    make, heard = RESULTS[result]
    log: list[str] = []
    run, responses = answer_with(make, log)
    assert run.outcome == "completed"
    assert log == heard
    assert len(responses) == max(len(heard), 1)


class Once:
    """An awaitable that counts how often it is awaited."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.awaited = 0

    def __await__(self) -> Any:
        self.awaited += 1
        yield from asyncio.sleep(0).__await__()
        return self.value


@pytest.mark.anyio
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("wrap", ["async def", "a future", "a task", "an object", "an async lambda"])
async def test_or_an_awaitable_of_these(result: str, wrap: str) -> None:
    make, heard = RESULTS[result]
    log: list[str] = []

    async def later() -> Any:
        await asyncio.sleep(0)
        return make()

    def wrapped() -> Any:
        if wrap == "async def":
            return later()
        if wrap == "a future":
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(lambda: future.set_result(make()))
            return future
        if wrap == "a task":
            return asyncio.get_running_loop().create_task(later())
        if wrap == "an object":
            return Once(make())
        return asyncio.wait_for(later(), 60)

    run, responses = answer_with(wrapped, log)
    assert not run.done()
    await run
    assert log == heard
    assert len(responses) == 0, "they come after answer_with has returned"


@pytest.mark.anyio
async def test_an_awaitable_is_awaited_once_and_on_the_loop_of_the_run() -> None:
    made: list[Once] = []

    def make() -> Once:
        made.append(Once(a.create_signal(1)))
        return made[0]

    log: list[str] = []
    run, _ = answer_with(make, log)
    await run
    assert [once.awaited for once in made] == [1]
    assert log == ["hears a"]


@pytest.mark.anyio
async def test_what_it_gives_is_not_awaited_again() -> None:
    async def nested() -> Any:
        return Once(None)

    run, responses = answer_with(nested, [])
    with pytest.raises(ExceptionGroup) as caught:
        await run
    assert caught.group_contains(InvalidResponseError, match=r"'source'.*'ping'.*Once")
    assert [type(response.error) for response in responses] == [InvalidResponseError]


INVALID: dict[str, tuple[Callable[[], Any], str]] = {
    "a number": (lambda: 3, "int"),
    "false": (lambda: False, "bool"),
    "a string": (lambda: "signal", "str"),
    "a dictionary": (lambda: {"a": a.create_signal(1)}, "dict"),
    "a set": (set, "set"),
    "an iterator": (lambda: iter([a.create_signal(1)]), "iterator"),
    "a collateral": (lambda: a, "Collateral"),
    "the signal class": (lambda: type(a.create_signal(1)), "type"),
    "a list with None in it": (lambda: [a.create_signal(1), None], "NoneType at place 1"),
    "a list in a list": (lambda: [[a.create_signal(1)]], "list at place 0"),
    "a tuple with a number": (lambda: (a.create_signal(1), b.create_signal(1), 3), "int at place 2"),
}


@pytest.mark.parametrize("result", INVALID)
def test_anything_else_fails_the_activation_with_one_response_and_nothing_is_emitted(result: str) -> None:
    make, told = INVALID[result]
    log: list[str] = []
    run, responses = answer_with(make, log)
    assert (run.outcome, log) == ("failed", [])
    (response,) = responses
    assert isinstance(response.error, InvalidResponseError)
    assert isinstance(response.error, TypeError)
    assert response.output_signal is None
    assert (response.output_index, response.output_count, response.caused) == (0, 0, ())
    message = str(response.error)
    assert "'source'" in message
    assert "'ping'" in message
    assert told in message
    assert [failure.error for failure in run.failed_tasks] == [response.error]


@pytest.mark.anyio
async def test_an_awaitable_in_a_list_is_an_invalid_response() -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    run, _ = answer_with(lambda: [future], [])
    assert isinstance(run.failed_tasks[0].error, InvalidResponseError)
    assert "Future at place 0" in str(run.failed_tasks[0].error)


def test_a_list_gives_one_response_per_signal_in_order_and_then_its_activations_in_order() -> None:
    log: list[str] = []
    source = neuron("source", {"a": a, "b": b})
    signals = [a.create_signal(1), b.create_signal(2), a.create_signal(3)]
    source.dendrite(collateral=ping, response=lambda _: signals)
    cns = CNS([source, sink("hears a", a, log), sink("hears b", b, log), sink("hears a too", a, log)])

    def on_response(response: Response) -> None:
        if response.neuron is source:
            assert response.output_signal is signals[response.output_index]
            log.append(f"response {response.output_index} of {response.output_count}")

    assert cns.stimulate(ping.create_signal(1), on_response=on_response).outcome == "completed"
    both = ["hears a", "hears a too"]
    assert log == ["response 0 of 3", "response 1 of 3", "response 2 of 3", *both, "hears b", *both]


@pytest.mark.parametrize("nothing", [lambda: None, list, tuple], ids=["None", "list", "tuple"])
def test_nothing_emitted_gives_one_response_without_output(nothing: Callable[[], Any]) -> None:
    _, responses = answer_with(nothing, [])
    (response,) = responses
    assert response.output_signal is None
    assert (response.output_index, response.output_count, response.error) == (0, 0, None)


def test_one_signal_gives_one_response_of_one() -> None:
    _, responses = answer_with(lambda: a.create_signal(1), [])
    assert [(response.output_index, response.output_count) for response in responses] == [(0, 1)]


def test_a_list_that_is_changed_by_a_listener_is_emitted_as_it_was_checked() -> None:
    log: list[str] = []
    signals: list[Any] = [a.create_signal(1), b.create_signal(2)]
    source = neuron("source", {"a": a, "b": b}).dendrite(collateral=ping, response=lambda _: signals)
    cns = CNS([source, sink("hears a", a, log), sink("hears b", b, log)])

    def on_response(response: Response) -> None:
        if response.neuron is source:
            signals.clear()

    run = cns.stimulate(ping.create_signal(1), on_response=on_response)
    assert (run.outcome, log) == ("completed", ["hears a", "hears b"])


def test_a_signal_that_nobody_hears_is_emitted_all_the_same() -> None:
    responses: list[Response] = []
    cns = CNS([neuron("source", {"a": a}).dendrite(collateral=ping, response=lambda _: a.create_signal(1))])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert run.outcome == "completed"
    assert responses[-1].output_signal == a.create_signal(1)


FOREIGN: dict[str, Callable[[], Any]] = {
    "of another neuron": lambda: b.create_signal(1),
    "of no neuron": lambda: collateral("c", int).create_signal(1),
    "of the same name": lambda: collateral("a", int).create_signal(1),
    "that is its own input": lambda: ping.create_signal(1),
    "in a list after its own": lambda: [a.create_signal(1), b.create_signal(1)],
}


@pytest.mark.parametrize("emitted", FOREIGN)
def test_a_collateral_that_the_neuron_does_not_own_fails_the_activation(emitted: str) -> None:
    log: list[str] = []
    responses: list[Response] = []
    thief: Any = neuron("thief", {"a": a})
    thief.dendrite(collateral=ping, response=lambda _: FOREIGN[emitted]())
    cns = CNS([thief, neuron("owner", {"b": b}), sink("hears a", a, log), sink("hears b", b, log)])
    run = cns.stimulate(ping.create_signal(1), on_response=responses.append)
    assert (run.outcome, log) == ("failed", [])
    assert [response.output_signal for response in responses if response.neuron] == [None]
    error = run.failed_tasks[0].error
    assert isinstance(error, OwnershipError)
    assert "'thief'" in str(error)
    assert "enforce_ownership=False" in str(error)


def test_a_neuron_without_axon_owns_nothing() -> None:
    thief: Any = neuron("thief")
    thief.dendrite(collateral=ping, response=lambda _: b.create_signal(1))
    run = CNS([thief, neuron("owner", {"b": b})]).stimulate(ping.create_signal(1))
    assert isinstance(run.failed_tasks[0].error, OwnershipError)


@pytest.mark.parametrize("emitted", FOREIGN)
def test_unless_ownership_is_not_enforced(emitted: str) -> None:
    log: list[str] = []
    borrower = neuron("borrower", {"a": a})

    @borrower.dendrite(ping)
    def emit(payload: int) -> Any:
        return FOREIGN[emitted]() if payload else None

    cns = CNS([borrower, neuron("owner", {"b": b}), sink("hears b", b, log)], enforce_ownership=False)
    run = cns.stimulate(ping.create_signal(1), max_hops=3)
    if emitted == "that is its own input":
        assert run.outcome == "failed", "it goes round until the limit"
        assert len(run.failed_tasks) == 1
    else:
        assert run.outcome == "completed"
        assert log == (["hears b"] if "list" in emitted or emitted == "of another neuron" else [])


def four(a: int, b: int, c: int, d: int) -> None: ...
def none() -> None: ...
def keyword(payload: int, *, needed: int) -> None: ...
def generator(payload: int) -> Iterator[int]:
    yield payload


async def async_generator(payload: int) -> AsyncIterator[int]:
    yield payload


@pytest.mark.parametrize("handler", [four, none, keyword, generator, async_generator, 3, None, "name"])
@pytest.mark.parametrize("offload", [False, True])
def test_what_cannot_be_a_handler_is_a_type_error_when_the_dendrite_is_made(handler: Any, offload: bool) -> None:
    ears: Any = neuron("ears", offload=offload)
    with pytest.raises(TypeError, match="ears"):
        ears.dendrite(ping)(handler)
    assert ears.dendrites == ()


def test_an_async_function_cannot_be_offloaded() -> None:
    async def handler(payload: int) -> None: ...

    ears = neuron("ears", offload=True)
    with pytest.raises(TypeError, match=r"'ears'.*'ping'.*offload"):
        ears.dendrite(ping)(handler)
    assert ears.dendrites == ()


def test_the_parameters_without_default_decide_what_a_handler_is_called_with() -> None:
    seen: list[Any] = []
    source: Any = neuron("source", {"a": a})
    source.dendrite(collateral=ping, response=lambda payload: seen.append((payload,)))
    source.dendrite(collateral=ping, response=lambda payload, axon: seen.append((payload, axon)))
    source.dendrite(
        collateral=ping, response=lambda payload, axon, ctx: seen.append((payload, axon, type(ctx).__name__))
    )
    source.dendrite(collateral=ping, response=lambda payload, axon=None, ctx=None: seen.append((payload, axon, ctx)))
    source.dendrite(collateral=ping, response=lambda payload, axon, ctx=None: seen.append((payload, axon, ctx)))
    CNS([source]).stimulate(ping.create_signal(7))
    axon = source.axon
    assert seen == [(7,), (7, axon), (7, axon, "Context"), (7, None, None), (7, axon, None)]


@pytest.mark.anyio
async def test_a_plain_function_may_return_an_awaitable_that_fails() -> None:
    gates = Gates()
    run, _ = answer_with(lambda: gates.wait("result"), [])
    await gates.fail("result", LookupError("lost"))
    assert run.outcome == "failed"
    assert [repr(failure.error) for failure in run.failed_tasks] == ["LookupError('lost')"]
