"""``cnstra graph``: find a CNS by its name, and draw it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Literal

from cnstra import CNS

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
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise CommandError(f"{target!r} does not name a CNS: write MODULE:CNS, like cnstra.demo.orders:cns", status=2)
    found: Any = _import(module_name)
    for done, name in enumerate(path.split(".")):
        try:
            found = getattr(found, name)
        except AttributeError:
            holder = ".".join((module_name, *path.split(".")[:done]))
            raise CommandError(f"{holder} has no {name!r}{_suggestion(found)}") from None
    if not isinstance(found, CNS):
        raise CommandError(f"{target} is no CNS but {_kind(found)}{_suggestion(importlib.import_module(module_name))}")
    return found


def _import(name: str) -> Any:
    # A console script, unlike python -m, does not look into the current folder.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise CommandError(f"there is no module {error.name!r} to import") from error
        raise CommandError(f"importing {name} failed: {error}") from error
    except (TypeError, ValueError) as error:
        if name.startswith("."):
            raise CommandError(f"{name!r} is relative: give the module's full name", status=2) from error
        raise CommandError(f"importing {name} failed: {type(error).__name__}: {_one_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise CommandError(f"importing {name} failed: {type(error).__name__}: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _kind(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _suggestion(module: object) -> str:
    """The graphs that are there, for somebody who has mistaken the name."""
    graphs = sorted(name for name, value in vars(module).items() if isinstance(value, CNS)) if _has_vars(module) else []
    return f"; it has {', '.join(graphs)}" if graphs else ""


def _has_vars(thing: object) -> bool:
    return hasattr(thing, "__dict__")


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
