"""reactivex: a subject as the source, and operators behind it. All subscriptions are made beforehand.

With a subject, a value costs one ``on_next``; to subscribe anew for every run, as to ``of(0)``, would cost the building
of the whole chain each time.
"""

from __future__ import annotations

from collections.abc import Callable

from reactivex import operators
from reactivex.subject import Subject
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender


def chain() -> Case:
    box = Box()
    source: Subject[int] = Subject()

    def step() -> Callable[[int], int]:
        def add_one(value: int) -> int:
            return value + 1

        return add_one

    def keep(value: int) -> None:
        box.value = value

    source.pipe(*(operators.map(step()) for _ in range(SIZE))).subscribe(keep)

    def case() -> int:
        source.on_next(0)
        return box.value

    return case


def subscribers(count: int) -> Case:
    box = Box()
    source: Subject[int] = Subject()

    def subscriber() -> Callable[[int], None]:
        def receive(value: int) -> None:
            box.value += value

        return receive

    for _ in range(count):
        source.subscribe(subscriber())

    def case() -> int:
        box.value = 0
        source.on_next(1)
        return box.value

    return case


CONTENDER = Contender(
    name="reactivex",
    what="streams of values, with operators",
    distribution="reactivex",
    cases={CHAIN: chain, FAN_OUT: lambda: subscribers(SIZE), RUN: lambda: subscribers(1)},
    remarks={
        CHAIN: "Each step calls the next from inside itself, so the stack grows with the chain.",
        ASYNC_CHAIN: "Its operators take plain functions; a coroutine must first be wrapped as a stream of its own.",
        RUN: "One `on_next` on a subject that was subscribed to before.",
        SUSPENDED: "Its operators take plain functions; a coroutine must first be wrapped as a stream of its own.",
    },
    fairness=(
        "keeps no queue here and tracks nothing. Its strength is what cnstra has nothing of: more than a hundred "
        "operators that combine, window, sample, retry and time streams, and schedulers that say where they run."
    ),
)
