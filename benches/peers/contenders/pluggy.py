"""pluggy: a hook with a specification, implemented by registered plugins."""

from __future__ import annotations

import pluggy
from workloads import ASYNC_CHAIN, CHAIN, FAN_OUT, RUN, SIZE, SUSPENDED

from .contender import Box, Case, Contender

hookspec = pluggy.HookspecMarker("peers")
hookimpl = pluggy.HookimplMarker("peers")


class Specification:
    @hookspec
    def happened(self, value: int) -> None:
        """Something happened."""


class Plugin:
    def __init__(self, box: Box) -> None:
        self.box = box

    @hookimpl
    def happened(self, value: int) -> None:
        self.box.value += value


def subscribers(count: int) -> Case:
    box, manager = Box(), pluggy.PluginManager("peers")
    manager.add_hookspecs(Specification)
    for _ in range(count):
        manager.register(Plugin(box))

    def case() -> int:
        box.value = 0
        manager.hook.happened(value=1)
        return box.value

    return case


CONTENDER = Contender(
    name="pluggy",
    what="hooks of plugins, as in pytest",
    distribution="pluggy",
    cases={FAN_OUT: lambda: subscribers(SIZE), RUN: lambda: subscribers(1)},
    remarks={
        CHAIN: "A hook collects results; it does not pass one plugin's result to the next.",
        ASYNC_CHAIN: "Hooks know no `async`.",
        SUSPENDED: "Hooks know no `async`.",
    },
    fairness=(
        "keeps no queue and tracks nothing. It calls by keyword, so that each plugin takes the arguments it wants, "
        "collects results, and has wrappers around a call, an order that plugins ask for (`tryfirst`, `trylast`), and "
        "plugins that come and go."
    ),
)
