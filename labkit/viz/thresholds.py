"""Precision, recall and F1 over the score threshold, and raw precision-recall curves.

All functions take the curves of `labkit.evaluation.thresholds.threshold_curves`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError, counted
from labkit.evaluation.average_precision import interpolated
from labkit.evaluation.thresholds import ThresholdCurve, pooled
from labkit.viz.colors import FAINT, INK, PREDICTION, TRUTH, instance_color
from labkit.viz.labels import plain_text

MOST_CLASSES = 12  # that have a panel; the others are only in the pooled curve
MEASURES = (("precision", TRUTH, "solid"), ("recall", PREDICTION, "dashed"), ("f1", INK, "dotted"))


def threshold_figure(
    curves: Mapping[str, ThresholdCurve],
    *,
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Precision, recall and F1 over the score threshold: all classes together, then each.

    The dot is the best F1; its score is in the panel's title.

    Args:
        curves: of `threshold_curves`.
        classes: which have a panel; by default the 12 with most objects.
        title: above the figure.

    Raises:
        LabkitError: a class is unknown, or there are no curves.
    """
    panels = [pooled(dict(curves)), *_chosen(curves, classes)]
    if len(panels) == 2 and panels[1].objects == panels[0].objects:
        panels = panels[1:]  # with a single class both panels would be the same
    return _in_panels(panels, _threshold_panel, "score threshold", "", title)


def raw_pr_figure(
    curves: Mapping[str, ThresholdCurve],
    *,
    score: float | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Precision over recall as counted (thin) and interpolated (thick), with operating points.

    Args:
        curves: of `threshold_curves`.
        score: the operating point at this score threshold is a square; the dot is the best F1.
        classes: which have a panel; by default the 12 with most objects.
        title: above the figure.

    Raises:
        LabkitError: a class is unknown, or there are no curves.
    """
    panels = _chosen(curves, classes)
    if not panels:
        pooled(dict(curves))  # raises: there are no objects
    return _in_panels(panels, partial(_raw_panel, score=score), "recall", "precision", title)


def f1_bars(curves: Mapping[str, ThresholdCurve], *, title: str | None = None) -> Figure:
    """The best F1 of each class and its score threshold, best class first."""
    best = [(curve, curve.best()) for curve in curves.values()]
    best.sort(key=lambda pair: -pair[1].f1 if pair[1] else 1.0)
    figure = Figure(figsize=(7.5, 0.2 * max(len(best), 5) + 1.1), layout="constrained")
    ax = figure.subplots()
    for y, (_, point) in enumerate(best):
        if point:
            ax.plot([0, point.f1], [y, y], color=FAINT, linewidth=1.2, zorder=1)
    points = [(y, point) for y, (_, point) in enumerate(best) if point]
    rows = [y for y, _ in points]
    ax.scatter([p.f1 for _, p in points], rows, marker="o", color=TRUTH, s=26, label="best F1")
    ax.scatter(
        [p.score for _, p in points],
        rows,
        marker="D",
        color=PREDICTION,
        s=26,
        label="its score threshold",
    )
    ax.set_yticks(
        range(len(best)),
        [plain_text(c.name) + ("" if p else " (never found)") for c, p in best],
        fontsize=8,
    )
    ax.set(xlim=(0, 1.02), ylim=(max(len(best), 1) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color="#e6e8ea", linewidth=0.8)
    ax.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    if title:
        ax.set_title(title, fontsize=12, loc="left")
    return figure


def _chosen(curves, classes: Sequence[str] | None) -> list[ThresholdCurve]:
    if classes is None:
        most = sorted(curves.values(), key=lambda curve: -curve.objects)[:MOST_CLASSES]
        return [curve for curve in curves.values() if curve in most]
    unknown = [name for name in classes if name not in curves]
    if unknown:
        raise LabkitError(
            f"There is no class {unknown[0]!r} with objects; choose among "
            f"{', '.join(list(curves)[:8])}."
        )
    return [curves[name] for name in classes]


def _in_panels(panels, draw, below: str, beside: str, title: str | None) -> Figure:
    """A panel for each curve, drawn by draw(ax, curve), with one legend."""
    figure, axes, columns = _grid(len(panels))
    for ax, curve in zip(axes, panels, strict=False):
        draw(ax, curve)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=11)
    _label(axes, columns, below, beside)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _grid(count: int) -> tuple[Figure, list[Axes], int]:
    """A figure, its panels, and how many are side by side: four or three, or fewer if that is all.

    Of four and three, what leaves fewer places empty.
    """
    columns = min((4, 3), key=lambda n: -count % n) if count > 3 else count
    rows = -(-count // columns)
    figure = Figure(figsize=(max(3.4 * columns, 4.4), 2.9 * rows + 0.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1)  # or the last number of an axis meets the next "0.0"
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    for ax in axes:
        ax.set(xlim=(0, 1.01), ylim=(0, 1.03))
        ax.tick_params(labelsize=10)
        ax.grid(color="#e6e8ea", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, list(axes), columns


def _label(axes: list[Axes], columns: int, below: str, beside: str) -> None:
    """Name the axes of the outer panels; labels of the figure itself would overlap its legend."""
    shown = [ax for ax in axes if ax.axison]
    for i, ax in enumerate(shown):
        if i + columns >= len(shown):
            ax.set_xlabel(below, fontsize=11)
            ax.tick_params(labelbottom=True)
        if i % columns == 0:
            ax.set_ylabel(beside, fontsize=11)


def _threshold_panel(ax: Axes, curve: ThresholdCurve) -> None:
    name, best = plain_text(curve.name, 20), curve.best()
    if best is None:
        ax.set_title(f"{name}: nothing found", fontsize=11, loc="left")
        return
    # Nothing changes between a score and the next lower one, so the curves are steps.
    for measure, color, style in MEASURES:
        values = getattr(curve, measure)
        ax.step(
            np.append(curve.scores, 0.0),
            np.append(values, values[-1]),
            where="post",
            color=color,
            linestyle=style,
            linewidth=1.9,
            label="F1" if measure == "f1" else measure,
        )
    ax.plot([best.score], [best.f1], "o", color=INK, markersize=7, label="best F1", clip_on=False)
    ax.set_title(f"{name}: F1 {best.f1:.2f} at {best.score:.2f}", fontsize=11, loc="left")


def _raw_panel(ax: Axes, curve: ThresholdCurve, score: float | None) -> None:
    place = instance_color(0)
    title = f"{plain_text(curve.name, 20)}: {counted(curve.objects, 'object')}"
    ax.set_title(title, fontsize=11, loc="left")
    if not len(curve.scores):
        return
    precision, recall = curve.precision, curve.recall
    ax.step(
        np.append(0, recall),
        np.append(interpolated(precision), 0)[: len(recall) + 1],
        where="post",
        color=FAINT,
        linewidth=4,
        label="interpolated",
    )
    ax.plot(recall, precision, color=place, linewidth=1.3, label="as counted")
    best = curve.best()
    if best:
        ax.plot(
            [best.recall],
            [best.precision],
            "o",
            color=INK,
            markersize=7,
            label="best F1",
            clip_on=False,
        )
    if score is not None:
        point = curve.at(score)
        ax.plot(
            [point.recall],
            [point.precision],
            "s",
            color=PREDICTION,
            markersize=7,
            markeredgecolor=INK,
            label=f"score {score:g}",
            clip_on=False,
        )
