"""Picks the engine, once, at import; the only module that imports either.

``CNSTRA_ENGINE`` in the environment may be ``native`` (an error if it cannot be imported) or ``python``. Without it the
native engine is used, and the pure-Python one, with a warning, where there is none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = [
    "Collateral",
    "Context",
    "Drain",
    "Engine",
    "Response",
    "Signal",
    "Stimulation",
    "build_info",
    "components",
    "engine",
]

_wanted = os.environ.get("CNSTRA_ENGINE", "")
if _wanted not in ("", "native", "python"):
    raise ImportError(f"CNSTRA_ENGINE must be 'native' or 'python', not {_wanted!r}")

if TYPE_CHECKING:
    from ._native import (
        Collateral,
        Context,
        Drain,
        Engine,
        Response,
        Signal,
        Stimulation,
        build_info,
        components,
    )

    engine: str
elif _wanted == "python":
    from ._pure import Collateral, Context, Drain, Engine, Response, Signal, Stimulation, build_info, components

    engine = "python"
else:
    try:
        from ._native import Collateral, Context, Drain, Engine, Response, Signal, Stimulation, build_info, components

        engine = "native"
    except ImportError as error:
        if _wanted == "native" or not isinstance(error, ModuleNotFoundError):
            raise
        import warnings

        warnings.warn(
            "cnstra has no native engine here and uses the pure-Python one, which is many times slower: "
            "install a wheel for this platform, or set CNSTRA_ENGINE=python to say that this is meant",
            RuntimeWarning,
            stacklevel=2,
        )
        from ._pure import Collateral, Context, Drain, Engine, Response, Signal, Stimulation, build_info, components

        engine = "python"

if not TYPE_CHECKING and build_info()["profile"] == "debug":
    import warnings

    warnings.warn(
        "this is a debug build of cnstra: many times slower than a release build (make develop builds one)",
        RuntimeWarning,
        stacklevel=2,
    )
