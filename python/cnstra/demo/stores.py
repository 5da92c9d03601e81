"""Both stores side by side: where a batch becomes permanent, and in which order."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path
from typing import Self

from cnstra import Drain

from .database import delete_database
from .problems import StoreError
from .read_store import ReadStore, ReadView
from .write_store import WriteStore

__all__ = ["Stores"]


class Stores:
    """The write store, the read store, and the view that queries have of it: the ``ctx.shared`` of every handler.

    Two files cannot commit together, so the order matters. The write store commits first. If the process dies between
    the two commits the read store lacks the last batch, knows so by its position, and gets it at the next start. The
    other way round it would know orders that were never placed, and nothing could tell.

    Args:
        folder: where the two files are; made if there is none.
        fresh: delete what is there, and begin anew.
        today: the day after which no order may be dated.

    Raises:
        StoreError: the folder or a file in it cannot be used, or another process is using it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Stores(Path(folder)) as stores:
        ...     stores.write.totals().orders
        0
    """

    def __init__(self, folder: Path, *, fresh: bool = False, today: datetime.date | None = None) -> None:
        self.today = today or datetime.datetime.now(datetime.UTC).date()
        write_path, read_path = folder / "write_store.sqlite3", folder / "read_store.sqlite3"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be the folder of the stores: {error.strerror}") from error
        if fresh:
            delete_database(write_path)
            delete_database(read_path)
        self.write = WriteStore(write_path)
        try:
            self.read = ReadStore(read_path)
            try:
                if not self.read.belongs_to(self.write.id, self.write.position):
                    self.read.reset(self.write.id)
                self.view = ReadView(read_path)
            except BaseException:
                self.read.close()
                raise
        except sqlite3.Error as error:
            self.write.close()
            raise self.read.database.problem(error) from error
        except BaseException:
            self.write.close()
            raise

    def commit(self) -> None:
        """Commit both, the write store first."""
        self.write.commit()
        self.read.commit()

    def commit_at_drain(self, drain: Drain) -> None:
        """A drain listener for the run of a batch: one commit per batch, and never half of one.

        A drain that leaves something unfinished is not the end of the batch: somewhere an order may be placed whose
        projections have not run. After a failure nothing is committed at all; who awaits the run gets the error and
        rolls back.
        """
        if drain.queue_length == 0 and not drain.stimulation.failed_tasks:
            self.commit()

    def rollback(self) -> None:
        """Undo what was written in both since the last commit."""
        self.write.rollback()
        self.read.rollback()

    def close(self) -> None:
        """Close all three connections; what is not committed is gone."""
        self.view.close()
        self.read.close()
        self.write.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
