"""The codecs of a graph: what they are given and check first, contexts, signals, and what is shown of payloads."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.profiles import tried

import cnstra
from cnstra import CNS, Collateral, Context, Neuron, collateral, neuron, neuron_factory
from cnstra.durable import Codec, CodecError, EncodingError
from cnstra.durable.codecs import Codecs, show_bytes

pytestmark = pytest.mark.once

C = TypeVar("C")


class Plain:
    pass


class Colour(Enum):
    RED = "red"


@dataclass
class Card:
    number: str
    owner: str = "me"


@dataclass
class Paid:
    amount: int
    card: Card
    others: list[Card] = field(default_factory=list)


@dataclass
class Refused:
    reason: str


class Point(NamedTuple):
    x: int
    y: int


class Row(msgspec.Struct, array_like=True, rename="camel"):
    secret_word: str
    other: int = 0


class Partial(msgspec.Struct):
    a: int | msgspec.UnsetType = msgspec.UNSET
    b: int = 0


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int


class Account(pydantic.BaseModel):
    name: str
    key: bytes = b"\xff"
    secret: pydantic.SecretStr | None = None


FRACTIONS = Codec(lambda value: str(value).encode(), lambda data: Fraction(data.decode()))


def graph(*collaterals: Collateral[Any], neurons: tuple[Neuron[Any, Any, Any, Any], ...] = ()) -> Any:
    listener = neuron("listener")
    for one in collaterals:
        listener.dendrite(collateral=one, response=lambda payload: None)
    return CNS([listener, *neurons]).network


def of(hint: Any, **options: Any) -> Codecs:
    channel: Collateral[Any] = collateral("x", hint)
    return Codecs(graph(channel), **options)


def shown(hint: Any, value: Any, **options: Any) -> Any:
    codecs = of(hint, **options)
    return codecs.show_payload("x", codecs.encode_payload("x", value))


# --- What a graph needs


def test_all_types_without_codec_are_named_at_once() -> None:
    plain: Collateral[Any] = collateral("events.plain", Plain)
    ratio: Collateral[Any] = collateral("ratio", Fraction)
    fine: Collateral[Any] = collateral("fine", int)

    def handle(payload: int, axon: None, ctx: Context[Plain, object]) -> None: ...

    holder = neuron("holder").dendrite(collateral=fine, response=handle)
    with pytest.raises(CodecError) as refused:
        Codecs(graph(plain, ratio, fine, neurons=(holder,)))
    message = str(refused.value)
    for part in (
        "collateral 'events.plain' (Plain): it is of type Plain",
        "collateral 'ratio' (Fraction): it is of type Fraction",
        "the context of neuron 'holder' (Plain): it is of type Plain",
        "codecs={collateral: Codec(encode, decode)}",
        "context_codecs={neuron: ...}",
    ):
        assert part in message
    assert "'fine'" not in message
    assert isinstance(refused.value, TypeError)
    assert isinstance(refused.value, cnstra.CnstraError)
    Codecs(graph(plain, ratio, fine, neurons=(holder,)), codecs={plain: FRACTIONS, "ratio": FRACTIONS},
           context_codecs={holder: FRACTIONS})  # fmt: skip


def test_collaterals_that_nobody_hears_need_a_codec_too() -> None:
    with pytest.raises(CodecError, match="collateral 'unheard'"):
        Codecs(CNS([neuron("n", {"unheard": collateral("unheard", Plain)})]).network)


def test_a_signal_without_payload() -> None:
    codecs = of(None)
    assert codecs.encode_payload("x", None) == b"\xc0"
    assert codecs.decode_payload("x", b"\xc0") is None
    with pytest.raises(EncodingError, match="collateral 'x': an int cannot be stored: Expected `null`, got `int`"):
        codecs.encode_payload("x", 0)
    with pytest.raises(EncodingError, match="does not fit its type"):
        codecs.decode_payload("x", b"\x00")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"codecs": [1]}, TypeError, "codecs must be a mapping by collaterals or their names, not a list"),
        ({"codecs": {1: FRACTIONS}}, TypeError, "codecs must be by collaterals or their names, not by an int"),
        ({"codecs": {"y": FRACTIONS}}, ValueError, "codecs: the graph has no collateral 'y'"),
        ({"codecs": {collateral("x", int): FRACTIONS}}, ValueError, "codecs: the graph has no collateral 'x'"),
        ({"codecs": {"x": print}}, TypeError, r"the codec of collateral 'x' must be a Codec\(encode, decode\), not a"),
        ({"codecs": {"x": Codec(1, 2)}}, TypeError, "the codec of collateral 'x' must be a Codec"),  # type: ignore[arg-type]
        ({"context_codecs": {"m": FRACTIONS}}, ValueError, "context_codecs: the graph has no neuron 'm'"),
        ({"context_codecs": {"listener": 5}}, TypeError, "the codec of the context of neuron 'listener' must be"),
        ({"max_size": 0}, ValueError, "max_size must be at least 1, not 0"),
        ({"max_size": True}, TypeError, "max_size must be a number of bytes or None, not a bool"),
        ({"max_size": 1.5}, TypeError, "max_size must be a number of bytes or None, not a float"),
        ({"redact": {"y": ["a"]}}, ValueError, "redact: the graph has no collateral 'y'"),
        ({"redact": {"x": "number"}}, TypeError, "redact: the fields of collateral 'x' must be a list of names"),
        ({"redact": {"x": 5}}, TypeError, "redact: the fields of collateral 'x' must be a list of names, not an int"),
        ({"redact": {"x": [5]}}, TypeError, "redact: a field of collateral 'x' must be a str, not an int"),
        ({"redact": {"x": ["nunber", "owner"]}}, ValueError, "redact: no payload of collateral 'x' has 'nunber'$"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        of(Card, **options)


def test_nothing_is_given_twice() -> None:
    channel: Collateral[Any] = collateral("x", int)
    with pytest.raises(ValueError, match="codecs: collateral 'x' is given twice"):
        Codecs(graph(channel), codecs={channel: FRACTIONS, "x": FRACTIONS})


def test_unknown_names() -> None:
    codecs = of(int)
    for call in (codecs.encode_payload, codecs.decode_payload):
        with pytest.raises(EncodingError, match="collateral 'y': the graph does not have it"):
            call("y", b"")
    for call_context in (codecs.encode_context, codecs.decode_context):
        with pytest.raises(EncodingError, match="the context of neuron 'y': the graph does not have it"):
            call_context("y", b"")


def test_without_msgspec_the_extra_is_named() -> None:
    code = """if True:
        import sys
        sys.modules["msgspec"] = None
        try:
            import cnstra.durable.codecs
        except ModuleNotFoundError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'cnstra[durable]'" in done.stdout, done.stderr


