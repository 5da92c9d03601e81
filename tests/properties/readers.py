"""Runs that are queried or streamed, by tasks of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .events import Note
from .programs import Ear, Start
from .stage import Stage

__all__ = ["query", "stream"]


async def query(stage: Stage, number: int, start: Start, options: dict[str, Any]) -> None:
    """Query the run, and write down what comes of it."""
    stage.number.set(number)
    if options["on_response"] is None:
        # Through its listener the stage gets to know the run, and looks at how it ended.
        options["on_response"] = stage.listener(Ear(), "local")
    signals = stage.signals(start, number)
    reply = stage.collaterals[start.reply % len(stage.collaterals)]
    await _told(stage, number, lambda: stage.cns.query(signals, reply, **options))


async def stream(stage: Stage, number: int, start: Start, options: dict[str, Any]) -> None:
    """Read the run's responses, with a gate after each, and leave after some of them, or at the end."""
    stage.number.set(number)

    async def read() -> str:
        left = start.leave
        async with stage.cns.stream(stage.signals(start, number), buffer=start.buffer, **options) as responses:
            stage.know(number, responses.stimulation)
            try:
                async for response in responses:
                    task = response.task
                    stage.note("read", f"{task and task.id} {response.output_index} of {response.output_count}")
                    if left == 0:
                        break
                    left = None if left is None else left - 1
                    await stage.gate(f"reader {number}")
            finally:
                stage.note("aborting", responses.stimulation.outcome)
        return responses.stimulation.outcome  # type: ignore[no-any-return]

    await _told(stage, number, read)


async def _told(stage: Stage, number: int, make: Callable[[], Any]) -> None:
    try:
        answer = await make()
    except BaseException as error:
        stage.events.append(Note("raised", number, type(error).__name__, None))
        raise
    stage.events.append(Note("answered", number, repr(answer), None))
