"""What a handler can ask about the activation that it is: an idempotency key, and the transaction it may write in."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

__all__ = ["Activation", "activation_id", "current_activation", "current_transaction", "entered", "transaction"]


@dataclass(frozen=True, slots=True)
class Activation:
    """One activation of a durable run, as its handler sees it.

    Attributes:
        run_id: the run.
        attempt: which attempt at the run this is, counted from 1.
        id: 32 hexadecimal digits, the same whenever this activation is run again, and no other activation's: an
            idempotency key for whatever the handler calls.
    """

    run_id: str
    attempt: int
    id: str


entered: ContextVar[Any] = ContextVar("cnstra_durable_activation")
transaction: ContextVar[Any] = ContextVar("cnstra_durable_transaction")


def current_activation() -> Activation:
    """The activation whose handler this is called in, from the handler itself or anything that it calls or awaits.

    Raises:
        LookupError: it is not called in a handler of a durable run.

    Example:
        >>> import asyncio
        >>> from cnstra import CNS, collateral, neuron
        >>> from cnstra.durable import Durable, Store, current_activation
        >>> charge = collateral("charge", int)
        >>> cashier = neuron("cashier")
        >>> @cashier.dendrite(charge)
        ... def pay(cents: int) -> None:
        ...     print(cents, len(current_activation().id), current_activation().attempt)
        >>> async def main() -> None:
        ...     async with Durable(CNS([cashier]), Store.open("memory://")) as durable:
        ...         await durable.start(charge.create_signal(995), run_id="order-42")
        >>> asyncio.run(main())
        995 32 1
    """
    noted = entered.get(None)
    if noted is None:
        raise LookupError("there is no activation here: current_activation() is for handlers of durable runs")
    recording = noted.recording
    return Activation(recording.run_id, recording.attempt, noted.id)


def current_transaction() -> Any:
    """The transaction that commits together with this activation; for handlers of ``transactional`` neurons.

    On SQLite it has ``execute`` and ``executemany`` as connections of ``sqlite3`` have them, without control of the
    transaction; on PostgreSQL it is a connection of psycopg, an ``AsyncConnection`` for an async handler.

    Raises:
        LookupError: it is not called in a handler of a neuron that ``Durable(transactional=[...])`` names.
    """
    found = transaction.get(None)
    if found is None:
        raise LookupError(
            "there is no transaction here: current_transaction() is for handlers of neurons that are given to "
            "Durable(..., transactional=[...])"
        )
    return found


def activation_id(cause: str, place: int, neuron: str, collateral: str, dendrite: int) -> str:
    """The stable id of an activation: what caused it, which output of that it answers, and who answers.

    One output reaches each dendrite of a neuron once, so no two activations of a run have all five in common, and the
    run begins from an id that no other run has.
    """
    # The lengths keep names apart that would run into each other.
    key = f"{cause} {place} {dendrite} {len(neuron)} {neuron}{collateral}"
    return blake2b(key.encode(), digest_size=16).hexdigest()
