"""Which types have a codec, and that what is stored comes back as it was or is refused."""

from __future__ import annotations

import enum
import ipaddress
import math
import re
import sys
import threading
import traceback
import typing
import uuid
import zoneinfo
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.profiles import tried

import cnstra
from cnstra import CNS, Collateral, collateral, neuron
from cnstra.durable import CodecError, EncodingError
from cnstra.durable.codec_exact import difference
from cnstra.durable.codecs import Codecs

pytestmark = pytest.mark.once

T = TypeVar("T")
Serial = NewType("Serial", int)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NAN = float("nan")


def naive(*parts: int, fold: int = 0) -> datetime:
    """A datetime without time zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None, fold=fold)  # type: ignore[misc, arg-type]


def codecs_of(hint: Any, **options: Any) -> Codecs:
    """The codecs of a graph with one collateral, ``x``."""
    channel: Collateral[Any] = collateral("x", hint)
    return Codecs(CNS([neuron("n").dendrite(collateral=channel, response=print)]).network, **options)


def back(hint: Any, value: Any, **options: Any) -> Any:
    codecs = codecs_of(hint, **options)
    return codecs.decode_payload("x", codecs.encode_payload("x", value))


def refusal(hint: Any, value: Any) -> str:
    """Why a value is refused, without the words that all refusals begin with."""
    with pytest.raises(EncodingError) as refused:
        codecs_of(hint).encode_payload("x", value)
    head, _, reason = str(refused.value).partition(" cannot be stored: ")
    assert head.startswith("collateral 'x': ")
    assert type(value).__name__ in head.replace("None", "NoneType")
    return reason


def exactly(value: Any) -> Any:
    """A value with the types of all its parts, written without any of the code that is tested."""
    kind = type(value)
    if kind is list or kind is tuple:
        return kind, [exactly(part) for part in value]
    if kind is dict:
        return kind, [(exactly(key), exactly(part)) for key, part in value.items()]
    if kind is set or kind is frozenset:
        return kind, sorted(repr(exactly(part)) for part in value)
    if kind is datetime and value.utcoffset() is not None:
        return kind, repr(value.astimezone(UTC))
    names = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__pydantic_fields__", None)
    if names:
        return kind, [(name, exactly(getattr(value, name))) for name in names]
    if kind is datetime or kind is time:
        return kind, repr(value.replace(fold=0))
    return kind, repr(value)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Word(enum.StrEnum):
    YES = "yes"


class Number(enum.IntEnum):
    ONE = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Choices(enum.EnumMeta):
    """As libraries have them, Django for one."""


class Chosen(enum.Enum, metaclass=Choices):
    A = "a"


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@dataclass(slots=True)
class Order:
    id: uuid.UUID
    lines: list[Point]
    placed: datetime
    total: Decimal
    colour: Colour = Colour.RED
    note: str | None = None
    tags: frozenset[str] = frozenset()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Wide:
    _: KW_ONLY
    b: bytes = b""
    d: date = date(2024, 2, 29)
    t: time = time(1, 2, 3)
    span: timedelta = timedelta(microseconds=-1)
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    by: dict[int, set[str]] = field(default_factory=dict)
    either: int | str = 0
    literal: Literal["a", 1] | None = None
    word: Word = Word.YES


@dataclass(eq=False)
class Silent:
    x: float


@dataclass(frozen=True)
class Special(Point):
    z: int = 0


@dataclass
class Computed:
    x: int
    twice: int = field(init=False)
    kept: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.x

    @cached_property
    def thrice(self) -> int:
        return 3 * self.x


@dataclass
class Growing:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclass
class Angry:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise KeyError("secret")


@dataclass
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)
    above: Tree | None = None


@dataclass
class Box(Generic[T]):
    inside: T


@dataclass
class Abstract:
    seq: Sequence[int] = field(default_factory=list)
    map: Mapping[str, int] = field(default_factory=dict)
    set: AbstractSet[int] = field(default_factory=set)


class Pair(NamedTuple):
    a: int
    b: Point | None = None


Loose = namedtuple("Loose", "a b")  # noqa: PYI024


class Movie(TypedDict):
    name: str
    year: NotRequired[int]


@attrs.frozen
class Coin:
    value: int
    names: list[str] = attrs.field(factory=list)


@attrs.define
class Derived:
    x: int = attrs.field(validator=attrs.validators.ge(0))
    y: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.y = self.x + 1


@attrs.define
class Private:
    a: int
    _b: int = 0


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str
    age: int | msgspec.UnsetType = msgspec.UNSET


class Bird(msgspec.Struct, frozen=True, rename="camel", array_like=True):
    wing_span: float


class Zoo(msgspec.Struct):
    animals: list[Cat | Dog]


class Inner(pydantic.BaseModel):
    a: int = 1


class Model(pydantic.BaseModel):
    when: datetime
    path: Path = Path("/tmp")
    address: ipaddress.IPv4Address = ipaddress.IPv4Address("10.0.0.1")
    raw: bytes = b"\xff"
    ids: set[uuid.UUID] = set()
    price: Decimal = Decimal("1.10")
    inner: Inner | None = None
    aliased: int = pydantic.Field(default=0, alias="Other")
    by: dict[int, Colour] = {}

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> str:
        return f"{self.price}{self.price}"


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="allow", frozen=True)
    ids: frozenset[uuid.UUID]


class Ints(pydantic.RootModel[list[int]]):
    pass


class Hidden(pydantic.BaseModel):
    a: int
    _b: int = pydantic.PrivateAttr(default=0)


class Forbidding(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", serialize_by_alias=True)
    a: int = pydantic.Field(alias="A")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def b(self) -> int:
        return self.a + 1


class Masked(pydantic.BaseModel):
    secret: pydantic.SecretStr


class Even(pydantic.BaseModel):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n


@dataclass
class Holder:
    one: Inner
    many: list[Inner | None]
    by: dict[str, Ints]


# --- What comes back as it was

VALUES: list[tuple[Any, Any]] = [
    (int, 2**64 - 1),
    (int, -(2**63)),
    (float, math.inf),
    (float, NAN),
    (float, -0.0),
    (str, "ä\0🦊"),
    (bytes, b"\0\xff"),
    (bytearray, bytearray(b"x")),
    (bool, True),
    (type(None), None),
    (datetime, naive(2024, 1, 1, 12, 0, 0, 123456)),
    (datetime, datetime(1, 1, 1, tzinfo=UTC)),
    (datetime, datetime.max.replace(tzinfo=UTC)),
    (date, date.min),
    (time, time(23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))),
    (timedelta, timedelta.max),
    (timedelta, timedelta.min),
    (Decimal, Decimal("-0.10")),
    (Decimal, Decimal("NaN")),
    (Decimal, Decimal("sNaN")),
    (list[Decimal], [Decimal("sNaN"), Decimal("1E+500")]),
    (uuid.UUID, uuid.UUID(int=7)),
    (Colour, Colour.BLUE),
    (Word, Word.YES),
    (Number, Number.ONE),
    (Right, Right.READ | Right.WRITE),
    (Serial, 5),
    (Annotated[int, msgspec.Meta(ge=0)], 5),
    (Literal["a", 1] | None, 1),
    (int | str | None, "a"),
    (float | Decimal, Decimal("1.0")),
    (list, [1, "a", None, [2.5, {"k": b"v"}]]),
    (dict, {"b": 1, "a": {1: 2}}),
    (Any, {"b": [1], "a": (None)}),
    (object, [True]),
    (list[float], [NAN, 1.0, math.inf]),
    (set[float], {1.0, NAN}),
    (frozenset[tuple[int, str]], frozenset({(1, "a"), (2, "b")})),
    (set[Point], {Point(1), Point(2, NAN)}),
    (set[frozenset[int]], {frozenset({1, 2, 3}), frozenset({4})}),
    (dict[date, int], {date(2024, 1, 1): 1}),
    (dict[tuple[int, int], list[Point]], {(1, 2): [Point(3)]}),
    (Sequence[int], [1]),
    (Mapping[str, Point], {"a": Point(1)}),
    (AbstractSet[int], {1}),
    (Point, Point(1, 2.5)),
    (Silent, Silent(NAN)),
    (Computed, Computed(3)),
    (Angry, Angry(1)),
    (Tree, Tree(1, [Tree(2), Tree(3, [Tree(4)])], Tree(0))),
    (Box[int], Box(1)),
    (Box[Box[str]], Box(Box("a"))),
    (Box, Box([1])),
    (Abstract, Abstract([1], {"a": 1}, {2})),
    (Wide, Wide(by={1: {"a", "b"}}, many=(1, 2), either="a", literal="a")),
    (Pair, Pair(1, Point(2))),
    (Loose, Loose(1, "b")),
    (Movie, {"year": 1, "name": "a"}),
    (Coin, Coin(1, ["a"])),
    (Derived, Derived(3)),
    (Cat | Dog, Dog("a")),
    (Zoo, Zoo([Cat("a"), Dog("b", 3)])),
    (Bird, Bird(1.5)),
    (Point | None, None),
    (list[Point | None], [None, Point(1)]),
    (Model, Model(when=naive(2024, 1, 1), inner=Inner(a=5), Other=7, by={1: Colour.RED}, ids={uuid.UUID(int=1)})),
    (Model | None, None),
    (Strict, Strict(ids=frozenset({uuid.UUID(int=1)}), more=[1])),  # type: ignore[call-arg]
    (Ints, Ints([1, 2])),
    (Holder, Holder(Inner(a=2), [None, Inner()], {"a": Ints([1])})),
    (Hidden, Hidden(a=1)),
    (Even, Even(n=2)),
    (Forbidding, Forbidding(A=5)),
    (Chosen, Chosen.A),
    (list[Chosen], [Chosen.A]),
]


@pytest.mark.parametrize(("hint", "value"), VALUES, ids=lambda part: str(part)[:40])
def test_comes_back_as_it_was(hint: Any, value: Any) -> None:
    got = back(hint, value)
    assert type(got) is type(value)
    assert repr(exactly(got)) == repr(exactly(value))


def test_what_is_no_field_of_a_class_is_not_stored() -> None:
    given = Computed(3)
    given.kept = 5
    assert given.thrice == 9
    got = back(Computed, given)
    assert (got.twice, got.kept, "thrice" in vars(got)) == (6, 5, False)


def test_a_point_in_time_comes_back_in_utc() -> None:
    for zone in (BERLIN, timezone(timedelta(hours=3))):
        given = datetime(2024, 7, 1, 12, tzinfo=zone)
        got = back(datetime, given)
        assert got == given
        assert got.tzinfo is UTC


def test_both_passes_of_a_repeated_hour_come_back() -> None:
    first, second = (datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    assert back(list[datetime], [first, second]) == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    ]


def test_without_time_zone_the_fold_is_lost() -> None:
    for local in (naive(2024, 10, 27, 2, 30, fold=1), time(2, 30, fold=1)):
        got = back(type(local), local)
        assert (got, got.fold) == (local, 0)


def test_an_int_in_a_float_field_comes_back_as_a_float() -> None:
    got = back(Point, Point(1, 2))
    assert (got, type(got.y)) == (Point(1, 2.0), float)
    assert type(back(list[float], [1, 2.5])[0]) is float


def test_what_a_type_of_fields_is_stored_as_may_be_looked_at() -> None:
    data = codecs_of(Point).encode_payload("x", Point(1, 2.0))
    assert msgspec.msgpack.decode(data) == {"x": 1, "y": 2.0}


# --- What would not come back as it was

REFUSED: list[tuple[Any, Any, str]] = [
    (None, 5, "Expected `null`, got `int`"),
    (int, "5", "Expected `int`, got `str`"),
    (int, None, "Expected `int`, got `None`"),
    (int, 5.0, "Expected `int`, got `float`|a float would come back as an int"),
    (int, True, "Expected `int`, got `bool`"),
    (int, 2**64, re.escape("2**64")),
    (float, 2**53 + 1, "an int would come back as a float"),
    (str, "\ud800", "surrogates not allowed"),
    (str, Word.YES, "a Word would come back as a str"),
    (Word, "yes", "a str would come back as a Word"),
    (int, Number.ONE, "a Number would come back as an int"),
    (str, uuid.UUID(int=1), "a UUID would come back as a str"),
    (str, date(2024, 1, 1), "a date would come back as a str"),
    (date, naive(2024, 1, 1), "a datetime would come back as a date|Invalid"),
    (Decimal, 1, "an int would come back as a Decimal"),
    (tuple[int, ...], [1], "a list would come back as a tuple"),
    (list[int], (1,), "a tuple would come back as a list"),
    (Sequence[int], (1,), "a tuple would come back as a list"),
    (frozenset[int], {1}, "a set would come back as a frozenset"),
    (dict[str, int], OrderedDict(a=1), "an OrderedDict would come back as a dict"),
    (dict, defaultdict(int, a=1), "a defaultdict would come back as a dict"),
    (dict[str, Any], {"a": {"b": (1, 2)}}, r"at \['a'\]\['b'\]: a tuple would come back as a list"),
    (dict[str, Any], {"a": {1, 2}}, r"at \['a'\]: a set would come back as a list"),
    (dict[str, Any], {"a": Point(1)}, r"at \['a'\]: a Point would come back as a dict"),
    (dict[str, Any], {"a": Inner()}, r"at \['a'\]: an Inner would come back as a dict"),
    (list, [1, [Colour.RED]], r"at \[1\]\[0\]: a Colour would come back as an int"),
    (list, [{"when": naive(2024, 1, 1)}], r"at \[0\]\['when'\]: a datetime would come back as a str"),
    (list, [{Word.YES: 1}], r"at \[0\]\['?<?.*: in the key, a Word would come back as a str"),
    (list, [{Word.YES: 1}, {Word.YES: 2}], r"at \[0\]\['?<?.*: in the key, a Word would come back as a str"),
    (list[Movie], [{"name": "a", "stars": 3}, {"name": "b"}], r"at \[0\]: 2 keys would come back as 1"),
    (Any, Decimal(1), "a Decimal would come back as a str"),
    (Any, [complex(1)], "no codec for complex"),
    (object, Point(1), "a Point would come back as a dict"),
    (Box, Box(Point(1)), r"at \.inside: a Point would come back as a dict"),
    (Loose, Loose(1, (2,)), r"at \.b: a tuple would come back as a list"),
    (Point, Special(1), "a Special would come back as a Point"),
    (Point, {"x": 1, "y": 1.0}, "a dict would come back as a Point"),
    (Point, Point("1"), r"Expected `int`, got `str` - at `\$.x`"),  # type: ignore[arg-type]
    (list[Point], [Point(1), Special(2)], r"at \[1\]: a Special would come back as a Point"),
    (set[Point], {Point(1), Special(2)}, "in a set would not come back as it is|a Special would come back as a Point"),
    (Point | None, Special(1), "a Special would come back as a Point"),
    (Growing, Growing(1), r"at \.x: an int would come back as another one"),
    (Tree, Tree(1, [Tree(2, [Special(1)])]), "required field|Expected|would come back"),  # type: ignore[list-item]
    (time, time(12, tzinfo=BERLIN), "without its time zone"),
    (Annotated[int, msgspec.Meta(ge=0)], -1, "Expected `int` >= 0"),
    (Literal["a"], "b", "Invalid enum value"),
    (Movie, {"name": "a", "stars": 3}, "2 keys would come back as 1"),
    (Movie, {}, "missing required field"),
    (Cat | Dog, Cat(5), "Expected `str`, got `int`"),  # type: ignore[arg-type]
    (Coin, Coin((1,)), "Expected `int`, got `array`"),  # type: ignore[arg-type]
    (Masked, Masked(secret=pydantic.SecretStr("abc")), r"at \.secret: a SecretStr would come back as another one"),
    (Inner, Inner.model_construct(a="7"), r"at \.a: a str would come back as an int"),
    (Inner, Inner.model_construct(a="x"), "a: Input should be a valid integer"),
    (Even, Even.model_construct(n=1), "n: Value error, odd"),
    (Strict, Strict(ids=frozenset(), more=(1,)), r"more'\]: a tuple would come back as a list"),  # type: ignore[call-arg]
]


@pytest.mark.parametrize(("hint", "value", "reason"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_would_not_come_back_is_refused(hint: Any, value: Any, reason: str) -> None:
    assert re.search(reason, refusal(hint, value))


@pytest.mark.parametrize(
    ("given", "back", "what"),
    [
        ([[1], [2, 3]], [[1, 2], [3]], "at [0]: 1 parts would come back as 2"),
        ([{1: 2}, {}], [{}, {1: 2}], "at [0]: 1 keys would come back as 0"),
        ({1}, {True}, "an int would come back as a bool"),
        ({1}, {1, 2}, "a set would come back with more members"),
        ({1, 2}, {1}, "an int in a set would not come back as it is"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "at ['a']: in the key, a str would come back as another one"),
        (Point(1, NAN), Point(1, NAN), None),
        ([Point(1), Silent(2)], [Point(1), Silent(2)], None),
        ([Point(1), Silent(2)], [Point(1), Silent(3)], "at [1].x: an int would come back as another one"),
        ((1, [naive(1, 1, 1)]), (1, [naive(1, 1, 1)]), None),
        (bytearray(b"a"), bytearray(b"b"), "a bytearray would come back as another one"),
    ],
    ids=repr,
)
def test_what_is_not_the_same_is_told(given: Any, back: Any, what: str | None) -> None:
    assert difference(given, back) == what


def test_a_private_attribute_of_a_model_is_not_lost_in_silence() -> None:
    changed = Hidden(a=1)
    changed._b = 5
    assert "_b" in refusal(Hidden, changed)


def test_what_contains_itself_is_refused() -> None:
    tree = Tree(1)
    tree.above = tree
    assert refusal(Tree, tree) == "it contains itself, or is nested too deeply"
    items: list[Any] = []
    items.append(items)
    assert refusal(list, items) == "it contains itself, or is nested too deeply"


def test_a_field_that_is_not_there_is_refused() -> None:
    order = object.__new__(Order)
    order.id = uuid.UUID(int=1)
    assert "missing required field" in refusal(Order, order)


def test_whatever_a_class_raises_when_it_is_made_is_a_refusal() -> None:
    angry = object.__new__(Angry)
    angry.x = -1
    assert refusal(Angry, angry) == "KeyError 'secret'"


def test_messages_do_not_tell_values() -> None:
    for hint, value in ((Inner, Inner.model_construct(a="s3cret")), (Point, Point("s3cret")), (list, [("s3cret",)])):  # type: ignore[arg-type]
        with pytest.raises(EncodingError) as refused:
            codecs_of(hint).encode_payload("x", value)
        assert "s3cret" not in "".join(traceback.format_exception(refused.value)).replace(__file__, "")


@given(st.data())
@tried(400)
def test_whatever_is_given_comes_back_as_it_was_or_is_refused(data: st.DataObject) -> None:
    hint = data.draw(st.sampled_from([hint for hint, _ in VALUES if hint is not type(None)]), label="hint")
    value = data.draw(st.one_of(ANYTHING, st.sampled_from([value for _, value in VALUES])), label="value")
    codecs = CODECS.setdefault(repr(hint), codecs_of(hint))
    try:
        stored = codecs.encode_payload("x", value)
    except EncodingError:
        return
    assert same(value, codecs.decode_payload("x", stored))


@given(st.data())
@tried(200)
def test_values_of_a_type_come_back(data: st.DataObject) -> None:
    hint = data.draw(st.sampled_from([*STRATEGIES]), label="hint")
    value = data.draw(STRATEGIES[hint], label="value")
    codecs = CODECS.setdefault(repr(hint), codecs_of(hint))
    got = codecs.decode_payload("x", codecs.encode_payload("x", value))
    assert same(value, got)


INTS = st.integers(-(2**63), 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS: list[st.SearchStrategy[Any]] = [
    st.none(), st.booleans(), INTS, st.floats(), TEXT, st.binary(), st.decimals(), st.uuids(), st.dates(),
    st.timedeltas(), st.datetimes(), st.datetimes(timezones=st.timezones()), st.times(),
    st.sampled_from([Colour.RED, Word.YES, Number.ONE, Right.READ, Right.READ | Right.WRITE]),
]  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, st.floats(), TEXT, st.binary()),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT | INTS, inner),
    max_leaves=20,
)
ANYTHING = st.recursive(
    st.one_of(*SCALARS),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(TEXT | INTS | st.sampled_from([Word.YES, Number.ONE, (1, 2)]), inner)
        | st.builds(Box, inner)
        | st.builds(Point, inner, inner)
        | st.builds(Special, INTS, st.floats(), inner)
        | st.sets(INTS | TEXT)
        | st.frozensets(st.floats())
    ),
    max_leaves=10,
)
POINTS = st.builds(Point, INTS, st.floats())
AWARE = st.datetimes(naive(2, 1, 1), naive(9998, 1, 1), timezones=st.timezones())
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.builds(Tree, INTS), lambda inner: st.builds(Tree, INTS, st.lists(inner, max_size=3), st.none() | inner)
)
STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    Any: JSON,
    dict[str, Any]: st.dictionaries(TEXT, JSON),
    int: INTS,
    list[float]: st.lists(st.floats()),
    set[float]: st.sets(st.floats()),
    tuple[Decimal, uuid.UUID, timedelta]: st.tuples(st.decimals(), st.uuids(), st.timedeltas()),
    list[date]: st.lists(st.dates()),
    list[time]: st.lists(st.times()),
    list[datetime]: st.lists(AWARE | st.datetimes()),
    dict[int, set[str]]: st.dictionaries(INTS, st.sets(TEXT)),
    frozenset[tuple[int, str]]: st.frozensets(st.tuples(INTS, TEXT)),
    list[Point | None]: st.lists(st.none() | POINTS),
    set[Point]: st.sets(POINTS),
    Tree: TREES,
    Box[Box[str]]: st.builds(Box, st.builds(Box, TEXT)),
    Order: st.builds(
        Order, st.uuids(), st.lists(POINTS), AWARE, st.decimals(), st.sampled_from(Colour), st.none() | TEXT,
        st.frozensets(TEXT), st.dictionaries(TEXT, JSON),
    ),
    Movie: st.fixed_dictionaries({"name": TEXT}, optional={"year": INTS}),
    Coin: st.builds(Coin, INTS, st.lists(TEXT)),
    Cat | Dog: st.builds(Cat, TEXT) | st.builds(Dog, TEXT, INTS),
    Pair: st.builds(Pair, INTS, st.none() | POINTS),
    Model: st.builds(
        Model, when=AWARE, raw=st.binary(), ids=st.sets(st.uuids()),
        price=st.decimals(allow_nan=False, allow_infinity=False),
        inner=st.none() | st.builds(Inner, a=INTS), Other=INTS, by=st.dictionaries(INTS, st.sampled_from(Colour)),
    ),
    Point | Coin | str | datetime: POINTS | st.builds(Coin, INTS) | TEXT | AWARE,
}  # fmt: skip
CODECS: dict[str, Codecs] = {}


# --- Unions of classes


@pytest.mark.parametrize(
    ("hint", "values"),
    [
        (Point | Order, [Point(1)]),
        (Point | Coin | None, [Point(1), Coin(2), None]),
        (Cat | Point, [Cat("a"), Point(1)]),
        (Bird | Coin | Inner, [Bird(1.0), Coin(1), Inner(a=2)]),
        (Inner | Ints, [Inner(), Ints([1])]),
        (str | datetime | Word, ["a", datetime(2024, 1, 1, tzinfo=UTC), Word.YES]),
        (list[int] | tuple[int, ...] | set[int], [[1], (1,), {1}]),
        (Box[int] | Point, [Box(1), Point(1)]),
        (Literal["a", 1] | Point | Coin, ["a", 1, Point(1)]),
        (Movie | Point | Coin, [{"name": "a"}, Point(1)]),
        (Annotated[Point | Coin, "why"], [Point(1), Coin(2)]),
        (typing.Union[Point, typing.Optional[Coin]], [Point(1), None]),  # noqa: UP007, UP045
        (Serial | Point | Pair, [Serial(1), Point(1), Pair(1)]),
    ],
    ids=str,
)
def test_a_union_of_classes_comes_back_as_the_class_that_it_was(hint: Any, values: list[Any]) -> None:
    for value in values:
        assert exactly(back(hint, value)) == exactly(value)


def test_ints_are_floats_in_a_union_too() -> None:
    assert exactly(back(float | Point | Coin, 1)) == exactly(1.0)


def test_a_union_given_to_the_class_of_collaterals() -> None:
    channel = Collateral[Point | Coin]("x")
    codecs = Codecs(CNS([neuron("n", {"x": channel})]).network)
    assert codecs.decode_payload("x", codecs.encode_payload("x", Coin(1))) == Coin(1)


class Events(cnstra.Axon[Point | Coin | None], namespace="events"):
    moved: Collateral[Point | Coin]
    done: Collateral[None]


def test_a_union_in_an_axon() -> None:
    codecs = Codecs(CNS([neuron("n", Events())]).network)
    for value in (Point(1), Coin(2)):
        assert codecs.decode_payload("events.moved", codecs.encode_payload("events.moved", value)) == value


def test_in_a_union_the_very_class_counts() -> None:
    assert refusal(Point | Coin, Special(1)) == "it would have to be exactly one of Point, Coin"
    assert "Expected `int`" in refusal(Point | Coin, Point("1"))  # type: ignore[arg-type]
    assert refusal(Point | Coin, None) == "it would have to be exactly one of Point, Coin"


def test_a_class_that_has_left_a_union_is_named() -> None:
    data = codecs_of(Point | Coin).encode_payload("x", Point(1))
    with pytest.raises(EncodingError, match="it is stored as Point, and now it would have to be one of Coin, Order"):
        codecs_of(Coin | Order).decode_payload("x", data)


def test_alternatives_that_nothing_tells_apart() -> None:
    other: Any = dataclass(type("Point", (), {"__annotations__": {"x": int}}))
    for hint in (Point | other, list[int] | list[str] | Point, Box[int] | Box[str]):
        with pytest.raises(CodecError, match="nothing tells two of its alternatives apart: both are called"):
            codecs_of(hint)
    with pytest.raises(CodecError, match="can be of any class"):
        codecs_of(Point | Coin | object)


# --- Types without codec


class Plain:
    pass


class PlainModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    plain: Plain


class CallableModel(pydantic.BaseModel):
    act: Callable[[], int]


class Unfinished(pydantic.BaseModel):
    later: Later  # type: ignore[name-defined]  # noqa: F821


@pydantic.dataclasses.dataclass
class Foreign:
    x: int = pydantic.Field(default=0, gt=-1)


@dataclass
class Deep:
    values: dict[str, list[tuple[int, Plain]]]


@dataclass
class PaymentError(Exception):
    code: int


@dataclass
class Nested:
    shape: Point | Coin


@dataclass
class Lost:
    missing: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Init:
    x: InitVar[int]


class Odd(enum.Enum):
    A = 1.5


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (Plain, "it is of type Plain"),
        (complex, "it is of type complex"),
        (Fraction, "it is of type Fraction"),
        (Path, "it is of type Path"),
        (Exception, "it is of type Exception"),
        (Callable[[int], int], "it is of type Callable"),
        (Iterable[int], "it is of type Iterable"),
        (deque, "it is of type deque"),
        (type, "it is of type type"),
        (cnstra.Signal, "it is of type Signal"),
        (CNS, "it is of type CNS"),
        (list[Plain], "an item of it is of type Plain"),
        (dict[str, Plain], "a value of it is of type Plain"),
        (Plain | None, "it is of type Plain"),
        (Plain | Point, "it is of type Plain"),
        (Annotated[Plain, msgspec.Meta(title="a")], "it is of type Plain"),
        (Deep, "item 1 of an item of a value of Deep.values is of type Plain"),
        (PaymentError, "PaymentError is more than its fields"),
        (Private, "Private._b is private"),
        (Nested, "may not contain more than one dataclass"),
        (Lost, r"cannot be resolved \(name 'Nowhere' is not defined"),
        (Init, "InitVar"),
        (Odd, "Enums must contain either all str or all int values"),
        (typing.Never, "not supported"),
        ("Point", "not supported"),
        (PlainModel, "of type PlainModel, which pydantic cannot make JSON of: .*Plain"),
        (list[CallableModel], "an item of it is of type CallableModel, which pydantic"),
        (Unfinished, "not fully defined"),
        (Foreign, "Foreign.x has a default that pydantic alone understands"),
    ],
    ids=str,
)
def test_a_type_without_codec_is_named_with_the_reason(hint: Any, reason: str) -> None:
    with pytest.raises(CodecError, match=f"collateral 'x' .*: .*{reason}"):
        codecs_of(hint)


def test_an_annotation_in_a_function_cannot_be_resolved() -> None:
    class Here:
        pass

    @dataclass
    class Local:
        here: Here

    with pytest.raises(CodecError, match=r"name 'Here' is not defined\): define that at module level"):
        codecs_of(Local)


# --- Without looking


def test_without_verification_the_caller_is_trusted() -> None:
    assert back(list, [(1,)], verify=False) == [[1]]
    assert back(Point, Special(1), verify=False) == Point(1)
    assert back(str, Word.YES, verify=False) == "yes"
    with pytest.raises(EncodingError, match="exactly one of"):
        codecs_of(Point | Coin, verify=False).encode_payload("x", Special(1))


# --- Threads


def test_threads_may_share_codecs() -> None:
    codecs = codecs_of(Holder)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for step in range(300):
            value = Holder(Inner(a=number), [Inner(a=step)] * (step % 50), {str(number): Ints([step])})
            if codecs.decode_payload("x", codecs.encode_payload("x", value)) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def same(given: Any, got: Any) -> bool:
    """Whether they are the same, but for ints in float fields."""
    if type(given) is int and type(got) is float:
        return bool(given == got)
    left, right = exactly(given), exactly(got)
    if repr(left) == repr(right):
        return True
    if type(given) is not type(got):
        return False
    if isinstance(given, list | tuple) and len(given) == len(got):
        return all(map(same, given, got))
    if isinstance(given, dict) and [*map(exactly, given)] == [*map(exactly, got)]:
        return all(map(same, given.values(), got.values()))
    if isinstance(given, set | frozenset) and len(given) == len(got):
        return all(any(same(one, other) for other in got) for one in given)
    names = getattr(given, "__dataclass_fields__", ())
    return bool(names) and all(same(getattr(given, name), getattr(got, name)) for name in names)
