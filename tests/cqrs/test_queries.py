"""Queries: answered in threads, many at once, on connections that cannot write."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError
from tests.cqrs.ledger import Ledger, models_url, on_ledger
from tests.cqrs.places import place

from cnstra import CNS, GraphError, NoReplyError, StimulationFailed, collateral
from cnstra.cqrs import Queries, ReadModels, ReadModelUnavailableError


def test_a_query_is_answered_from_the_read_model(url: str, models: str) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.deposit(5)
        await ledger.projection.catch_up()
        assert await ledger.cns.query(ledger.ask.create_signal("a"), ledger.answer) == 5
        with pytest.raises(NoReplyError):
            await ledger.cns.query(ledger.ask.create_signal("nobody"), ledger.answer)

    on_ledger(url, models, case)


def test_a_query_never_touches_the_event_store(tmp_path: Path) -> None:
    models = f"sqlite:///{tmp_path}/models.db"

    async def case(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.projection.catch_up()

    on_ledger("memory:", models, case)
    # One that is not there.
    ledger = Ledger(f"sqlite:///{tmp_path}/nowhere/events.db", models)
    try:
        assert asyncio.run(_answer(ledger)) == 0
    finally:
        ledger.close()


async def _answer(ledger: Ledger) -> int:
    return await ledger.cns.query(ledger.ask.create_signal("a"), ledger.answer)


@pytest.mark.parametrize("place_of_models", ["sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def test_queries_are_answered_at_the_same_time(place_of_models: str, tmp_path: Path) -> None:
    for url in place(place_of_models, tmp_path):
        all_are_there = threading.Barrier(3)
        with ReadModels(url, readers=3) as models:
            reader = Queries("reader", models=models)
            ask, answer = collateral("ask", int), collateral("answer", int)

            @reader.answers(ask, answer)
            def read(query: int, connection: Connection, barrier: threading.Barrier = all_are_there) -> int:
                assert threading.current_thread() is not threading.main_thread()
                connection.execute(text("SELECT 1"))
                barrier.wait(20)
                return query

            cns = CNS([reader.neuron])

            async def main(cns: CNS = cns, ask: Any = ask, answer: Any = answer) -> list[int]:
                return list(await asyncio.gather(*[cns.query(ask.create_signal(n), answer) for n in range(3)]))

            assert asyncio.run(main()) == [0, 1, 2]


@pytest.mark.parametrize("place_of_models", ["sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def test_a_query_cannot_write(place_of_models: str, tmp_path: Path) -> None:
    async def case(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.projection.catch_up()
        writer = Queries("writer", models=ledger.models)
        ask, answer = collateral("write", str), collateral("written", int)

        @writer.answers(ask, answer)
        def write(query: str, connection: Connection) -> int:
            connection.execute(insert(ledger.totals).values(account=query, cents=1))
            return 1

        with pytest.raises(StimulationFailed) as failed:
            await CNS([writer.neuron]).stimulate(ask.create_signal("b"))
        (error,) = failed.value.exceptions
        assert isinstance(error, DBAPIError)
        assert not isinstance(error, ReadModelUnavailableError)
        # And the connection is as good as before.
        assert await ledger.cns.query(ledger.ask.create_signal("a"), ledger.answer) == 0
        assert await ledger.deposit(1)
        await ledger.projection.catch_up()
        assert ledger.rows() == [("a", "owner of a", 1)]

    for url in place(place_of_models, tmp_path):
        on_ledger(url, models_url(url, tmp_path), case)


def test_a_query_sees_one_moment(url: str, models: str) -> None:
    if url == "memory:":
        pytest.skip("in memory there is one connection, and one at a time has it")

    async def case(ledger: Ledger) -> None:
        await ledger.open()
        await ledger.projection.catch_up()
        began, may_go_on = threading.Event(), threading.Event()
        patient = Queries("patient", models=ledger.models)
        ask, answer = collateral("twice", str), collateral("both", tuple)

        @patient.answers(ask, answer)
        def read(query: str, connection: Connection) -> tuple[Any, ...]:
            seen = []
            for _ in range(2):
                seen.append(connection.execute(text("SELECT cents FROM totals")).scalar_one())
                began.set()
                assert may_go_on.wait(20)
            return tuple(seen)

        asking = asyncio.ensure_future(CNS([patient.neuron]).query(ask.create_signal(""), answer))
        await asyncio.to_thread(began.wait, 20)
        await ledger.deposit(7)
        await ledger.projection.catch_up()
        may_go_on.set()
        assert await asking == (0, 0)
        assert await ledger.cns.query(ledger.ask.create_signal("a"), ledger.answer) == 7

    on_ledger(url, models, case)


def test_what_a_handler_raises_fails_the_query() -> None:
    reader = Queries("reader", models=ReadModels("memory:"))
    ask, answer = collateral("ask", int), collateral("answer", int)

    @reader.answers(ask, answer)
    def read(query: int, connection: Connection) -> int:
        raise LookupError("not there")

    with pytest.raises(StimulationFailed) as failed:
        asyncio.run(_ask(CNS([reader.neuron]), ask, answer))
    assert [str(error) for error in failed.value.exceptions] == ["not there"]
    reader.models.close()


async def _ask(cns: CNS, ask: Any, answer: Any) -> Any:
    return await cns.query(ask.create_signal(1), answer)


def test_answers_are_declared_once_and_before_the_neuron_is_made() -> None:
    models = ReadModels("memory:")
    reader = Queries("reader", models=models, concurrency=2)
    ask, answer = collateral("ask", int), collateral("answer", int)

    async def slowly(query: int, connection: Connection) -> int:
        return query

    untyped: Any = reader
    with pytest.raises(TypeError, match="must be a plain function"):
        untyped.answers(ask, answer)(slowly)
    with pytest.raises(TypeError, match="'ask' is no collateral"):
        untyped.answers("ask", answer)
    reader.answers(ask, answer)(lambda query, connection: query)
    with pytest.raises(GraphError, match=r"answer .*'ask'.* already"):
        reader.answers(ask, answer)(lambda query, connection: query)
    assert reader.neuron is reader.neuron
    assert reader.neuron.concurrency == 2
    with pytest.raises(GraphError, match="have their neuron already"):
        reader.answers(collateral("other", int), answer)(lambda query, connection: query)
    assert repr(reader) == "<Queries 'reader' with 1 answer>"
    with pytest.raises(TypeError, match="models must be ReadModels, not str"):
        Queries("reader", models="memory:")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="concurrency"):
        Queries("reader", models=models, concurrency=0)
