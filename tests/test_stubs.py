"""The stub of the native module says what the module is; the exceptions, and why, are in stubtest_allowlist.txt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.once


def test_the_stub_of_the_native_module_is_true() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "cnstra._native", "--concise"),
            *("--mypy-config-file", "pyproject.toml", "--allowlist", "tests/stubtest_allowlist.txt"),
        ],
        cwd=ROOT,
        env=os.environ | {"CNSTRA_ENGINE": "native"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
