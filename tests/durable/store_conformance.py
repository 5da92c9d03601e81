"""What every store must do: each sentence of the port, as a test.

A store of one's own is put under all of it by a class that says how to open one::

    class TestMyStore(StoreConformance):
        async def store(self, place: Path) -> Store:
            store = MyStore(f"mine://localhost/{database_for(place)}")
            await store.connect()
            return store

``place`` is a directory of the test's own. The first call for a place must give a store with nothing in it; a further
one (by ``second_store``, unless that is overridden) another store on the same database, as another process would have
it; a store whose data lives in the process may give the same object. The tests close what they get.

The tests enter owners whose lease is of negative length, and so over at once, and runs that were due an hour ago.
"""

from __future__ import annotations

from .store_increments import IncrementCases
from .store_ownership import OwnershipCases
from .store_record import RecordCases
from .store_takeovers import TakeoverCases

__all__ = ["StoreConformance"]


class StoreConformance(OwnershipCases, TakeoverCases, IncrementCases, RecordCases):
    """All of them; see the module."""
