"""A mask as one polygon that fills exactly its pixels, for formats that hold only polygons.

The polygon follows the pixels' edges. If a mask has several parts, or holes, their outlines are
joined by bridges: the polygon goes to the next outline, round it, and the same way back. The two
ways cancel when the polygon is filled with the even-odd rule, as in pycocotools.
"""

from __future__ import annotations

import numpy as np

from labkit.errors import LabkitError


def mask_polygon(mask: np.ndarray) -> np.ndarray:
    """The outline of a mask.

    Args:
        mask: bool `[H, W]`, with at least one pixel.

    Returns:
        int `[n, 2]`, corners (x, y) between pixels: 0..W, 0..H. pycocotools fills it (even-odd) to
        exactly the same mask.

    Raises:
        LabkitError: the mask is empty.
    """
    loops = _loops(np.asarray(mask, bool))
    if not loops:
        raise LabkitError("A mask without a pixel has no outline; leave it out.")
    loops.sort(key=len, reverse=True)
    polygon = loops[0]
    for loop in loops[1:]:
        polygon = _bridged(polygon, loop)
    return polygon


def _loops(mask: np.ndarray) -> list[np.ndarray]:
    """The closed outlines of a mask's parts and holes, each int `[n, 2]` of corners (x, y).

    On every line of the grid the corners come in pairs, the two ends of an edge. An outline is
    followed by going to the partner in the row, then to the partner in the column, and so on.
    """
    m = np.pad(mask, 1).astype(np.int8)
    a, b, c, d = m[:-1, :-1], m[:-1, 1:], m[1:, :-1], m[1:, 1:]
    times = (a + b + c + d) % 2  # an odd number of pixels meet in a corner
    times += 2 * ((a == d) & (b == c) & (a != b)).astype(np.int8)  # two corners touch in a point
    corners = np.argwhere(times).repeat(times[times > 0], axis=0)  # sorted by row, then by column
    on_row = np.arange(len(corners)) ^ 1
    by_column = np.lexsort((corners[:, 0], corners[:, 1]))
    on_column = np.empty(len(corners), np.int64)
    on_column[by_column[0::2]], on_column[by_column[1::2]] = by_column[1::2], by_column[0::2]
    left, loops = np.ones(len(corners), bool), []
    for start in range(len(corners)):
        walk, here = [], start
        while left[here]:
            there = on_row[here]
            left[[here, there]] = False
            walk += [here, there]
            here = on_column[there]
        if walk:
            loops.append(corners[walk][:, ::-1])
    return loops


def _bridged(polygon: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """The polygon with a loop added, by a bridge from its corner nearest to the loop's first."""
    nearest = int(((polygon - loop[0]) ** 2).sum(1).argmin())
    return np.concatenate([polygon[: nearest + 1], loop, loop[:1], polygon[nearest:]])
