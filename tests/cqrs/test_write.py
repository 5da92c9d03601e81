"""What is gathered and written together is what one write after the other would have left."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from tests.cqrs.places import place
from tests.properties.profiles import tried

from cnstra.cqrs import ProjectionTableError, ReadModels, Write
from cnstra.cqrs.engines import Engines
from cnstra.cqrs.statements import Goal
from cnstra.cqrs.write import WriteTables

metadata = MetaData()
plain = Table(
    "plain",
    metadata,
    Column("a", Integer, primary_key=True, autoincrement=False),
    Column("b", String, primary_key=True),
    Column("n", BigInteger, nullable=False, default=0),
    Column("m", BigInteger),
    Column("x", Float),
    Column("s", String, server_default="?"),
)
# Rows of these can be in each other's way, and their order counts.
strict = Table(
    "strict",
    metadata,
    Column("a", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False, default=0),
    Column("u", Integer),
    UniqueConstraint("u"),
)
nocase = Table(
    "nocase",
    metadata,
    Column("a", String(collation="NOCASE"), primary_key=True),
    Column("n", BigInteger, nullable=False, default=0),
)


@contextmanager
def writing(engines: Engines, *tables: Table) -> Generator[Write]:
    """A Write on fresh tables."""
    goals = {table: Goal(table, table, engines.writer.dialect) for table in tables}
    with engines.writing() as connection:
        for table in tables:
            table.drop(connection, checkfirst=True)
            table.create(connection)
        yield Write(connection, WriteTables("p", goals))


def rows(engines: Engines, table: Table) -> list[tuple[Any, ...]]:
    with engines.reading() as connection:
        return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]


key = st.fixed_dictionaries({"a": st.integers(0, 2), "b": st.sampled_from(["x", "y"])})
number = st.integers(-5, 5)
amounts = st.fixed_dictionaries({}, optional={"n": number, "m": number, "x": st.sampled_from([0.5, -1.25, 3.0])})
some = st.fixed_dictionaries(
    {}, optional={"n": number, "m": st.none() | number, "x": st.sampled_from([0.5, 2.0]), "s": st.sampled_from("pq")}
)
operation: st.SearchStrategy[tuple[str, dict[str, Any], dict[str, Any]]] = st.one_of(
    st.tuples(st.just("put"), key, some),
    st.tuples(st.just("add"), key, amounts),
    st.tuples(st.just("update"), key, some.filter(bool)),
    st.tuples(st.just("delete"), key, st.just({})),
    st.tuples(st.just("get"), key, st.just({})),
)


def perform(write: Write, table: Table, what: str, values: dict[str, Any], seen: list[Any]) -> None:
    match what:
        case "get":
            row = write.get(table, **values)
            seen.append(None if row is None else tuple(row))
        case "put":
            write.put(table, **values)
        case "add":
            write.add(table, **values)
        case "update":
            write.update(table, **values)
        case _:
            write.delete(table, **values)


def outcome(
    engines: Engines, table: Table, operations: Sequence[tuple[str, dict[str, Any]]], *, at_once: bool
) -> tuple[list[Any], list[Any]]:
    seen: list[Any] = []
    with writing(engines, table) as write:
        for what, values in operations:
            perform(write, table, what, values, seen)
            if at_once:
                write.flush()
        write.flush()
    return rows(engines, table), seen


@pytest.mark.once
@tried(300)
@given(operations=st.lists(operation, max_size=25))
def test_gathered_writes_are_those_of_one_by_one(operations: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    with ReadModels("memory:") as models:
        steps = [(what, {**where, **values}) for what, where, values in operations]
        gathered = outcome(models.engines, plain, steps, at_once=False)
        assert gathered == outcome(models.engines, plain, steps, at_once=True)


strict_operation = st.one_of(
    st.tuples(st.just("put"), st.fixed_dictionaries({"a": st.integers(0, 3), "u": st.none() | st.integers(0, 3)})),
    st.tuples(st.just("update"), st.fixed_dictionaries({"a": st.integers(0, 3), "u": st.none() | st.integers(0, 3)})),
    st.tuples(st.just("add"), st.fixed_dictionaries({"a": st.integers(0, 3), "n": number})),
    st.tuples(st.just("delete"), st.fixed_dictionaries({"a": st.integers(0, 3)})),
)


@pytest.mark.once
@tried(200)
@given(operations=st.lists(strict_operation, max_size=15))
def test_rows_that_may_be_in_each_others_way_are_written_in_order(operations: list[tuple[str, dict[str, Any]]]) -> None:
    with ReadModels("memory:") as models:
        outcomes: list[Any] = []
        for at_once in (False, True):
            try:
                outcomes.append(outcome(models.engines, strict, operations, at_once=at_once))
            except IntegrityError:
                outcomes.append("refused")
        assert outcomes[0] == outcomes[1]


@pytest.mark.once
@tried(100)
@given(
    operations=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.fixed_dictionaries({"a": st.sampled_from("xXy"), "n": number})),
            st.tuples(st.just("add"), st.fixed_dictionaries({"a": st.sampled_from("xXy"), "n": number})),
            st.tuples(st.just("delete"), st.fixed_dictionaries({"a": st.sampled_from("xXy")})),
        ),
        max_size=10,
    )
)
def test_keys_that_only_the_database_takes_for_equal(operations: list[tuple[str, dict[str, Any]]]) -> None:
    with ReadModels("memory:") as models:
        gathered = outcome(models.engines, nocase, operations, at_once=False)
        assert gathered == outcome(models.engines, nocase, operations, at_once=True)


typed = Table(
    "typed",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("when", DateTime(timezone=True)),
    Column("is it", Boolean, key="is_it"),
    Column("data%", JSON, key="data"),
    Column("price", Numeric(12, 2)),
    Column("kind", String, nullable=False, default="thing"),
)


def numbers() -> Table:
    key = Column("id", Integer, primary_key=True, autoincrement=False)
    return Table("numbers", MetaData(), key, Column("n", Integer))


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engines]:
    for url in place(request.param, tmp_path):
        with ReadModels(url.replace("events.db", "models.db")) as models:
            if request.param == "postgres":
                with models.engines.writing() as connection:
                    schema = url.partition("search_path%3D")[2]
                    connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            yield models.engines


def test_values_are_those_of_the_column_types(engines: Engines) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with writing(engines, typed) as write:
        write.put(typed, id=1, when=when, is_it=True, data={"a": [1]}, price=Decimal("12.50"))
        write.put(typed, id=2, data=None, is_it=False)
        write.update(typed, id=2, price=Decimal(1), data=["x"])
        write.add(typed, id=1, price=Decimal("0.25"))
        row = write.get(typed, id=1)
        assert row is not None
        assert (row.is_it, row.data, row.kind) == (True, {"a": [1]}, "thing")
    first, second = rows(engines, typed)
    assert first[2:] == (True, {"a": [1]}, Decimal("12.75"), "thing")
    assert first[1].replace(tzinfo=None) == when.replace(tzinfo=None)
    assert second[2:] == (False, ["x"], Decimal("1.00"), "thing")


def test_statements_see_what_was_gathered_and_what_comes_after_sees_theirs(engines: Engines) -> None:
    table = Table(
        "numbers", MetaData(), Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)
    )
    with writing(engines, table) as write:
        write.put(table, id=1, n=1)
        target = write.table(table)
        write.execute(update(target).values(n=target.c.n * 10))
        write.add(table, id=1, n=1)
        write.execute(insert(target), [{"id": 2, "n": 5}, {"id": 3, "n": 6}])
        write.execute(delete(target).where(target.c.id == 3))
        assert write.execute(select(target.c.n).order_by(target.c.id)).scalars().all() == [11, 5]
    assert rows(engines, table) == [(1, 11), (2, 5)]


def test_many_rows_are_written_in_between(engines: Engines) -> None:
    table = Table(
        "numbers", MetaData(), Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)
    )
    with writing(engines, table) as write:
        for number in range(25_000):
            write.put(table, id=number, n=number)
        write.flush()
    with engines.reading() as connection:
        assert connection.execute(select(table.c.n).where(table.c.id == 24_999)).scalar_one() == 24_999


def test_a_default_that_is_computed_needs_a_value(engines: Engines) -> None:
    table = Table(
        "defaults",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("made", Integer, default=lambda: 5),
        Column("changed", Integer, onupdate=lambda: 5),
    )
    with writing(engines, table) as write:
        with pytest.raises(ProjectionTableError, match="'made' of 'defaults' has a default that is computed"):
            write.put(table, id=1)
        with pytest.raises(ProjectionTableError, match="'changed' of 'defaults' has an onupdate"):
            write.update(table, id=1, made=1)
        write.put(table, id=1, made=2)
        write.update(table, id=1, made=3, changed=4)
        write.flush()
    assert rows(engines, table) == [(1, 3, 4)]


def test_amounts_are_added_to_nothing_too(engines: Engines) -> None:
    table = Table(
        "sums", MetaData(), Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)
    )
    with writing(engines, table) as write:
        write.put(table, id=1, n=None)
        write.flush()
        write.add(table, id=1, n=5)
        write.flush()
    assert rows(engines, table) == [(1, 5)]
