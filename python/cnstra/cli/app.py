"""The commands, their options and their help."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter, validators

import cnstra

from .drawing import Format
from .output import Terminal, discard_output, ensure_output, write
from .problems import CommandError
from .project import project
from .runs import runs

__all__ = ["run"]

# What durable runs, the CQRS kit and PostgreSQL need.
_EXTRAS = ("msgspec", "psycopg", "eventsourcing", "sqlalchemy")

# Of a URL in the wrong place, which an error repeats.
_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):\S*@")

app = App(
    name="cnstra",
    help="Tools for graphs of neurons: draw one, look after its durable runs, run the demo, see what is installed.",
    version=f"cnstra {cnstra.__version__}",
)
demo = App(name="demo", help="Run a small but real application that is built on cnstra.")
app.command(demo)
app.command(runs)
app.command(project)


@demo.command
def orders(
    *,
    orders: Annotated[Path | None, Parameter(name="--orders", negative="")] = None,
    data: Annotated[Path | None, Parameter(name="--data", negative="")] = None,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    batch: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=100_000))] = None,
    durable: Annotated[bool, Parameter(negative="")] = False,
    store: Annotated[str | None, Parameter(name="--store", negative="")] = None,
) -> int:
    """Place the orders of a file by a CQRS application on two SQLite stores, or by durable runs.

    Ctrl-C stops after the batch that is going on, and both stores are consistent then; so they are after a crash.

    Parameters
    ----------
    orders
        A CSV file, plain or gzip, with the columns customer_id,date,quantity,amount. By default 69,659 real orders of
        an online music shop.
    data
        The folder of the two stores. A run on stores that are there goes on where the last one stopped. By default a
        temporary folder.
    fresh
        Delete the stores in the folder first.
    strict
        Stop at a malformed line instead of skipping it.
    batch
        How many orders are committed together, 1 to 100,000; by default 1,000, and 100 with --durable.
    durable
        Make every batch a durable run, whose every step is one transaction with what it writes. The folder then has one
        file, runs.db.
    store
        With --durable, the URL of a store instead of that file, as postgresql://user@host/database.
    """
    if durable:
        from .durable_orders import run_durable_orders

        return run_durable_orders(orders, data, store, fresh=fresh, strict=strict, batch=batch or 100)
    if store is not None:
        raise CommandError("--store is for --durable", status=2)
    from .orders import run_orders

    return run_orders(orders, data, fresh=fresh, strict=strict, batch=batch or 1000)


@app.command
def graph(
    target: Annotated[str, Parameter(name="MODULE:CNS")],
    /,
    *,
    format: Annotated[Format, Parameter(name=("--format", "-f"))] = "mermaid",  # noqa: A002
    output: Annotated[Path | None, Parameter(name=("--output", "-o"), negative="")] = None,
) -> int:
    """Draw the graph of a CNS.

    Parameters
    ----------
    target
        Where it is: a module, and a name in it; cnstra.demo.orders:cns is one.
    format
        mermaid for Markdown pages, dot for Graphviz, json for programs.
    output
        A file to write; by default it goes to standard output.
    """
    from .drawing import draw, find_cns, save

    text = draw(find_cns(target), format)
    if output is None:
        write(text)
    else:
        save(text, output)
    return 0


@app.command
def info() -> int:
    """Tell which engine is in use and how it was built."""
    write("".join(f"{name}: {value}\n" for name, value in cnstra.build_info().items()))
    return 0


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands after the program's name.

    Returns:
        The exit status.
    """
    try:
        ensure_output()
        console = Terminal()
        status = app(
            list(arguments), console=console, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        return _fail(str(error), 2)
    except CommandError as error:
        return _fail(str(error), error.status)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        # The package that needs it says which extra that is.
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough, as head does; the status is the one of a program that does not ask.
        discard_output()
        return 128 + 13
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    line = _PASSWORD.sub(r"\1@", " ".join(message.split()))
    sys.stderr.write(f"cnstra: error: {line}\n")
    return status
