"""The command line: ``cnstra demo orders``, ``cnstra graph``, ``cnstra info``.

What it is made of:

    app            the commands, their options and their help
    drawing        finds a CNS by ``MODULE:CNS`` and draws it
    orders         runs the orders demo in a terminal
    interrupts     turns the first Ctrl-C into a request and the second into an interrupt
    output         standard output, and what may be wrong with it
    problems       the error that is one line and an exit status

It needs the extra ``cnstra[cli]``, which this module says where it is missing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands after the program's name; by default those of this process.

    Returns:
        The exit status: 0, 1 for an error, 2 for a wrong use, 128 + n if signal n stopped it.
    """
    try:
        for name in ("cyclopts", "rich"):
            importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name not in ("cyclopts", "rich"):
            raise
        sys.stderr.write(
            f"cnstra: error: the command line needs {missing.name}, which is not installed: pip install 'cnstra[cli]'\n"
        )
        return 1
    from .app import run

    return run(sys.argv[1:] if arguments is None else arguments)
