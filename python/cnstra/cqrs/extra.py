"""What the extra brings; imported before anything else of the package, so that what is missing is said once, and how to
get it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

__all__ = ["PACKAGES"]

PACKAGES: Final = ("eventsourcing", "msgspec", "sqlalchemy")

for _name in PACKAGES:
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            f"cnstra.cqrs needs {_name}, which is not installed: pip install 'cnstra[cqrs]'", name=_name
        )
