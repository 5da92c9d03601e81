"""How the code is laid out: who may import what, how long a file may be, and that `__all__` is what is there.

An exception is an entry in one of the tables below, with its reason. An entry that nothing needs any more fails too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "cnstra"

MAX_LINES = 400
# Files that may be longer than MAX_LINES.
LONGER = {
    "python/cnstra/_native.pyi": "a module has one stub, and people read its docstrings in their editor",
}

# What the pure engine shares with the rest, beside cnstra.errors: none of it needs an engine to be imported.
SHARED_WITH_PURE = {
    "cnstra._version": "build_info() tells it",
    "cnstra.aio": "where a run lives when there is a loop; the native engine calls the same",
    "cnstra.blocking": "where a run lives when there is none; the native engine calls the same",
    "cnstra.deadlock": "who awaits whom: one book for the runs of both engines",
    "cnstra.faults": "the engine's own errors, worded once for both",
    "cnstra.wrapping": "middleware, applied when a graph is compiled",
}
# What it takes from the builder and the data, inside functions, because these need an engine to be imported.
LATE_FOR_PURE = {
    "cnstra.abort": "the abort signal that a context hands out",
    "cnstra.context": "the store that a run gets if none is given",
    "cnstra.graph": "what CNS([...]) is given must be neurons",
    "cnstra.stimulation": "tasks and failures as data",
}

# What costs too much at import, and is needed by few programs or only once something goes wrong.
LATE = {"asyncio", "concurrent", "logging", "multiprocessing", "socket", "ssl", "subprocess", "tempfile"}


class Import(NamedTuple):
    file: str
    line: int
    module: str
    # "module" if it is imported when the file is, "function" if later, "typing" if never.
    when: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_named(node: ast.stmt, importer: str, is_package: bool) -> list[str]:
    """The absolute names of the modules that an import statement loads, submodules imported by name included."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = importer.split(".") if is_package else importer.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        base = ".".join([*package, *([node.module] if node.module else [])])
    found = []
    for alias in node.names:
        inner = PACKAGE.parent.joinpath(*base.split("."), alias.name)
        found.append(f"{base}.{alias.name}" if inner.with_suffix(".py").exists() or inner.is_dir() else base)
    return found


