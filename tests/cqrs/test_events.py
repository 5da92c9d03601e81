"""Events as bytes: by declared classes alone, with versions, and refused when they would not come back as they are."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import attrs
import msgspec
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from cnstra import Axon, Collateral
from cnstra.cqrs import (
    Aggregate,
    EventEncodingError,
    EventStore,
    EventTypeError,
    UnknownEventError,
    UnknownEventVersionError,
)
from cnstra.cqrs.events import EventTypes


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    name: str
    price: Decimal


@dataclass(frozen=True)
class Built:
    number: int
    share: float
    at: datetime
    day: date
    key: UUID
    colour: Colour
    parts: tuple[Part, ...]
    by_number: dict[int, str]
    data: bytes
    note: str | None = None


class Sold(msgspec.Struct, frozen=True):
    cents: int


@attrs.frozen
class Returned:
    reason: str


prices = st.decimals(allow_nan=False, allow_infinity=False)
events = st.builds(
    Built,
    number=st.integers(-(2**63), 2**63 - 1),
    share=st.floats(allow_nan=False, allow_infinity=False),
    at=st.datetimes(timezones=st.just(UTC)),
    parts=st.lists(st.builds(Part, name=st.text(), price=st.decimals(allow_nan=False, allow_infinity=False))).map(
        tuple
    ),
    by_number=st.dictionaries(st.integers(-1000, 1000), st.text(), max_size=3),
) | st.builds(Sold, cents=st.integers(-(2**63), 2**63 - 1))


@given(events)
def test_what_is_stored_comes_back_as_it_was(event: Any) -> None:
    types = EventTypes()
    types.add(type(event))
    found = types.decode(types.encode("things/a/b", 3, event, 12.5, "c"), 7)
    assert found.event == event
    assert type(found.event) is type(event)
    assert (found.aggregate, found.id, found.version, found.position) == ("things", "a/b", 3, 7)
    assert (found.recorded_at, found.command_id) == (12.5, "c")


def test_attrs_classes_are_events_too() -> None:
    types = EventTypes()
    types.add(Returned)
    assert types.decode(types.encode("a/b", 1, Returned("broken"), 0.0, "c"), 1).event == Returned("broken")


@pytest.mark.parametrize("wrong", [Sold("5"), Sold(None), Sold(1.5), Sold(True)])  # type: ignore[arg-type]
def test_a_value_that_its_annotation_does_not_allow_is_refused(wrong: Sold) -> None:
    types = EventTypes()
    types.add(Sold)
    with pytest.raises(EventEncodingError, match="cannot be stored"):
        types.encode("a/b", 1, wrong, 0.0, "c")


def test_a_tuple_in_place_of_a_list_and_not_a_number_are_refused() -> None:
    @dataclass
    class Listed:
        items: list[float]

    types = EventTypes()
    types.add(Listed)
    for wrong in (Listed((1.0,)), Listed([float("nan")])):  # type: ignore[arg-type]
        with pytest.raises(EventEncodingError):
            types.encode("a/b", 1, wrong, 0.0, "c")


def test_classes_that_cannot_be_stored_are_refused_when_they_are_declared() -> None:
    @dataclass
    class Vague:
        parts: list[Any]

    @dataclass
    class Foreign:
        path: Path

    @dataclass
    class Hidden:
        a: int
        b: int = field(init=False, default=3)

    @dataclass
    class NoUpcast:
        class_version: ClassVar[int] = 3

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None: ...

    types = EventTypes()
    for cls, words in (
        (Vague, r"an item of .*Vague.parts is of no certain type"),
        (Foreign, r"Foreign.path is of .*Path, which has no form in JSON"),
        (Hidden, "its constructor does not take"),
        (NoUpcast, "no upcast_v2_v3"),
        (int, "no dataclass"),
    ):
        with pytest.raises(EventTypeError, match=words):
            types.add(cls)


def test_two_classes_of_one_topic_are_refused() -> None:
    def make() -> type[Any]:
        @dataclass
        class Same:
            a: int

        return Same

    types = EventTypes()
    types.add(make())
    with pytest.raises(EventTypeError, match="one topic in the log"):
        types.add(make())


def old(topic: str, state: dict[str, Any]) -> StoredEvent:
    return StoredEvent("things/a", 1, topic, json.dumps(state).encode())


def test_older_versions_are_upcast_one_by_one() -> None:
    @dataclass(frozen=True)
    class Priced:
        cents: int
        currency: str
        on: date
        class_version: ClassVar[int] = 3
        topic: ClassVar[str] = "Price"

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["cents"] = state.pop("dollars") * 100

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            state["currency"] = "USD"

    types = EventTypes()
    types.add(Priced)
    new = Priced(500, "USD", date(2026, 11, 25))
    first = types.decode(old("Price", {"t": 1.0, "c": "x", "e": {"dollars": 5, "on": "2026-11-25"}}), 1)
    second = types.decode(old("Price", {"t": 1.0, "c": "x", "v": 2, "e": {"cents": 500, "on": "2026-11-25"}}), 1)
    assert first.event == second.event == types.decode(types.encode("a/b", 1, new, 0.0, "c"), 1).event == new
    with pytest.raises(UnknownEventVersionError, match=r"of version 4, and .*Priced knows none after 3") as unknown:
        types.decode(old("Price", {"t": 1.0, "c": "x", "v": 4, "e": {}}), 9)
    assert (unknown.value.position, unknown.value.stream, unknown.value.topic) == (9, "things/a", "Price")


def test_nothing_that_a_row_names_is_imported() -> None:
    types = EventTypes()
    types.add(Sold)
    with pytest.raises(UnknownEventError, match=r"no event class is declared for that topic \(there are: Sold\)"):
        types.decode(old("os:system", {"t": 1.0, "c": "x", "e": {}}), 1)
    for state in ({"t": 1.0, "c": "x", "e": {"cents": "5"}}, {"e": 1}, {}):
        with pytest.raises(UnknownEventError, match="cannot be read as Sold of version 1"):
            types.decode(old("Sold", state), 1)
    with pytest.raises(UnknownEventError, match="cannot be read"):
        types.decode(StoredEvent("things/a", 1, "Sold", b"\x80\x04."), 1)


def test_a_newer_event_in_the_log_stops_who_loads_it_and_who_reads_it(tmp_path: Path) -> None:
    class SoldAxon(Axon[Sold]):
        sold: Collateral[Sold]

    url = f"sqlite:///{tmp_path}/events.db"
    with EventStore(url) as store:
        things = Aggregate("things", SoldAxon(), lambda state, event: event, store=store)
        store.end()
        with sqlite3.connect(tmp_path / "events.db") as file:
            file.execute(
                "INSERT INTO stored_events VALUES ('things/a', 1, 'Sold', ?)",
                [b'{"t":1.0,"c":"x","e":{"cents":5},"v":2}'],
            )
        file.close()
        with pytest.raises(UnknownEventVersionError, match="at position 1 of the log"):
            store.read(0)
        assert store.read(0, types=[]) == []
        assert things.event_types == (Sold,)
