"""Axons: collaterals from annotations, the check against the type argument, mappings."""

import copy
import gc
import importlib.util
import pickle
import sys
import types
import weakref
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, Never, Optional, TypeVar, Union

import pytest

from cnstra import CNS, Axon, Collateral, GraphError, MappingAxon, collateral, neuron

T = TypeVar("T")
U = TypeVar("U")


class Created: ...


class Renamed: ...


class UserAxon(Axon[Created | Renamed], namespace="user"):
    """The axon of most tests here."""

    created: Collateral[Created]
    renamed: Collateral[Renamed]


@pytest.fixture(scope="module")
def later_axons() -> ModuleType:
    path = Path(__file__).with_name("later_axons.py")
    spec = importlib.util.spec_from_file_location("later_axons", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["later_axons"] = module
    spec.loader.exec_module(module)
    return module


# --- collaterals from annotations


def test_every_instance_has_its_own_collaterals() -> None:
    first, second = UserAxon(), UserAxon()
    assert first.created.name == "user.created"
    assert first.renamed.payload_type is Renamed
    assert first.created is first.created
    assert first.created is not second.created
    assert list(vars(first)) == ["created", "renamed"]


def test_attributes_are_read_only() -> None:
    axon = UserAxon()
    with pytest.raises(AttributeError, match=r"UserAxon\.created cannot be set"):
        axon.created = collateral("other", Created)
    with pytest.raises(AttributeError, match=r"UserAxon\.other cannot be set"):
        axon.other = 3
    with pytest.raises(AttributeError, match=r"UserAxon\.created cannot be deleted"):
        del axon.created
    with pytest.raises(AttributeError, match=r"'UserAxon' object has no attribute 'removed'"):
        axon.removed  # type: ignore[attr-defined] # noqa: B018


def test_identity_survives_copying_and_forbids_pickling() -> None:
    axon = UserAxon()
    assert copy.copy(axon) is axon
    assert copy.deepcopy({"axon": axon})["axon"] is axon
    with pytest.raises(TypeError, match=r"<UserAxon created, renamed> cannot be pickled: .*identity"):
        pickle.dumps(axon)


def test_axon_itself_is_a_base_class() -> None:
    with pytest.raises(TypeError, match="Axon is a base class: subclass it"):
        Axon()


def test_dunder_axon_is_for_checkers() -> None:
    with pytest.raises(TypeError, match="type checkers alone"):
        UserAxon().__axon__()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("KnownAxon", {"known": "Known", "nothing": None}),
        ("LaterAxon", {"later": "Later", "known": "Known"}),
        ("nested", {"inner": "Inner", "known": "Known"}),
        ("nested_later", {"inner": "Inner"}),
        ("nested_class", {"deep": "Deep", "local": "Local"}),
    ],
)
def test_string_annotations(later_axons: ModuleType, name: str, fields: dict[str, str | None]) -> None:
    made = getattr(later_axons, name)
    axon = made if isinstance(made, Axon) else made()
    axon = axon() if isinstance(axon, type) else axon
    assert {n: c.payload_type and c.payload_type.__name__ for n, c in vars(axon).items()} == fields


def test_string_annotations_in_a_class_body(later_axons: ModuleType) -> None:
    assert later_axons.Outer.InsideAxon().inside.payload_type is later_axons.Outer.Inside


def test_a_late_name_is_checked_by_the_first_instance(later_axons: ModuleType) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"axon WrongLaterAxon: .* Known \(known\) is missing in the type argument"):
            later_axons.WrongLaterAxon()


def test_a_name_that_never_comes(later_axons: ModuleType) -> None:
    with pytest.raises(TypeError, match="axon NeverAxon: an annotation cannot be resolved: name 'Decimal'"):
        later_axons.NeverAxon()


def test_names_of_a_caller_are_not_in_scope() -> None:
    """Only the scopes that lexically enclose the class count."""
    namespace: dict[str, Any] = {"Axon": Axon, "Collateral": Collateral}
    exec("def make():\n class A(Axon['Hidden']):\n  a: 'Collateral[Hidden]'\n return A", namespace)

    def caller() -> Any:
        class Hidden: ...

        return namespace["make"](), Hidden

    made, _ = caller()
    with pytest.raises(TypeError, match="name 'Hidden' is not defined"):
        made()


def test_dynamic_classes() -> None:
    annotations = {"created": Collateral[Created]}
    made: Any = types.new_class(
        "Made", (Axon[Created],), {"namespace": "x"}, lambda ns: ns.update(__annotations__=annotations)
    )
    assert made().created.name == "x.created"


def test_the_defining_frame_is_let_go() -> None:
    class Big: ...

    def define() -> tuple[Any, weakref.ref[Big]]:
        big = Big()

        class Local(Axon[Created]):
            created: Collateral[Created]

        return Local, weakref.ref(big)

    axon, big = define()
    gc.collect()
    assert big() is None
    assert axon().created.payload_type is Created


# --- the check


