"""The collaterals that an axon class declares by its annotations, and the check that its type argument agrees."""

from __future__ import annotations

import sys
import typing
from types import FrameType, UnionType
from typing import Any, ClassVar, Final, Literal, TypeVar, Union

__all__ = ["AxonFields"]

_NOTHING: Any = object()
_CO_OPTIMIZED = 0x01  # code of functions has it, code of class bodies has not


class AxonFields:
    """The fields of one axon class, resolved when it is made if every name is known by then.

    Args:
        cls: the axon class.
        root: the class Axon itself.
        channel: the class Collateral.
        namespace: the prefix of its collaterals' names, None to inherit.
        frame: where the search for the defining frame begins.
    """

    __slots__ = ("_bases", "_channel", "_cls", "_emitted", "_fields", "_frames", "_globals", "_root", "namespace")

    def __init__(self, cls: type, root: type, channel: type, namespace: str | None, frame: FrameType) -> None:
        self._cls = cls
        self._root = root
        self._channel = channel
        self.namespace = namespace
        self._globals, self._frames = _scope_of(cls, frame)
        self._emitted: Any = Any
        self._fields: dict[str, Any] | None = None
        # The axon classes it derives from, each with the type arguments it is given here.
        self._bases: list[tuple[AxonFields, Any]] = []
        for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
            inherited = getattr(typing.get_origin(base) or base, "__cnstra_fields__", None)
            if inherited is not None:
                self._bases.append((inherited, base))
                if self.namespace is None:
                    self.namespace = inherited.namespace
        try:
            self._resolve()
        except NameError:
            pass  # a name that is defined later: the first instance looks again, and insists

    def resolve(self) -> dict[str, Any]:
        """The payload type of every collateral by attribute name, inherited ones first.

        Raises:
            TypeError: an annotation is not a collateral, a name is not known, or the type argument differs.
        """
        if self._fields is None:
            try:
                self._resolve()
            except NameError as error:
                raise TypeError(
                    f"axon {self._cls.__name__}: an annotation cannot be resolved: {error}; annotations may use "
                    f"names of the module and of the scope that the class is defined in"
                ) from error
        return typing.cast("dict[str, Any]", self._fields)

    def _resolve(self) -> None:
        fields: dict[str, Any] = {}
        emitted: Any = None
        for base, alias in self._bases:
            inherited = base._fields
            if inherited is None:
                base._resolve()
                inherited = base._fields
            given = self._given(alias)
            for name, payload in (inherited or {}).items():
                fields[name] = _substitute(payload, given)
            if emitted is None:
                emitted = _substitute(base._emitted, given)
        for alias in self._cls.__dict__.get("__orig_bases__", ()):
            if typing.get_origin(alias) is self._root:
                (emitted,) = self._evaluate(typing.get_args(alias))
        for mixin in reversed(self._cls.__mro__):
            if not issubclass(mixin, self._root) and not any(issubclass(base._cls, mixin) for base, _ in self._bases):
                fields.update(self._of_mixin(mixin))
        fields.update(self._own())
        self._emitted = Any if emitted is None else emitted
        self._check(fields)
        self._fields = fields
        self._frames = []  # nothing more to look up: let the defining frame go

    def _given(self, alias: Any) -> dict[Any, Any]:
        origin = typing.get_origin(alias)
        if origin is None:
            return {}
        return dict(zip(origin.__parameters__, self._evaluate(typing.get_args(alias)), strict=False))

    def _of_mixin(self, mixin: type) -> dict[str, Any]:
        """The collaterals among the annotations of a base that is no axon; what else it annotates is its own affair."""
        module = sys.modules.get(mixin.__module__)
        payloads: dict[str, Any] = {}
        for name, annotation in dict(getattr(mixin, "__annotations__", {})).items():
            if self._channel.__name__ in str(annotation):  # others need not even be resolvable
                (hint,) = self._evaluate([annotation], None if module is None else vars(module))
                payloads[name] = self._payload(hint)
        return {name: payload for name, payload in payloads.items() if payload is not _NOTHING}

    def _own(self) -> dict[str, Any]:
        annotations = dict(self._cls.__annotations__)
        payloads: dict[str, Any] = {}
        for name, hint in zip(annotations, self._evaluate(annotations.values()), strict=True):
            if hint is ClassVar or typing.get_origin(hint) is ClassVar:
                continue
            payloads[name] = self._payload(hint)
            if payloads[name] is _NOTHING:
                raise TypeError(
                    f"axon {self._cls.__name__}: {name} is annotated {_show(hint)}, and an axon has collaterals "
                    f"alone: annotate it Collateral[...], or ClassVar[...] to keep it out"
                )
            if name in self._cls.__dict__:
                raise TypeError(
                    f"axon {self._cls.__name__}: {name} has a value, and the collaterals of an axon are made for "
                    f"each instance: leave the annotation alone"
                )
        return payloads

    def _payload(self, hint: Any) -> Any:
        """The payload type that an annotation gives a collateral, ``_NOTHING`` if it annotates something else."""
        if typing.get_origin(hint) is Final:
            (hint,) = typing.get_args(hint)
        if hint is self._channel:
            return None
        if typing.get_origin(hint) is not self._channel:
            return _NOTHING
        (payload,) = typing.get_args(hint)
        return None if payload is type(None) else payload

    def _evaluate(self, hints: Any, globals_: dict[str, Any] | None = None) -> list[Any]:
        """Type expressions with every string and forward reference in them looked up; NameError if one is unknown."""
        locals_: dict[str, Any] = {}
        for frame in reversed(self._frames):
            locals_.update(frame.f_locals)
        locals_.update(vars(self._cls))
        # get_type_hints wants an object; a class, because ClassVar is allowed in one.
        holder = type("hints", (), {"__annotations__": {str(i): hint for i, hint in enumerate(hints)}})
        return list(typing.get_type_hints(holder, self._globals if globals_ is None else globals_, locals_).values())

    def _check(self, fields: dict[str, Any]) -> None:
        """TypeError if the type argument is not the union of the payloads; Any and type variables are not checked."""
        allowed = _members(self._emitted)
        if any(member is Any or isinstance(member, TypeVar) for member in allowed):
            return
        carried: dict[Any, list[str]] = {}
        for name, payload in fields.items():
            for member in _members(payload):
                carried.setdefault(member, []).append(name)
        problems = [
            f"{_show(member)} ({', '.join(names)}) is missing in the type argument"
            for member, names in carried.items()
            if member not in allowed
        ]
        problems += [f"no collateral carries {_show(member)}" for member in allowed if member not in carried]
        if problems:
            union = " | ".join(map(_show, carried)) or "Never"
            raise TypeError(
                f"axon {self._cls.__name__}: its type argument and its annotations differ: {'; '.join(problems)}. "
                f"For these annotations it is Axon[{union}]"
            )


