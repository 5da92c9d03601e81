"""What mypy and pyright say, both strict, about code that uses cnstra: exactly the lines marked in it.

``# error: ...`` marks a line that both must report, ``# mypy: ...`` one that mypy alone reports, a limit of it that
users should know. They check the installed package from outside, as they do at a user's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.glob("*.py") if not path.name.startswith("test_"))
MARK = re.compile(r"#\s*(error|mypy)\b")

Reported = dict[str, dict[int, str]]


def _mypy(project: Path, cache: Path) -> Reported:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", "--output=json", *CASES],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert not done.stderr, done.stderr
    reported: Reported = {}
    for line in done.stdout.splitlines():
        found = json.loads(line)
        if found["severity"] == "error":
            reported.setdefault(found["file"], {})[found["line"]] = found["message"]
    return reported


def _pyright(project: Path, cache: Path) -> Reported:
    (project / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    reported: Reported = {}
    for found in json.loads(done.stdout)["generalDiagnostics"]:
        if found["severity"] == "error":
            name = Path(found["file"]).name
            reported.setdefault(name, {})[found["range"]["start"]["line"] + 1] = found["message"]
    return reported


CHECKERS: dict[str, Callable[[Path, Path], Reported]] = {"mypy": _mypy, "pyright": _pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> tuple[str, Reported]:
    """The name of a checker, and what it reports about a copy of the cases that lies outside of this project."""
    name = request.param
    if importlib.util.find_spec(name) is None and "CNSTRA_CI" not in os.environ:
        pytest.skip(f"{name} is not installed")
    project = tmp_path_factory.mktemp(name)
    for case in CASES:
        shutil.copy(HERE / case, project)
    return name, CHECKERS[name](project, pytestconfig.cache.mkdir(f"typing-{name}"))


@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES)
def test_reports_exactly_what_is_marked(checked: tuple[str, Reported], case: str) -> None:
    checker, reported = checked
    lines = (HERE / case).read_text().splitlines()
    marks = {number: mark[1] for number, line in enumerate(lines, 1) if (mark := MARK.search(line))}
    expected = {number for number, mark in marks.items() if mark in ("error", checker)}
    found = reported.get(case, {})
    unexpected = {number: (lines[number - 1], found[number]) for number in sorted(found.keys() - expected)}
    missing = {number: lines[number - 1] for number in sorted(expected - found.keys())}
    assert expected
    assert not unexpected
    assert not missing


@pytest.mark.once
def test_nothing_but_the_cases_is_reported(checked: tuple[str, Reported]) -> None:
    assert set(checked[1]) <= set(CASES)