# --- A user's codec


def test_a_codec_of_ones_own() -> None:
    codecs = of(Fraction, codecs={"x": FRACTIONS})
    data = codecs.encode_payload("x", Fraction(1, 3))
    assert data == b"1/3"
    assert codecs.decode_payload("x", data) == Fraction(1, 3)
    with pytest.raises(EncodingError, match=r"collateral 'x': what is stored does not fit its type.*Invalid literal"):
        codecs.decode_payload("x", b"a/b")


@pytest.mark.parametrize("result", ["text", bytearray(b"x"), None])
def test_a_codec_must_make_bytes(result: Any) -> None:
    codecs = of(Fraction, codecs={"x": Codec(lambda value: result, bytes)})
    with pytest.raises(EncodingError, match="collateral 'x': a Fraction cannot be stored: its codec made no bytes"):
        codecs.encode_payload("x", Fraction(1))


def test_whatever_a_codec_raises_is_an_encoding_error() -> None:
    def fail(value: Any) -> Any:
        raise LookupError("the key is gone")

    codecs = of(Fraction, codecs={"x": Codec(fail, fail)})
    with pytest.raises(EncodingError, match="collateral 'x': a Fraction cannot be stored: LookupError the key is gone"):
        codecs.encode_payload("x", Fraction(1))
    with pytest.raises(EncodingError, match="LookupError the key is gone"):
        codecs.decode_payload("x", b"")
    assert codecs.show_payload("x", b"123") == "<3 bytes>"


# --- Sizes


def test_the_size_limit_names_both_sizes() -> None:
    codecs = of(str, max_size=10, context_codecs={"listener": Codec(str.encode, bytes.decode)})
    assert len(codecs.encode_payload("x", "a" * 9)) == 10
    with pytest.raises(EncodingError, match="collateral 'x': a str has 11 bytes, and max_size is 10"):
        codecs.encode_payload("x", "a" * 10)
    with pytest.raises(EncodingError, match="the context of neuron 'listener': a str has 11 bytes, and max_size is 10"):
        codecs.encode_context("listener", "a" * 11)


# --- A changed class