def test_drift_is_named_on_both_sides() -> None:
    with pytest.raises(TypeError, match=r"^axon ") as raised:

        class Drifted(Axon[Created | int]):
            created: Collateral[Created]
            renamed: Collateral[Renamed]
            counted: Collateral[Renamed | None]

    assert str(raised.value) == (
        "axon Drifted: its type argument and its annotations differ: "
        "Renamed (renamed, counted) is missing in the type argument; None (counted) is missing in the type argument; "
        "no collateral carries int. For these annotations it is Axon[Created | Renamed | None]"
    )


def test_nothing_declared_nothing_annotated() -> None:
    class Nothing(Axon[Never]): ...

    assert not vars(Nothing())
    assert repr(Nothing()).endswith("without collaterals>")

    with pytest.raises(TypeError, match=r"no collateral carries int. For these annotations it is Axon\[Never\]"):

        class Empty(Axon[int]): ...

    with pytest.raises(TypeError, match=r"int \(n\) is missing in the type argument"):

        class Full(Axon[Never]):
            n: Collateral[int]


def test_any_is_not_checked() -> None:
    class Loose(Axon[Any]):
        created: Collateral[Created]
        bare: Collateral  # type: ignore[type-arg]
        anything: Collateral[Any]

    assert Loose().bare.payload_type is None
    assert Loose().anything.payload_type is Any

    class Unsaid(Axon):  # type: ignore[type-arg]
        created: Collateral[Created]

    assert Unsaid().created.payload_type is Created


def test_unions_are_sets() -> None:
    class Spelled(Axon[Union[Optional[int], list[str], Literal["a", "b"]]]):  # noqa: UP007, UP045 - the old spelling
        b: Collateral[Literal["b"]]
        both: Collateral[int | None]
        texts: Collateral[list[str]]
        a: Collateral[Literal["a"]]
        again: Collateral[int]

    assert Spelled().both.payload_type == int | None

    class Annotated_(Axon[Annotated[int, "x"] | str]):  # noqa: N801
        number: Annotated[Collateral[int], "doc"]
        text: Final[Collateral[str]]  # type: ignore[misc]

    assert [c.payload_type for c in vars(Annotated_()).values()] == [int, str]


def test_forward_references_without_string_annotations() -> None:
    class Quoted(Axon["Created | Renamed"]):
        created: "Collateral[Created]"
        renamed: Collateral["Renamed"]

    assert Quoted().renamed.payload_type is Renamed


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements are new in 3.12")
def test_type_aliases_and_parameters() -> None:
    namespace: dict[str, Any] = {"Axon": Axon, "Collateral": Collateral, "Created": Created, "Renamed": Renamed}
    exec(
        "type Event = Created | Renamed\n"
        "type Either[T] = T | None\n"
        "class Aliased(Axon[Event]):\n a: Collateral[Created]\n b: Collateral[Renamed]\n"
        "class OneOf(Axon[Either[int]]):\n a: Collateral[int]\n b: Collateral[None]\n"
        "class Box[T](Axon[T]):\n opened: Collateral[T]\n"
        "class IntBox(Box[int]):\n pass\n",
        namespace,
    )
    assert namespace["Aliased"]().b.payload_type is Renamed
    assert namespace["OneOf"]().a.payload_type is int
    assert namespace["IntBox"]().opened.payload_type is int


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (int, "x is annotated int, and an axon has collaterals alone: annotate it Collateral"),
        (list[int], r"x is annotated list\[int\]"),
        (None, "x is annotated None"),
        (Collateral[int] | None, "x is annotated .*Collateral.* | None"),
    ],
)
def test_only_collaterals(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"axon Bad: {message}"):
        types.new_class("Bad", (Axon[Any],), {}, lambda ns: ns.update(__annotations__={"x": annotation}))


def test_class_attributes() -> None:
    class Versioned(Axon[Created]):
        created: Collateral[Created]
        version: ClassVar[int] = 3
        untyped = "constant"

        def helper(self) -> str:
            return self.created.name

    assert Versioned().helper() == "created"
    assert list(vars(Versioned())) == ["created"]

    with pytest.raises(TypeError, match=r"created has a value.*leave the annotation alone"):

        class Valued(Axon[Created]):
            created: Collateral[Created] = collateral("created", Created)


@pytest.mark.parametrize(("namespace", "error"), [("", ValueError), (3, TypeError)])
def test_namespace_is_checked(namespace: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="axon Bad: namespace must"):
        types.new_class("Bad", (Axon[Any],), {"namespace": namespace})


# --- inheritance


def test_inherited_annotations() -> None:
    class Common(Axon[T], namespace="common"):
        created: Collateral[Created]

    class More(Common[Created | Renamed]):
        renamed: Collateral[Renamed]

    class Renamespaced(More, namespace="own"): ...

    assert {n: c.name for n, c in vars(More()).items()} == {"created": "common.created", "renamed": "common.renamed"}
    assert Renamespaced().created.name == "own.created"

    with pytest.raises(TypeError, match=r"Renamed \(renamed\) is missing in the type argument"):

        class Forgotten(Common[Created]):
            renamed: Collateral[Renamed]

    with pytest.raises(TypeError, match=r"int \(more\) is missing"):

        class Extended(More):
            more: Collateral[int]


