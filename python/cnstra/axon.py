"""Axons: the collaterals that a neuron owns, as a typed class or as a plain mapping."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Protocol, Self, TypeVar, cast

from ._engine import Collateral
from .annotations import AxonFields

__all__ = ["Axon", "Carries", "MappingAxon", "TypedAxon", "as_axon", "collaterals_of"]

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)
E_co = TypeVar("E_co", covariant=True)


class Carries(Protocol[P_co]):
    """Any collateral whose payloads are at most ``P``; covariant, for what only reads a collateral."""

    def __collateral__(self) -> P_co: ...


class TypedAxon(Protocol[A_co, E_co]):
    """What lets a type checker infer both the class of an axon and the union that it may emit."""

    def __axon__(self) -> tuple[A_co, E_co]: ...


class _ReadOnly:
    """What both kinds of axon are: named collaterals, in the instance's own dictionary and nothing else in it."""

    def __setattr__(self, name: str, value: object, /) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set: the collaterals of an axon are made with it")

    def __delattr__(self, name: str, /) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: an axon keeps its collaterals")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it is the identity of its collaterals that routes signals")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.__dict__) or 'without collaterals'}>"


class Axon(_ReadOnly, Generic[E_co]):
    """Base of typed axons: a class whose annotations name the collaterals that a neuron owns.

    The type argument is the union of everything it may emit. It must equal the payloads of the annotations, which is
    checked when the class is made, so that the two cannot drift apart; ``Axon[Any]`` is not checked. Annotations may
    be strings, of any name visible where the class is defined; names defined later are looked up when the first
    instance is made. Every instance has collaterals of its own, as read-only attributes, and belongs to one neuron.

    Args:
        namespace: class keyword; collaterals are named ``namespace.attribute``. Subclasses inherit it.

    Raises:
        TypeError: an annotation is not a collateral, or type argument and annotations differ; the message names both.

    Example:
        >>> from cnstra import Axon, Collateral
        >>> class LampAxon(Axon[int | str], namespace="lamp"):
        ...     brightness: Collateral[int]
        ...     colour: Collateral[str]
        >>> LampAxon().colour
        <Collateral 'lamp.colour'>
    """

    __cnstra_fields__: ClassVar[AxonFields]

    def __init_subclass__(cls, *, namespace: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if namespace is not None:
            if not isinstance(namespace, str):
                raise TypeError(f"axon {cls.__name__}: namespace must be a str, not {type(namespace).__name__}")
            if not namespace:
                raise ValueError(f"axon {cls.__name__}: namespace must not be empty; leave it out instead")
        cls.__cnstra_fields__ = AxonFields(cls, Axon, Collateral, namespace, sys._getframe(1))

    def __init__(self) -> None:
        if type(self) is Axon:
            raise TypeError("Axon is a base class: subclass it, or give neuron() a mapping of names to collaterals")
        fields = type(self).__cnstra_fields__
        prefix = "" if fields.namespace is None else fields.namespace + "."
        for name, payload_type in fields.resolve().items():
            self.__dict__[name] = Collateral(prefix + name, payload_type)

    def __axon__(self) -> tuple[Self, E_co]:
        raise TypeError("__axon__ exists for type checkers alone")


class MappingAxon(_ReadOnly, Generic[P]):
    """An axon made of a mapping; its collaterals are attributes and items, by the names of the mapping.

    Args:
        collaterals: names, any str that is not empty, and their collaterals; it is copied.

    Raises:
        TypeError: a name is no str or a value no collateral.
        ValueError: a name is empty, or one collateral has two names.

    Example:
        >>> from cnstra import collateral, neuron
        >>> clock = neuron("clock", {"tick": collateral("tick")})
        >>> clock.axon.tick, clock.axon["tick"], list(clock.axon)
        (<Collateral 'tick'>, <Collateral 'tick'>, ['tick'])
    """

    def __init__(self, collaterals: Mapping[str, Carries[P]], /) -> None:
        names: dict[Collateral[Any], str] = {}
        for name, collateral in collaterals.items():
            if not isinstance(name, str):
                raise TypeError(f"the names of an axon must be str, not {type(name).__name__}: {name!r}")
            if not name:
                raise ValueError("the names of an axon must not be empty")
            if not isinstance(collateral, Collateral):
                raise TypeError(
                    f"the axon's {name!r} must be a Collateral, not {type(collateral).__name__}: "
                    f"make one with collateral({name!r}, payload_type)"
                )
            if collateral in names:
                raise ValueError(f"the axon has {collateral!r} under two names, {names[collateral]!r} and {name!r}")
            names[collateral] = name
            self.__dict__[name] = collateral

    if TYPE_CHECKING:
        # Not at run time, where every name would take the long way round through it, on every emission.
        def __getattr__(self, name: str, /) -> Collateral[P]: ...

    def __getitem__(self, name: str, /) -> Collateral[P]:
        try:
            return cast("Collateral[P]", self.__dict__[name])
        except KeyError:
            raise KeyError(name) from None

    def __contains__(self, name: object, /) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)


def as_axon(axon: Any, neuron: str) -> tuple[Any, tuple[Collateral[Any], ...]]:
    """What ``neuron()`` was given as the axon, with its collaterals in order.

    Raises:
        TypeError: it is neither an axon nor a mapping of collaterals; the message names the neuron.
    """
    made: Any = axon
    if isinstance(axon, Mapping):
        made = _mapping_axon(cast("Mapping[str, Any]", axon), neuron)
    elif not isinstance(axon, Axon | MappingAxon):
        if isinstance(axon, type) and issubclass(axon, Axon):
            name = made.__qualname__
            raise TypeError(f"neuron {neuron!r}: {name} is a class: pass an instance, {name}()")
        raise TypeError(
            f"neuron {neuron!r}: axon must be an Axon, a mapping of names to collaterals, or None, "
            f"not {type(made).__name__}"
        )
    return made, tuple(made.__dict__.values())


def collaterals_of(axon: Any, neuron: str) -> Mapping[str, Collateral[Any]]:
    """The collaterals of an axon by name, as ``bind`` takes them."""
    return cast("Mapping[str, Collateral[Any]]", as_axon(axon, neuron)[0].__dict__)


def _mapping_axon(collaterals: Mapping[str, Any], neuron: str) -> MappingAxon[Any]:
    try:
        return MappingAxon(collaterals)
    except (TypeError, ValueError) as error:
        raise type(error)(f"neuron {neuron!r}: {error}") from None