def test_bytes_that_do_not_fit_name_the_collateral() -> None:
    data = of(Card).encode_payload("x", Card("1"))
    with pytest.raises(
        EncodingError, match=r"collateral 'x': what is stored does not fit its type.*required field `am"
    ):
        of(Paid).decode_payload("x", data)
    with pytest.raises(EncodingError, match="does not fit"):
        of(Card).decode_payload("x", data[:-1])
    assert of(Card).decode_payload("x", msgspec.msgpack.encode({"number": "1", "gone": 5})) == Card("1")


# --- Contexts


def context_of(*handlers: Any, **options: Any) -> Codecs:
    thinker: Any = neuron("thinker")
    for number, handler in enumerate(handlers):
        channel: Collateral[Any] = collateral(f"c{number}", int)
        thinker.dendrite(collateral=channel, response=handler)
    return Codecs(CNS([thinker]).network, **options)


def comes_back(codecs: Codecs, value: Any) -> bool:
    try:
        got = codecs.decode_context("thinker", codecs.encode_context("thinker", value))
    except EncodingError as error:
        return not str(error).startswith("the context of neuron 'thinker': ")
    assert (type(got), got) == (type(value), value)
    return True


Cards = Context[list[Card], object]


class Handlers:
    def method(self, payload: int, axon: None, ctx: Context[Card, object]) -> None: ...
    def __call__(self, payload: int, axon: None, ctx: Context[Card, object]) -> None: ...


def with_card(payload: int, axon: None, ctx: Context[Card, object]) -> None: ...
def with_cards(payload: int, axon: None, ctx: Cards) -> None: ...
def with_int(payload: int, axon: None, ctx: Context[int, object]) -> None: ...
def with_any(payload: int, axon: None, ctx: Context[Any, object]) -> None: ...
def with_object(payload: int, axon: None, ctx: Context[object, object]) -> None: ...
def with_variable(payload: int, axon: None, ctx: Context[C, object]) -> C: ...  # type: ignore[empty-body]
def with_bare(payload: int, axon: None, ctx: Context) -> None: ...  # type: ignore[type-arg]
def with_none(payload, axon, ctx): ...  # type: ignore[no-untyped-def]
def with_two(payload: int, axon: None) -> None: ...
def with_more(more: int, payload: int, axon: None, ctx: Context[Card, object]) -> None: ...
def with_unknown(payload: Nowhere, axon: None, ctx: Context[Card, object]) -> None: ...  # type: ignore[name-defined] # noqa: F821
def with_no_such(payload: int, axon: None, ctx: Context[Nowhere, object]) -> None: ...  # type: ignore[name-defined] # noqa: F821


ELSEWHERE: dict[str, Any] = {"functools": functools}
exec("def wrap(f):\n    @functools.wraps(f)\n    def wrapper(*args): ...\n    return wrapper", ELSEWHERE)


@functools.wraps(with_card)
def wrapping(*args: Any) -> Any: ...


@pytest.mark.parametrize(
    "handlers",
    [
        (with_card,),
        (with_two, with_any, with_card, with_none),
        (with_unknown,),
        (Handlers().method,),
        (Handlers(),),
        (functools.partial(with_more, 1),),
        (wrapping,),
        (ELSEWHERE["wrap"](with_card),),
    ],
)
def test_the_type_of_a_context_is_what_handlers_say(handlers: tuple[Any, ...]) -> None:
    codecs = context_of(*handlers)
    assert comes_back(codecs, Card("1"))
    assert not comes_back(codecs, 5)


@pytest.mark.parametrize(
    "handler", [with_any, with_object, with_variable, with_bare, with_none, with_two, with_no_such]
)
def test_a_context_of_no_type_takes_builtins(handler: Any) -> None:
    codecs = context_of(handler)
    assert comes_back(codecs, {"a": [1, 2.5, None]})
    assert not comes_back(codecs, Card("1"))
    assert not comes_back(codecs, (1,))


def test_handlers_that_differ_make_a_union() -> None:
    codecs = context_of(with_card, with_int, with_cards, with_card)
    assert all(comes_back(codecs, value) for value in (Card("1"), 5, [Card("2")]))
    assert not comes_back(codecs, "a")


def test_the_context_type_of_a_factory_comes_first() -> None:
    thinker = neuron_factory(context=Card).neuron("thinker")
    channel: Collateral[Any] = collateral("c", int)
    thinker.dendrite(collateral=channel, response=typing.cast("Any", with_int))
    codecs = Codecs(CNS([thinker]).network)
    assert comes_back(codecs, Card("1"))
    assert not comes_back(codecs, 5)


