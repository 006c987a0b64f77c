"""AP over the minutes of training: which start gets further in the same time?"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.viz.colors import instance_color
from labkit.viz.labels import plain_text
from labkit.viz.style import LINES, MARKERS, panel


def learning_curves(runs: Sequence[Mapping], *, title: str | None = None) -> Figure:
    """AP over training minutes: a thin line for every run, a thick one for the mean of a name.

    Args:
        runs: dicts with "name", "minutes" and "ap" (two lists of equal length). Runs of one name
            differ in their seed; their mean is drawn where all of them have been measured.
        title: above the figure.

    Raises:
        LabkitError: there are no runs, or one whose lists are empty or differ in length.
    """
    if not runs:
        raise LabkitError("learning_curves: there are no runs; give at least one.")
    for run in runs:
        if len(run["minutes"]) != len(run["ap"]) or not len(run["ap"]):
            raise LabkitError(
                f"learning_curves: {run['name']!r} has {len(run['minutes'])} minutes and "
                f"{len(run['ap'])} APs; give one AP for each of one or more minutes."
            )
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    ax = figure.subplots()
    for number, name in enumerate(dict.fromkeys(run["name"] for run in runs)):
        color, line = instance_color(number), LINES[number % len(LINES)]
        group = [run for run in runs if run["name"] == name]
        for run in group:
            ax.plot(run["minutes"], run["ap"], color=color, linewidth=0.8, alpha=0.6)
        minutes, mean = _mean_curve(group)
        label = f"{plain_text(name)}: {mean[-1]:.2f} after {minutes[-1]:.1f} min"
        style = {"color": color, "linestyle": line, "marker": MARKERS[number % len(MARKERS)]}
        ax.plot(minutes, mean, linewidth=2.4, label=label, **style)
    panel(ax, title or "AP over training time")
    ax.set(xlabel="minutes of training", ylabel="AP", xlim=(0, None), ylim=(0, None))
    ax.legend(fontsize=10, frameon=False)
    return figure


def _mean_curve(group: Sequence[Mapping]) -> tuple[np.ndarray, np.ndarray]:
    """Minutes and mean AP of runs of one name, as far as all of them go.

    Runs were not measured at the same minutes, so each is interpolated at those of the first.
    """
    first = max(run["minutes"][0] for run in group)
    last = min(run["minutes"][-1] for run in group)
    own = np.asarray(group[0]["minutes"], float)
    minutes = np.unique(np.clip(own, first, last))
    curves = [np.interp(minutes, run["minutes"], run["ap"]) for run in group]
    return minutes, np.mean(curves, axis=0)
