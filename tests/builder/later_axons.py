"""Axons whose annotations are strings, as in every module with this import; some name what comes later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnstra import Axon, Collateral

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Known:
    value: int


class KnownAxon(Axon[Known | None], namespace="known"):
    known: Collateral[Known]
    nothing: Collateral[None]
    version: ClassVar[int] = 3


class LaterAxon(Axon["Later | Known"]):
    later: Collateral[Later]
    known: Collateral[Known]


class WrongLaterAxon(Axon["Later"]):
    later: Collateral[Later]
    known: Collateral[Known]


class NeverAxon(Axon[Any]):
    amount: Collateral[Decimal]


def nested() -> type[Axon[Any]]:
    @dataclass
    class Inner: ...

    class InnerAxon(Axon[Inner | Known]):
        inner: Collateral[Inner]
        known: Collateral[Known]

    return InnerAxon


def nested_later() -> Axon[Any]:
    class InnerAxon(Axon["Inner"]):
        inner: Collateral[Inner]

    @dataclass
    class Inner: ...

    return InnerAxon()


class Outer:
    class Inside: ...

    class InsideAxon(Axon[Inside]):
        inside: Collateral[Inside]  # type: ignore[name-defined] # noqa: F821 - not in the scope that checkers see


def nested_class() -> type[Axon[Any]]:
    class Local: ...

    class Holder:
        class Deep: ...

        class DeepAxon(Axon[Deep | Local]):
            deep: Collateral[Deep]  # type: ignore[name-defined] # noqa: F821
            local: Collateral[Local]

    return Holder.DeepAxon


class Later: ...
