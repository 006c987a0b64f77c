"""The confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.viz.colors import INK
from labkit.viz.labels import plain_text

MOST_WITH_NUMBERS = 25  # classes; beyond, the numbers would be too small to read


def confusion_figure(
    matrix: np.ndarray,
    names: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """The confusion matrix as a heat map: colour is the share of the true class, numbers count.

    Args:
        matrix: int [N + 1, N + 1] of `labkit.evaluation.confusion_matrix`, background first.
        names: the N class names.
        title: above it.

    Classes come first and background last: the right column holds what was missed, the bottom row
    what was found where nothing is. Beyond 25 classes the numbers are left out.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(names) + 1, len(names) + 1):
        raise LabkitError(
            f"confusion_figure: the matrix is {matrix.shape} and {len(names)} names are given; it "
            "must have one row and column for each, and one for the background."
        )
    order = [*range(1, len(matrix)), 0]
    matrix = matrix[np.ix_(order, order)]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(4.2, 0.55 * len(matrix) + 2.2) if len(names) <= MOST_WITH_NUMBERS else 11
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    ax = figure.subplots()
    # White is nothing, and blue darkens evenly, so the map needs no colour vision to read.
    # The last row has no true class to take a share of, so it stays white and only counts.
    shown = np.ma.masked_array(shares, mask=np.zeros(shares.shape, bool))
    shown.mask[-1] = True
    drawn = ax.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.7, label="share of the true class")
    bar.outline.set_visible(False)

    labels = [plain_text(name) for name in names]
    ticks = range(len(matrix))
    ax.set_xticks(ticks, [*labels, "missed"], rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(ticks, [*labels, "false alarm"])
    ax.set_xlabel("predicted", fontsize=11)
    ax.set_ylabel("truth", fontsize=11)
    ax.axhline(len(names) - 0.5, color=INK, linewidth=1.5)
    ax.axvline(len(names) - 0.5, color=INK, linewidth=1.5)
    ax.tick_params(length=0, labelsize=10)
    if len(names) <= MOST_WITH_NUMBERS:
        _write_counts(ax, matrix, shown)
    if title:
        ax.set_title(title, fontsize=13)
    return figure


def _write_counts(ax: Axes, matrix: np.ndarray, shares: np.ma.MaskedArray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        dark = shares[row, column] is not np.ma.masked and shares[row, column] > 0.5
        if row == column == len(matrix) - 1:
            text = "–"  # nothing found where nothing is: cannot be counted
        else:
            text = str(count) if count else ""
        ax.text(column, row, text, ha="center", va="center", color="white" if dark else INK)
