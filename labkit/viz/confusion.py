"""Matrices of true class against predicted class as heat maps: confusion, and mean overlap."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.evaluation.confusion import normalised
from labkit.viz.colors import INK
from labkit.viz.labels import plain_text

MOST_WITH_NUMBERS = 25  # classes; beyond, the numbers would be too small to read
CELL, SMALL_CELL = 0.55, 0.165  # inches; the small one still holds a name at 6.5 points
LABELS, BAR = 2.2, 0.9  # inches beside the cells
SHARES = {"truth": "share of the true class", "prediction": "share of the predicted class"}


def confusion_figure(
    matrix: np.ndarray,
    names: Sequence[str],
    *,
    normalise: str = "truth",
    title: str | None = None,
) -> Figure:
    """The confusion matrix as a heat map: colours are shares, numbers are counts.

    The background comes last: the right column holds missed objects, the bottom row false
    positives. With more than 25 classes the numbers are left out.

    Args:
        matrix: int [N + 1, N + 1] of `labkit.evaluation.confusion_matrix`, background first.
        names: the N class names.
        normalise: the colour is the share of the "truth" (each row sums to 1) or of the
            "prediction" (each column does).
        title: above it.

    Raises:
        LabkitError: matrix and names do not fit, or `normalise` is something else.
    """
    shares = normalised(np.asarray(matrix), normalise)
    shares = _background_last("confusion_figure", shares, names)
    matrix = _background_last("confusion_figure", matrix, names)
    shown = np.ma.masked_array(shares, mask=np.zeros(shares.shape, bool))
    # False positives have no true class, and missed objects no predicted one, to be a share of:
    # that row or column stays white and has only counts.
    background = shown.mask[-1] if normalise == "truth" else shown.mask[:, -1]
    background[:] = True
    words = [[str(count) if count else "" for count in row] for row in matrix]
    words[-1][-1] = "–"  # true negatives cannot be counted
    return _heat_map(shown, words, names, ("missed", "false positive"), SHARES[normalise], title)


def overlap_figure(overlaps: np.ndarray, names: Sequence[str], *, title: str | None = None):
    """The mean IoU of each pair of true and predicted class as a heat map; white without pairs.

    Args:
        overlaps: float [N + 1, N + 1] of `labkit.evaluation.confusion.mean_overlaps`.
        names: the N class names.
        title: above it.

    Raises:
        LabkitError: overlaps and names do not fit.
    """
    shown = _background_last("overlap_figure", overlaps, names)[:-1, :-1]
    words = [["" if np.isnan(v) else f"{v:.2f}"[1 if v < 1 else 0 :] for v in row] for row in shown]
    return _heat_map(np.ma.masked_invalid(shown), words, names, None, "mean IoU", title)


def _background_last(caller: str, matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    matrix = np.asarray(matrix)
    if matrix.shape != (len(names) + 1, len(names) + 1):
        raise LabkitError(
            f"{caller}: the matrix is {matrix.shape} and {len(names)} names are given; it "
            "must have one row and column for each, and one for the background."
        )
    order = [*range(1, len(matrix)), 0]
    return matrix[np.ix_(order, order)]


def _heat_map(
    shown: np.ma.MaskedArray,
    words: list[list[str]],
    names: Sequence[str],
    background: tuple[str, str] | None,
    meaning: str,
    title: str | None,
) -> Figure:
    """Draw a matrix; `background` names its last column and row, None if there are none."""
    few = len(names) <= MOST_WITH_NUMBERS
    side = max(4.2, (CELL if few else SMALL_CELL) * len(shown) + LABELS)
    figure = Figure(figsize=(side + BAR, side), layout="constrained")
    ax = figure.subplots()
    # From white to dark blue: the brightness alone is enough to read the map.
    drawn = ax.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.7, label=meaning, aspect=30)
    bar.outline.set_visible(False)

    labels = [plain_text(name, 24 if few else 16) for name in names]
    columns, rows = (
        (labels, labels)
        if background is None
        else ([*labels, background[0]], [*labels, background[1]])
    )
    slant = {"rotation": 40, "rotation_mode": "anchor"} if few else {"rotation": 90}
    ax.set_xticks(range(len(columns)), columns, ha="right" if few else "center", **slant)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlabel("predicted", fontsize=11)
    ax.set_ylabel("truth", fontsize=11)
    ax.tick_params(length=0, labelsize=10 if few else 6.5)
    if background is not None:
        ax.axhline(len(names) - 0.5, color=INK, linewidth=1.5)
        ax.axvline(len(names) - 0.5, color=INK, linewidth=1.5)
    if few:
        _write(ax, words, shown)
    else:
        _guide_lines(ax, len(shown))
    if title:
        ax.set_title(title, fontsize=13)
    return figure


def _write(ax: Axes, words: list[list[str]], shares: np.ma.MaskedArray) -> None:
    for (row, column), share in np.ndenumerate(shares.filled(0)):
        ax.text(
            column,
            row,
            words[row][column],
            ha="center",
            va="center",
            color="white" if share > 0.5 else INK,
        )


def _guide_lines(ax: Axes, count: int) -> None:
    """Thin lines after every five classes lead the eye from a cell to its names."""
    for place in np.arange(4.5, count, 5):
        ax.axhline(place, color="#d9dcdf", linewidth=0.4)
        ax.axvline(place, color="#d9dcdf", linewidth=0.4)
    ax.tick_params(top=True, labeltop=True, right=True, labelright=True)
    ax.tick_params(axis="x", which="both", labelrotation=90)
