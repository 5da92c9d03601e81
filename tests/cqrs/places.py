"""Where the event stores of the tests are."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql
from tests.durable.postgres import administrator, postgres_url

__all__ = ["place"]


def place(kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an event store that is new, and gone afterwards."""
    match kind:
        case "memory":
            yield "memory:"
        case "sqlite":
            yield f"sqlite:///{tmp_path}/events.db"
        case _:
            schema = f"cnstra_cqrs_{secrets.token_hex(6)}"
            try:
                yield f"{postgres_url()}?options=-csearch_path%3D{schema}"
            finally:
                with administrator() as connection:
                    connection.execute("SET client_min_messages = warning")
                    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
