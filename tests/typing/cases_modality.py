"""Modality dendrites: handlers by path answer as the neuron may, or feed ``output``, which then does."""

from dataclasses import dataclass
from typing import assert_type

from cnstra import Axon, Collateral, Context, Modality, Neuron, Signal, afferent_path, collateral, modality, neuron


@dataclass(frozen=True)
class Order:
    total: int


class ShopAxon(Axon[str]):
    shown: Collateral[str]


order = collateral("order", Order)
number = collateral("number", int)
web = afferent_path("web")
admin = afferent_path("admin", parent=web)
http = modality("http", [web, admin])
shell: Modality = modality("shell")
shop = neuron("shop", ShopAxon())
assert_type(web.parent is None, bool)


def plain(o: Order, axon: ShopAxon) -> Signal[str]:
    return axon.shown.create_signal(str(o.total))


async def slow(o: Order, axon: ShopAxon, ctx: Context[int, object]) -> Signal[str]:
    return plain(o, axon)


def wrong_payload(o: int) -> None: ...


def wrong_answer(o: Order) -> Signal[int]:
    return number.create_signal(o.total)


def total(o: Order) -> int:
    return o.total


async def later(o: Order) -> int:
    return o.total


def show(n: int, axon: ShopAxon) -> Signal[str]:
    return axon.shown.create_signal(str(n))


def show_text(text: str) -> None: ...


def accept(shop: Neuron[ShopAxon, str, int, object]) -> None:
    assert_type(
        shop.modality_dendrite(collateral=order, modality=http, afferent_paths={web: plain, admin: slow}),
        Neuron[ShopAxon, str, int, object],
    )
    shop.modality_dendrite(collateral=order, modality=http, default=plain)
    shop.modality_dendrite(collateral=order, modalities={http: {web: plain, None: slow}, shell: {None: plain}}, default=plain)
    shop.modality_dendrite(collateral=order, modality=http, afferent_paths={web: total}, default=later, output=show)
    shop.modality_dendrite(collateral=order, modalities={http: {web: total}, shell: {None: later}}, output=show)
    shop.modality_dendrite(
        collateral=order,
        modality=http,
        afferent_paths={web: lambda o: o.total, admin: lambda o, axon: o.total},
        output=lambda n, axon: axon.shown.create_signal(str(n)),
    )


def refuse(shop: Neuron[ShopAxon, str, int, object]) -> None:
    shop.modality_dendrite(collateral=order, modality=http, default=wrong_payload)  # error: payload
    shop.modality_dendrite(collateral=order, modality=http, default=wrong_answer)  # error: emits what it does not own
    shop.modality_dendrite(collateral=order, modality=http, default=total)  # error: an int is no answer
    shop.modality_dendrite(collateral=order, modality=http, default=total, output=show_text)  # error: output takes str
    shop.modality_dendrite(collateral=order, modality="http", default=plain)  # error: a name is no modality
    shop.modality_dendrite(modality=http, default=plain)  # error: no collateral
