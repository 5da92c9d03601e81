"""S8: an exception arrives as it was raised, with a traceback that leads into the handler."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from cnstra import CNS, NoReplyError, Response, Stimulation, StimulationFailed, collateral, neuron

go = collateral("go", int)
reply = collateral("reply", int)


class Refused(Exception):  # noqa: N818 - an application's own name
    """An error of the application."""


def deep(payload: int) -> None:
    raise Refused(payload)


def plain(payload: int) -> None:
    deep(payload)


async def at_once(payload: int) -> None:
    deep(payload)


async def after_a_while(payload: int) -> None:
    await asyncio.sleep(0)
    deep(payload)


def as_an_awaitable(payload: int) -> Any:
    return asyncio.ensure_future(after_a_while(payload))


HANDLERS = [plain, at_once, after_a_while, as_an_awaitable]


def names(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def only(error: BaseException | None) -> BaseException:
    assert isinstance(error, StimulationFailed)
    (inner,) = error.exceptions
    return inner


async def ended(cns: CNS, **options: Any) -> Stimulation:
    run = cns.stimulate(go.create_signal(1), **options)
    while not run.done():  # noqa: ASYNC110 - awaiting it would raise
        await asyncio.sleep(0)
    return run


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_tracebacks_lead_into_the_handler(handler: Any, offload: bool) -> None:
    if offload and asyncio.iscoroutinefunction(handler):
        pytest.skip("coroutines are not offloaded")
    if offload and handler is as_an_awaitable:
        pytest.skip("there is no loop in a worker thread")
    cns = CNS([neuron("n", offload=offload).dendrite(collateral=go, response=handler)])
    run = asyncio.run(ended(cns))
    error = only(run.exception())
    assert isinstance(error, Refused)
    found = names(error)
    assert found[-1] == "deep"
    assert found[-2] == ("after_a_while" if handler is as_an_awaitable else handler.__name__)
    # And nothing of it twice.
    assert found.count("deep") == 1
    assert error is run.failed_tasks[0].error


def test_tracebacks_lead_into_the_listener() -> None:
    async def hear(response: Response) -> None:
        await asyncio.sleep(0)
        if response.final:
            deep(0)

    cns = CNS([neuron("n").dendrite(collateral=go, response=lambda payload: None)])
    run = asyncio.run(ended(cns, on_response=hear))
    assert names(only(run.exception()))[-2:] == ["hear", "deep"]


def test_what_is_printed_names_handler_neuron_and_collateral() -> None:
    cns = CNS([neuron("picky").dendrite(collateral=go, response=plain)])
    with pytest.raises(StimulationFailed) as caught:
        asyncio.run(awaited(cns))
    printed = "".join(traceback.format_exception(caught.value))
    assert "in plain" in printed
    assert "in deep" in printed
    assert "Refused: 1" in printed
    assert "neuron 'picky', on collateral 'go', hop 1" in printed


async def awaited(cns: CNS) -> None:
    await cns.stimulate(go.create_signal(1))


def test_tracebacks_do_not_grow_with_every_look() -> None:
    """Whoever awaits a failed run raises the same exception; what it was raised through before stays out of it."""
    cns = CNS([neuron("n").dendrite(collateral=go, response=plain)])

    async def main() -> tuple[int, int]:
        run = cns.stimulate(go.create_signal(1))
        lengths = []
        for _ in range(50):
            try:
                await run
            except StimulationFailed as error:
                lengths.append(len(names(error)))
        return lengths[0], lengths[-1]

    first, last = asyncio.run(main())
    assert first == last


def test_many_who_await_a_failing_run_get_the_same_exception() -> None:
    async def handler(payload: int) -> None:
        await asyncio.sleep(0)
        deep(payload)

    cns = CNS([neuron("n").dendrite(collateral=go, response=handler)])

    async def main() -> list[Any]:
        run = cns.stimulate(go.create_signal(1))
        return await asyncio.gather(*[run] * 5, return_exceptions=True)

    errors = asyncio.run(main())
    assert len({id(error) for error in errors}) == 1


def test_a_query_raises_what_its_run_raises() -> None:
    cns = CNS([neuron("n", {"reply": reply}).dendrite(collateral=go, response=plain)])
    with pytest.raises(StimulationFailed) as caught:
        asyncio.run(cns.query(go.create_signal(1), reply))
    assert names(only(caught.value))[-2:] == ["plain", "deep"]
    silent = CNS([neuron("n", {"reply": reply}).dendrite(collateral=go, response=lambda payload: None)])
    with pytest.raises(NoReplyError):
        asyncio.run(silent.query(go.create_signal(1), reply))


def test_causes_and_contexts_of_exceptions_are_kept() -> None:
    async def handler(payload: int) -> None:
        try:
            deep(payload)
        except Refused as error:
            raise KeyError("wrapped") from error

    run = asyncio.run(ended(CNS([neuron("n").dendrite(collateral=go, response=handler)])))
    error = only(run.exception())
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, Refused)
    assert error.__context__ is error.__cause__


def test_an_exception_that_is_being_handled_where_a_run_is_started_is_no_context_of_the_run_s() -> None:
    """As little as it is one of a task that is started there."""
    seen: list[BaseException | None] = []

    async def handler(payload: int) -> None:
        await asyncio.sleep(0)
        seen.append(None)
        deep(payload)

    cns = CNS([neuron("n").dendrite(collateral=go, response=handler)])

    async def main() -> Stimulation:
        try:
            raise LookupError("unrelated")
        except LookupError:
            run = cns.stimulate(go.create_signal(1))
        while not run.done():  # noqa: ASYNC110 - awaiting it would raise
            await asyncio.sleep(0)
        return run

    error = only(asyncio.run(main()).exception())
    assert seen == [None]
    assert error.__context__ is None
