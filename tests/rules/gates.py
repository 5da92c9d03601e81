"""What the tests of the rules share: gates that async handlers wait at, small neurons, and a middleware."""

from __future__ import annotations

import asyncio
from typing import Any

import cnstra


class Gates:
    """Named places where handlers and listeners wait until the test lets them go on."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[Any]] = {}

    async def wait(self, name: str) -> Any:
        """Wait until the test opens this gate; gives what ``open`` was given."""
        assert name not in self.waiting, f"two wait at {name}"
        future = self.waiting[name] = asyncio.get_running_loop().create_future()
        try:
            return await future
        finally:
            del self.waiting[name]

    def set(self, name: str, value: Any = None) -> None:
        """Open a gate; whoever waits goes on at the loop's next pass."""
        self.waiting[name].set_result(value)

    async def open(self, name: str, value: Any = None) -> None:
        """Open a gate and let the loop run until nothing moves."""
        self.set(name, value)
        await settle()

    async def fail(self, name: str, error: BaseException) -> None:
        """Have the wait at a gate raise, and let the loop run until nothing moves."""
        self.waiting[name].set_exception(error)
        await settle()


async def settle() -> None:
    """Let the loop run until nothing moves; no chain of callbacks in these tests takes this many passes."""
    for _ in range(25):
        await asyncio.sleep(0)


def names(tasks: Any) -> list[str]:
    """The neurons of tasks or failures, in order."""
    return [getattr(task, "task", task).neuron.name for task in tasks]


def ids(tasks: Any) -> list[int]:
    """The numbers of tasks or failures, in order."""
    return [getattr(task, "task", task).id for task in tasks]


def sink(name: str, heard: cnstra.Collateral[Any], log: list[Any]) -> cnstra.Neuron[Any, Any, Any, Any]:
    """A neuron that writes its name down and emits nothing."""
    return cnstra.neuron(name).dendrite(collateral=heard, response=lambda _: log.append(name))


def relay(
    name: str, heard: cnstra.Collateral[Any], log: list[Any], *emitted: cnstra.Collateral[Any]
) -> cnstra.Neuron[Any, Any, Any, Any]:
    """A neuron that writes its name down and passes the payload on to each of its collaterals."""

    def pass_on(payload: Any) -> Any:
        log.append(name)
        return [collateral.create_signal(payload) for collateral in emitted]

    axon = {collateral.name: collateral for collateral in emitted}
    return cnstra.neuron(name, axon).dendrite(collateral=heard, response=pass_on)


def patient(
    gates: Gates, heard: cnstra.Collateral[Any], log: list[Any], *emitted: cnstra.Collateral[Any]
) -> cnstra.Neuron[Any, Any, Any, Any]:
    """A neuron called slow that waits at the gate "slow PAYLOAD", and then passes the payload on."""
    slow = cnstra.neuron("slow", {collateral.name: collateral for collateral in emitted})

    @slow.dendrite(heard)
    async def wait(payload: Any) -> Any:
        try:
            await gates.wait(f"slow {payload}")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        return [collateral.create_signal(payload) for collateral in emitted]

    return slow


def one_call_more(dendrite: Any, handler: Any) -> Any:
    """Middleware that leaves everything as it is."""

    def call(payload: Any, axon: Any, ctx: Any) -> Any:
        return handler(payload, axon, ctx)

    return call
