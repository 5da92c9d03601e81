"""Who is compared: one file each, all of the same shape.

A file has one function per workload, which builds all that can be built beforehand and gives back a case: a function,
plain or async, that does the work once and returns what its handlers saw. Only calls of the case are timed.
"""

from __future__ import annotations

from . import (
    asyncio_queue,
    asyncio_tasks,
    blinker,
    burr,
    cnstra,
    langgraph,
    llama_index_workflows,
    plain_calls,
    pluggy,
    pydantic_graph,
    pyee,
    reactivex,
)
from .contender import Case, Contender

__all__ = ["ALL", "REFERENCE", "Case", "Contender"]

REFERENCE = cnstra.CONTENDER

ALL = (
    REFERENCE,
    plain_calls.CONTENDER,
    asyncio_tasks.CONTENDER,
    asyncio_queue.CONTENDER,
    pyee.CONTENDER,
    blinker.CONTENDER,
    pluggy.CONTENDER,
    reactivex.CONTENDER,
    burr.CONTENDER,
    pydantic_graph.CONTENDER,
    langgraph.CONTENDER,
    llama_index_workflows.CONTENDER,
)
