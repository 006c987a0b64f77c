"""Precision-recall curves: each class thin, the mean of all classes thick."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.viz.colors import FAINT, INK, INSTANCES, instance_color
from labkit.viz.labels import plain_text
from labkit.viz.style import LINES, panel

KIND_NAMES = {"bbox": "boxes", "segm": "masks"}
MOST_CLASSES = len(INSTANCES)


def pr_curves(
    evaluation,
    *,
    ious: Sequence[float | None] = (0.5, 0.75, None),
    classes: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Precision over recall: each class thin, the mean of all classes thick.

    One row for boxes and one for masks, one column for each IoU threshold; the area under a curve
    is its AP, and the number in a panel's title is the mean AP.

    Args:
        evaluation: a `labkit.evaluation.Evaluation`.
        ious: thresholds (0.5, 0.55, … 0.95); None is the mean over all of them. With one
            threshold, boxes and masks are side by side.
        classes: the classes to draw in colour; by default the ten with most objects. The others
            are grey.
        title: above the figure.

    Raises:
        LabkitError: an unknown class or threshold.
    """
    kinds = [kind for kind in KIND_NAMES if kind in evaluation.curves]
    chosen = _chosen_classes(evaluation, classes)
    cells = [(kind, iou) for kind in kinds for iou in ious]
    columns = len(ious) if len(ious) > 1 else len(kinds)
    rows = len(cells) // columns
    figure = Figure(figsize=(4.3 * columns + 0.2, 3.5 * rows + 0.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)  # or the last number of an axis meets the next "0.0"
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, (kind, iou) in zip(axes, cells, strict=True):
        _pr_panel(ax, evaluation.curves[kind], evaluation.class_names, chosen, kind, iou)
    for ax in axes[-columns:]:
        ax.set_xlabel("recall", fontsize=10)
    for ax in axes[::columns]:
        ax.set_ylabel("precision", fontsize=10)
    _pr_legend(figure, axes[0], evaluation, chosen)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _chosen_classes(evaluation, classes: Sequence[str] | None) -> list[int]:
    """The indices of the classes that get a colour."""
    names = list(evaluation.class_names)
    if classes is not None:
        unknown = [name for name in classes if name not in names]
        if unknown:
            raise LabkitError(f"pr_curves: there is no class {unknown[0]!r}.")
        return [names.index(name) for name in classes]
    objects = [evaluation.per_class[name]["objects"] for name in names]
    most = sorted(range(len(names)), key=lambda k: -objects[k])[:MOST_CLASSES]
    return sorted(k for k in most if objects[k])


def _pr_panel(ax: Axes, curves, names, chosen: list[int], kind: str, iou: float | None) -> None:
    by_class, mean = curves.at(iou), curves.mean_at(iou)
    recall = curves.recall_thresholds
    order = [k for k in range(len(names)) if k not in chosen] + chosen
    for k in order:
        if by_class[0, k] < 0:
            continue
        color, line, label = FAINT, "solid", None
        if k in chosen:
            place = chosen.index(k)
            color, label = instance_color(place), plain_text(names[k])
            line = LINES[place % len(LINES)]
        ax.plot(*_until_zero(recall, by_class[:, k]), color=color, ls=line, lw=1.5, label=label)
    where = "IoU 0.50:0.95" if iou is None else f"IoU {iou:.2f}"
    if mean[0] >= 0:
        ax.plot(*_until_zero(recall, mean), color=INK, linewidth=3, label="mean of classes")
        panel(ax, f"{KIND_NAMES[kind]}, {where}: AP {mean.mean():.3f}")
    else:
        panel(ax, f"{KIND_NAMES[kind]}, {where}: no ground truth")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xticks=np.arange(0, 1.1, 0.2))


def _until_zero(recall: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve up to the highest recall, then straight down: beyond it precision is 0."""
    reached = np.flatnonzero(precision > 0)
    end = reached[-1] + 1 if len(reached) else 0
    if end == len(recall):
        return recall, precision
    last = recall[max(end - 1, 0)]
    return np.append(recall[:end], last), np.append(precision[:end], 0.0)


def _pr_legend(figure: Figure, ax: Axes, evaluation, chosen: list[int]) -> None:
    handles, labels = ax.get_legend_handles_labels()
    grey = sum(
        k not in chosen and evaluation.per_class[name]["objects"] > 0
        for k, name in enumerate(evaluation.class_names)
    )
    if grey:
        handles.append(ax.plot([], [], color=FAINT, lw=1.5)[0])
        labels.append(f"{grey} more class{'es' if grey > 1 else ''}")
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=6, fontsize=10, frameon=False
        )
