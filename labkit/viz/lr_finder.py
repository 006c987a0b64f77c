"""The learning rate range test: the loss over the learning rate, and the suggested rate."""

import numpy as np
from matplotlib.figure import Figure

from labkit.viz.colors import FAINT, INK, PREDICTION, TRUTH


def rate_figure(test, title: str | None = None) -> Figure:
    """The losses of a range test over the learning rate, on a logarithmic axis.

    Every step's loss is grey, the running mean blue. Lines mark the suggested rate (solid), the
    rate at which the loss falls fastest (dotted), and the highest one with a low loss (dashed).

    Args:
        test: a `labkit.training.lr_finder.RateTest`.
        title: above the figure.
    """
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    ax = figure.add_subplot(xscale="log")
    ax.plot(test.rates, test.losses, color=FAINT, linewidth=0.9)
    ax.plot(test.rates, test.smoothed, color=TRUTH, linewidth=2.2, label="running mean")
    for rate, name, color, style in (
        (test.suggestion, "suggested", PREDICTION, "-"),
        (test.steepest, "steepest", INK, ":"),
        (test.edge, "highest good", INK, "--"),
    ):
        ax.axvline(rate, color=color, linestyle=style, linewidth=2, label=f"{name} {rate:.1e}")
    # The loss at the end may be a thousand times higher than at the beginning: it is cut off.
    top = 1.3 * max(test.smoothed[0], np.median(test.losses))
    ax.set(xlim=(test.rates[0], test.rates[-1]), ylim=(0, top))
    ax.set(xlabel="learning rate", ylabel="total loss")
    ax.grid(color="#e6e8ea")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=9, frameon=False, loc="lower left")
    if title:
        ax.set_title(title, fontsize=11, loc="left")
    return figure
