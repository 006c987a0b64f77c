"""Ground truth beside detections for many pictures: the figure to look at first."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.models.detections import Detections
from labkit.viz.colors import CROWD, PREDICTION, TRUTH, instance_color
from labkit.viz.instances import draw_detections, draw_instances
from labkit.viz.labels import plain_text

PAGE_WIDTH = 13.0  # inches; what a notebook or a slide shows without scrolling sideways
HEAD = 0.62  # inches over each pair for its titles


def detection_sheet(
    samples: Sequence,
    detections: Sequence[Detections],
    *,
    class_names: Sequence[str] | None = None,
    min_score: float = 0.5,
    columns: int | None = None,
    title: str | None = None,
) -> Figure:
    """A grid of pairs: the ground truth (dashed) on the left, the detections on the right.

    Args:
        samples: N `labkit.data.Sample`.
        detections: N `Detections`, in the same order.
        class_names: the data set's foreground classes; by default those of the detections. A class
            has the same colour on both sides.
        min_score: weaker detections are not drawn, but counted in the title.
        columns: pairs side by side; by default 1 to 3, depending on their number.
        title: above the figure.

    Raises:
        LabkitError: there are no samples, or not one Detections for each.
    """
    samples, detections = list(samples), list(detections)
    if not samples or len(samples) != len(detections):
        raise LabkitError(
            f"detection_sheet: {len(samples)} samples and {len(detections)} detections; give at "
            "least one sample, and one Detections for each."
        )
    names = list(detections[0].class_names if class_names is None else class_names)
    columns = columns or (1 if len(samples) == 1 else 2 if len(samples) <= 4 else 3)
    figure, pairs = _pages(samples, columns, title)
    font_size = 9 if columns < 3 else 7.5
    for sample, found, (left, right) in zip(samples, detections, pairs, strict=True):
        _draw_truth(sample, names, left, font_size)
        _draw_found(sample, found, names, min_score, right, font_size)
    return figure


def _pages(samples: Sequence, columns: int, title: str | None):
    """The figure and its N pairs of axes; each row is as high as its tallest picture needs."""
    page_width = PAGE_WIDTH if columns > 1 else PAGE_WIDTH * 0.75
    cell = page_width / (2 * columns)
    shapes = [sample.image.shape for sample in samples]
    rows = [shapes[i : i + columns] for i in range(0, len(shapes), columns)]
    heights = [cell * min(max(h / w for h, w, *_ in row), 2.0) + HEAD for row in rows]
    top = 0.45 if title else 0.05
    figure = Figure(figsize=(page_width, sum(heights) + top))
    if title:
        figure.suptitle(title, x=0.012, y=1 - 0.12 / (sum(heights) + top), ha="left", va="top")
    full_width, full_height = figure.get_size_inches()
    pairs, y = [], full_height - top
    for row, height in zip(rows, heights, strict=True):
        for column in range(len(row)):
            # the halves of a pair stand closer together than two pairs
            lefts = [(2 * column) * cell + 0.11, (2 * column + 1) * cell + 0.03]
            pairs.append(
                [
                    figure.add_axes(
                        (
                            left / full_width,
                            (y - height + 0.1) / full_height,
                            (cell - 0.14) / full_width,
                            (height - HEAD) / full_height,
                        ),
                        anchor="N",
                    )
                    for left in lefts
                ]
            )
        y -= height
    return figure, pairs


def _draw_truth(sample, names: list[str], ax: Axes, font_size: float) -> None:
    crowd = np.asarray(sample.crowd, bool)
    labels = [names[i - 1] if i <= len(names) else f"class {i}" for i in sample.class_ids]
    numbers = _color_numbers(sample.class_ids - 1, names)
    labels = [f"{n} (crowd)" if c else n for n, c in zip(labels, crowd, strict=True)]
    colors = [CROWD if c else instance_color(int(i)) for i, c in zip(numbers, crowd, strict=True)]
    draw_instances(
        sample.image,
        sample.boxes,
        sample.masks,
        labels,
        None,
        ax,
        colors=colors,
        dashed=True,
        font_size=font_size,
        line_width=1.5,
    )
    count = f"ground truth: {len(crowd) - crowd.sum()}"
    _head(ax, count, TRUTH, "dashed", font_size, plain_text(sample.name, 40, keep="end"))


def _draw_found(
    sample, found: Detections, names: list[str], min_score: float, ax: Axes, font_size: float
) -> None:
    strong = found.filter(min_score=min_score)
    place = {name: i for i, name in enumerate(names)}
    numbers = _color_numbers([place.get(name, len(names)) for name in strong.names], names)
    colors = [instance_color(int(i)) for i in numbers]
    draw_detections(
        strong,
        ax,
        image=sample.image,
        colors=colors,
        font_size=font_size,
        line_width=1.5,
        title=None,
    )
    weak = len(found) - len(strong)
    more = f" (+{weak} below {min_score:g})" if weak else ""
    _head(ax, f"found: {len(strong)}{more}", PREDICTION, "solid", font_size)


def _color_numbers(classes: Sequence[int], names: list[str]) -> Sequence[int]:
    """One colour for each class; with a single class, one for each instance."""
    return classes if len(names) > 1 else range(len(classes))


def _head(ax: Axes, text: str, color: str, style, font_size: float, name: str = "") -> None:
    """A coloured frame in the line style of its side, the count, and above it the file's name."""
    ax.spines[:].set(visible=True, color=color, linewidth=2.2, linestyle=style)
    ax.annotate(
        text,
        (0, 1),
        (2, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=font_size + 1.5,
        fontweight="bold",
        va="bottom",
    )
    if name:
        ax.annotate(
            name,
            (0, 1),
            (2, 19),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=font_size + 0.5,
            color="#444444",
            va="bottom",
        )
