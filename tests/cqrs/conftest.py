"""Where the event stores and read models of a test are: one test for each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cqrs.ledger import models_url
from tests.cqrs.places import place

_POSTGRES = pytest.param("postgres", marks=pytest.mark.once)


@pytest.fixture(params=["memory", "sqlite", _POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from place(request.param, tmp_path)


@pytest.fixture(params=["sqlite", _POSTGRES])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """One that several processes may have."""
    yield from place(request.param, tmp_path)


@pytest.fixture
def models(url: str, tmp_path: Path) -> str:
    return models_url(url, tmp_path)
