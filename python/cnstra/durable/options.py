"""The options of a run that can be stored, and finding what they name in the graph again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnstra import CNS, AfferentPath, Modality

from .codecs import Codecs
from .errors import GraphChangedError

__all__ = ["dump_options", "load_options", "path_name"]

_STORABLE = ("concurrency", "max_hops", "timeout", "stimulation_context", "modality", "afferent_path")


def dump_options(codecs: Codecs, cns: CNS, options: Mapping[str, Any]) -> bytes:
    """The options of ``start`` as bytes.

    Raises:
        TypeError, ValueError: an option cannot be stored, like a listener or an abort signal, or is none that a run can
            have.
        ValueError: a modality or path that the graph does not name, so that it could not be found again.
        EncodingError: the ``stimulation_context`` cannot be stored.
    """
    for name in options:
        if name not in _STORABLE:
            raise TypeError(
                f"start() cannot take {name}=: it would not outlive the process; it takes {', '.join(_STORABLE)}; "
                f"listeners are added with cns.add_response_listener"
            )
    # What the engine refuses it would refuse in every attempt.
    cns.check_options(**options)
    stored: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "modality":
            if not isinstance(value, Modality) or _modalities(cns).get(value.name) is not value:
                raise ValueError(
                    f"no modality dendrite of the graph knows {value!r}, so that it could not be found again"
                )
            value = value.name
        elif name == "afferent_path":
            value = path_name(value)
        stored[name] = value
    if "afferent_path" in stored:
        path = options["afferent_path"]
        if _paths(cns, options.get("modality")).get(stored["afferent_path"]) is not path:
            raise ValueError(f"no modality of the graph has {path!r}, so that it could not be found again")
    return codecs.encode_value(stored)


def load_options(codecs: Codecs, cns: CNS, run_id: str, stored: bytes) -> dict[str, Any]:
    """The options as ``stimulate`` takes them.

    Raises:
        GraphChangedError: the graph does not have a modality or path that they name.
    """
    options: dict[str, Any] = codecs.decode_value(stored)
    for option, kind in (("modality", "modality"), ("afferent_path", "afferent path")):
        if option in options:
            name = options[option]
            known: Mapping[str, Any] = (
                _modalities(cns) if option == "modality" else _paths(cns, options.get("modality"))
            )
            if name not in known:
                raise GraphChangedError({run_id: [f"{kind} {name!r}"]})
            options[option] = known[name]
    return options


def _modalities(cns: CNS) -> dict[str, Modality]:
    return {modality.name: modality for modality in cns.network.get_modalities()}


def _paths(cns: CNS, modality: Modality | None) -> dict[str, AfferentPath]:
    """The paths of a modality, or of all: each modality may call its paths as others do."""
    known = cns.network.get_modalities()
    return {
        path_name(path): path
        for one, paths in known.items()
        if modality is None or modality not in known or one is modality
        for path in paths
    }


def path_name(path: AfferentPath) -> str:
    """A path with those above it, as ``v1/users``."""
    names: list[str] = []
    above: AfferentPath | None = path
    while above is not None:
        names.append(above.name)
        above = above.parent
    return "/".join(reversed(names))
