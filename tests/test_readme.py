"""The README's example is what a newcomer pastes first: it runs as it stands, on both engines, and is well typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.once


def test_there_is_one_example_of_at_most_25_lines() -> None:
    (example,) = EXAMPLES
    assert 5 <= len(example.splitlines()) <= 25


@pytest.mark.parametrize("engine", ["native", "python"])
def test_the_example_runs(engine: str, tmp_path: Path) -> None:
    (example,) = EXAMPLES
    script = tmp_path / "example.py"
    script.write_text(f"{example}\nimport cnstra\nprint(cnstra.engine)\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=os.environ | {"CNSTRA_ENGINE": engine},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["Welcome, Ada!", engine]


@pytest.mark.parametrize(
    "checker",
    [["mypy", "--strict"], ["pyright", "--level", "error", "--pythonpath", sys.executable]],
    ids=["mypy", "pyright"],
)
def test_the_example_is_well_typed(checker: list[str], tmp_path: Path) -> None:
    (example,) = EXAMPLES
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *checker, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert not missing


def test_make_knows_the_commands_that_the_readme_names() -> None:
    commands = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= commands
    for command in commands:
        done = subprocess.run(
            ["make", "--dry-run", "--question", command], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        # 1 says that there is something to do, 2 that there is no such target.
        assert done.returncode in (0, 1), done.stderr
