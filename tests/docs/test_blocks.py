"""Every code block of the documentation runs, and prints what the page says it prints.

The ``python`` blocks of a page run in order, in one namespace. What a block prints is in a ``text`` block after it, in
which ``...`` stands for anything; ``pycon`` blocks are examples with ``>>>`` in the same namespace. A fragment that
cannot run is ``python no-run: REASON``; it must still be Python.
"""

from __future__ import annotations

import contextlib
import doctest
import gc
import io
import sys
import traceback
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Block, Page

_OPTIONS = doctest.ELLIPSIS
_LANGUAGES = {"python", "pycon", "text", "console", "json", "toml", "sql", "mermaid", "dot", ""}


@contextlib.contextmanager
def _module() -> Iterator[types.ModuleType]:
    """A module of the page's own, which dataclasses and axons find by its name as they would any user's."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    path = sys.path.copy()
    try:
        yield module
    finally:
        del sys.modules["page"]
        sys.path[:] = path


def _compile(page: Page, block: Block) -> types.CodeType:
    # Blank lines put the code where it is on the page, so that tracebacks show the page's line.
    return compile("\n" * (block.line - 1) + block.text, page.path, "exec", dont_inherit=True)


def _run(page: Page, block: Block, module: types.ModuleType) -> str:
    printed = io.StringIO()
    code = _compile(page, block)
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, module.__dict__)
    except Exception as error:
        # The page's own frames alone; pytest would show the whole page as one function.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        pytest.fail("".join(traceback.format_exception(error)), pytrace=False)
    return printed.getvalue()


def _run_examples(page: Page, block: Block, module: types.ModuleType) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, module.__dict__, page.name, page.name, block.line - 1)
    assert test.examples, f"{page.name}:{block.line}: a pycon block without >>>"
    test.globs = module.__dict__  # the page's own, not a copy
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=_OPTIONS, verbose=False)
    runner.run(test, out=report.write, clear_globs=False)
    assert not runner.failures, report.getvalue()


def test_blocks_run(page: Page) -> None:
    checker = doctest.OutputChecker()
    blocks = list(page.blocks())
    with _module() as module:
        for number, block in enumerate(blocks):
            where = f"{page.name}:{block.line}"
            if block.language == "pycon":
                _run_examples(page, block, module)
            elif block.language == "python" and block.info.startswith("no-run"):
                reason = block.info.removeprefix("no-run").lstrip(": ")
                assert reason, f"{where}: say why this block cannot run: python no-run: REASON"
                _compile(page, block)
            elif block.language == "python":
                assert not block.info, f"{where}: {block.info!r} means nothing here"
                printed = _run(page, block, module)
                after = blocks[number + 1] if number + 1 < len(blocks) else None
                expected = after.text if after is not None and after.language == "text" else ""
                if not checker.check_output(expected, printed, _OPTIONS):
                    pytest.fail(f"{where}: the page shows\n{expected}\nand the code prints\n{printed}", pytrace=False)
        # What is left over, like a coroutine that was never awaited, says so here and not in another test.
        module.__dict__.clear()
        gc.collect()


def test_blocks_have_a_known_language(page: Page) -> None:
    for block in page.blocks():
        assert block.language in _LANGUAGES, f"{page.name}:{block.line}"


def test_a_text_block_follows_the_code_that_prints_it(page: Page) -> None:
    languages = [block.language for block in page.blocks()]
    for before, language in zip(["", *languages], languages, strict=False):
        is_output = language == "text"
        assert not is_output or before == "python", f"{page.name}: text is output; use a fence without language"


def test_recipes_show_or_assert_a_result(page: Page) -> None:
    if page.name.startswith("docs/recipes/") and page.path.name != "index.md":
        blocks = list(page.blocks())
        assert any(block.language == "text" or "assert " in block.text for block in blocks), page.name