def _scope_of(cls: type, frame: FrameType | None) -> tuple[dict[str, Any], list[FrameType]]:
    """The globals and the frames, innermost first, in which names of a class's annotations are looked up."""
    while frame is not None and frame.f_code.co_name in ("__init_subclass__", "__new__"):
        frame = frame.f_back  # somebody's override on the way from the class statement
    if frame is None or frame.f_globals.get("__name__", cls.__module__) != cls.__module__:
        module = sys.modules.get(cls.__module__)
        return ({} if module is None else vars(module)), []
    globals_ = frame.f_globals
    frames: list[FrameType] = []
    while frame is not None and frame.f_locals is not globals_:
        frames.append(frame)
        # The body of an enclosing class is run by the scope around it; a function's caller is no scope of it.
        is_function = frame.f_code.co_flags & _CO_OPTIMIZED
        if is_function and not frame.f_code.co_name.startswith("<generic parameters of "):
            break
        frame = frame.f_back
    return globals_, frames


def _substitute(hint: Any, given: dict[Any, Any]) -> Any:
    """A type with type variables replaced."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not given or not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(given.get(parameter, parameter) for parameter in parameters)]


def _members(hint: Any) -> dict[Any, None]:
    """The members of a union, each once, in order; aliases of unions opened."""
    members: dict[Any, None] = {}
    stack = [hint]
    while stack:
        hint = stack.pop()
        origin = typing.get_origin(hint)
        if origin is Union or origin is UnionType:
            stack.extend(reversed(typing.get_args(hint)))
        elif origin is Literal:
            members.update(dict.fromkeys(Literal[value] for value in typing.get_args(hint)))
        elif type(hint).__name__ == "TypeAliasType":
            stack.append(hint.__value__)
        elif type(origin).__name__ == "TypeAliasType":
            stack.append(_substitute(origin.__value__, dict(zip(origin.__type_params__, hint.__args__, strict=False))))
        elif hint is not typing.Never and hint is not typing.NoReturn:
            members[type(None) if hint is None else hint] = None
    return members


def _show(hint: Any) -> str:
    if hint is type(None):
        return "None"
    return getattr(hint, "__qualname__", None) or str(hint) if isinstance(hint, type) else str(hint)
