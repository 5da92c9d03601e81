"""Both engines in one process: the package is loaded again, under another name, with the pure-Python engine."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import cnstra

__all__ = ["load_python"]

_ROOT = Path(cnstra.__file__).parent


def load_python(name: str = "cnstra_python") -> Any:
    """A copy of the package with the pure-Python engine, beside whatever engine ``cnstra`` itself has.

    The native engine knows the package by its name and cannot be copied so.

    Args:
        name: what the copy is to be called; the same name gives the same copy.
    """
    if name not in sys.modules:
        _load(name)
    package = sys.modules[name]
    assert package.engine == "python"
    return package


def _load(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, _ROOT / "__init__.py", submodule_search_locations=[str(_ROOT)])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    before = os.environ.get("CNSTRA_ENGINE")
    os.environ["CNSTRA_ENGINE"] = "python"
    sys.modules[name] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        for loaded in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[loaded]
        raise
    finally:
        if before is None:
            del os.environ["CNSTRA_ENGINE"]
        else:
            os.environ["CNSTRA_ENGINE"] = before
