"""The forms of wiring: how many collaterals, decorators and keywords, axons by class and by mapping, factories."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Never, TypeVar, assert_type

from cnstra import Axon, Collateral, Context, Dendrite, MappingAxon, Neuron, Signal, collateral, neuron, neuron_factory


class A: ...


class B: ...


class D: ...


@dataclass(frozen=True)
class Shared:
    rate: float


a, b, d = collateral("a", A), collateral("b", B), collateral("d", D)
n1, n2, n3, n4 = collateral("n1", int), collateral("n2", str), collateral("n3", bytes), collateral("n4", float)
n5, n6, n7, n8 = collateral("n5", A), collateral("n6", B), collateral("n7", D), collateral("n8", complex)
tick = collateral("tick")
assert_type(tick, Collateral[None])
assert_type(collateral("tock", None), Collateral[None])
assert_type(a, Collateral[A])
assert_type(a.create_signal(A()), Signal[A])
assert_type(tick.create_signal(), Signal[None])
a.create_signal(B())  # error: wrong payload
collateral(3)  # error: a name is a str


# --- emit-set


class AB(Axon[A | B], namespace="ab"):
    a: Collateral[A]
    b: Collateral[B]


ab = neuron("ab", AB())
assert_type(ab, Neuron[AB, A | B, Any, Any])
assert_type(ab.dendrites, tuple[Dendrite[Any], ...])
assert_type(ab.axon.a, Collateral[A])


@ab.dendrite(tick)
def emits_one(_: None, axon: AB) -> Signal[A]:
    return axon.a.create_signal(A())


@ab.dendrite(tick)
def emits_either(_: None, axon: AB) -> Signal[A] | Signal[B] | None:
    return axon.a.create_signal(A()) if _ else None


@ab.dendrite(tick)
def emits_tuple(_: None, axon: AB) -> tuple[Signal[A], Signal[B]]:
    return axon.a.create_signal(A()), axon.b.create_signal(B())


@ab.dendrite(tick)
def emits_later(_: None, axon: AB) -> Awaitable[list[Signal[B]]]:
    raise NotImplementedError


@ab.dendrite(tick)  # error: D is not in the axon
def emits_d(_: None) -> Signal[D]:
    return d.create_signal(D())


@ab.dendrite(tick)  # error: one of the two is not in the axon
async def emits_list(_: None) -> Sequence[Signal[A] | Signal[D]]:
    return []


@ab.dendrite(tick)  # error: a payload is no signal
def emits_payload(_: None) -> A:
    return A()


@ab.dendrite(tick)  # error: generators are no handlers
def emits_many(_: None) -> Any | int:
    return 3


@ab.dendrite(tick)  # error: somebody else's axon
def takes_other_axon(_: None, axon: MappingAxon[int]) -> None: ...


@ab.dendrite(tick)  # error: four arguments
def takes_four(_: None, axon: AB, ctx: Context[Any, Any], more: int) -> None: ...


@ab.dendrite(tick)
def takes_default(_: None, axon: AB, ctx: Context[Any, Any], more: int = 3) -> None: ...


ab.dendrite(tick, "tock")  # error: a name is no collateral
ab.dendrite()  # error: no collateral


# What is decorated keeps its shape: it can be called, and awaited, by whoever tests it.
@ab.dendrite(a)
async def decorated(payload: A, axon: AB) -> Signal[B]:
    return axon.b.create_signal(B())


async def test_decorated() -> None:
    await decorated(A(), ab.axon)
    answer = emits_one(None, ab.axon)
    if isinstance(answer, Signal):
        assert_type(answer.payload, A | B)
    await emits_one(None, ab.axon)  # error: a plain function's answer is there at once


check: Callable[[A, AB], Coroutine[Any, Any, object]] = decorated


# --- exhaustive wiring, up to eight collaterals

sink = neuron("sink")
assert_type(sink, Neuron[None, Never, Any, Any])
assert_type(sink.axon, None)


@sink.dendrite(n1, n2, n3, n4, n5, n6, n7, n8)
def all_eight(payload: int | str | bytes | float | A | B | D | complex) -> None: ...


@sink.dendrite(n1, n2, n3, n4, n5, n6, n7, n8)  # error: complex is missing
def seven_of_eight(payload: int | str | bytes | float | A | B | D) -> None: ...


@sink.dendrite(n1, n2, n3, n4, n5, n6, n7)  # error: D is missing
def six_of_seven(payload: int | str | bytes | float | A | B) -> None: ...


@sink.dendrite(n1, n2, n3, n4)
def four(payload: int | str | bytes | float) -> None: ...


@sink.join(n1, n2, n3, n4, n5, n6, n7, n8)
def all_joined(payloads: list[int | str | bytes | float | A | B | D | complex]) -> None: ...


@sink.join(n1, n2)  # error: str is missing
def one_joined(payloads: list[int]) -> None: ...


@sink.join(n1, n2)  # error: a join gets a list
def not_joined(payload: int | str) -> None: ...


@sink.join(n1)
async def joined_with_context(payloads: list[int], axon: None, ctx: Context[int, object]) -> None:
    assert_type(payloads, list[int])


assert_type(sink.join(collateral=[n1, n1], response=lambda payloads: print(payloads)), Neuron[None, Never, Any, Any])
sink.join(collateral=[n1, n2], response=lambda payloads: print(payloads))  # mypy: a list of both is one of objects to it
sink.dendrite(collateral=a, response=emits_d)  # error: emits, and takes None
sink.dendrite(collateral=[a, n5], response=lambda payload: None).dendrite(collateral=d, response=lambda payload: None)
sink.dendrite(collateral=[a, n5], response=emits_d)  # error: emits, and takes None
sink.dendrite(collateral=a, response=lambda payload: payload)  # error: a payload is no signal


@sink.bind(ab.axon)
def bound(payload: A | B) -> None: ...


@sink.bind(ab.axon)  # error: B is missing
def half_bound(payload: A) -> None: ...


sink.bind(ab.axon, a=lambda payload: None, b=lambda payload: None).bind({"d": d}, d=lambda payload: None)
sink.bind(3)  # error: no axon


# --- mappings


loose = neuron("loose", {"first": n1, "second": collateral("second", int)})
assert_type(loose, Neuron[MappingAxon[int], int, Any, Any])
assert_type(loose.axon.first, Collateral[int])
assert_type(loose.axon["second"], Collateral[int])
assert_type(list(loose.axon), list[str])


@loose.dendrite(tick)
def by_name(_: None, axon: MappingAxon[int]) -> Signal[int]:
    return axon.first.create_signal(3)


@loose.dendrite(tick)  # error: a str is not among its payloads
def wrong_by_name(_: None) -> Signal[str]:
    return n2.create_signal("3")


mixed = neuron("mixed", {"number": n1, "text": n2})


@mixed.dendrite(tick)
def from_mixed(_: None) -> Signal[int] | None:
    return n1.create_signal(3)


neuron("nothing", 3)  # error: no axon
neuron("limits", concurrency="4")  # error: an int
neuron("class", AB)  # error: the class instead of an instance


# --- factories and contexts

make = neuron_factory(context=int, shared=Shared)
counter = make.neuron("counter", AB(), concurrency=2, max_duration=0.5)
assert_type(counter, Neuron[AB, A | B, int, Shared])
assert_type(make.neuron("sink"), Neuron[None, Never, int, Shared])
assert_type(make.neuron("loose", {"n": n1}), Neuron[MappingAxon[int], int, int, Shared])
assert_type(counter.context_type, type[int] | None)
assert_type(neuron_factory(context=str).neuron("x"), Neuron[None, Never, str, Any])
assert_type(neuron_factory(shared=Shared).neuron("x"), Neuron[None, Never, Any, Shared])


@counter.dendrite(tick)
def counts(_: None, axon: AB, ctx: Context[int, Shared]) -> None:
    assert_type(ctx.get(), int | None)
    assert_type(ctx.get(0), int)
    assert_type(ctx.shared, Shared)
    assert_type(ctx.abort_signal.aborted, bool)
    assert_type(ctx.task.hop, int)
    ctx.set(ctx.get(0) + 1)
    ctx.set("1")  # error: the context value is an int
    ctx.delete()


@counter.dendrite(tick)  # error: another type of context value
def counts_wrong(_: None, axon: AB, ctx: Context[str, Shared]) -> None: ...


counter.dendrite(collateral=tick, response=lambda _, axon, ctx: ctx.set(ctx.shared.rate))  # error: a float
counter.dendrite(collateral=tick, response=lambda _, axon, ctx: ctx.set(3))


# --- callables of other kinds


class Handler:
    def __call__(self, payload: A) -> None: ...

    def method(self, payload: A, axon: AB) -> Signal[A]:
        return axon.a.create_signal(payload)


def with_option(option: str, payload: A) -> None: ...


ab.dendrite(collateral=a, response=Handler())
ab.dendrite(collateral=a, response=Handler().method)
ab.dendrite(a)(partial(with_option, "x"))


# --- generic axons

T = TypeVar("T")


class Box(Axon[T]):
    opened: Collateral[T]


class IntBox(Box[int]): ...


box = neuron("box", IntBox())
assert_type(box.axon.opened, Collateral[int])


@box.dendrite(tick)
def opens(_: None, axon: IntBox) -> Signal[int]:
    return axon.opened.create_signal(3)


@box.dendrite(tick)  # error: a str is not in the box
def opens_wrong(_: None, axon: IntBox) -> Signal[str]:
    return n2.create_signal("3")


# --- binding mappings


neuron("same", loose.axon)


@sink.bind({"a": a, "also": n5})
def bound_mapping(payload: A) -> None: ...


@sink.bind({"a": a, "b": b})
def bound_mixture(payload: A | B) -> None: ...


@sink.bind(loose.axon)
async def bound_mapping_axon(payload: int) -> None: ...


@sink.bind(loose.axon)  # error: its payloads are int
def wrongly_bound(payload: str) -> None: ...


@sink.bind({"a": a, "also": n5})  # error: its payloads are A
def wrongly_bound_mapping(payload: B) -> None: ...


sink.bind({"a": a, "b": b}, a=lambda payload: None, b=lambda payload: None).bind(loose.axon, first=print, second=print)
