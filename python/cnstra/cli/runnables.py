"""What ``--app`` may name: a CNS, a Durable, or a function that makes one of these."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, TypeGuard

from cnstra import CNS
from cnstra.durable import Durable

from .finding import find, in_words, one_line, suggestion
from .output import guests_elsewhere
from .problems import CommandError

__all__ = ["find_runnable"]


def find_runnable(target: str) -> CNS | Durable:
    """Import a module and take a graph out of it.

    Args:
        target: ``MODULE:NAME``: of a CNS, of a Durable, or of a function without arguments that returns either.

    Raises:
        CommandError: no such module, no such name in it, something else under it, or the function fails.
    """
    with guests_elsewhere():
        found = find(target, "a CNS", _is_runnable)
        if _is_runnable(found):
            return found
        if callable(found):
            return _made_by(found, target)
    module = importlib.import_module(target.partition(":")[0])
    raise CommandError(
        f"{target} is neither a CNS nor a Durable nor a function that makes one, but {in_words(found)}"
        f"{suggestion(module, _is_runnable)}"
    )


def _is_runnable(value: Any) -> TypeGuard[CNS | Durable]:
    return isinstance(value, CNS | Durable)


def _made_by(make: Any, target: str) -> CNS | Durable:
    try:
        inspect.signature(make).bind()
    except TypeError:
        raise CommandError(f"{target} needs arguments: name a function that is called without any") from None
    except ValueError:
        pass  # it does not tell, as some that are written in C do not
    try:
        made = make()
    except (Exception, SystemExit) as error:
        raise CommandError(f"calling {target} failed: {one_line(error)}") from error
    if inspect.iscoroutine(made):
        made.close()
        raise CommandError(f"{target} is async: name a plain function that returns a CNS or a Durable")
    if not _is_runnable(made):
        raise CommandError(f"{target} returned neither a CNS nor a Durable, but {in_words(made)}")
    return made
