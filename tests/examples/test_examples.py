"""The examples run as they stand, on both engines, and can be imported and drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

OUTPUT = {
    "hello.py": ["Hello, Ada! You are user 1."],
    "cqrs_users.py": [
        "updated: Ada Byron <ada@example.org>",
        "updated: Ada Lovelace <ada@example.org>, formerly Ada Byron",
        "found: Ada Lovelace <ada@example.org>, formerly Ada Byron",
        "failed: there is no profile of user 7",
    ],
}


def run(engine: str, *arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        env=os.environ | {"CNSTRA_ENGINE": engine},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(OUTPUT)


@pytest.mark.parametrize("engine", ["native", "python"])
@pytest.mark.parametrize("name", OUTPUT)
def test_it_prints_what_it_should(name: str, engine: str, tmp_path: Path) -> None:
    assert run(engine, EXAMPLES / name, cwd=tmp_path).splitlines() == OUTPUT[name]


@pytest.mark.parametrize("name", OUTPUT)
def test_its_graph_can_be_drawn(name: str) -> None:
    target = f"{name.removesuffix('.py')}:cns"
    assert run("python", "-m", "cnstra", "graph", target, cwd=EXAMPLES).startswith("flowchart")