def test_context_codecs() -> None:
    codecs = context_of(with_card, context_codecs={"thinker": FRACTIONS})
    assert comes_back(codecs, Fraction(1, 3))


# --- Signals


def test_signals() -> None:
    paid: Collateral[Any] = collateral("paid", Card)
    tick = collateral("tick")
    codecs = Codecs(graph(paid, tick))
    data = codecs.encode_signals([paid.create_signal(Card("1")), tick.create_signal(), paid.create_signal(Card("2"))])
    stored = Codecs.decode_signals(data)
    assert [name for name, _ in stored] == ["paid", "tick", "paid"]
    assert [codecs.decode_payload(*one) for one in stored] == [Card("1"), None, Card("2")]
    assert [codecs.payload_at(data, place) for place in range(3)] == stored
    other = codecs.encode_signals([tick.create_signal()])
    assert codecs.payload_at(other, 0) == ("tick", b"\xc0")
    assert codecs.payload_at(data, 2) == stored[2]
    for place in (3, -1):
        with pytest.raises(EncodingError, match="3 signals are stored, so that there is none at place"):
            codecs.payload_at(data, place)
    assert Codecs.decode_signals(codecs.encode_signals([])) == []
    with pytest.raises(EncodingError, match="collateral 'paid': an int cannot be stored"):
        codecs.encode_signals([tick.create_signal(), paid.create_signal(5)])
    with pytest.raises(EncodingError, match="collateral 'other': the graph does not have it"):
        codecs.encode_signals([collateral("other", int).create_signal(5)])


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x91\x01", b"\x91\x92\xa1a\xa1b", b"\xff\xff"])
def test_what_is_no_signals(data: bytes) -> None:
    with pytest.raises(EncodingError, match=f"these {len(data)} bytes are no stored signals"):
        Codecs.decode_signals(data)


# --- Options


def test_options() -> None:
    codecs = of(int)
    options = {"max_hops": 5, "timeout": None, "stimulation_context": {"user": ["a", 1.5, True]}}
    assert codecs.decode_value(codecs.encode_value(options)) == options
    for value in ((1,), {1}, Card("1"), Plain(), {"when": date(2024, 1, 1)}):
        with pytest.raises(EncodingError, match="the options of a run cannot be stored"):
            codecs.encode_value({"stimulation_context": value})
    with pytest.raises(EncodingError, match=r"at \['stimulation_context'\]\[0\]: a tuple would come back as a list"):
        codecs.encode_value({"stimulation_context": [(1,)]})
    with pytest.raises(EncodingError, match="these 1 bytes are no stored options"):
        codecs.decode_value(b"\xc1")


# --- Showing

EVERYTHING: list[tuple[Any, Any, Any]] = [
    (None, None, None),
    (bool, True, True),
    (float, float("nan"), "nan"),
    (float, 1.5, 1.5),
    (bytes, b"abc", "<3 bytes>"),
    (datetime, datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
    (date, date(2024, 1, 1), "2024-01-01"),
    (time, time(1, 2), "01:02:00"),
    (timedelta, timedelta(seconds=90), "0:01:30"),
    (Decimal, Decimal("1.10"), "1.10"),
    (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Colour, Colour.RED, "red"),
    (Paid, Paid(1, Card("2")), {"amount": 1, "card": {"number": "2", "owner": "me"}, "others": []}),
    (dict[tuple[int, int], set[int]], {(1, 2): {3}}, {"[1, 2]": [3]}),
    (dict[int, Colour], {1: Colour.RED}, {"1": "red"}),
    (Point, Point(1, 2), {"x": 1, "y": 2}),
    (Row, Row("a"), {"secret_word": "a", "other": 0}),
    (Partial, Partial(), {"b": 0}),
    (Account, Account(name="a", secret=pydantic.SecretStr("**********")),
     {"name": "a", "key": "<1 bytes>", "secret": "**********"}),
    (Open, Open(a=1, b=2), {"a": 1, "b": 2}),  # type: ignore[call-arg]
    (Card | Refused, Refused("no"), {"$type": "Refused", "reason": "no"}),
    (str | date, date(2024, 1, 1), "2024-01-01"),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "expected"), EVERYTHING, ids=lambda part: str(part)[:30])
def test_payloads_are_shown_as_builtins(hint: Any, value: Any, expected: Any) -> None:
    got = shown(hint, value)
    assert got == expected
    json.dumps(got, allow_nan=False)


