"""The static picture of an explorer that draws many boxes over a picture."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from labkit.widgets.explorer import opened


def sketch(size, picture_url: str, title: str) -> tuple[Figure, Axes]:
    """A figure with room for `size` (height, width) pixels, the picture in it if there is one."""
    height, width = size
    figure = Figure(figsize=(6.6, 6.6 * height / width + 0.9), layout="constrained")
    ax = figure.add_subplot(xlim=(0, width), ylim=(height, 0), aspect="equal")
    if picture_url:
        ax.imshow(opened(picture_url), extent=(0, width, height, 0))
    ax.set_title(title, fontsize=10, wrap=True)
    return figure, ax


def outline(ax: Axes, boxes, color: str, style: str, width: float, label: str) -> None:
    """Boxes [N, 4] as outlines over a white halo; `label`, and how many they are, in the legend."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    corners = boxes[:, [1, 0, 3, 0, 3, 2, 1, 2]].reshape(-1, 4, 2)
    if width >= 2:
        ax.add_collection(PolyCollection(corners, facecolor="none", edgecolor="white",
                                         linewidth=width + 1.5), autolim=False)  # fmt: skip
    lines = PolyCollection(corners, facecolor="none", edgecolor=color, linestyle=style,
                           linewidth=width, label=f"{label} ({len(boxes):,})")  # fmt: skip
    ax.add_collection(lines, autolim=False)
