"""What ``Codecs`` is given for some collaterals or neurons, checked against the graph and the payload types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cnstra import Collateral, Neuron

from .codec_exact import an_instance, class_of, is_model, shape_of

__all__ = ["by_name", "fields_to_redact"]


def by_name(given: Any, known: Mapping[str, Any], argument: str, kind: str) -> dict[str, Any]:
    """What was given by collaterals, neurons or their names, by name.

    Args:
        given: the argument.
        known: what the graph has, by name.
        argument: what messages call it.
        kind: ``"collateral"`` or ``"neuron"``.

    Raises:
        TypeError: it is no mapping, or by something else.
        ValueError: the graph does not have one of them, or one is there twice.
    """
    if not issubclass(class_of(given), Mapping):
        raise TypeError(f"{argument} must be a mapping by {kind}s or their names, not {an_instance(given)}")
    found: dict[str, Any] = {}
    for key, value in given.items():
        if not isinstance(key, str | Collateral | Neuron):
            raise TypeError(f"{argument} must be by {kind}s or their names, not by {an_instance(key)}")
        name: str = key if isinstance(key, str) else key.name
        if known.get(name) is None or (not isinstance(key, str) and known[name] is not key):
            raise ValueError(f"{argument}: the graph has no {kind} {name!r}")
        if name in found:
            raise ValueError(f"{argument}: {kind} {name!r} is given twice")
        found[name] = value
    return found


def fields_to_redact(name: str, given: Any, classes: Mapping[str, type] | None) -> tuple[str, ...]:
    """The fields to redact of one collateral.

    Args:
        name: the collateral's.
        given: what ``redact`` has for it.
        classes: of its payloads, None if they may be of any.

    Raises:
        TypeError: it is no collection of ``str``.
        ValueError: payloads have no such field. It would be shown, and whoever gave it thinks that it is not.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        raise TypeError(f"redact: the fields of collateral {name!r} must be a list of names, not {an_instance(given)}")
    paths: list[Any] = [*given]
    for path in paths:
        if not isinstance(path, str):
            raise TypeError(f"redact: a field of collateral {name!r} must be a str, not {an_instance(path)}")
    names = None if classes is None else _names(classes.values())
    if names is not None:
        unknown = [repr(path) for path in paths if path.partition(".")[0] not in names]
        if unknown:
            raise ValueError(f"redact: no payload of collateral {name!r} has {' or '.join(unknown)}")
    return tuple(paths)


def _names(classes: Collection[Any]) -> set[str] | None:
    """The fields that instances of some classes have, None if they may have others."""
    names: set[str] = set()
    for cls in classes:
        if cls in (dict, list, tuple, set, frozenset) or (is_model(cls) and _is_open(cls)):
            return None
        shape = shape_of(cls)
        if shape is not None:
            names.update(shape.names)
    return names


def _is_open(model: Any) -> bool:
    return bool(model.__pydantic_root_model__ or model.model_config.get("extra") == "allow")
