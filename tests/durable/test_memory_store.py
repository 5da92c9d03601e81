"""The store in memory: what every store does, and what is its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cnstra.durable import Store, StoreUrlError
from cnstra.durable.memory import MemoryStore

# Their asserts are to tell what they compare; it has to be said before they are imported.
pytest.register_assert_rewrite(
    *(f"{__package__}.store_{part}" for part in ("bench", "ownership", "takeovers", "increments", "record"))
)

from .store_bench import begin, new_run, takeover  # noqa: E402 - after the line above
from .store_conformance import StoreConformance  # noqa: E402 - the same

pytestmark = pytest.mark.once


class TestMemoryStoreConforms(StoreConformance):
    stores: dict[Path, MemoryStore]

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.stores = {}

    async def store(self, place: Path) -> Store:
        return self.stores.setdefault(place, MemoryStore())


def test_a_url_names_it() -> None:
    store = Store.open("memory://")
    assert isinstance(store, MemoryStore)
    assert (repr(store), store.inline, store.transactions) == ("<Store memory://>", True, None)
    assert Store.open("memory://") is not store


def test_it_has_no_name() -> None:
    with pytest.raises(StoreUrlError, match="no name and no options"):
        Store.open("memory://mine")


def test_it_has_no_options() -> None:
    with pytest.raises(TypeError, match="synchronous"):
        Store.open("memory://", synchronous="full")


def test_it_has_no_savepoints() -> None:
    store = MemoryStore()
    store.abandon()
    with pytest.raises(NotImplementedError):
        store.savepoint(1, 1)


def test_its_clock_can_be_set() -> None:
    async def main() -> None:
        store = MemoryStore()
        store.clock = lambda: now
        now = 1000.0
        claim = await begin(store, lease=10)
        await store.create("owner", [new_run("scheduled", due=1010.0)])
        found = await store.find("run")
        assert found is not None
        assert (found.created, found.lease_until, found.expired) == (1000.0, 1010.0, False)
        now = 1009.9
        assert await store.candidates("other", [], []) == []
        now = 1010.0
        assert [candidate.run_id for candidate in await store.candidates("other", [], [])] == ["run", "scheduled"]
        (taken,) = await store.claim("other", [takeover(claim)], [], [])
        (first, second) = await store.list_attempts(taken.key)
        assert (first.ended, second.started) == (1010.0, 1010.0)

    asyncio.run(main())


def test_it_keeps_what_it_has_when_it_is_closed() -> None:
    async def main() -> None:
        store = MemoryStore()
        await begin(store)
        await store.close()
        await store.connect()
        assert await store.find("run") is not None

    asyncio.run(main())
