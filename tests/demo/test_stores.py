"""The two stores: one writer, all of a batch or nothing, and a read store that knows what it lacks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import deque
from datetime import date
from pathlib import Path

import pytest

from cnstra.demo.model import Bookmark, OrderPlaced, PlaceOrder
from cnstra.demo.problems import StoreError
from cnstra.demo.read_store import ProjectionGapError
from cnstra.demo.stores import Stores

from .children import in_child

pytestmark = pytest.mark.once

DAY = date(1997, 3, 4)


def command(order_id: int, customer_id: int = 1, amount: int = 100) -> PlaceOrder:
    return PlaceOrder(order_id, customer_id, DAY, 1, amount)


def event(position: int, customer_id: int = 1, amount: int = 100) -> OrderPlaced:
    return OrderPlaced(position, position + 1000, customer_id, DAY, 1, amount)


def apply(stores: Stores, order: OrderPlaced) -> None:
    stores.read.add_to_customer(order)
    stores.read.add_to_month(order)


def test_positions_have_no_gaps_whatever_the_ids_are(stores: Stores) -> None:
    assert [stores.write.place(command(order_id)) for order_id in (70, 3, 12)] == [1, 2, 3]
    stores.commit()
    assert [order.order_id for order in stores.write.orders_after(0, 10)] == [70, 3, 12]
    assert [order.order_id for order in stores.write.orders_after(1, 1)] == [3]


def test_an_order_is_placed_once(stores: Stores) -> None:
    assert stores.write.place(command(7, amount=100)) == 1
    assert stores.write.place(command(7, amount=999)) is None
    assert stores.write.place(command(8)) == 2
    assert stores.write.totals().revenue == 200


def test_nothing_stays_without_a_commit(tmp_path: Path) -> None:
    with Stores(tmp_path) as stores:
        stores.write.place(command(1))
        apply(stores, event(1))
        stores.commit()
        stores.write.place(command(2))
        stores.write.reject(9, "no")
        stores.write.keep(Bookmark(2, "digest", 0))
        apply(stores, event(2))
    with Stores(tmp_path) as stores:
        assert (stores.write.position, stores.read.position) == (1, 1)
        assert (stores.write.rejected, stores.write.bookmark) == (0, None)
        assert stores.view.customer_sums() == stores.write.totals()


def test_a_rollback_takes_positions_back_too(stores: Stores) -> None:
    stores.write.place(command(1))
    apply(stores, event(1))
    stores.rollback()
    assert (stores.write.position, stores.read.position) == (0, 0)
    assert stores.write.place(command(1)) == 1
    apply(stores, event(1))
    stores.commit()
    assert stores.view.customer_sums() == stores.write.totals()


def test_the_read_store_applies_an_order_once_and_in_sequence(stores: Stores) -> None:
    assert stores.read.add_to_customer(event(1))
    assert not stores.read.add_to_customer(event(1))
    assert stores.read.add_to_month(event(1)) == "1997-03"
    assert stores.read.add_to_month(event(1)) is None
    with pytest.raises(ProjectionGapError, match="customer_totals is at order 1 and was given order 3"):
        stores.read.add_to_customer(event(3))
    stores.commit()
    assert stores.view.customer_sums().orders == 1


def test_the_projections_see_what_they_wrote_before_the_view_does(stores: Stores) -> None:
    stores.read.add_to_customer(event(1, customer_id=5, amount=1250))
    fresh = stores.read.customer(5)
    assert fresh is not None
    assert fresh.spent == 1250
    assert stores.view.customer(5) is None
    stores.commit()
    assert stores.view.customer(5) == fresh


def test_the_view_cannot_write(stores: Stores) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        stores.view._connection.execute("DELETE FROM projections")


def test_the_write_store_commits_first(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for name, store in (("write", stores.write), ("read", stores.read)):
        monkeypatch.setattr(store.database, "commit", lambda name=name: order.append(name))
    stores.write.place(command(1))
    apply(stores, event(1))
    stores.commit()
    assert order == ["write", "read"]


def test_the_settings_are_what_the_order_of_commits_needs(stores: Stores) -> None:
    def pragma(store: object, name: str) -> object:
        return store.database.one(f"PRAGMA {name}")[0]  # type: ignore[attr-defined]

    assert [pragma(store, "journal_mode") for store in (stores.write, stores.read)] == ["wal", "wal"]
    assert pragma(stores.write, "synchronous") == 2  # FULL
    assert pragma(stores.read, "synchronous") == 1  # NORMAL
    assert pragma(stores.write, "locking_mode") == "exclusive"


def filled(folder: Path, orders: int) -> None:
    with Stores(folder) as stores:
        for number in range(1, orders + 1):
            stores.write.place(command(number))
            apply(stores, event(number))
        stores.commit()


@pytest.mark.parametrize("fate", ["deleted", "replaced", "older"])
def test_a_read_store_that_belongs_to_another_write_store_is_made_anew(fate: str, tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    filled(ours, 3)
    write_store = ours / "write_store.sqlite3"
    if fate == "deleted":
        write_store.unlink()
    elif fate == "replaced":
        filled(other, 5)
        shutil.copy(other / write_store.name, write_store)
    else:
        # A backup from before the last orders.
        backup = tmp_path / "backup"
        shutil.copy(write_store, backup)
        with Stores(ours) as stores:
            stores.write.place(command(4))
            apply(stores, event(4))
            stores.commit()
        shutil.copy(backup, write_store)
    with Stores(ours) as stores:
        assert stores.read.position == 0
        assert stores.view.customer_sums().orders == 0


def test_fresh_begins_with_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    with Stores(tmp_path, fresh=True) as stores:
        assert stores.write.position == stores.read.position == 0


def test_a_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    attempt = (
        "import sys; from pathlib import Path; from cnstra.demo.stores import Stores\n"
        "from cnstra.demo.problems import StoreError\n"
        "try: Stores(Path(sys.argv[1]), fresh=len(sys.argv) > 2)\n"
        "except StoreError as error: print(error)"
    )
    with Stores(tmp_path) as stores:
        stores.write.place(command(1))
        apply(stores, event(1))
        for arguments in ([], ["fresh"]):
            done = subprocess.run(
                [sys.executable, "-c", attempt, tmp_path, *arguments], capture_output=True, text=True, timeout=60
            )
            assert "is in use by another run: wait for its end, or use another folder" in done.stdout, done.stderr
        stores.commit()
        assert stores.view.customer_sums().orders == 1
    filled(tmp_path, 1)  # And afterwards it is free.


def test_files_that_are_no_stores_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "write_store.sqlite3"
    path.write_bytes(b"a diary, and a long one at that" * 100)
    with pytest.raises(StoreError, match="is not a database, or damaged: use another folder, or --fresh"):
        Stores(tmp_path)
    assert path.read_bytes().startswith(b"a diary")
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    with pytest.raises(StoreError, match="database of another program or version: use another folder"):
        Stores(tmp_path)
    path.unlink()
    (tmp_path / "read_store.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="delete it, and it is made anew from the write store"):
        Stores(tmp_path)


def test_fresh_replaces_a_damaged_store(tmp_path: Path) -> None:
    (tmp_path / "write_store.sqlite3").write_bytes(b"not a database" * 100)
    with Stores(tmp_path, fresh=True) as stores:
        assert stores.write.position == 0


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot be the folder of the stores"):
            Stores(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a child process that becomes another user")
@pytest.mark.parametrize("there", [False, True], ids=["new", "with stores"])
def test_a_folder_that_may_not_be_written(there: bool) -> None:
    # Not below tmp_path, into which another user could not even look.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if there:
            filled(folder, 1)
            for file in folder.iterdir():
                file.chmod(0o444)
        folder.chmod(0o555)
        report, child_end = os.pipe()

        def attempt() -> None:
            # Root may write everywhere.
            if os.geteuid() == 0:
                os.seteuid(65534)
            try:
                Stores(folder)
            except StoreError as error:
                os.write(child_end, str(error).encode())

        assert in_child(attempt) == 0
        os.close(child_end)
        message = os.read(report, 1000).decode()
        os.close(report)
        folder.chmod(0o755)
    assert "write_store.sqlite3 cannot be written: " in message
    assert "\n" not in message


def test_a_full_disk_is_said_and_nothing_of_the_batch_stays(tmp_path: Path) -> None:
    with Stores(tmp_path) as stores:
        stores.write.place(command(1))
        apply(stores, event(1))
        stores.commit()
        # The same error that a full disk gives.
        pages = stores.write.database.one("PRAGMA page_count")[0]
        stores.write.database.read(f"PRAGMA max_page_count={pages}").close()
        commands = map(command, range(2, 10_000))
        with pytest.raises(StoreError, match="the disk is full"):
            deque(map(stores.write.place, commands), maxlen=0)
        stores.rollback()
        assert stores.write.position == 1
    with Stores(tmp_path) as stores:
        assert stores.write.totals().orders == 1
