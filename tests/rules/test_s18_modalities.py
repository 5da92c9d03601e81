"""S18: which handler answers depends on the modality and the afferent path of the run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cnstra import CNS, ActivationTask, Modality, ModalityError, afferent_path, collateral, modality, neuron

from .gates import Gates, sink

ping = collateral("ping", int)
answer = collateral("answer", str)

api = afferent_path("api")
admin = afferent_path("admin", api)
users = afferent_path("users", admin)
other = afferent_path("other")
http, shell, mail = modality("http", [api, other]), modality("shell"), modality("mail")


def told(log: list[str], name: str) -> Callable[[object], None]:
    return lambda payload: log.append(name)


def routed(log: list[str], *, default: bool = True) -> CNS:
    http_table: Any = {api: told(log, "http api"), users: told(log, "http users"), None: told(log, "http default")}
    shell_table: Any = {api: told(log, "shell api")}
    greeter = neuron("greeter").modality_dendrite(
        collateral=ping,
        modalities={http: http_table, shell: shell_table},
        default=told(log, "global default") if default else None,
    )
    return CNS([greeter])


PICKS: list[tuple[Any, Any, str]] = [
    (http, api, "http api"),
    (http, users, "http users"),
    (http, admin, "http api"),
    (http, afferent_path("further", users), "http users"),
    (http, other, "http default"),
    (http, None, "http default"),
    (http, afferent_path("api"), "http default"),
    (shell, api, "shell api"),
    (shell, users, "shell api"),
    (shell, other, "global default"),
    (shell, None, "global default"),
    (mail, api, "global default"),
    (modality("http", [api]), api, "global default"),
    (None, api, "global default"),
    (None, None, "global default"),
]


@pytest.mark.parametrize(("kind", "path", "expected"), PICKS)
def test_the_path_else_its_nearest_ancestor_else_the_default_of_the_modality_else_the_global_one(
    kind: Modality | None, path: Any, expected: str
) -> None:
    log: list[str] = []
    run = routed(log).stimulate(ping.create_signal(1), modality=kind, afferent_path=path)
    assert (run.outcome, log) == ("completed", [expected])


@pytest.mark.parametrize(("kind", "path", "expected"), PICKS)
def test_else_the_activation_fails_with_an_error_that_names_them(
    kind: Modality | None, path: Any, expected: str
) -> None:
    log: list[str] = []
    run = routed(log, default=False).stimulate(ping.create_signal(1), modality=kind, afferent_path=path)
    if expected != "global default":
        assert (run.outcome, log) == ("completed", [expected])
        return
    assert log == []
    (failure,) = run.failed_tasks
    assert isinstance(failure.error, ModalityError)
    message = str(failure.error)
    assert "'greeter'" in message
    assert "'ping'" in message
    assert kind is None or kind.name in message
    assert kind is None or path is None or path.name in message


def test_one_modality_may_be_given_by_itself() -> None:
    log: list[str] = []
    greeter = neuron("greeter").modality_dendrite(
        collateral=ping, modality=http, afferent_paths={api: told(log, "api")}, default=told(log, "default")
    )
    cns = CNS([greeter])
    for path in (api, other, None):
        cns.stimulate(ping.create_signal(1), modality=http, afferent_path=path)
    assert log == ["api", "default", "default"]
    run = cns.stimulate(ping.create_signal(1), modality=shell)
    assert isinstance(run.failed_tasks[0].error, ModalityError), "its default is that modality's"


def test_a_run_knows_its_modality_and_path_on_every_hop() -> None:
    log: list[Any] = []
    source = neuron("source", {"answer": answer})
    source.modality_dendrite(
        collateral=ping, modality=http, default=lambda n, axon, ctx: axon.answer.create_signal(str(n))
    )

    def look(payload: str, axon: None, ctx: Any) -> None:
        log.append((ctx.stimulation.modality, ctx.stimulation.afferent_path))

    target = neuron("target").modality_dendrite(collateral=answer, modality=http, afferent_paths={api: look})
    run = CNS([source, target]).stimulate(ping.create_signal(1), modality=http, afferent_path=users)
    run.raise_for_failure()
    assert log == [(http, users)]
    assert (run.modality, run.afferent_path) == (http, users)
    assert CNS([]).stimulate([]).modality is None


@pytest.mark.anyio
@pytest.mark.parametrize("handler", ["sync", "async", "suspending"])
@pytest.mark.parametrize("output", ["sync", "async", "suspending"])
async def test_the_result_goes_to_output_whose_value_is_the_activations(handler: str, output: str) -> None:
    log: list[str] = []

    async def later(value: Any, suspend: bool) -> Any:
        if suspend:
            await asyncio.sleep(0)
        return value

    def as_kind(value: Any, kind: str) -> Any:
        return value if kind == "sync" else later(value, kind == "suspending")

    def handle(payload: int) -> Any:
        return as_kind({"status": payload}, handler)

    def render(result: dict[str, int], axon: Any, ctx: Any) -> Any:
        log.append(f"{result}, {ctx.task.neuron.name}")
        return as_kind(axon.answer.create_signal(str(result["status"])), output)

    source = neuron("source", {"answer": answer})
    source.modality_dendrite(collateral=ping, modality=http, default=handle, output=render)
    end = neuron("end").dendrite(collateral=answer, response=log.append)
    await CNS([source, end]).stimulate(ping.create_signal(200), modality=http)
    assert log == ["{'status': 200}, source", "200"]


def test_these_handlers_take_one_to_three_arguments_too() -> None:
    log: list[Any] = []

    def one(payload: int) -> str:
        return "one"

    def two(payload: int, axon: Any) -> str:
        return f"two {axon.answer.name}"

    def three(payload: int, axon: Any, ctx: Any) -> str:
        return f"three {ctx.task.id}"

    def out_of_one(result: str) -> None:
        log.append(result)

    def out_of_two(result: str, axon: Any) -> Any:
        return axon.answer.create_signal(result)

    def out_of_three(result: str, axon: Any, ctx: Any) -> None:
        log.append(f"{result} {ctx.task.hop}")

    for output in (out_of_one, out_of_two, out_of_three):
        source = neuron("source", {"answer": answer})
        source.modality_dendrite(
            collateral=ping, modalities={http: {api: one, None: two}}, default=three, output=output
        )
        end = neuron("end").dendrite(collateral=answer, response=log.append)
        cns = CNS([source, end])
        for options in ({"modality": http, "afferent_path": api}, {"modality": http}, {}):
            cns.stimulate(ping.create_signal(1), **options).raise_for_failure()
    assert log[:3] == ["one", "two answer", "three 1"]
    assert log[3:6] == ["one", "two answer", "three 1"]
    assert log[6:] == ["one 1", "two answer 1", "three 1 1"]


def test_without_output_the_result_is_the_activations() -> None:
    log: list[str] = []
    source = neuron("source", {"answer": answer})
    source.modality_dendrite(collateral=ping, modality=http, default=lambda n, axon: axon.answer.create_signal("x"))
    CNS([source, sink("end", answer, log)]).stimulate(ping.create_signal(1), modality=http)
    assert log == ["end"]


@pytest.mark.parametrize("where", ["handler", "output"])
def test_what_fails_in_handler_or_output_fails_the_activation(where: str) -> None:
    error = LookupError("lost")

    def fail(value: Any) -> None:
        raise error

    log: list[str] = []
    handler: Any = fail if where == "handler" else told(log, "handled")
    output: Any = fail if where == "output" else told(log, "output")
    source: Any = neuron("source")
    source.modality_dendrite(collateral=ping, modality=http, default=handler, output=output)
    run = CNS([source]).stimulate(ping.create_signal(1), modality=http)
    assert [failure.error for failure in run.failed_tasks] == [error]
    assert log == (["handled"] if where == "output" else [])


def test_a_modality_dendrite_stands_in_order_with_the_others() -> None:
    log: list[str] = []
    mixed = neuron("mixed").dendrite(collateral=ping, response=told(log, "before"))
    mixed.modality_dendrite(collateral=ping, modality=http, default=told(log, "routed"))
    mixed.dendrite(collateral=ping, response=told(log, "after"))
    cns = CNS([mixed])
    cns.stimulate(ping.create_signal(1), modality=http)
    assert log == ["before", "routed", "after"]
    cns.activate([ActivationTask(mixed, ping.create_signal(1), dendrite=1)], modality=http)
    assert log[3:] == ["routed"]


@pytest.mark.anyio
async def test_a_resumed_run_is_given_its_modality_anew() -> None:
    gates = Gates()
    log: list[str] = []
    slow = neuron("slow", {"answer": answer})

    @slow.dendrite(ping)
    async def wait(payload: int) -> Any:
        await gates.wait("slow")
        return answer.create_signal("x")

    end = neuron("end").modality_dendrite(collateral=answer, modality=http, default=told(log, "http"))
    cns = CNS([slow, end])
    run = cns.stimulate(ping.create_signal(1), modality=http)
    run.abort()
    await gates.open("slow")
    await cns.activate(run.outstanding_tasks, modality=http)
    assert log == ["http"]
    run.exception()


def test_offloaded_modality_handlers_run_in_a_worker() -> None:
    seen: list[str] = []

    def handle(payload: int) -> None:
        seen.append(threading.current_thread().name)

    source = neuron("source", offload=True).modality_dendrite(collateral=ping, modality=http, default=handle)
    assert CNS([source]).stimulate(ping.create_signal(1), modality=http).outcome == "completed"
    assert seen[0] != threading.current_thread().name
