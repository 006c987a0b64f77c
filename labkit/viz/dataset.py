"""Figures of a data set: its classes, box sizes and samples, and what pruning would cost."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from labkit.errors import LabkitError, counted
from labkit.viz.colors import CROWD, FAINT, INK, PREDICTION, TRUTH, instance_color
from labkit.viz.instances import EMPTY_CANVAS, FEW_BOXES, draw_instances
from labkit.viz.labels import plain_text
from labkit.viz.show import show

ROW = 0.19  # inches of a class in the bar chart: enough for its name at 8 points
ONE_COLUMN = 46  # classes in one column of bars; 91 stand in two
MOST_POINTS = 20_000  # boxes in the scatter plot; more would only cover one another
PAGE_WIDTH = 13.0  # inches
FEW_NAMES = 6  # with more instances in a small picture, not every one has a name


def class_bars(description) -> Figure:
    """How often each class occurs, most frequent first, on a log scale if counts differ much.

    Every class has a row with its name and number; more than 46 classes are in several columns.

    Args:
        description: a `labkit.data.describe.Description`.
    """
    classes = description.classes
    columns = max(1, -(-len(classes) // ONE_COLUMN))
    rows = max(1, -(-len(classes) // columns))
    figure = Figure(
        figsize=(max(7.0, 5.5 * columns), ROW * max(rows, 4) + 0.9), layout="constrained"
    )
    axes = figure.subplots(1, columns, squeeze=False, sharex=True)[0]
    most = max((c.instances for c in classes), default=0)
    for column, ax in enumerate(axes):
        part = classes[column * rows : (column + 1) * rows]
        ax.barh(range(len(part)), [c.instances for c in part], color=TRUTH, height=0.72)
        ax.set_yticks(range(len(part)), [plain_text(c.name) for c in part])
        for y, c in enumerate(part):
            ax.annotate(
                f"{c.instances:,}",
                (c.instances, y),
                (3, 0),
                fontsize=7.5,
                color=INK,
                textcoords="offset points",
                va="center",
            )
        ax.set_ylim(rows - 0.4, -0.6)
        ax.tick_params(axis="y", length=0, labelsize=8)
        ax.tick_params(axis="x", labelsize=8)
        ax.set_xlabel("instances", fontsize=9)
        ax.spines[["top", "right", "left"]].set_visible(False)
        if most > 100 * max(1, min((c.instances for c in classes), default=1)):
            ax.set_xscale("symlog", linthresh=1)  # a class may have none, and log(0) is no number
            ax.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_xlim(0, most * (3 if axes[0].get_xscale() == "symlog" else 1.15) or 1)
    figure.suptitle(counted(len(classes), "class"), fontsize=11)
    return figure


def words_of_classes(description) -> str:
    """The alternative text of the bar chart."""
    first = ", ".join(f"{c.name} {c.instances}" for c in description.classes[:3])
    more = f", the rarest {description.classes[-1].name} {description.classes[-1].instances}"
    return (
        f"Bar chart of the instances of {counted(len(description.classes), 'class')}, most "
        f"frequent first: {first}{more if len(description.classes) > 3 else ''}."
    )


def box_sizes(description) -> Figure:
    """Height over width of every box as the network sees it, together with the anchors.

    Both axes are logarithmic, so that twice the size is the same distance everywhere. Blue dots are
    boxes, orange squares the config's anchors, black crosses the suggested ones.

    Args:
        description: a `labkit.data.describe.Description`.
    """
    sides = description.resized_sides
    if len(sides) > MOST_POINTS:
        keep = np.random.default_rng(0).permutation(len(sides))[:MOST_POINTS]
        sides = sides[np.sort(keep)]
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    ax = figure.subplots()
    alpha = float(np.clip(40 / np.sqrt(max(len(sides), 1)), 0.06, 0.7))
    ax.scatter(sides[:, 1], sides[:, 0], s=9, color=TRUTH, alpha=alpha, linewidths=0, label="boxes")
    ax.scatter(
        *_anchor_sides(description.anchors),
        s=46,
        marker="s",
        facecolors="none",
        edgecolors=PREDICTION,
        linewidths=1.8,
        label=f"anchors of {description.config_name}: "
        f"{description.anchors.uncovered:.1%} below IoU 0.5",
    )
    if description.suggested != description.anchors:
        ax.scatter(
            *_anchor_sides(description.suggested),
            s=42,
            marker="x",
            color=INK,
            linewidths=1.6,
            label=f"suggested: {description.suggested.uncovered:.1%}",
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="width (px after resizing)",
        ylabel="height (px after resizing)",
        aspect="equal",
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(base=2))  # decades would leave one tick or two
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    ax.grid(color="#e6e8ea", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(fontsize=8.5, loc="upper left", frameon=True, framealpha=0.9)
    legend.legend_handles[0].set_alpha(0.9)
    return figure


def _anchor_sides(fit) -> tuple[np.ndarray, np.ndarray]:
    """(widths, heights) of the anchors of all levels."""
    sizes, roots = np.array(fit.sizes)[:, None], np.sqrt(np.array(fit.ratios))
    return (sizes / roots).ravel(), (sizes * roots).ravel()


def words_of_sizes(description) -> str:
    """The alternative text of the scatter plot."""
    quantiles = description.size_quantiles
    words = (
        f"Scatter of {description.instances} boxes, height over width on log scales, median "
        f"size {quantiles[50][1]:.0f} pixels after resizing; for "
        f"{description.anchors.uncovered:.1%} of them no anchor of {description.config_name} "
        "has an IoU of 0.5"
    )
    if description.suggested == description.anchors:
        return words + "."
    return words + f", with the suggested anchors {description.suggested.uncovered:.1%}."


def description_html(description) -> str:
    """The pictures of a `labkit.data.describe.Description` as HTML, empty without instances.

    Of a single class there are no bars: they would compare nothing.
    """
    if not description.instances:
        return ""
    pictures = [show(box_sizes(description), alt=words_of_sizes(description))]
    if len(description.classes) > 1:
        pictures.insert(0, show(class_bars(description), alt=words_of_classes(description)))
    return "".join(picture._repr_html_() for picture in pictures)


def contact_sheet(
    dataset,
    indices: Iterable[int] | None = None,
    *,
    count: int = 12,
    seed: int = 0,
    columns: int = 4,
) -> Figure:
    """Pictures of a data set with their annotations.

    For a picture that cannot be read, the reason is on a grey field. Crowds are grey and dashed.

    Args:
        dataset: any data set.
        indices: which pictures; by default `count` random ones.
        count: how many.
        seed: of the random choice.
        columns: pictures side by side.

    Raises:
        LabkitError: there are no pictures.
    """
    if indices is None:
        order = np.random.default_rng(seed).permutation(len(dataset))
        indices = sorted(order[:count])
    indices = [int(i) for i in indices]
    if not indices:
        raise LabkitError("contact_sheet: no pictures are chosen; the data set may be empty.")
    columns = min(columns, len(indices))
    rows = -(-len(indices) // columns)
    cell = PAGE_WIDTH / max(columns, 2)
    figure = Figure(figsize=(cell * columns, cell * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, index in zip(axes, indices, strict=False):
        _draw_sample(ax, dataset, index)
    for ax in axes[len(indices) :]:
        ax.set_axis_off()
    return figure


def _draw_sample(ax, dataset, index: int) -> None:
    name = plain_text(dataset.image_info(index)["file_name"], 24, keep="end")
    try:
        sample = dataset[index]
    except LabkitError as error:
        ax.imshow(np.full((3, 4, 3), EMPTY_CANVAS, np.uint8))
        ax.text(
            0.5,
            0.5,
            plain_text(str(error), 200),
            transform=ax.transAxes,
            wrap=True,
            ha="center",
            va="center",
            fontsize=10,
        )
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, fontsize=11, loc="left")
        return
    draw_truth(ax, sample, dataset.class_names)
    ax.set_title(f"{name}: {len(sample)}", fontsize=11, loc="left")


def draw_truth(ax, sample, class_names: Sequence[str]) -> None:
    """Draw a sample's instances in the colours of their classes; a single class, each in its own.

    In a picture with many instances only the largest of each class has its name beside it. Boxes
    are drawn for few instances of several classes only: elsewhere they would hide the outlines.
    """
    by_class = len(class_names) > 1
    colors = [
        CROWD if crowd else instance_color(int(c) - 1 if by_class else i)
        for i, (c, crowd) in enumerate(zip(sample.class_ids, sample.crowd, strict=True))
    ]
    labels = _labels(sample, class_names) if by_class else None
    draw_instances(
        sample.image,
        sample.boxes,
        sample.masks,
        labels,
        None,
        ax,
        colors=colors,
        dashed=sample.crowd.tolist(),
        with_boxes=by_class and len(sample) <= FEW_BOXES,
        font_size=8,
        line_width=1.1,
    )


def _labels(sample, class_names: Sequence[str]) -> list[str]:
    """The label of every instance, empty for those without one."""
    sizes = (sample.boxes[:, 2:] - sample.boxes[:, :2]).prod(axis=1)
    kinds = list(zip(sample.class_ids.tolist(), sample.crowd.tolist(), strict=True))
    largest = {kinds[i]: i for i in np.argsort(sizes, kind="stable")}
    named = range(len(sample)) if len(sample) <= FEW_NAMES else set(map(int, largest.values()))
    return [class_names[c - 1] if i in named else "" for i, c in enumerate(sample.class_ids)]


def pruning_curve(rows: Sequence, by: str = "images") -> Figure:
    """Classes, images and instances that `prune` keeps, as shares of all, over its threshold.

    Args:
        rows: what `labkit.data.classes.pruning_table` returned.
        by: what its threshold counts, "images" or "instances".

    Raises:
        LabkitError: there are no rows.
    """
    if not rows:
        raise LabkitError("pruning_curve: the table has no rows; the data set has no instances.")
    table = np.array(rows, float)
    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    ax = figure.subplots()
    lines = (
        ("classes", TRUTH, "solid"),
        ("images", PREDICTION, "dashed"),
        ("instances", INK, "dotted"),
    )
    for column, (name, color, style) in enumerate(lines, 1):
        most = max(table[:, column].max(), 1)
        ax.step(
            table[:, 0],
            table[:, column] / most,
            where="pre",
            color=color,
            linestyle=style,
            linewidth=2.2,
            label=f"{name} (of {most:,.0f})",
        )
    ax.set(ylim=(0, 1.03), xlabel=f"{by} that a class must have", ylabel="share kept")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if table[-1, 0] > 30 * max(table[0, 0], 1):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    # Below the axes, where it cannot hide a curve.
    figure.legend(fontsize=9, frameon=False, loc="outside lower center", ncols=3)
    return figure
