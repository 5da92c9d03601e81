"""The smallest graph that is one: a command, an event, and who reacts to it.

python examples/hello.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cnstra import CNS, Axon, Collateral, Signal, collateral, neuron


@dataclass(frozen=True)
class CreateUser:
    name: str


@dataclass(frozen=True)
class UserCreated:
    id: int
    name: str


create_user = collateral("create_user", CreateUser)


class UserAxon(Axon[UserCreated]):
    user_created: Collateral[UserCreated]


users = neuron("users", UserAxon())
greeter = neuron("greeter")


@users.dendrite(create_user)
def create(command: CreateUser, axon: UserAxon) -> Signal[UserCreated]:
    return axon.user_created.create_signal(UserCreated(1, command.name))


@greeter.bind(users.axon)
async def greet(event: UserCreated) -> None:
    await asyncio.sleep(0.1)
    print(f"Hello, {event.name}! You are user {event.id}.")


cns = CNS([users, greeter])


async def main() -> None:
    await cns.stimulate(create_user.create_signal(CreateUser("Ada")))


if __name__ == "__main__":
    asyncio.run(main())
