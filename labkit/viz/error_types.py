"""What each type of error costs, as bars for one or more runs."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.evaluation.error_types import ERROR_TYPES, ErrorTypes
from labkit.viz.colors import INK, instance_color
from labkit.viz.labels import plain_text
from labkit.viz.style import HATCHES, run_legend


def error_type_figure(runs: Mapping[str, ErrorTypes], *, title: str | None = None) -> Figure:
    """What each error type costs, and how often it occurs; one bar for each run.

    Args:
        runs: {name of the run: its ErrorTypes}; one or more.
        title: above the figure.
    """
    figure = Figure(
        figsize=(9.5, 0.36 * len(ERROR_TYPES) * max(len(runs), 2) + 1.6), layout="constrained"
    )
    left, right = figure.subplots(1, 2, sharey=True)
    _grouped_bars(left, {n: [r.costs[t] for t in ERROR_TYPES] for n, r in runs.items()}, "{:.3f}")
    _grouped_bars(right, {n: [r.counts[t] for t in ERROR_TYPES] for n, r in runs.items()}, "{:,}")
    left.set_yticks(range(len(ERROR_TYPES)), list(ERROR_TYPES), fontsize=10)
    left.set_ylim(len(ERROR_TYPES) - 0.4, -0.6)
    left.set_title("AP gained if fixed", fontsize=11, loc="left")
    right.set_title("how often", fontsize=11, loc="left")
    run_legend(figure, left, runs)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _grouped_bars(ax: Axes, rows: Mapping[str, list], form: str) -> None:
    height = 0.8 / max(len(rows), 1)
    for i, (name, values) in enumerate(rows.items()):
        y = np.arange(len(values)) + (i - (len(rows) - 1) / 2) * height
        ax.barh(
            y,
            values,
            height=0.92 * height,
            color=instance_color(i),
            label=plain_text(name),
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white",
            linewidth=0,
        )
        for at, value in zip(y, values, strict=True):
            ax.annotate(
                form.format(value),
                (max(value, 0), at),
                (3, 0),
                va="center",
                fontsize=8,
                textcoords="offset points",
                color=INK,
            )
    most = max((value for values in rows.values() for value in values), default=0)
    ax.set_xlim(0, 1.18 * most or 1)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=9)
    ax.spines[["top", "right", "left"]].set_visible(False)
