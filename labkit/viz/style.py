"""What several figures have in common: line styles, plain panels, the legend of the runs.

Classes and runs differ in colour and also in hatch, marker or line, for readers who cannot tell the
colours apart.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")
MARKERS = "os^Dv"
LINES = ("solid", "dashed", "dashdot", "dotted")


def run_legend(figure: Figure, ax: Axes, runs: Mapping) -> None:
    """Name the runs below the figure, if there are several."""
    if len(runs) > 1:
        figure.legend(
            *ax.get_legend_handles_labels(),
            loc="outside lower center",
            frameon=False,
            ncols=min(len(runs), 4),
            fontsize=10,
        )


def panel(ax: Axes, title: str) -> None:
    """A title, a light grid, and no frame at the top and the right."""
    ax.set_title(title, fontsize=11, loc="left")
    ax.tick_params(labelsize=9)
    ax.grid(color="#e6e8ea", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
