"""Curves of training and of evaluation."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.viz.colors import FAINT, INK, INSTANCES, PREDICTION, TRUTH, instance_color
from labkit.viz.labels import plain_text

LOSSES = {  # history's name -> what the panel says
    "total": "total loss",
    "objectness": "RPN: object or not",
    "rpn_box": "RPN: box",
    "class": "head: class",
    "box": "head: box",
    "mask": "head: mask",
}
AP_LINES = (("bbox", "boxes", TRUTH, "solid", "o"), ("segm", "masks", PREDICTION, "dashed", "s"))
KIND_NAMES = {"bbox": "boxes", "segm": "masks"}
LINES = ("solid", "dashed", "dashdot", "dotted")  # beside the colours, for those who need it
MOST_CLASSES = len(INSTANCES)


# -------------------------------------------------------------------------------- training


def loss_curves(
    history: Mapping[str, Sequence[float]],
    steps: Sequence[float] | None = None,
    *,
    validation: Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]] | None = None,
    smoothing: int | None = None,
    title: str | None = None,
) -> Figure:
    """The five losses, their total and the learning rate over the steps of a training.

    Args:
        history: lists of equal length: "total", "objectness", "rpn_box", "class", "box", "mask",
            "lr" and "step"; panels are drawn for those that are there.
        steps: the steps, if history has no "step"; else 1, 2, ….
        validation: lists of equal length: "step", and "bbox_AP" and "segm_AP" (or either); or the
            same as a list of rows, such as `History.validation`.
        smoothing: how many values around each one the smooth line sums up; by default a
            twentieth of the training. 1 draws the raw values alone.

    Raises:
        LabkitError: history holds none of the losses, or the lists differ in length.
    """
    losses = [name for name in LOSSES if name in history]
    if not losses:
        raise LabkitError(f"loss_curves: history has none of {', '.join(LOSSES)}.")
    steps = _steps(history, steps, losses)
    if validation and not isinstance(validation, Mapping):
        validation = {name: [row[name] for row in validation] for name in validation[0]}
    window = max(1, len(steps) // 20) if smoothing is None else max(1, int(smoothing))

    panels = [*losses, *(["lr"] if "lr" in history else []), *(["ap"] if validation else [])]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.75 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, name in zip(axes, panels, strict=False):
        if name == "ap":
            _validation_panel(ax, validation)
        elif name == "lr":
            ax.plot(steps, np.asarray(history["lr"], float), color=INK, linewidth=1.8)
            _panel(ax, "learning rate")
            ax.set_ylim(bottom=0)
        else:
            _loss_panel(ax, steps, np.asarray(history[name], float), window, LOSSES[name])
        if steps.size > 1:
            ax.set_xlim(min(steps[0], 0), steps[-1])
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.supxlabel("training step", fontsize=10)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _steps(history, steps, names: list[str]) -> np.ndarray:
    if steps is None:
        steps = history.get("step", range(1, len(history[names[0]]) + 1))
    for name in [*names, *(["lr"] if "lr" in history else [])]:
        if len(history[name]) != len(steps):
            raise LabkitError(
                f"loss_curves: {name!r} has {len(history[name])} values for {len(steps)} steps; "
                "give lists of equal length."
            )
    return np.asarray(steps, float)


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """The running median of `window` values, itself averaged over half as many.

    The median, because one batch with a loss of 30 would lift a running mean for a whole window.
    At the ends there are fewer values; NaN and inf are left out; NaN where nothing is left.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    medians = _running(np.nanmedian, values, window)
    return _running(np.nanmean, medians, max(1, window // 2))


def _running(statistic, values: np.ndarray, window: int) -> np.ndarray:
    """`statistic` of the values around each one, measured at 500 places and joined by lines."""
    everywhere = np.arange(len(values))
    places = np.unique(np.linspace(0, len(values) - 1, 500).round().astype(int))
    parts = [values[max(0, i - window // 2) : i + (window - 1) // 2 + 1] for i in places]
    at_places = [statistic(part) if np.isfinite(part).any() else np.nan for part in parts]
    return np.interp(everywhere, places, at_places)


def _loss_panel(ax: Axes, steps, values, window: int, title: str) -> None:
    mean = smoothed(values, window)
    if window > 1 and len(values) > 1:
        ax.plot(steps, values, color=FAINT, linewidth=0.9)
        ax.plot(steps, mean, color=TRUTH, linewidth=2.2)
    else:
        marker = "o" if len(values) == 1 else None
        ax.plot(steps, values, color=TRUTH, linewidth=1.6, marker=marker)
    broken = int((~np.isfinite(values)).sum())
    finite = mean[np.isfinite(mean)]
    last = f"   {finite[-1]:.3g}" if len(finite) else ""
    _panel(ax, title + last)
    _limit_losses(ax, values, finite)
    if broken:
        ax.text(
            0.97,
            0.95,
            f"{broken} not finite",
            transform=ax.transAxes,
            ha="right",
            va="top",
            fontsize=9,
            color="#bd1f01",
            fontweight="bold",
        )


def _limit_losses(ax: Axes, values: np.ndarray, mean: np.ndarray) -> None:
    """From zero to what shows the mean and nearly all raw values: one spike hides nothing."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return
    top = max(np.quantile(finite, 0.99), mean.max(initial=0))
    ax.set_ylim(min(0.0, finite.min()), 1.08 * top if top > 0 else 1.0)


def _validation_panel(ax: Axes, validation: Mapping[str, Sequence[float]]) -> None:
    drawn = 0
    for kind, label, color, line, marker in AP_LINES:
        if f"{kind}_AP" not in validation:
            continue
        values = np.asarray(validation[f"{kind}_AP"], float)
        values = np.where(values < 0, np.nan, values)  # -1: no ground truth
        steps = np.asarray(validation["step"], float)
        ax.plot(
            steps,
            values,
            color=color,
            linestyle=line,
            linewidth=2,
            marker=marker,
            markersize=5,
            clip_on=False,  # the last point sits on the edge
            label=label,
        )
        drawn += 1
    _panel(ax, "validation AP")
    ax.set_ylim(0, _round_up(ax.get_ylim()[1]))
    if drawn:
        ax.legend(fontsize=9, frameon=False, loc="lower right")


def _round_up(value: float) -> float:
    return min(1.0, max(0.1, np.ceil(value * 10) / 10))


def _panel(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=11, loc="left")
    ax.tick_params(labelsize=9)
    ax.grid(color="#e6e8ea", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


# -------------------------------------------------------------------------------- evaluation


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
            threshold, boxes and masks stand side by side.
        classes: the classes to draw in colour; by default up to ten, those with most objects.
            All others are drawn in grey.

    Raises:
        LabkitError: an unknown class or threshold.
    """
    kinds = [kind for kind in KIND_NAMES if kind in evaluation.curves]
    chosen = _chosen_classes(evaluation, classes)
    cells = [(kind, iou) for kind in kinds for iou in ious]
    columns = len(ious) if len(ious) > 1 else len(kinds)
    rows = len(cells) // columns
    figure = Figure(figsize=(4.3 * columns + 0.2, 3.5 * rows + 0.9), layout="constrained")
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
    """The places of the classes that get a colour."""
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
        _panel(ax, f"{KIND_NAMES[kind]}, {where}: AP {mean.mean():.3f}")
    else:
        _panel(ax, f"{KIND_NAMES[kind]}, {where}: no ground truth")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xticks=np.arange(0, 1.1, 0.2))


def _until_zero(recall: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve up to the highest recall reached, then straight down: beyond, precision is 0."""
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
