"""A process that follows the log for the ledger, or rebuilds it: to be killed and begun anew.

python -m tests.cqrs.follower URL MODELS follow|rebuild

It prints the position after each batch, and ends when it has rebuilt; a follower does not.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.cqrs.ledger import Ledger

__all__: list[str] = []

BATCH = 20
# For each event.
SECONDS = 0.002


async def main(url: str, models: str, what: str) -> None:
    # Not so fast that it would be done before it is killed.
    ledger = Ledger(url, models, batch=BATCH, trouble=lambda event: time.sleep(SECONDS))

    def tell(position: int) -> None:
        sys.stdout.write(f"{position}\n")
        sys.stdout.flush()

    if what == "rebuild":
        await ledger.projection.rebuild(progress=lambda done: tell(done.position))
    else:
        following = asyncio.ensure_future(ledger.projection.follow())
        last = -1
        while not following.done():
            position = await ledger.projection.position()
            if position != last:
                tell(position)
                last = position
            await asyncio.sleep(0.002)
        await following
    await asyncio.to_thread(ledger.close)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
