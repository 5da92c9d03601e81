"""How many examples a property is tried on: the same few in CI, or more, new ones each time.

``CNSTRA_PROPERTIES=thorough`` in the environment picks the latter; ``CNSTRA_PROPERTIES=200`` two hundred times as many.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["tried"]

_WANTED = os.environ.get("CNSTRA_PROPERTIES", "")


def tried(examples: int) -> settings:
    """Settings for a property that CI tries on that many examples."""
    factor = {"": 1, "thorough": 20}.get(_WANTED) or int(_WANTED)
    return settings(
        max_examples=examples * factor,
        derandomize=not _WANTED,
        database=None,
        deadline=None,
        # Programs are drawn from many small choices; how long that takes is not what is tested.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        report_multiple_bugs=False,
    )
