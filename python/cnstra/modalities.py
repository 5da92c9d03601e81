"""Modalities: which handler of a dendrite answers depends on where the run came from (S18).

A run is started with a modality (``cli``, ``http``) and an afferent path (``http`` > ``admin`` > ``users``); a modality
dendrite picks its handler by both, by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Never, Self, final

from . import aio
from .errors import ModalityError
from .handlers import analyze

__all__ = ["AfferentPath", "Modality", "Router", "afferent_path", "modality", "tables_of"]


class _Named:
    """What modalities and paths are: objects told apart by identity, with a name for people."""

    __slots__ = ("__weakref__", "_name")

    _name: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError(f"{self!r} cannot be pickled: it is its identity that picks handlers; send its name")


@final
class AfferentPath(_Named):
    """Where in a modality a run came from. Made by ``afferent_path``."""

    __slots__ = ("_parent",)

    _parent: AfferentPath | None

    def __init__(self, name: str, parent: AfferentPath | None = None) -> None:
        self._name = _checked(name, "an afferent path")
        if parent is not None and not isinstance(parent, AfferentPath):
            raise TypeError(f"afferent path {name!r}: parent must be an afferent path, not {type(parent).__name__}")
        self._parent = parent

    @property
    def parent(self) -> AfferentPath | None:
        """The path above it, whose handler serves where it has none itself."""
        return self._parent

    def _upwards(self) -> Iterator[AfferentPath]:
        path: AfferentPath | None = self
        while path is not None:
            yield path
            path = path._parent

    def __repr__(self) -> str:
        return f"<AfferentPath {'/'.join(reversed([path._name for path in self._upwards()]))!r}>"


@final
class Modality(_Named):
    """A kind of origin of runs. Made by ``modality``."""

    __slots__ = ("_paths",)

    _paths: tuple[AfferentPath, ...]

    def __init__(self, name: str, paths: Iterable[AfferentPath] = ()) -> None:
        self._name = _checked(name, "a modality")
        self._paths = tuple(paths)
        for path in self._paths:
            if not isinstance(path, AfferentPath):
                raise TypeError(f"modality {name!r}: paths must be afferent paths, not {type(path).__name__}")

    @property
    def paths(self) -> tuple[AfferentPath, ...]:
        """The paths that it declares; empty if it does not say."""
        return self._paths

    def _has(self, path: AfferentPath) -> bool:
        """Whether a path is declared, or lies above or below one that is."""
        above = set(path._upwards())
        return not self._paths or any(known in above or path in known._upwards() for known in self._paths)

    def __repr__(self) -> str:
        return f"<Modality {self._name!r}>"


def afferent_path(name: str, parent: AfferentPath | None = None) -> AfferentPath:
    """Make an afferent path: where in a modality a run came from.

    Args:
        name: what messages call it; paths are told apart by identity.
        parent: the path above it, whose handler serves where this one has none.

    Raises:
        TypeError, ValueError: the name is no str or empty, or the parent no path.

    Example:
        >>> from cnstra import afferent_path
        >>> api = afferent_path("api")
        >>> afferent_path("users", api)
        <AfferentPath 'api/users'>
    """
    return AfferentPath(name, parent)


def modality(name: str, paths: Iterable[AfferentPath] = ()) -> Modality:
    """Make a modality: a kind of origin of runs, given to ``stimulate(..., modality=, afferent_path=)``.

    Args:
        name: what messages call it; modalities are told apart by identity.
        paths: the paths that it has; modality dendrites may then register these, and what lies above and below
            them, and no others. Empty allows any.

    Raises:
        TypeError, ValueError: the name is no str or empty, or something in ``paths`` no path.

    Example:
        >>> from cnstra import CNS, afferent_path, collateral, modality, neuron
        >>> api = afferent_path("api")
        >>> http, shell = modality("http", [api]), modality("shell")
        >>> greet = collateral("greet", str)
        >>> greeter = neuron("greeter").modality_dendrite(
        ...     collateral=greet,
        ...     modalities={
        ...         http: {api: lambda name: print("200", name), None: lambda name: print("404")},
        ...         shell: {None: lambda name: print("hello", name)},
        ...     },
        ... )
        >>> cns = CNS([greeter])
        >>> users = afferent_path("users", api)
        >>> cns.stimulate(greet.create_signal("Ada"), modality=http, afferent_path=users).outcome
        200 Ada
        'completed'
        >>> cns.stimulate(greet.create_signal("Ada"), modality=shell).outcome
        hello Ada
        'completed'
    """
    return Modality(name, paths)


class _Step:
    """A handler or an output function, with how to call it."""

    __slots__ = ("arity", "function", "is_async")

    def __init__(self, function: Callable[..., Any], what: str, offload: bool) -> None:
        try:
            self.arity, self.is_async = analyze(function, offload)
        except TypeError as error:
            raise TypeError(f"{what}: {error}") from None
        self.function = function

    def call(self, first: Any, axon: Any, ctx: Any) -> Any:
        if self.arity == 1:
            return self.function(first)
        if self.arity == 2:
            return self.function(first, axon)
        return self.function(first, axon, ctx)


@final
class Router:
    """The handler of a modality dendrite: picks the registered one, and gives its result to ``output``."""

    __slots__ = ("_collateral", "_default", "_neuron", "_offload", "_output", "_tables")

    def __init__(
        self,
        neuron: str,
        collateral: str,
        offload: bool,
        modalities: Mapping[Modality, Mapping[AfferentPath | None, Callable[..., Any]]],
        default: Callable[..., Any] | None,
        output: Callable[..., Any] | None,
    ) -> None:
        where = f"neuron {neuron!r}, modality dendrite on {collateral!r}"
        self._neuron = neuron
        self._collateral = collateral
        self._offload = offload
        self._tables: dict[Modality, dict[AfferentPath | None, _Step]] = {}
        for kind, handlers in modalities.items():
            if not isinstance(kind, Modality):
                raise TypeError(f"{where}: {kind!r} is no modality: make one with modality(name, paths)")
            if not isinstance(handlers, Mapping):
                raise TypeError(
                    f"{where}: modality {kind.name!r} needs a mapping of afferent paths to handlers (None for its "
                    f"default), not {type(handlers).__name__}"
                )
            self._tables[kind] = {}
            for path, handler in handlers.items():
                _check_path(where, kind, path)
                self._tables[kind][path] = _Step(handler, f"{where}, {_place(kind, path)}", offload)
        self._default = None if default is None else _Step(default, f"{where}, default", offload)
        self._output = None if output is None else _Step(output, f"{where}, output", offload)
        if self._default is None and not any(self._tables.values()):
            raise TypeError(f"{where}: no handler is registered: give afferent_paths= or default=")

    def __call__(self, payload: Any, axon: Any, ctx: Any, /) -> Any:
        step = self._pick(ctx.stimulation.modality, ctx.stimulation.afferent_path)
        output = self._output
        if output is None:
            return step.call(payload, axon, ctx)
        if step.is_async:
            return self._call_later(step, output, payload, axon, ctx)
        result = step.call(payload, axon, ctx)
        later = aio.as_coroutine(result)
        if later is None:
            return output.call(result, axon, ctx)
        if not self._offload and aio.current() is None:
            return later  # without a loop the engine refuses it, and closes what it was given
        return self._finish(later, output, axon, ctx)

    @property
    def known(self) -> dict[Modality, list[AfferentPath]]:
        """The paths that each of its modalities declares or that it registers, with all that lies above them."""
        return {
            kind: [above for path in (*kind._paths, *handlers) if path is not None for above in path._upwards()]
            for kind, handlers in self._tables.items()
        }

    def _pick(self, kind: Modality | None, path: AfferentPath | None) -> _Step:
        table = None if kind is None else self._tables.get(kind)
        if table is not None:
            if path is not None:
                for known in path._upwards():
                    if known in table:
                        return table[known]
            if None in table:
                return table[None]
        if self._default is None:
            raise ModalityError(
                f"neuron {self._neuron!r} has no handler on {self._collateral!r} for a run with {_place(kind, path)}: "
                f"register that path or one above it, or give a default"
            )
        return self._default

    async def _call_later(self, step: _Step, output: _Step, payload: Any, axon: Any, ctx: Any) -> Any:
        return await self._finish(step.call(payload, axon, ctx), output, axon, ctx)

    async def _finish(self, result: Any, output: _Step, axon: Any, ctx: Any) -> Any:
        answer = output.call(await result, axon, ctx)
        later = aio.as_coroutine(answer)
        return answer if later is None else await later

    def __repr__(self) -> str:
        return f"<Router of {self._neuron!r} on {self._collateral!r}>"


def tables_of(
    where: str, kind: Any, paths: Any, modalities: Any, default: Any
) -> tuple[Mapping[Any, Mapping[Any, Any]], Any]:
    """The two ways to register handlers as one: (handlers by modality and path, global default)."""
    if (kind is None) == (modalities is None):
        raise TypeError(f"{where} takes either modality= (with afferent_paths= and its default=) or modalities=")
    if modalities is not None:
        if paths is not None:
            raise TypeError(f"{where}: afferent_paths= goes with modality=; with modalities= each has its own mapping")
        if not _is_mapping(modalities):
            raise TypeError(f"{where}: modalities must be a mapping of modalities, not {type(modalities).__name__}")
        return modalities, default
    if paths is not None and not _is_mapping(paths):
        raise TypeError(f"{where}: afferent_paths must be a mapping of paths to handlers, not {type(paths).__name__}")
    handlers: dict[Any, Any] = {} if paths is None else dict(paths)
    if default is not None:
        if None in handlers:
            raise TypeError(f"{where}: default= and afferent_paths={{None: ...}} are the same: give one of them")
        handlers[None] = default
    return {kind: handlers}, None


def _check_path(where: str, kind: Modality, path: Any) -> None:
    if path is None:
        return
    if not isinstance(path, AfferentPath):
        raise TypeError(f"{where}: {path!r} is no afferent path: make one with afferent_path(name)")
    if not kind._has(path):
        known = ", ".join(repr(p.name) for p in kind.paths)
        raise ValueError(f"{where}: modality {kind.name!r} has no path {path.name!r}, only {known}")


def _place(kind: Modality | None, path: AfferentPath | None) -> str:
    modality_ = "no modality" if kind is None else f"modality {kind.name!r}"
    return f"{modality_} and {'no afferent path' if path is None else f'afferent path {path.name!r}'}"


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _checked(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError(f"the name of {what} must not be empty")
    return name
