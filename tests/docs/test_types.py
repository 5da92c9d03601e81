"""The code of the documentation is typed: mypy and pyright, as strict as they can be, accept all that runs.

In fragments that do not run, they reject the lines that say ``# error:``, and no others.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Page

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

_SOURCE = Path(__file__).resolve().parents[2] / "python"
# Where both checkers say that an error is: the file's name and the line.
_ERROR = re.compile(r"([\w.]+\.py):(\d+):.*?\berror: ")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory, all_pages: list[Page]) -> Path:
    """A directory with the code of each page as a module, at the lines that it has on the page."""
    directory = tmp_path_factory.mktemp("docs")
    for page in all_pages:
        lines = [""] * page.text.count("\n")
        for block in page.blocks():
            if block.language == "python":
                code = block.text.splitlines()
                lines[block.line - 1 : block.line - 1 + len(code)] = code
        if any(lines):
            name = page.name.removesuffix(".md").replace("/", "_").replace("-", "_")
            (directory / f"{name}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


def _marked(directory: Path) -> set[tuple[str, int]]:
    return {
        (path.name, number)
        for path in directory.glob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "# error:" in line
    }


def _check(directory: Path, *command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=directory, capture_output=True, text=True, check=False
    )
    output = result.stdout + result.stderr
    found = {(name, int(number)) for name, number in _ERROR.findall(output)}
    marked = _marked(directory)
    assert marked, "no page shows what is rejected"
    assert found == marked, f"not marked: {sorted(found - marked)}; not found: {sorted(marked - found)}\n{output}"


def test_mypy(extracted: Path) -> None:
    (extracted / "mypy.ini").write_text(
        # A page may define a name again, as a reader who goes through it from top to bottom would.
        f"[mypy]\nstrict = True\npython_version = 3.11\ndisable_error_code = no-redef\nmypy_path = {_SOURCE}\n"
    )
    _check(extracted, "mypy", "--config-file", "mypy.ini", "--cache-dir", ".cache", "--no-pretty", ".")


def test_pyright(extracted: Path) -> None:
    configuration = {
        "include": ["."],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(_SOURCE)],
        "reportRedeclaration": False,
    }
    (extracted / "pyrightconfig.json").write_text(json.dumps(configuration))
    _check(extracted, "pyright", "--pythonpath", sys.executable, "--project", ".")
