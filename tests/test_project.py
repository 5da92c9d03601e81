"""The build's own promises: one version, pins that fit what they pin, targets that say what they do."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cnstra

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_there_is_one_version() -> None:
    version = CARGO["workspace"]["package"]["version"]
    assert cnstra.__version__ == version
    assert cnstra.build_info()["version"] == version
    assert importlib.metadata.version("cnstra") == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[({re.escape(version)}\]|Unreleased\] – {re.escape(version)}$)", changelog, re.MULTILINE)


def test_build_info_is_plain_text() -> None:
    info = cnstra.build_info()
    assert info["engine"] == cnstra.engine
    assert {"engine", "profile", "version"} <= set(info)
    assert {type(value) for value in info.values()} == {str}


def test_the_core_has_no_dependencies() -> None:
    assert PROJECT["project"]["dependencies"] == []
    assert not [one for one in importlib.metadata.requires("cnstra") or [] if "extra ==" not in one]


def test_the_pins_fit_what_they_pin() -> None:
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]
    exact = {pin.name: re.fullmatch(r"==([\w.+!]+)", str(pin.specifier)) for pin in pins}
    assert all(exact.values())
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["dependency-groups"]["dev"], *(one for extra in extras for one in extra)]
    for requirement in map(Requirement, wanted):
        if requirement.name == "cnstra":
            continue  # an extra that builds on another one
        pin = exact.get(requirement.name)
        assert pin is not None, f"{requirement.name} is not pinned: make lock"
        assert pin[1] in requirement.specifier, f"{requirement}, but pinned is {pin[1]}: make lock"
    backend = Requirement(PROJECT["build-system"]["requires"][0])
    assert (maturin := exact["maturin"]) is not None
    assert maturin[1] in backend.specifier


def test_make_help_tells_every_target() -> None:
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, flags=re.MULTILINE))
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = {line.split()[0] for line in done.stdout.splitlines() if len(line.split()) > 3}
    assert phony == told
    assert {"venv", "develop", "demo", "test", "lint", "format", "test-all", "wheel", "sdist", "clean"} <= told
