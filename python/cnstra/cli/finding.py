"""Things by their names: ``MODULE:NAME``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .problems import CommandError

__all__ = ["find", "in_words", "one_line", "suggestion"]


def find(
    target: str, what: str, is_wanted: Callable[[Any], bool], form: str = "MODULE:CNS, like cnstra.demo.orders:cns"
) -> Any:
    """Import a module and take something out of it.

    Args:
        target: ``MODULE:NAME``; the name may have dots. Modules are looked for in the current folder too.
        what: what is looked for, for messages.
        is_wanted: tells what somebody may have meant who has mistaken the name.
        form: how a target is written.

    Raises:
        CommandError: no such module, or no such name in it.
    """
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise CommandError(f"{target!r} does not name {what}: write {form}", status=2)
    found: Any = _import(module_name)
    for done, name in enumerate(path.split(".")):
        try:
            found = getattr(found, name)
        except AttributeError:
            holder = ".".join((module_name, *path.split(".")[:done]))
            raise CommandError(f"{holder} has no {name!r}{suggestion(found, is_wanted)}") from None
    return found


def suggestion(holder: object, is_wanted: Callable[[Any], bool]) -> str:
    """What a module or class has of the wanted kind, as the end of a message; empty if that is nothing."""
    values = vars(holder) if hasattr(holder, "__dict__") else {}
    names = sorted(name for name, value in values.items() if is_wanted(value))
    return f"; it has {', '.join(names)}" if names else ""


def in_words(found: object) -> str:
    """What something is, by its type: ``a str``."""
    kind = type(found).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def one_line(error: BaseException) -> str:
    """An error in one line: its class, and what it says."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


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
        raise CommandError(f"importing {name} failed: {one_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise CommandError(f"importing {name} failed: {one_line(error)}") from error