def test_generic_axons() -> None:
    class Pair(Axon[T | U], Generic[T, U]):
        first: Collateral[T]
        second: Collateral[list[U]]

    class Half(Pair[int, U], Generic[U]):
        third: Collateral[U]

    class Whole(Half[str], Axon[int | list[str] | str]): ...

    assert {n: c.payload_type for n, c in vars(Whole()).items()} == {"first": int, "second": list[str], "third": str}

    class Box(Axon[T]):
        opened: Collateral[T]

    class IntBox(Box[int]): ...

    class Doubled(IntBox): ...

    assert Doubled().opened.payload_type is int
    assert Box[int]().opened.name == "opened"


def test_two_axons_in_one() -> None:
    class First(Axon[Created]):
        created: Collateral[Created]

    class Second(Axon[Renamed]):
        renamed: Collateral[Renamed]

    with pytest.raises(TypeError, match=r"Renamed \(renamed\) is missing in the type argument"):

        class Both(First, Second): ...

    class Said(First, Second, Axon[Created | Renamed]): ...

    assert list(vars(Said())) == ["created", "renamed"]


def test_plain_mixins() -> None:
    class Auditable:
        audited: Collateral[Created]
        level: int
        logger: "Unknown"  # type: ignore[name-defined] # noqa: F821

    class Audited(Auditable, Axon[Created | Renamed], namespace="x"):
        renamed: Collateral[Renamed]

    class Also(Audited): ...

    for made in (Audited(), Also()):
        assert {n: c.name for n, c in vars(made).items()} == {"audited": "x.audited", "renamed": "x.renamed"}


def test_overrides_of_init_subclass() -> None:
    class Base(Axon[Any]):
        def __init_subclass__(cls, label: str = "", **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            cls.label = label  # type: ignore[attr-defined]

    def define() -> Any:
        class Local: ...

        class Made(Base, label="x", namespace="y"):
            local: "Collateral[Local]"

        return Made

    made = define()
    assert (made.label, made().local.name) == ("x", "y.local")


# --- mappings


def test_a_mapping_becomes_an_axon() -> None:
    first, second = collateral("first", int), collateral("second", str)
    given: dict[str, Any] = {"first": first, "the second": second}
    made = neuron("n", given)
    given.clear()
    axon = made.axon
    assert isinstance(axon, MappingAxon)
    assert axon.first is axon["first"] is first
    assert axon["the second"] is second
    assert list(axon) == ["first", "the second"]
    assert len(axon) == 2
    assert "first" in axon
    assert "third" not in axon
    assert repr(axon) == "<MappingAxon first, the second>"
    assert neuron("m", axon).axon is axon
    with pytest.raises(AttributeError, match="no attribute 'third'"):
        axon.third  # noqa: B018
    with pytest.raises(KeyError, match="third"):
        axon["third"]
    with pytest.raises(AttributeError, match="cannot be set"):
        axon.first = second
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del axon.first
    assert copy.deepcopy(axon) is axon
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(axon)


def test_any_mapping_will_do() -> None:
    assert list(neuron("n", types.MappingProxyType({"a": collateral("a")})).axon) == ["a"]
    assert len(neuron("n", {}).axon) == 0


@pytest.mark.parametrize(
    ("mapping", "error", "message"),
    [
        (
            {"a": 3},
            TypeError,
            r"neuron 'n': the axon's 'a' must be a Collateral, not int: make one with collateral\('a'",
        ),
        ({3: collateral("a")}, TypeError, "neuron 'n': the names of an axon must be str, not int: 3"),
        ({"": collateral("a")}, ValueError, "neuron 'n': the names of an axon must not be empty"),
        ([collateral("a")], TypeError, "neuron 'n': axon must be an Axon, a mapping of names .*, or None, not list"),
        ("axon", TypeError, "neuron 'n': axon must be .* not str"),
        (UserAxon, TypeError, r"neuron 'n': UserAxon is a class: pass an instance, UserAxon\(\)"),
        (collateral("a"), TypeError, "neuron 'n': axon must be .* not Collateral"),
    ],
)
def test_what_is_no_axon(mapping: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        neuron("n", mapping)


def test_a_collateral_has_one_name() -> None:
    one = collateral("one")
    with pytest.raises(ValueError, match="neuron 'n': the axon has <Collateral 'one'> under two names, 'a' and 'b'"):
        neuron("n", {"a": one, "b": one})


def test_an_axon_belongs_to_one_neuron() -> None:
    axon = UserAxon()
    with pytest.raises(GraphError, match=r"'user\.created'.*'first' and 'second'"):
        CNS([neuron("first", axon), neuron("second", axon)])
    CNS([neuron("first", UserAxon()), neuron("second", {})])
