"""Curves of a training: the losses, the learning rate and the validation AP over its steps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.viz.colors import FAINT, INK, PREDICTION, TRUTH
from labkit.viz.style import panel

LOSSES = {  # history's name -> the panel's title
    "total": "total loss",
    "objectness": "RPN: objectness",
    "rpn_box": "RPN: box",
    "class": "head: class",
    "box": "head: box",
    "mask": "head: mask",
}
AP_LINES = (("bbox", "boxes", TRUTH, "solid", "o"), ("segm", "masks", PREDICTION, "dashed", "s"))


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
        steps: the steps, if history has no "step"; by default 1, 2, ….
        validation: lists of equal length: "step", and "bbox_AP" or "segm_AP" or both; or the same
            as a list of rows, such as `History.validation`.
        smoothing: how many values are averaged in the smooth line; by default a twentieth of the
            training. 1 draws only the raw values.
        title: above the figure.

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
            panel(ax, "learning rate")
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
    """The running median of `window` values, then its running mean over half as many.

    The median, because a single batch with a loss of 30 would raise a running mean for a whole
    window. At the ends there are fewer values; NaN and inf are ignored; NaN where none is left.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    medians = _running(np.nanmedian, values, window)
    return _running(np.nanmean, medians, max(1, window // 2))


def _running(statistic, values: np.ndarray, window: int) -> np.ndarray:
    """`statistic` of the values around each one, computed at 500 places and interpolated."""
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
    panel(ax, title + last)
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
    """Set the axis from zero to what shows the mean and 99 % of the values: spikes are cut off."""
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
    panel(ax, "validation AP")
    ax.set_ylim(0, _round_up(ax.get_ylim()[1]))
    if drawn:
        ax.legend(fontsize=9, frameon=False, loc="lower right")


def _round_up(value: float) -> float:
    return min(1.0, max(0.1, np.ceil(value * 10) / 10))
