"""Modality dendrites: which handler answers, and what is done with its result (S18)."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from cnstra import (
    CNS,
    AfferentPath,
    GraphError,
    Modality,
    ModalityError,
    NoEventLoopError,
    StimulationFailed,
    afferent_path,
    collateral,
    modality,
    neuron,
)

ask = collateral("ask", str)
root = afferent_path("root")
api = afferent_path("api", root)
users = afferent_path("users", api)
elsewhere = afferent_path("elsewhere")
http = modality("http", [api])
shell = modality("shell")


def handle(payload: str) -> None: ...


def saying(name: str, said: list[str]) -> Callable[[str], None]:
    return lambda payload: said.append(f"{name} {payload}")


# --- paths and modalities


def test_names_and_identity() -> None:
    assert (users.name, users.parent, root.parent) == ("users", api, None)
    assert (http.name, http.paths, shell.paths) == ("http", (api,), ())
    assert modality("http", [api]) != http
    assert afferent_path("root") != root
    assert repr(users) == "<AfferentPath 'root/api/users'>"
    assert repr(http) == "<Modality 'http'>"
    for thing in (users, http):
        assert copy.copy(thing) is thing
        assert copy.deepcopy(thing) is thing
        with pytest.raises(TypeError, match=r"cannot be pickled: .*identity"):
            pickle.dumps(thing)
        with pytest.raises(AttributeError):
            thing.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (afferent_path, (3,), TypeError, "the name of an afferent path must be a str, not int"),
        (afferent_path, ("",), ValueError, "the name of an afferent path must not be empty"),
        (
            afferent_path,
            (
                "a",
                "b",
            ),
            TypeError,
            "afferent path 'a': parent must be an afferent path, not str",
        ),
        (modality, (None,), TypeError, "the name of a modality must be a str, not NoneType"),
        (modality, ("",), ValueError, "the name of a modality must not be empty"),
        (
            modality,
            (
                "a",
                ["b"],
            ),
            TypeError,
            "modality 'a': paths must be afferent paths, not str",
        ),
    ],
)
def test_bad_names(make: Callable[..., Any], arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(*arguments)


# --- picking


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (http, users, "users"),  # the path itself
        (http, afferent_path("below", users), "users"),  # the nearest ancestor
        (http, afferent_path("below", afferent_path("below", root)), "root"),  # any ancestor
        (http, api, "root"),
        (http, elsewhere, "default of http"),  # the modality's default
        (http, None, "default of http"),
        (shell, users, "default of shell"),
        (shell, None, "default of shell"),
        (modality("http"), users, "global default"),  # another modality of that name
        (None, users, "global default"),
        (None, None, "global default"),
    ],
)
def test_picking(kind: Modality | None, path: AfferentPath | None, expected: str) -> None:
    said: list[str] = []
    made = neuron("n").modality_dendrite(
        collateral=ask,
        modalities={
            http: {root: saying("root", said), users: saying("users", said), None: saying("default of http", said)},
            shell: {None: saying("default of shell", said)},
        },
        default=saying("global default", said),
    )
    run = CNS([made]).stimulate(ask.create_signal("?"), modality=kind, afferent_path=path)
    run.raise_for_failure()
    assert said == [f"{expected} ?"]
    assert (run.modality, run.afferent_path) == (kind, path)


@pytest.mark.parametrize(
    ("kind", "path", "named"),
    [
        (http, elsewhere, "modality 'http' and afferent path 'elsewhere'"),
        (http, root, "modality 'http' and afferent path 'root'"),
        (http, None, "modality 'http' and no afferent path"),
        (shell, users, "modality 'shell' and afferent path 'users'"),
        (None, users, "no modality and afferent path 'users'"),
        (None, None, "no modality and no afferent path"),
    ],
)
def test_none_fits(kind: Modality | None, path: AfferentPath | None, named: str) -> None:
    made = neuron("n").modality_dendrite(collateral=ask, modality=http, afferent_paths={users: handle})
    run = CNS([made]).stimulate(ask.create_signal("?"), modality=kind, afferent_path=path)
    assert run.outcome == "failed"
    (error,) = run.exception().exceptions  # type: ignore[union-attr]
    assert isinstance(error, ModalityError)
    assert str(error) == (
        f"neuron 'n' has no handler on 'ask' for a run with {named}: "
        "register that path or one above it, or give a default"
    )


def test_default_of_the_only_modality_is_its_own() -> None:
    said: list[str] = []
    made = neuron("n").modality_dendrite(
        collateral=ask, modality=http, afferent_paths={users: saying("users", said)}, default=saying("default", said)
    )
    cns = CNS([made])
    cns.stimulate(ask.create_signal("1"), modality=http).raise_for_failure()
    cns.stimulate(ask.create_signal("2"), modality=http, afferent_path=users).raise_for_failure()
    assert said == ["default 1", "users 2"]
    assert cns.stimulate(ask.create_signal("3"), modality=shell).failed_tasks


def test_later_hops_pick_too() -> None:
    said: list[str] = []
    first = neuron("first", {"ask": ask}).dendrite(
        collateral=(go := collateral("go")), response=lambda _, axon: axon.ask.create_signal("?")
    )
    second = neuron("second").modality_dendrite(
        collateral=ask, modality=http, afferent_paths={api: saying("api", said)}
    )
    CNS([first, second]).stimulate(go.create_signal(), modality=http, afferent_path=users).raise_for_failure()
    assert said == ["api ?"]


def test_an_ordinary_dendrite_beside_it() -> None:
    said: list[str] = []
    made = neuron("n").dendrite(collateral=ask, response=saying("plain", said))
    made.modality_dendrite(collateral=ask, modality=http, default=saying("http", said))
    CNS([made]).stimulate(ask.create_signal("?"), modality=http).raise_for_failure()
    assert said == ["plain ?", "http ?"]
    assert [d.arity for d in made.dendrites] == [1, 3]
    assert repr(made.dendrites[1].handler) == "<Router of 'n' on 'ask'>"


# --- results and output


def test_arguments_of_handlers_and_output() -> None:
    seen: list[Any] = []
    out = collateral("out", str)
    axon = {"out": out}

    def three(payload: str, axon: Any, ctx: Any) -> int:
        seen.append((payload, axon["out"], ctx.task.neuron.name))
        return 3

    def output(result: int, axon: Any, ctx: Any) -> Any:
        seen.append((result, axon["out"], ctx.task.neuron.name))
        return [axon["out"].create_signal(str(result)), axon["out"].create_signal("again")]

    made = neuron("n", axon).modality_dendrite(
        collateral=ask,
        modality=http,
        afferent_paths={api: lambda payload: 1, users: lambda payload, axon: len(axon) + 1},
        default=three,
        output=output,
    )
    heard: list[str] = []
    listener = neuron("listener").dendrite(collateral=out, response=heard.append)
    cns = CNS([made, listener])
    for path in (api, users, None):
        cns.stimulate(ask.create_signal("?"), modality=http, afferent_path=path).raise_for_failure()
    assert heard == ["1", "again", "2", "again", "3", "again"]
    assert seen == [(1, out, "n"), (2, out, "n"), ("?", out, "n"), (3, out, "n")]


def test_without_output_the_result_is_the_answer() -> None:
    made = neuron("n").modality_dendrite(collateral=ask, modality=http, default=cast("Any", len))
    run = CNS([made]).stimulate(ask.create_signal("?"), modality=http)
    assert [type(e).__name__ for e in run.exception().exceptions] == ["InvalidResponseError"]  # type: ignore[union-attr]


def test_what_output_raises_fails_the_activation() -> None:
    def output(result: Any) -> None:
        raise ValueError(result)

    made = neuron("n").modality_dendrite(collateral=ask, modality=http, default=lambda payload: payload, output=output)
    run = CNS([made]).stimulate(ask.create_signal("boom"), modality=http)
    assert repr(run.failed_tasks[0].error) == "ValueError('boom')"


async def double(payload: str) -> str:
    await asyncio.sleep(0)
    return payload * 2


def later(payload: str) -> Any:
    """A plain function that returns something to await."""
    return double(payload)


def future(payload: str) -> Any:
    made = asyncio.get_running_loop().create_future()
    made.set_result(payload * 2)
    return made


@pytest.mark.parametrize("handler", [double, later, future])
@pytest.mark.parametrize("is_async", [False, True])
def test_awaited_before_output(run_loop: Any, handler: Any, is_async: bool) -> None:
    seen: list[str] = []

    async def async_output(result: str) -> None:
        await asyncio.sleep(0)
        seen.append(result)

    made = neuron("n").modality_dendrite(
        collateral=ask, modality=http, default=handler, output=async_output if is_async else seen.append
    )

    async def main() -> None:
        await CNS([made]).stimulate(ask.create_signal("ab"), modality=http)

    run_loop(main)
    assert seen == ["abab"]


def test_plain_handler_and_async_output(run_loop: Any) -> None:
    seen: list[str] = []

    async def output(result: str) -> None:
        seen.append(result)

    made = neuron("n").modality_dendrite(collateral=ask, modality=http, default=str.upper, output=output)

    async def main() -> None:
        await CNS([made]).stimulate(ask.create_signal("ab"), modality=http)

    run_loop(main)
    assert seen == ["AB"]


@pytest.mark.parametrize("handler", [double, later])
@pytest.mark.parametrize("output", [None, print])
def test_async_handlers_need_a_loop(handler: Any, output: Any) -> None:
    """Refused as any async handler is, and nothing is left unawaited."""
    made = neuron("n").modality_dendrite(collateral=ask, modality=http, default=handler, output=output)
    run = CNS([made]).stimulate(ask.create_signal("?"), modality=http)
    assert isinstance(run.failed_tasks[0].error, NoEventLoopError)


def test_cancelled_in_the_handler(run_loop: Any) -> None:
    seen: list[str] = []

    async def forever(payload: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("unwound")

    made = neuron("n", max_duration=0.01).modality_dendrite(
        collateral=ask, modality=http, default=forever, output=lambda result: seen.append("output")
    )

    async def main() -> None:
        with pytest.raises(StimulationFailed):
            await CNS([made]).stimulate(ask.create_signal("?"), modality=http)

    run_loop(main)
    assert seen == ["unwound"]


def test_offloaded(run_loop: Any) -> None:
    import threading

    threads: list[int] = []

    def work(payload: str) -> str:
        threads.append(threading.get_ident())
        return payload * 2

    def output(result: str) -> None:
        threads.append(threading.get_ident())
        assert result == "abab"

    made = neuron("n", offload=True).modality_dendrite(collateral=ask, modality=http, default=work, output=output)

    async def main() -> None:
        await CNS([made]).stimulate(ask.create_signal("ab"), modality=http)

    run_loop(main)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


# --- what is refused


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({}, TypeError, "takes either modality= (with afferent_paths= and its default=) or modalities="),
        ({"modality": http, "modalities": {}}, TypeError, "takes either modality="),
        ({"default": handle}, TypeError, "takes either modality="),
        ({"modality": http}, TypeError, "no handler is registered: give afferent_paths= or default="),
        ({"modalities": {}}, TypeError, "no handler is registered"),
        ({"modalities": {http: {}}}, TypeError, "no handler is registered"),
        ({"modality": "http", "default": handle}, TypeError, "'http' is no modality: make one with modality("),
        ({"modalities": {"http": {}}, "default": handle}, TypeError, "'http' is no modality"),
        ({"modalities": [http], "default": handle}, TypeError, "modalities must be a mapping of modalities, not list"),
        ({"modalities": {http: handle}}, TypeError, "modality 'http' needs a mapping of afferent paths to handlers"),
        ({"modality": http, "afferent_paths": [api]}, TypeError, "afferent_paths must be a mapping of paths"),
        ({"modality": http, "afferent_paths": {"api": handle}}, TypeError, "'api' is no afferent path: make one with"),
        (
            {"modality": http, "afferent_paths": {elsewhere: handle}},
            ValueError,
            "modality 'http' has no path 'elsewhere', only 'api'",
        ),
        ({"modalities": {http: {elsewhere: handle}}}, ValueError, "modality 'http' has no path 'elsewhere'"),
        ({"modalities": {}, "afferent_paths": {}}, TypeError, "afferent_paths= goes with modality="),
        ({"modality": http, "afferent_paths": {None: handle}, "default": handle}, TypeError, "are the same: give one"),
        (
            {"modality": http, "default": 3},
            TypeError,
            "modality 'http' and no afferent path: a handler must be callable",
        ),
        ({"modality": http, "afferent_paths": {api: lambda: None}}, TypeError, "afferent path 'api': "),
        ({"modalities": {}, "default": lambda a, b, c, d: None}, TypeError, "default: "),
        ({"modality": http, "default": handle, "output": 3}, TypeError, "output: a handler must be callable, not int"),
        (
            {"modality": http, "default": handle, "collateral": "ask"},
            GraphError,
            "on 'ask' (str), which is no collateral",
        ),
    ],
)
def test_bad_dendrites(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    made = neuron("n")
    with pytest.raises(error, match=f"^neuron 'n', .*{re.escape(message)}"):
        made.modality_dendrite(**{"collateral": ask, **keywords})
    assert made.dendrites == ()


def test_paths_above_and_below_a_declared_one_belong() -> None:
    made = neuron("n").modality_dendrite(
        collateral=ask, modality=http, afferent_paths={root: handle, api: handle, users: handle}
    )
    assert len(made.dendrites) == 1


@pytest.mark.parametrize("keywords", [{"default": double}, {"default": handle, "output": double}])
def test_offload_refuses_async(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^neuron 'n', modality dendrite on 'ask', .*: double is asynchronous"):
        neuron("n", offload=True).modality_dendrite(collateral=ask, modality=http, **keywords)
