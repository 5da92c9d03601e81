"""The pure-Python engine: the readable form of the rules, and the drop-in reference of the native one.

``graph``, ``run``, ``slots`` and ``components`` are the scheduler: plain data and short steps on it, as in ``rust/core``.
``engine`` compiles and starts; ``drive`` is the dispatch loop; ``announce`` tells listeners; ``handler``, ``signal``,
``context``, ``response`` and ``stimulation`` are what Python code sees, as in ``rust/py``.
"""

from __future__ import annotations

from .components import components
from .context import Context
from .engine import Engine
from .response import Drain, Response
from .signal import Collateral, Signal
from .stimulation import Stimulation

__all__ = ["Collateral", "Context", "Drain", "Engine", "Response", "Signal", "Stimulation", "build_info", "components"]


def build_info() -> dict[str, str]:
    import platform

    from .._version import __version__

    return {
        "engine": "python",
        "profile": "none",
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
