"""What the benches ran on, without a word about whose machine it was."""

from __future__ import annotations

import os
import platform

import cnstra

__all__ = ["environment", "environment_line", "require_native_release"]


def environment() -> dict[str, object]:
    """The Python, the engine and its build, the kind of machine."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "build": cnstra.build_info(),
    }


def environment_line() -> str:
    """The same for a reader."""
    build = cnstra.build_info()
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs; cnstra {build['version']}, {build['engine']} engine, {build['profile']} build"
    )


def require_native_release() -> None:
    """The limits are for this engine and this build.

    Raises:
        SystemExit: it is another one.
    """
    build = cnstra.build_info()
    if (build["engine"], build["profile"]) != ("native", "release"):
        raise SystemExit(
            f"the limits are for a release build of the native engine, and this is a {build['profile']} build of "
            f"{build['engine']}: make develop, without CNSTRA_ENGINE"
        )
