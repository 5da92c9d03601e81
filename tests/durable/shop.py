"""A small graph for the tests of durable runs: orders that cause parcels and invoices, and a log of who did what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cnstra import CNS, Axon, Collateral, Signal, collateral, neuron
from cnstra.durable import current_activation


@dataclass(frozen=True)
class Order:
    id: str
    cents: int


@dataclass(frozen=True)
class Parcel:
    order: Order
    number: int


@dataclass
class Shop:
    """A graph, and what its handlers have done: (neuron, what, attempt, id)."""

    log: list[tuple[str, str, int, str]] = field(default_factory=list[tuple[str, str, int, str]])
    # Called by every handler before it returns, with the name of its neuron and its attempt.
    on_call: Callable[[str, int], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        class ShopAxon(Axon[Parcel | int]):
            packed: Collateral[Parcel]
            invoiced: Collateral[int]

        self.place = collateral("place", Order)
        self.axon = ShopAxon()
        shop = neuron("shop", self.axon)
        post = neuron("post")
        books = neuron("books")

        @shop.dendrite(self.place)
        async def on_order(order: Order, axon: ShopAxon) -> list[Signal[Parcel] | Signal[int]]:
            await self.did("shop", order.id)
            return [
                axon.packed.create_signal(Parcel(order, 1)),
                axon.packed.create_signal(Parcel(order, 2)),
                axon.invoiced.create_signal(order.cents),
            ]

        @post.dendrite(self.axon.packed)
        async def on_parcel(parcel: Parcel) -> None:
            await self.did("post", f"{parcel.order.id}/{parcel.number}")

        @books.dendrite(self.axon.invoiced)
        async def on_invoice(cents: int) -> None:
            await self.did("books", str(cents))

        self.cns = CNS([shop, post, books])

    async def did(self, who: str, what: str) -> None:
        activation = current_activation()
        if self.on_call is not None:
            await self.on_call(who, activation.attempt)
        await asyncio.sleep(0)
        self.log.append((who, what, activation.attempt, activation.id))

    def order(self, id_: str = "o1", cents: int = 995) -> Signal[Order]:
        return self.place.create_signal(Order(id_, cents))

    def done(self) -> list[tuple[str, str]]:
        return sorted((who, what) for who, what, _, _ in self.log)


ALL = sorted([("shop", "o1"), ("post", "o1/1"), ("post", "o1/2"), ("books", "995")])
