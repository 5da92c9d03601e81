"""The reference is complete: every public name, member, option, error and rule is on its page."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cnstra

if TYPE_CHECKING:
    from .conftest import Page

_STUB = Path(__file__).resolve().parents[2] / "python" / "cnstra" / "_native.pyi"
_CLASSES = [
    name
    for name in cnstra.__all__
    if inspect.isclass(getattr(cnstra, name)) and not issubclass(getattr(cnstra, name), BaseException)
]


@pytest.fixture(scope="module")
def texts(all_pages: list[Page]) -> dict[str, str]:
    return {page.name: page.text for page in all_pages}


@pytest.fixture(scope="module")
def code_in_reference(texts: dict[str, str]) -> str:
    """Everything that the pages of the reference say in code, in line or in tables; examples do not count."""
    reference = "\n".join(text for name, text in texts.items() if name.startswith("docs/reference/"))
    return "\n".join(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", reference, flags=re.MULTILINE | re.DOTALL)))


@pytest.mark.parametrize("name", [name for name in cnstra.__all__ if name != "__version__"])
def test_the_index_lists_every_name(name: str, texts: dict[str, str]) -> None:
    assert re.search(rf"^\| \[`{name}`\]\([a-z./-]+#?[\w-]*\) \|", texts["docs/reference/index.md"], re.MULTILINE)


@pytest.mark.parametrize("name", _CLASSES)
def test_every_member_is_mentioned(name: str, code_in_reference: str) -> None:
    members = [member for member in dir(getattr(cnstra, name)) if not member.startswith("_")]
    missing = [member for member in members if not re.search(rf"\b{member}\b", code_in_reference)]
    assert not missing, f"{name}: {missing}"


def _parameters(function: str, of: type) -> list[str]:
    """The keyword parameters of a method in the stub, where the engines' signatures are written down."""
    tree = ast.parse(_STUB.read_text("utf-8"))
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == of.__name__]
    return [
        argument.arg
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name == function
        for argument in node.args.kwonlyargs
    ]


def test_every_option_is_in_the_table(texts: dict[str, str]) -> None:
    engine = cnstra.CNS.__mro__[1]
    page = texts["docs/reference/cns.md"]
    options = _parameters("stimulate", engine)
    assert len(options) >= 10
    made_with = [*_parameters("__init__", engine), *_parameters("__new__", engine)]
    assert len(made_with) >= 4
    for option in (name for name in (*options, *made_with) if not name.startswith("_")):
        assert re.search(rf"^\| [^|]*`{option}`[^|]* \|", page, re.MULTILINE), option


def test_every_error_is_explained(texts: dict[str, str]) -> None:
    page = texts["docs/reference/errors.md"]
    errors = [name for name in cnstra.__all__ if name.endswith(("Error", "Failed", "Aborted", "Timeout"))]
    assert len(errors) == 18
    for name in errors:
        # In the tree, and in a table with what it means; the base of all is in the first sentence.
        assert len(re.findall(rf"\b{name}\b", page)) >= 2, name


def test_the_rules_are_all_there(texts: dict[str, str]) -> None:
    assert re.findall(r"^## S(\d+) ", texts["docs/rules.md"], re.MULTILINE) == [str(n) for n in range(1, 26)]
