"""Static pictures of explorers: boxes drawn over an image."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.widgets.explorer import opened


def sketch(size, picture_url: str, title: str, place=None) -> tuple[Figure, Axes]:
    """A figure for a canvas in pixels, with the image in it if there is one.

    Args:
        size: (height, width) of the canvas.
        picture_url: the image as a `data_url`, or "".
        title: of the figure.
        place: (y1, x1, y2, x2) of the image in the canvas; by default all of it.
    """
    height, width = size
    y1, x1, y2, x2 = (0, 0, height, width) if place is None else place
    figure = Figure(figsize=(6.6, 6.6 * height / width + 0.9), layout="constrained")
    ax = figure.add_subplot(xlim=(0, width), ylim=(height, 0), aspect="equal")
    if picture_url:
        ax.imshow(opened(picture_url), extent=(x1, x2, y2, y1))
    ax.set_title(title, fontsize=10, wrap=True)
    return figure, ax


def rectangle(box, **style) -> Rectangle:
    """A box (y1, x1, y2, x2) as a patch, by default not filled; style: matplotlib's options."""
    y1, x1, y2, x2 = box
    return Rectangle((x1, y1), x2 - x1, y2 - y1, **{"fill": False} | style)


def haloed(ax: Axes, box, color: str, style: str, halo: str = "white", width: float = 2.0) -> None:
    """One box over a wider line of another colour: one of the two is visible on any image."""
    ax.add_patch(rectangle(box, edgecolor=halo, linewidth=width + 1.5))
    ax.add_patch(rectangle(box, edgecolor=color, linewidth=width, linestyle=style))


def outline(ax: Axes, boxes, color: str, style: str, width: float, label: str) -> None:
    """Boxes [N, 4] as outlines over a white halo; the legend has `label` and their number."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    corners = boxes[:, [1, 0, 3, 0, 3, 2, 1, 2]].reshape(-1, 4, 2)
    if width >= 2:
        ax.add_collection(
            PolyCollection(corners, facecolor="none", edgecolor="white", linewidth=width + 1.5),
            autolim=False,
        )
    lines = PolyCollection(
        corners,
        facecolor="none",
        edgecolor=color,
        linestyle=style,
        linewidth=width,
        label=f"{label} ({len(boxes):,})",
    )
    ax.add_collection(lines, autolim=False)
