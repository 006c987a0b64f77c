"""AP against size, occlusion and crowding, one line for each run."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from labkit.evaluation.conditions import UnderCondition
from labkit.viz.colors import instance_color
from labkit.viz.labels import plain_text
from labkit.viz.style import LINES, MARKERS, run_legend


def condition_figure(
    runs: Mapping[str, Mapping[str, UnderCondition]], *, title: str | None = None
) -> Figure:
    """AP in each range of each condition, one line for each run.

    Below each range is the number of objects in it.

    Args:
        runs: {name of the run: {"size": …, "occlusion": …, "crowding": …}}, with the same
            conditions for each.
        title: above the figure.
    """
    conditions = next(iter(runs.values()))
    figure = Figure(figsize=(4.3 * len(conditions), 3.9), layout="constrained")
    axes = figure.subplots(1, len(conditions), squeeze=False, sharey=True)[0]
    for ax, (key, shown) in zip(axes, conditions.items(), strict=True):
        for i, (name, found) in enumerate(runs.items()):
            values = np.where(found[key].ap < 0, np.nan, found[key].ap)
            ax.plot(
                range(len(values)),
                values,
                color=instance_color(i),
                linewidth=2,
                marker=MARKERS[i % len(MARKERS)],
                linestyle=LINES[i % len(LINES)],
                label=plain_text(name),
                clip_on=False,
            )
        names = [
            f"{name}\n({count:,})"
            for name, count in zip(shown.condition.range_names(), shown.objects, strict=True)
        ]
        ax.set_xticks(range(len(names)), names, fontsize=8, rotation=30, ha="right")
        ax.set(ylim=(0, 1.02), xlim=(-0.3, len(names) - 0.7))
        ax.set_title(shown.condition.title, fontsize=11, loc="left")
        ax.set_xlabel(f"{shown.condition.unit}; in brackets, how many there are", fontsize=9)
        ax.grid(axis="y", color="#e6e8ea", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("AP50", fontsize=10)
    run_legend(figure, axes[0], runs)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure
