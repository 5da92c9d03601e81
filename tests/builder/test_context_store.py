"""The protocol of context stores, and its default (S15)."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from cnstra import CNS, Context, ContextStore, MemoryContextStore, collateral, neuron

go = collateral("go")


def test_values_by_name() -> None:
    store = MemoryContextStore()
    assert store.get("a") is None
    assert store.get("a", default=3) == 3
    store.set("a", None)
    assert store.get("a", 3) is None
    store.set("b", [1])
    assert store.get_all() == {"a": None, "b": [1]}
    store.delete("a")
    store.delete("a")
    assert store.get_all() == {"b": [1]}


def test_nothing_is_shared_with_the_caller() -> None:
    given: dict[str, Any] = {"a": 1}
    store = MemoryContextStore(given)
    given["a"] = 2
    everything = store.get_all()
    everything["a"] = 3
    assert store.get("a") == 1
    replacement = {"b": 1}
    store.set_all(replacement)
    replacement["b"] = 2
    assert store.get_all() == {"b": 1}


def test_identity() -> None:
    store = MemoryContextStore({"a": [1], "b": 2})
    assert isinstance(store, ContextStore)
    assert repr(store) == "<MemoryContextStore a, b>"
    assert repr(MemoryContextStore()) == "<MemoryContextStore empty>"
    shallow, deep = copy.copy(store), copy.deepcopy(store)
    store.get("a").append(2)
    store.delete("b")
    assert (shallow.get_all(), deep.get_all()) == ({"a": [1, 2], "b": 2}, {"a": [1], "b": 2})
    with pytest.raises(TypeError, match="cannot be pickled: carry its get_all"):
        pickle.dumps(store)


class Elsewhere:
    """A store of somebody's own: no base class, parameters with other names."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.values: dict[str, Any] = {}

    def get(self, key: str, fallback: Any = None) -> Any:
        self.calls.append(("get", key))
        return self.values.get(key, fallback)

    def set(self, key: str, value: Any) -> None:
        self.calls.append(("set", key, value))
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.calls.append(("delete", key))
        self.values.pop(key, None)

    def get_all(self) -> dict[str, Any]:
        return dict(self.values)

    def set_all(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)


def test_a_run_uses_the_store_that_it_is_given() -> None:
    def count(payload: None, axon: None, ctx: Context[int, object]) -> None:
        get, put = ctx.get, ctx.set  # methods can be detached
        put(get(0) + 1)

    def forget(payload: None, axon: None, ctx: Context[int, object]) -> None:
        ctx.delete()

    counter = neuron("counter").dendrite(collateral=go, response=count)
    cns = CNS([counter, neuron("forgetful").dendrite(collateral=go, response=forget)])
    store = Elsewhere()
    assert isinstance(store, ContextStore)
    for _ in range(2):
        run = cns.stimulate(go.create_signal(), context_store=store)
        assert run.context is store
    one = [("get", "counter"), ("set", "counter", 1), ("delete", "forgetful")]
    assert store.calls == [*one, ("get", "counter"), ("set", "counter", 2), ("delete", "forgetful")]
    assert cns.stimulate(go.create_signal()).context.get_all() == {"counter": 1}


@pytest.mark.parametrize("store", [{}, 3, object()])
def test_what_is_no_store(store: Any) -> None:
    cns = CNS([])
    with pytest.raises(TypeError, match=r"context_store must be a ContextStore; .* lacks .*set_all"):
        cns.stimulate(go.create_signal(), context_store=store)
