"""The command line: ``cnstra runs``, ``cnstra graph``, ``cnstra info``, ``cnstra demo orders``.

What it is made of:

    app, runs      the commands, their options and their help
    drawing        draws a CNS
    orders, durable_orders    run the orders demo in a terminal, the second by durable runs

For ``cnstra runs``, which needs the extra ``cnstra[durable]``:

    runs_list, runs_show, runs_watch    what a store has, as it is and as it changes
    runs_going, runs_changing    retry, clone and recover; cancel and prune
    filters, stores, runnables    which runs, in which store, of which graph
    runs_tables, waterfall, runs_json    runs and their tasks for people, and for programs
    showing, times    colours, marks, text of others; points in time and lengths of time

And under all of it:

    finding        finds things by ``MODULE:NAME``
    interrupts, stopping    the first Ctrl-C asks for a stop, the second insists; the same for coroutines
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
