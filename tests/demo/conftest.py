"""Fixtures of the tests of the orders demo."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

from cnstra.demo.stores import Stores


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is such a thing.

    The write store waits for the disk at every commit, which is most of what these tests would do. A process that is
    killed does not take the memory disk with it, so nothing is tested less.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "orders.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, newline="")
        return path

    return write


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with Stores(tmp_path / "stores") as opened:
        yield opened


@pytest.fixture(scope="session")
def real_orders() -> str:
    """The file that comes with the package."""
    return gzip.decompress((resources.files("cnstra.demo") / "cdnow_orders.csv.gz").read_bytes()).decode()
