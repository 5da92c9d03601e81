"""The checks that ``Durable(...)`` makes before any run starts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cnstra import CNS, Neuron

from .port import Store

__all__ = ["check_settings", "names_of"]


def check_settings(
    cns: Any,
    store: Any,
    sync: Any,
    volume: Any,
    on_store_error: Any,
    lease: Any,
    max_attempts: Any,
    recover_every: Any,
    commit_interval: Any,
) -> None:
    """Raise a TypeError or ValueError that names the first argument that will not do."""
    if not isinstance(cns, CNS):
        raise TypeError(f"Durable needs a CNS, not {type(cns).__name__}")
    if not isinstance(store, Store):
        raise TypeError(f"Durable needs a store, as Store.open(url) makes one, not {type(store).__name__}")
    for name, value, known in (
        ("sync", sync, ("turn", "hop", "end")),
        ("volume", volume, ("full", "frontier")),
        ("on_store_error", on_store_error, ("stop", "wait")),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")
    for name, value in (("lease", lease), ("recover_every", recover_every)):
        if value is None and name != "lease":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be seconds, not {type(value).__name__}")
        if not value > 0:
            raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    if isinstance(commit_interval, bool) or not isinstance(commit_interval, int | float):
        raise TypeError(f"commit_interval must be seconds, not {type(commit_interval).__name__}")
    if not commit_interval >= 0:
        raise ValueError(f"commit_interval must not be negative: {commit_interval}")
    if max_attempts is not None:
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int):
            raise TypeError(f"max_attempts must be an int or None, not {type(max_attempts).__name__}")
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")


def names_of(cns: CNS, store: Store, transactional: Collection[Neuron[Any, Any, Any, Any] | str]) -> frozenset[str]:
    """The names of the transactional neurons.

    Raises:
        TypeError: one is no neuron of the graph, the store has no transactions, or handlers of one cannot be run in
            them.
    """
    if isinstance(transactional, str):
        raise TypeError("transactional must be a list of neurons or of their names")
    known = {neuron.name: neuron for neuron in cns.neurons}
    names: set[str] = set()
    for given in transactional:
        name = given.name if isinstance(given, Neuron) else given
        if not isinstance(name, str) or name not in known or (isinstance(given, Neuron) and known[name] is not given):
            raise TypeError(f"transactional: the graph has no neuron {name!r}")
        names.add(name)
        if store.transactions is None:
            raise TypeError(f"transactional: {store!r} has no transactions that neuron {name!r} could write in")
        _check_handlers(known[name], store)
    return frozenset(names)


def _check_handlers(neuron: Neuron[Any, Any, Any, Any], store: Store) -> None:
    for dendrite in neuron.dendrites:
        where = f"transactional neuron {neuron.name!r}: its handler on {dendrite.collateral.name!r}"
        if store.transactions == "savepoint" and (dendrite.is_async or neuron.offload):
            raise TypeError(
                f"{where} {'is async' if dendrite.is_async else 'runs in a worker thread'}; {store!r} has one writer, "
                f"so it must be a plain function that runs on the loop's thread"
            )
        if store.transactions == "connection" and not (dendrite.is_async or neuron.offload):
            raise TypeError(
                f"{where} is a plain function, and would stop the loop while it waits for the database: make it async, "
                f"or its neuron offload=True"
            )
