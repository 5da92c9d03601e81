"""The examples in docstrings run, and everything public has a docstring.

What the engines define is documented where type checkers and editors look: in the stub of the native one.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import io
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnstra
from cnstra import _engine

_STUB = Path(__file__).resolve().parents[2] / "python" / "cnstra" / "_native.pyi"
_Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(cnstra.__path__, "cnstra.")]
    # What is there to be run, and the other engine when it was not chosen, are not imported.
    other = "cnstra._native" if cnstra.engine == "python" else "cnstra._pure"
    return ["cnstra", *(n for n in names if n.rpartition(".")[2] != "__main__" and not f"{n}.".startswith(f"{other}."))]


def _in_stub() -> Iterator[tuple[str, _Documented]]:
    """Every class and function of the stub, by qualified name; once for each overload."""
    for node in ast.parse(_STUB.read_text("utf-8")).body:
        if isinstance(node, _Documented):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{part.name}", part) for part in node.body if isinstance(part, _Documented))


def _run(tests: list[doctest.DocTest]) -> None:
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for test in tests:
        runner.run(test, out=report.write)
    assert not runner.failures, report.getvalue()


@pytest.mark.parametrize("name", _modules())
def test_docstrings_run(name: str) -> None:
    _run(doctest.DocTestFinder().find(importlib.import_module(name), name))


def test_docstrings_of_the_stub_run() -> None:
    parser = doctest.DocTestParser()
    tests = []
    for name, node in _in_stub():
        text = ast.get_docstring(node)
        if text is not None and ">>>" in text:
            tests.append(parser.get_doctest(text, {}, name, str(_STUB), node.lineno))
    assert len(tests) >= 5
    _run(tests)


def test_the_examples_are_found() -> None:
    finder = doctest.DocTestFinder()
    tests = [test for name in _modules() for test in finder.find(importlib.import_module(name), name)]
    assert sum(bool(test.examples) for test in tests) >= 15


def _public() -> Iterator[tuple[str, object]]:
    for name in cnstra.__all__:
        value = getattr(cnstra, name)
        if callable(value) and name not in _engine.__all__:
            yield name, value
            # The fields of dataclasses are told in the docstring of the class.
            fields = getattr(value, "__dataclass_fields__", ())
            for member, attribute in vars(value).items() if inspect.isclass(value) else ():
                is_code = callable(attribute) or inspect.isdatadescriptor(attribute)
                if is_code and not member.startswith("_") and member not in fields:
                    yield f"{name}.{member}", attribute


@pytest.mark.parametrize(("name", "value"), [pytest.param(*item, id=item[0]) for item in _public()])
def test_public_names_have_docstrings(name: str, value: object) -> None:
    assert inspect.getdoc(value), f"{name} has no docstring"


def test_public_names_of_the_stub_have_docstrings() -> None:
    documented: dict[str, bool] = {}
    for name, node in _in_stub():
        if not any(part.startswith("_") for part in name.split(".")):
            documented[name] = documented.get(name, False) or bool(ast.get_docstring(node))
    assert {name for name in _engine.__all__ if name != "engine"} <= documented.keys()
    assert not [name for name, is_documented in documented.items() if not is_documented]
