"""A process that gives an account all its deposits, from the first on, each with an id: to be killed and begun anew.

python -m tests.cqrs.depositor URL COUNT
"""

from __future__ import annotations

import asyncio
import sys

from tests.cqrs.bank import Bank, Deposit, Open

from cnstra import StimulationFailed
from cnstra.cqrs import AggregateExistsError, EventStore

__all__: list[str] = []


async def main(url: str, count: int) -> None:
    store = EventStore(url)
    bank = Bank(store, retries=30)
    try:
        await bank.do(bank.open.create_signal(Open("a", "Ada")))
    except StimulationFailed as failed:
        (error,) = failed.exceptions
        if not isinstance(error, AggregateExistsError):
            raise
    sys.stdout.write("open\n")
    sys.stdout.flush()
    waiting = [bank.identified.create_signal(Deposit("a", 1, str(number))) for number in range(count)]
    for first in range(0, count, 8):
        await asyncio.gather(*(bank.do(signal) for signal in waiting[first : first + 8]))
    store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