def test_without_a_graph_msgpack_is_shown() -> None:
    codecs = of(Card | Refused)
    data = codecs.encode_payload("x", Card("1"))
    assert show_bytes(data) == codecs.show_payload("another", data) == ["Card", {"number": "1", "owner": "me"}]
    assert show_bytes(b"\xc1\xc1") == "<2 bytes>"
    assert show_bytes(b"") == "<0 bytes>"
    assert show_bytes(b"\x91" * 100_000 + b"\xc0") == "<100001 bytes>"
    assert show_bytes(msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"abc"))) == "<6 bytes>"
    assert show_bytes(msgspec.msgpack.encode({1: datetime(2024, 1, 1, tzinfo=UTC)})) == {
        "1": "2024-01-01T00:00:00+00:00"
    }


@given(st.binary(max_size=40))
@tried(300)
def test_any_bytes_can_be_shown(data: bytes) -> None:
    json.dumps(show_bytes(data), allow_nan=False)
    json.dumps(of_card.show_payload("x", data), allow_nan=False)


of_card = of(Card)


def test_a_payload_of_a_changed_class_is_shown_by_itself() -> None:
    data = of(Card).encode_payload("x", Card("1"))
    assert of(Paid).show_payload("x", data) == {"number": "1", "owner": "me"}


def test_what_ones_own_codec_makes_is_shown_if_it_is_builtin() -> None:
    secret = Codec(lambda value: json.dumps(value).encode()[::-1], lambda data: json.loads(data[::-1]))
    assert shown(dict, {"a": 1, "b": 2}, codecs={"x": secret}, redact={"x": ["b"]}) == {"a": 1, "b": "[redacted]"}
    assert shown(Fraction, Fraction(1, 3), codecs={"x": FRACTIONS}) == "<3 bytes>"


# --- Redacting


def test_redacted_fields_are_stored_and_not_shown() -> None:
    codecs = of(Paid, redact={"x": {"card.number", "others.owner"}})
    paid = Paid(5, Card("4000"), [Card("1"), Card("2", "you")])
    data = codecs.encode_payload("x", paid)
    assert codecs.decode_payload("x", data) == paid
    assert codecs.show_payload("x", data) == {
        "amount": 5,
        "card": {"number": "[redacted]", "owner": "me"},
        "others": [{"number": "1", "owner": "[redacted]"}, {"number": "2", "owner": "[redacted]"}],
    }


@pytest.mark.parametrize(
    ("hint", "value", "field", "expected"),
    [
        (Paid, Paid(5, Card("1")), "card", {"amount": 5, "card": "[redacted]", "others": []}),
        (list[Card], [Card("1")], "number", [{"number": "[redacted]", "owner": "me"}]),
        (dict[str, Any], {"a": {"b": 1}, "c": 2}, "a.b", {"a": {"b": "[redacted]"}, "c": 2}),
        (dict[str, Any], {"a": 1}, "a.b", {"a": 1}),
        (Any, 5, "a", 5),
        (Point, Point(1, 2), "y", {"x": 1, "y": "[redacted]"}),
        (Row, Row("a", 5), "secret_word", {"secret_word": "[redacted]", "other": 5}),
        (Account, Account(name="a"), "name", {"name": "[redacted]", "key": "<1 bytes>", "secret": None}),
        (Open, Open(a=1, b=2), "b", {"a": 1, "b": "[redacted]"}),  # type: ignore[call-arg]
        (Card | Refused | None, Refused("no"), "reason", {"$type": "Refused", "reason": "[redacted]"}),
        (Card | Refused | None, Card("1"), "reason", {"$type": "Card", "number": "1", "owner": "me"}),
        (Card | None, None, "number", None),
    ],
    ids=str,
)
def test_redacting(hint: Any, value: Any, field: str, expected: Any) -> None:
    assert shown(hint, value, redact={"x": [field]}) == expected


@pytest.mark.parametrize(("hint", "field"), [(int, "a"), (Point, "z"), (Row, "secretWord"), (Account, "nmae")])
def test_a_field_to_redact_that_no_payload_has(hint: Any, field: str) -> None:
    with pytest.raises(ValueError, match=f"redact: no payload of collateral 'x' has '{field}'"):
        of(hint, redact={"x": [field]})


def test_what_cannot_be_redacted_is_not_shown_at_all() -> None:
    data = of(Card).encode_payload("x", Card("4000"))
    assert of(Paid, redact={"x": ["card.number"]}).show_payload("x", data) == "[redacted]"
    channel: Collateral[Any] = collateral("x", Card)
    assert Codecs(graph(channel), redact={channel: ["number"]}).show_payload("x", data) == {
        "number": "[redacted]",
        "owner": "me",
    }
