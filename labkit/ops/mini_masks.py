"""Mini-masks: a mask cut out by its box and resampled to a small grid, as training keeps it.

The coordinates are those of `labkit.ops.pasting`, which goes the other way: pixel `i` covers
`[i, i + 1)` and its value is at its centre `i + 0.5`; cell `j` of a grid of `m` cells over the box
side `[a, b)` covers an m-th of it, and its value is at the cell's centre. Resampling is separable,
first along y and then along x, and computed only for the pixels of the box. NumPy, no TensorFlow.
"""

from typing import Any

import numpy as np

from labkit.ops.pasting import checked_box, paste_masks


def mini_mask(mask: np.ndarray, box: Any, size: tuple[int, int] = (56, 56)) -> np.ndarray:
    """The part of a mask inside its box, as a small grid: the form in which training keeps masks.

    The full-size masks of a hundred instances take as much memory as a hundred images; 56 x 56
    cells are still twice as fine as the 28 x 28 that a mask head predicts.
    Source: the idea is Matterport's; the coordinates are not (theirs are rounded).

    Args:
        mask: `[H, W]`, bool or 0/1.
        box: `(y1, x1, y2, x2)` in pixels, not necessarily whole numbers.
        size: rows and columns of the grid.

    Returns:
        bool `size`: whether the mask, interpolated bilinearly at a cell's centre, is at least 0.5.
        False outside the image, and everywhere for a box without area.

    Raises:
        LabkitError: the box is not four finite numbers.
    """
    y1, x1, y2, x2 = checked_box(box)
    if y2 <= y1 or x2 <= x1:
        return np.zeros(size, bool)
    rows, top = _sample_pixels(y1, y2, size[0], mask.shape[0])
    columns, left = _sample_pixels(x1, x2, size[1], mask.shape[1])
    window = mask[top : top + rows.shape[1], left : left + columns.shape[1]]
    return rows @ window.astype(np.float32) @ columns.T >= 0.5


def expand_mini_mask(mini: np.ndarray, box: Any, height: int, width: int) -> np.ndarray:
    """A mini-mask back in its image: bool `[height, width]`, the inverse of `mini_mask`.

    The round trip moves the outline by at most half a cell, `box side / grid side / 2` pixels. It
    loses nothing if the box has at most half as many pixels per side as the grid has cells.
    """
    return paste_masks(np.asarray(mini, np.float32)[None], np.asarray(box)[None], height, width)[0]


def _sample_pixels(start: float, stop: float, cells: int, length: int) -> tuple[np.ndarray, int]:
    """Weights `[cells, n]` that interpolate `n` pixels at the cells' centres, and the first pixel.

    Within half a pixel of the image's border there is a neighbour on one side only, and its value
    is taken. Cells whose centre lies outside the image have no weight at all.
    """
    centres = start + (np.arange(cells) + 0.5) * ((stop - start) / cells)
    position = np.clip(centres - 0.5, 0, length - 1)  # in units of pixel centres
    below = np.minimum(position.astype(np.int64), max(length - 2, 0))
    first, last = int(below[0]), min(int(below[-1]) + 1, length - 1)
    pixels = np.arange(first, last + 1)
    weights = np.maximum(1 - np.abs(position[:, None] - pixels), 0)
    weights[(centres < 0) | (centres >= length)] = 0
    return weights.astype(np.float32), first
