"""The options of a run are stored, and are there again when it goes on elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cnstra import (
    CNS,
    Axon,
    Collateral,
    Context,
    MaxHopsError,
    Signal,
    StimulationFailed,
    StimulationTimeout,
    afferent_path,
    collateral,
    modality,
    neuron,
)
from cnstra.durable import Durable, GraphChangedError, Store

from .conftest import OpenStore
from .shop import Shop


class Stop(Exception):  # noqa: N818 - gets out of ``async with``, and no more
    """This process lets go of its runs."""


async def interrupted(cns: CNS, store: Store, begun: asyncio.Event, signal: Signal[Any], **options: Any) -> None:
    """A run whose process lets go of it as soon as it has begun."""

    async def service() -> None:
        async with Durable(cns, store) as durable:
            await durable.start(signal, run_id="r", **options)
            await begun.wait()
            raise Stop

    with pytest.raises(Stop):
        await service()


class Chain(Axon[int]):
    link: Collateral[int]


class Links:
    """A neuron that calls itself, each time with one less, and waits the first time that it is at ``at``."""

    def __init__(self, at: int) -> None:
        self.begun = asyncio.Event()
        self.seen: list[tuple[int, int, Any]] = []
        self.active = self.most_active = 0
        self.axon = Chain()
        chain = neuron("chain", self.axon)

        @chain.dendrite(self.axon.link)
        async def on_link(left: int, axon: Chain, ctx: Context[Any, Any]) -> Signal[int] | None:
            self.seen.append((left, ctx.task.hop, ctx.stimulation_context))
            self.active += 1
            self.most_active = max(self.active, self.most_active)
            try:
                if left == at and not self.begun.is_set():
                    self.begun.set()
                    await asyncio.sleep(30)
                await asyncio.sleep(0)
            finally:
                self.active -= 1
            return axon.link.create_signal(left - 1) if left else None

        self.cns = CNS([chain])


def test_max_hops_goes_on_counting(open_store: OpenStore) -> None:
    async def main() -> None:
        links = Links(at=8)
        signal = links.axon.link.create_signal(10)
        await interrupted(links.cns, open_store(), links.begun, signal, max_hops=5)
        assert [(left, hop) for left, hop, _ in links.seen] == [(10, 1), (9, 2), (8, 3)]
        links.seen.clear()
        async with Durable(links.cns, open_store()) as durable:
            (run,) = await durable.recover()
            with pytest.raises(StimulationFailed) as failed:
                await run
            assert [type(error) for error in failed.value.exceptions] == [MaxHopsError]
            assert (await durable.run("r")).hops == 6
        assert [(left, hop) for left, hop, _ in links.seen] == [(8, 3), (7, 4), (6, 5)]

    asyncio.run(main())


def test_the_stimulation_context_comes_back(open_store: OpenStore) -> None:
    async def main() -> None:
        links, given = Links(at=1), {"tenant": "a", "tags": ["x", "y"], "limit": 3, "ratio": 0.5, "raw": b"\0"}
        signal = links.axon.link.create_signal(2)
        await interrupted(links.cns, open_store(), links.begun, signal, stimulation_context=given)
        async with Durable(links.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
            clone = await durable.clone("r")
            await clone
        assert [context for *_, context in links.seen] == [given] * 7

    asyncio.run(main())


def test_concurrency_bounds_the_next_attempt_too(open_store: OpenStore) -> None:
    async def main() -> None:
        links = Links(at=3)
        signals: Any = [links.axon.link.create_signal(3) for _ in range(6)]
        await interrupted(links.cns, open_store(), links.begun, signals, concurrency=2)
        async with Durable(links.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        assert links.most_active == 2

    asyncio.run(main())


def test_the_timeout_counts_anew_in_each_attempt() -> None:
    async def main() -> None:
        links, memory = Links(at=2), Store.open("memory://")
        await interrupted(links.cns, memory, links.begun, links.axon.link.create_signal(2), timeout=0.4)
        await asyncio.sleep(0.5)
        async with Durable(links.cns, memory) as durable:
            links.begun.clear()
            (run,) = await durable.recover()
            with pytest.raises(StimulationTimeout):
                await run
            row = await durable.run("r")
            # A timeout is a decision on the run, unlike the end of a process.
            assert row.status == "aborted"
            assert row.error is not None
            assert "Timeout" in row.error
            await (await durable.retry("r"))
            assert (await durable.run("r")).status == "completed"

    asyncio.run(main())


class Switch:
    """A neuron whose handler depends on where the run came from."""

    def __init__(self, *, grpc: bool = True) -> None:
        self.begun = asyncio.Event()
        self.seen: list[str] = []
        self.go = collateral("go", int)
        # Paths of the same name are different ones.
        self.paths = [afferent_path("v1", afferent_path("api")), afferent_path("v1", afferent_path("api"))]
        self.http, self.grpc = modality("http", self.paths[:1]), modality("grpc", self.paths[1:])

        def seen(what: str) -> Any:
            async def handler(number: int) -> None:
                self.seen.append(what)
                self.begun.set()
                await asyncio.sleep(30 if len(self.seen) == 1 else 0)

            return handler

        known: Any = {self.http: {self.paths[0]: seen("http v1"), None: seen("http")}}
        if grpc:
            known[self.grpc] = {self.paths[1]: seen("grpc v1"), None: seen("grpc")}
        self.cns = CNS([neuron("switch").modality_dendrite(collateral=self.go, modalities=known, default=seen("else"))])

    def options(self, way: str) -> dict[str, Any]:
        kind, _, version = way.partition(" ")
        if kind == "else":
            return {}
        chosen = self.http if kind == "http" else self.grpc
        return {"modality": chosen, **({"afferent_path": chosen.paths[0]} if version else {})}


@pytest.mark.parametrize("way", ["http v1", "http", "grpc v1", "grpc", "else"])
def test_where_a_run_came_from_is_known_to_the_next_process(open_store: OpenStore, way: str) -> None:
    async def main() -> None:
        one, other = Switch(), Switch()
        await interrupted(one.cns, open_store(), one.begun, one.go.create_signal(1), **one.options(way))
        other.seen.append("was here")
        async with Durable(other.cns, open_store()) as durable:
            (run,) = await durable.recover()
            await run
        assert (one.seen, other.seen) == ([way], ["was here", way])

    asyncio.run(main())


def test_a_modality_that_is_gone_leaves_the_run_untouched(open_store: OpenStore) -> None:
    async def main() -> None:
        one, other = Switch(), Switch(grpc=False)
        signal = one.go.create_signal(1)
        await interrupted(one.cns, open_store(), one.begun, signal, **one.options("grpc v1"))
        async with Durable(other.cns, open_store()) as durable:
            before = await durable.run("r")
            for _ in range(2):
                with pytest.raises(GraphChangedError, match="'grpc'"):
                    await durable.recover()
                with pytest.raises(GraphChangedError, match="'grpc'"):
                    await durable.find("r")
            assert await durable.run("r") == before
            assert await durable.cancel("r")
            assert (await durable.run("r")).status == "aborted"
            before = await durable.run("r")
            with pytest.raises(GraphChangedError, match="'grpc'"):
                await durable.retry("r")
            with pytest.raises(GraphChangedError, match="'grpc'"):
                await durable.clone("r")
            assert await durable.run("r") == before

    asyncio.run(main())


def test_what_no_modality_dendrite_knows_is_refused() -> None:
    async def main() -> None:
        switch = Switch()
        async with Durable(switch.cns, Store.open("memory://")) as durable:
            unknown: tuple[dict[str, Any], ...] = (
                {"modality": modality("http")},
                {"afferent_path": afferent_path("v1")},
            )
            for options in unknown:
                with pytest.raises(ValueError, match="could not be found again"):
                    await durable.start(switch.go.create_signal(1), **options)
            with pytest.raises(ValueError, match="could not be found again"):
                await durable.start(switch.go.create_signal(1), modality=switch.http, afferent_path=switch.paths[1])
            assert not (await durable.runs()).items

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": "2"},
        {"max_hops": 0},
        {"timeout": -1},
        {"timeout": "1"},
        {"modality": "http"},
    ],
    ids=str,
)
def test_options_that_the_engine_refuses_are_refused_before_anything_is_stored(options: Any) -> None:
    async def main() -> None:
        shop = Shop()
        async with Durable(shop.cns, Store.open("memory://")) as durable:
            for call in (durable.start, lambda signal, **more: durable.schedule(signal, at=0, **more)):
                with pytest.raises((TypeError, ValueError)):
                    await call(shop.order(), **options)
            assert not (await durable.runs()).items
            assert await durable.recover() == []

    asyncio.run(main())