def is_typing_only(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports_of(path: Path) -> list[Import]:
    importer, is_package = module_name(path), path.name == "__init__.py"
    found: list[Import] = []

    def visit(node: ast.AST, when: str) -> None:
        if isinstance(node, ast.stmt):
            for module in modules_named(node, importer, is_package):
                found.append(Import(str(path.relative_to(ROOT)), node.lineno, module, when))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "module":
            when = "function"
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and is_typing_only(node.test) and child in node.body
            visit(child, "typing" if guarded else when)

    visit(ast.parse(path.read_text(encoding="utf-8")), "module")
    return found


@cache
def core_files() -> tuple[Path, ...]:
    """The modules of the package itself, of the pure engine and of the event loop: what `import cnstra` may need."""
    found = [*PACKAGE.glob("*.py"), *(PACKAGE / "_pure").glob("*.py"), *(PACKAGE / "aio").glob("*.py")]
    # `python -m cnstra` is the command line.
    return tuple(path for path in sorted(found) if path.name != "__main__.py")


@cache
def optional_files() -> tuple[Path, ...]:
    return tuple(path for path in sorted(PACKAGE.rglob("*.py")) if path not in core_files())


def optional_parts() -> set[str]:
    """Such as `cli`: the packages, and the modules of their own, that the core does not know."""
    return {module_name(path).split(".")[1] for path in optional_files()}


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi"), *(ROOT / "rust").glob("*/src/**/*.rs")])


def in_fresh_process(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


# --- Imports


def test_the_reader_of_imports_sees_what_it_must() -> None:
    assert len(core_files()) > 20
    pure = {(one.module, one.when) for one in imports_of(PACKAGE / "_pure" / "__init__.py")}
    assert {("cnstra._pure.engine", "module"), ("cnstra._version", "function")} <= pure
    engine = {(one.module, one.when) for one in imports_of(PACKAGE / "_engine.py")}
    assert {("cnstra._native", "typing"), ("cnstra._native", "module"), ("cnstra._pure", "module")} <= engine


def test_the_pure_engine_imports_errors_and_what_is_shared_and_the_standard_library() -> None:
    found = [
        one
        for path in (PACKAGE / "_pure").glob("*.py")
        for one in imports_of(path)
        if within(one.module, "cnstra") and not within(one.module, "cnstra._pure") and one.when != "typing"
    ]
    at_once = {"cnstra.errors", *SHARED_WITH_PURE}
    later = {*at_once, *LATE_FOR_PURE}
    assert not [str(one) for one in found if one.module not in (at_once if one.when == "module" else later)]
    assert {*SHARED_WITH_PURE, *LATE_FOR_PURE} <= {one.module for one in found}, "entries that nothing needs"


@pytest.mark.parametrize("name", SHARED_WITH_PURE)
def test_what_the_pure_engine_shares_needs_no_engine(name: str) -> None:
    place = PACKAGE / name.removeprefix("cnstra.")
    found = [
        one
        for path in (sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")])
        for one in imports_of(path)
        if within(one.module, "cnstra") and not within(one.module, name) and one.when == "module"
    ]
    assert not [str(one) for one in found if one.module not in {"cnstra.errors", *SHARED_WITH_PURE}]


def test_only_one_module_imports_the_engines() -> None:
    wrong = [
        str(one)
        for path in [*core_files(), *optional_files()]
        if path != PACKAGE / "_engine.py" and path.parent != PACKAGE / "_pure"
        for one in imports_of(path)
        if within(one.module, "cnstra._native") or within(one.module, "cnstra._pure")
    ]
    assert not wrong


def test_only_aio_imports_asyncio() -> None:
    found = [one for path in core_files() for one in imports_of(path) if within(one.module, "asyncio")]
    assert {str(Path(one.file).parent) for one in found} == {"python/cnstra/aio"}
    assert not [str(one) for one in found if one.when == "module"]


def test_the_core_imports_no_third_party_package() -> None:
    wrong = [
        str(one)
        for path in core_files()
        for one in imports_of(path)
        if one.module.split(".")[0] not in {*sys.stdlib_module_names, "cnstra"}
    ]
    assert not wrong


def test_the_core_imports_nothing_optional() -> None:
    optional = optional_parts()
    wrong = [
        str(one)
        for path in core_files()
        for one in imports_of(path)
        if one.module.startswith("cnstra.") and one.module.split(".")[1] in optional
    ]
    assert not wrong


def test_what_is_optional_uses_the_public_api_alone() -> None:
    optional = optional_parts()
    wrong = [
        str(one)
        for path in optional_files()
        for one in imports_of(path)
        if one.module.startswith("cnstra.") and one.module.split(".")[1] not in optional
    ]
    assert not wrong


@pytest.mark.parametrize("engine", ["native", "python"])
def test_import_loads_the_one_engine_and_nothing_late(engine: str) -> None:
    loaded = set(
        json.loads(
            in_fresh_process(
                "import sys; before = set(sys.modules); import cnstra, json;"
                "print(json.dumps(sorted(set(sys.modules) - before)))",
                CNSTRA_ENGINE=engine,
            )
        )
    )
    assert "cnstra" in loaded
    tops = {name.split(".")[0] for name in loaded}
    assert tops <= {*sys.stdlib_module_names, "cnstra"}
    assert not tops & LATE
    assert ("cnstra._native" in loaded, "cnstra._pure" in loaded) == (engine == "native", engine == "python")


# --- Rust


def test_the_scheduler_depends_on_nothing_and_forbids_unsafe_code() -> None:
    manifest = tomllib.loads((ROOT / "rust/core/Cargo.toml").read_text(encoding="utf-8"))
    assert not {"dependencies", "build-dependencies", "target"} & set(manifest)
    assert "#![forbid(unsafe_code)]" in (ROOT / "rust/core/src/lib.rs").read_text(encoding="utf-8")


# Where unsafe code is.
UNSAFE = {
    "rust/py/src/call.rs": "calls that PyO3 has no safe wrapper for",
    "rust/py/src/fields.rs": "fields read from where the interpreter has them",
    "rust/py/src/guarded.rs": "a cell that the interpreter's lock guards",
}


def test_unsafe_code_has_its_files() -> None:
    allowing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rust").rglob("*.rs")
        if "allow(unsafe_code" in path.read_text(encoding="utf-8")
    }
    assert allowing == set(UNSAFE)


# --- Files


def test_no_file_is_longer_than_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert len(lengths) > 30
    long = {name for name, length in lengths.items() if length > MAX_LINES}
    assert not long - set(LONGER), {name: lengths[name] for name in long - set(LONGER)}
    assert not set(LONGER) - long, "entries that nothing needs"


def test_no_file_is_a_drawer() -> None:
    drawers = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert not [str(path) for path in sources() if path.stem in drawers]


# --- Names


def public_names(module: object) -> set[str]:
    return {name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)}


def test_all_is_what_is_there() -> None:
    cnstra = importlib.import_module("cnstra")
    # `annotations` is what `from __future__` leaves behind.
    assert public_names(cnstra) - {"annotations"} == set(cnstra.__all__) - {"__version__"}
    assert len(cnstra.__all__) == len(set(cnstra.__all__))


@pytest.mark.parametrize(
    "path", [path for path in [*core_files(), *optional_files()] if path.name != "__main__.py"], ids=module_name
)
def test_every_module_has_what_its_all_names(path: Path) -> None:
    module = importlib.import_module(module_name(path))
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []
    assert module.__doc__, "a module says what it is for"


def test_every_public_name_is_explained() -> None:
    cnstra = importlib.import_module("cnstra")
    silent = [
        name
        for name in cnstra.__all__
        if (inspect.isclass(value := getattr(cnstra, name)) or inspect.isroutine(value)) and not value.__doc__
    ]
    assert not silent


def test_both_engines_offer_the_same() -> None:
    code = "import cnstra._engine as e; print(sorted(e.__all__), [n for n in e.__all__ if not hasattr(e, n)])"
    native, pure = (in_fresh_process(code, CNSTRA_ENGINE=engine) for engine in ("native", "python"))
    assert native == pure
    assert native.rstrip().endswith("] []")
