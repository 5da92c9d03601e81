"""The pure-Python engine: the readable form of the rules, and the drop-in reference of the native one.

The scheduler, plain data and short steps on it, as in ``rust/core``:

    graph, components, run, slots

What calls handlers and listeners, as in ``rust/py``:

    engine, options, handler    compile a graph, and start runs on it
    listeners                   hear all of them
    drive                       the dispatch loop
    enter, settle, announce     an activation's life: called, finished, told to listeners
    feed, grants, abort         what reaches a run from outside; how it ends
    signal, context, response, stimulation    what Python code sees
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
    """What this engine is: its name, the version of cnstra, and the interpreter; all values ``str``."""
    import platform

    from .._version import __version__

    return {
        "engine": "python",
        "profile": "none",
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
