"""``cnstra graph``: find a CNS by its name, and draw it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

from cnstra import CNS

from .finding import find, in_words, suggestion
from .problems import CommandError

__all__ = ["Format", "draw", "find_cns", "save"]

Format = Literal["mermaid", "dot", "json"]


def find_cns(target: str) -> CNS:
    """Import a module and take a CNS out of it.

    Args:
        target: ``MODULE:CNS``; what follows the colon may have dots. Modules are looked for in the current folder too.

    Raises:
        CommandError: no such module, no such name in it, or something else than a CNS under it.
    """
    found = find(target, "a CNS", _is_cns)
    if not isinstance(found, CNS):
        module = importlib.import_module(target.partition(":")[0])
        raise CommandError(f"{target} is no CNS but {in_words(found)}{suggestion(module, _is_cns)}")
    return found


def _is_cns(value: Any) -> bool:
    return isinstance(value, CNS)


def draw(cns: CNS, form: Format) -> str:
    """The graph as text that ends in a newline.

    Args:
        cns: the graph.
        form: ``mermaid`` for Markdown pages, ``dot`` for Graphviz, ``json`` for programs.
    """
    network = cns.network
    match form:
        case "mermaid":
            text = network.to_mermaid()
        case "dot":
            text = network.to_dot()
        case "json":
            text = network.to_json()
    return text if text.endswith("\n") else f"{text}\n"


def save(text: str, path: Path) -> None:
    """Write text into a file.

    Raises:
        CommandError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
