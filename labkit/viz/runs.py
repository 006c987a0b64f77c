"""How one run is told from another in a figure: by colour, and by a second sign beside it."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")
MARKERS = "os^Dv"
STYLES = ("solid", "dashed", "dotted")


def run_legend(figure: Figure, ax: Axes, runs: Mapping) -> None:
    """Names the runs below the figure, where there are several."""
    if len(runs) > 1:
        figure.legend(
            *ax.get_legend_handles_labels(),
            loc="outside lower center",
            frameon=False,
            ncols=min(len(runs), 4),
            fontsize=10,
        )
