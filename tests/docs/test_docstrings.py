"""The examples in docstrings run, and everything public has a docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import pkgutil

import pytest

import cnstra


def _modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(cnstra.__path__, "cnstra.")]
    # What is there to be run, and the other engine when it was not chosen, are not imported.
    other = "cnstra._native" if cnstra.engine == "python" else "cnstra._pure"
    return ["cnstra", *(n for n in names if n.rpartition(".")[2] != "__main__" and not f"{n}.".startswith(f"{other}."))]


@pytest.mark.parametrize("name", _modules())
def test_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.write)
    assert not runner.failures, report.getvalue()


def test_the_examples_are_found() -> None:
    found = [
        test
        for name in _modules()
        for test in doctest.DocTestFinder().find(importlib.import_module(name), name)
        if test.examples
    ]
    assert len(found) >= 15


def _public() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name in cnstra.__all__:
        value = getattr(cnstra, name)
        if not callable(value):
            continue
        found.append((name, value))
        # What the engines define is documented where a type checker looks: in the stub of the native one.
        of_an_engine = value.__module__.startswith(("cnstra._pure", "cnstra._native"))
        if inspect.isclass(value) and not issubclass(value, BaseException) and not of_an_engine:
            found += [
                (f"{name}.{member}", attribute)
                for member, attribute in vars(value).items()
                if not member.startswith("_")
                and (callable(attribute) or inspect.isdatadescriptor(attribute))
                # The fields of dataclasses are told in the docstring of the class.
                and member not in getattr(value, "__dataclass_fields__", ())
            ]
    return found


@pytest.mark.parametrize(("name", "value"), [pytest.param(*item, id=item[0]) for item in _public()])
def test_public_names_have_docstrings(name: str, value: object) -> None:
    assert inspect.getdoc(value), f"{name} has no docstring"
