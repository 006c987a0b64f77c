"""Reliability diagrams."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from labkit.evaluation.calibration import Calibration
from labkit.viz.colors import FAINT, INK, TRUTH
from labkit.viz.labels import plain_text


def calibration_figure(runs: Mapping[str, Calibration], *, title: str | None = None) -> Figure:
    """Reliability diagrams: precision over score, and how many detections have such a score.

    On the diagonal the scores are right; below it the model is overconfident. The numbers in the
    titles are the expected calibration error (0 is best).

    Args:
        runs: the calibration of each run, by its name.
        title: above the figure.
    """
    figure = Figure(figsize=(max(3.6 * len(runs), 4.6), 4.8), layout="constrained")
    axes = figure.subplots(
        2, len(runs), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for (name, found), (top, below) in zip(runs.items(), axes.T, strict=True):
        middles, width = (found.edges[:-1] + found.edges[1:]) / 2, np.diff(found.edges)
        top.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="dashed")
        top.bar(middles, np.nan_to_num(found.precision), 0.94 * width, color=TRUTH, alpha=0.85)
        top.plot(found.confidence, found.precision, "o", color=INK, markersize=4)
        below.bar(middles, found.counts, 0.94 * width, color=FAINT)
        ece = "no detections" if np.isnan(found.ece) else f"ECE {found.ece:.3f}"
        top.set_title(f"{plain_text(name, 22)}: {ece}", fontsize=10, loc="left")
        below.set_xlabel("score", fontsize=10)
        for ax in (top, below):
            ax.spines[["top", "right"]].set_visible(False)
            ax.tick_params(labelsize=9)
    axes[0, 0].set(ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes[1, 0].set_ylabel("detections")
    if title:
        figure.suptitle(title, fontsize=13)
    return figure
