"""The curves of ``growth`` as a picture: one panel for what grows, cost per hop in plain calls."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import environment_line

if TYPE_CHECKING:
    from .growth import Curve

__all__ = ["draw"]

# By name, as type checkers look at this where there is no matplotlib.
FigureCanvasAgg: Any = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg
Figure: Any = import_module("matplotlib.figure").Figure

COLOURS = ["#D55E00", "#0072B2"]
LINES, QUIET, TEXT = "#DDE1E5", "#6B7680", "#22272C"


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Write the picture. Curves over the same thing share a panel."""
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.over, []).append(curve)
    # Not through pyplot, which would look for a screen and keep the figure.
    drawing: Any = Figure(figsize=(4.2 * len(panels), 3.6), dpi=100, facecolor="white", layout="constrained")
    axes = drawing.subplots(1, len(panels), sharey=True, squeeze=False)
    highest = max(point.calls for curve in curves for point in curve.points)
    for panel, (over, shown) in zip(axes[0], panels.items(), strict=True):
        draw_panel(panel, over, shown, highest)
    axes[0][0].set_ylabel("plain calls that one hop costs", fontsize=9, color=QUIET)
    drawing.suptitle("Cost per hop", x=0.01, ha="left", fontsize=11, fontweight="bold", color=TEXT)
    drawing.supxlabel(environment_line(), fontsize=8, color=QUIET)
    FigureCanvasAgg(drawing).print_png(path)


def draw_panel(panel: Any, over: str, curves: Sequence[Curve], highest: float) -> None:
    for curve, colour in zip(curves, COLOURS, strict=False):
        sizes, calls = ([getattr(point, name) for point in curve.points] for name in ("size", "calls"))
        panel.plot(sizes, calls, color=colour, marker="o", markersize=4, linewidth=1.5, label=curve.name)
    # Linear around nothing at all, as a number of waiting runs may be.
    panel.set_xscale("symlog", linthresh=10)
    # From zero, so that flat looks flat and twice looks like twice.
    panel.set_ylim(0, highest * 1.25)
    panel.set_xlabel(over, fontsize=9, color=TEXT)
    panel.grid(color=LINES, linewidth=1)
    panel.set_axisbelow(True)
    panel.tick_params(axis="both", length=0, labelsize=8, labelcolor=QUIET)
    panel.spines[:].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="upper right", labelcolor=TEXT)
