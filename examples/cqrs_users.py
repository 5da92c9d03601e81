"""A small CQRS application: users are written to one store, and read from another that a projection keeps up to date.

python examples/cqrs_users.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cnstra import CNS, Axon, Collateral, Context, Response, Signal, StimulationFailed, collateral, neuron_factory

# Commands, events, queries and answers


@dataclass(frozen=True)
class CreateUser:
    name: str
    email: str


@dataclass(frozen=True)
class RenameUser:
    id: int
    name: str


@dataclass(frozen=True)
class UserCreated:
    id: int
    name: str
    email: str


@dataclass(frozen=True)
class UserRenamed:
    id: int
    name: str


@dataclass(frozen=True)
class ProfileUpdated:
    user_id: int


@dataclass(frozen=True)
class GetProfile:
    user_id: int


@dataclass
class Profile:
    name: str
    email: str
    former_names: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        formerly = f", formerly {', '.join(self.former_names)}" if self.former_names else ""
        return f"{self.name} <{self.email}>{formerly}"


class UnknownUserError(LookupError):
    pass


# Two stores that know nothing of each other; a real program has databases here


@dataclass
class Stores:
    users: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    profiles: dict[int, Profile] = field(default_factory=dict[int, Profile])


Ctx = Context[object, Stores]
app = neuron_factory(shared=Stores)


# Command side


class UserAxon(Axon[UserCreated | UserRenamed]):
    user_created: Collateral[UserCreated]
    user_renamed: Collateral[UserRenamed]


create_user = collateral("create_user", CreateUser)
rename_user = collateral("rename_user", RenameUser)
users = app.neuron("users", UserAxon())


@users.dendrite(create_user)
async def create(command: CreateUser, axon: UserAxon, ctx: Ctx) -> Signal[UserCreated]:
    await asyncio.sleep(0.01)
    user_id = len(ctx.shared.users) + 1
    ctx.shared.users[user_id] = (command.name, command.email)
    return axon.user_created.create_signal(UserCreated(user_id, command.name, command.email))


@users.dendrite(rename_user)
async def rename(command: RenameUser, axon: UserAxon, ctx: Ctx) -> Signal[UserRenamed]:
    await asyncio.sleep(0.01)
    if command.id not in ctx.shared.users:
        raise UnknownUserError(f"there is no user {command.id}")
    _, email = ctx.shared.users[command.id]
    ctx.shared.users[command.id] = (command.name, email)
    return axon.user_renamed.create_signal(UserRenamed(command.id, command.name))


# Read side


class ProfileAxon(Axon[ProfileUpdated]):
    profile_updated: Collateral[ProfileUpdated]


class AnswerAxon(Axon[Profile]):
    profile_found: Collateral[Profile]


get_profile = collateral("get_profile", GetProfile)
profiles = app.neuron("profiles", ProfileAxon(), concurrency=1)
answers = app.neuron("answers", AnswerAxon())


@profiles.bind(users.axon)
async def project(event: UserCreated | UserRenamed, axon: ProfileAxon, ctx: Ctx) -> Signal[ProfileUpdated]:
    await asyncio.sleep(0.01)
    match event:
        case UserCreated(user_id, name, email):
            ctx.shared.profiles[user_id] = Profile(name, email)
        case UserRenamed(user_id, name):
            profile = ctx.shared.profiles[user_id]
            profile.former_names.append(profile.name)
            profile.name = name
    return axon.profile_updated.create_signal(ProfileUpdated(user_id))


@answers.dendrite(get_profile)
def find(query: GetProfile, axon: AnswerAxon, ctx: Ctx) -> Signal[Profile]:
    profile = ctx.shared.profiles.get(query.user_id)
    if profile is None:
        raise UnknownUserError(f"there is no profile of user {query.user_id}")
    return axon.profile_found.create_signal(profile)


stores = Stores()
cns = CNS([users, profiles, answers], shared=stores)


async def main() -> None:
    def notice(response: Response) -> None:
        if updated := profiles.axon.profile_updated.match(response.output_signal):
            # The projection has run, so what is read here is up to date.
            print("updated:", stores.profiles[updated.payload.user_id])

    await cns.stimulate(create_user.create_signal(CreateUser("Ada Byron", "ada@example.org")), on_response=notice)
    await cns.stimulate(rename_user.create_signal(RenameUser(1, "Ada Lovelace")), on_response=notice)

    profile = await cns.query(get_profile.create_signal(GetProfile(1)), answers.axon.profile_found)
    print("found:", profile)

    try:
        await cns.query(get_profile.create_signal(GetProfile(7)), answers.axon.profile_found)
    except StimulationFailed as failed:
        print("failed:", *failed.exceptions)


if __name__ == "__main__":
    asyncio.run(main())
