"""Pasting: a predicted grid of mask values, resampled to the pixels of its image.

A mask head predicts an m x m grid for every box (`paste_mask`); YOLACT predicts masks on a grid
over the whole image (`paste_grid`). Both follow one convention: pixel `i` covers `[i, i + 1)` and
its value is at its centre `i + 0.5`; cell `j` of a grid of `m` cells over the side `[a, b)` covers
an m-th of it, and its value is at the cell's centre. Resampling is separable, first along y and
then along x, and computed only for the pixels of the box. NumPy, no TensorFlow.
"""

from typing import Any

import numpy as np

from labkit.errors import LabkitError


def paste_mask(
    prob: np.ndarray, box: Any, height: int, width: int, method: str = "exact"
) -> tuple[np.ndarray, int, int]:
    """One predicted mask grid, resampled to the pixels of the image that its box touches.

    Source: "exact" is Detectron2's `paste_masks_in_image`, "integer" torchvision's.

    Args:
        prob: float `[m, m]` in 0..1, the grid that spans the box.
        box: `(y1, x1, y2, x2)` in pixels; may reach beyond the image.
        height: of the image, in pixels.
        width: of the image, in pixels.
        method: "exact" samples the grid bilinearly at every pixel's centre, with zeros around
            the grid; "integer" first widens the box by one cell on every side and rounds it.

    Returns:
        `(window, top, left)`: float32 values for the rows from `top` and the columns from `left`;
        everything outside the window is 0. The window is empty for a box without area.

    Raises:
        LabkitError: the box is not four finite numbers, or there is no such method.
    """
    if method not in ("exact", "integer"):
        raise LabkitError(f'There is no paste method {method!r}; choose "exact" or "integer".')
    padded = np.pad(np.asarray(prob, np.float32), 1)
    y1, x1, y2, x2 = checked_box(box)
    place = _sample_cells if method == "exact" else _resize_cells
    rows, top = place(y1, y2, padded.shape[0], height)
    columns, left = place(x1, x2, padded.shape[1], width)
    return _interpolate(_interpolate(padded, rows).T, columns).T, top, left


def paste_window(
    prob: np.ndarray,
    box: Any,
    height: int,
    width: int,
    threshold: float = 0.5,
    method: str = "exact",
) -> tuple[np.ndarray, int, int]:
    """One mask of `paste_masks`, of which only the window that its box touches is made.

    Returns:
        `(window, top, left)`: bool values for the rows from `top` and the columns from `left`; the
        mask is empty outside.

    Raises:
        LabkitError: as in `paste_mask`.
    """
    window, top, left = paste_mask(prob, box, height, width, method)
    return (window >= threshold) & (window > 0), top, left


def paste_in_box(
    prob: np.ndarray, box: Any, height: int, width: int, threshold: float = 0.5
) -> tuple[np.ndarray, int, int]:
    """A mask, as in `paste_window`, cut to its box, whose corners are whole pixels.

    Source: skimage's resize, as Matterport calls it. Zeros around the grid lower the pixels at the
    border, but never below the grid's smallest cell: a grid above the threshold fills its box.
    """
    window, top, left = paste_mask(prob, box, height, width)
    y1, x1, y2, x2 = (int(v) for v in np.clip(box, 0, [height, width] * 2))
    inside = window[y1 - top : y2 - top, x1 - left : x2 - left]
    return np.maximum(inside, prob.min()) >= threshold, y1, x1


def paste_grid(
    grid: np.ndarray, frame: Any, box: Any, height: int, width: int
) -> tuple[np.ndarray, int, int]:
    """A mask on a grid over a whole image, resampled to the pixels near its box.

    In contrast to `paste_mask` the grid spans the image, and is zero outside the box but for a cell
    or so. Pixels beyond the outermost cells' centres have their value.
    Source: YOLACT (Bolya et al. 2019), which resizes the whole grid to the whole image.

    Args:
        grid: float `[h, w]` in 0..1.
        frame: `(y1, x1, y2, x2)`, what the grid spans, in pixels of the image; larger than the
            image where this was padded.
        box: `(y1, x1, y2, x2)` in pixels; may reach beyond the image.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        As `paste_mask`.

    Raises:
        LabkitError: a box is not four finite numbers.
    """
    frame, box = checked_box(frame), checked_box(box)
    rows, top = _positions(frame[0], frame[2], box[0], box[2], grid.shape[0], height)
    columns, left = _positions(frame[1], frame[3], box[1], box[3], grid.shape[1], width)
    grid = np.asarray(grid, np.float32)
    return _interpolate(_interpolate(grid, rows).T, columns).T, top, left


def paste_grids(
    grids: np.ndarray, frame: Any, boxes: np.ndarray, height: int, width: int, threshold: float
) -> np.ndarray:
    """Masks on grids `[N, h, w]` over a whole image as masks of its pixels: bool `[N, H, W]`.

    A pixel belongs to the instance where the resampled grid is at least `threshold` (and above 0).
    The other arguments are `paste_grid`'s, with a box for each.
    """
    masks = np.zeros((len(grids), height, width), bool)
    for mask, grid, box in zip(masks, grids, boxes, strict=True):
        window, top, left = paste_grid(grid, frame, box, height, width)
        rows, columns = window.shape
        mask[top : top + rows, left : left + columns] = (window >= threshold) & (window > 0)
    return masks


def _positions(
    start: float, stop: float, near: float, far: float, cells: int, length: int
) -> tuple[np.ndarray, int]:
    """Where pixels lie among cells from start to stop, from 0 to the last; and the first pixel.

    The pixels are those from near to far, and three cells more on either side.
    """
    cell = (stop - start) / cells
    first = int(np.clip(np.floor(near - 3 * cell), 0, length))
    last = int(np.clip(np.ceil(far + 3 * cell), first, length))
    return np.clip((np.arange(first, last) + 0.5 - start) / cell - 0.5, 0, cells - 1), first


def paste_masks(
    probs: np.ndarray,
    boxes: np.ndarray,
    height: int,
    width: int,
    threshold: float = 0.5,
    method: str = "exact",
) -> np.ndarray:
    """Predicted mask grids `[N, m, m]` in boxes `[N, 4]` as masks: bool `[N, height, width]`.

    A pixel belongs to the instance where the resampled grid is at least `threshold` (and above 0).
    The other arguments are `paste_mask`'s.

    Raises:
        LabkitError: as in `paste_mask`, or the shapes do not fit.
    """
    probs, boxes = np.asarray(probs), np.asarray(boxes)
    if probs.ndim != 3 or boxes.shape != (len(probs), 4):
        raise LabkitError(
            f"Mask grids of shape {probs.shape} and boxes of shape {boxes.shape} do not go "
            "together; give [N, m, m] and [N, 4]."
        )
    masks = np.zeros((len(probs), height, width), bool)
    for mask, prob, box in zip(masks, probs, boxes, strict=True):
        window, top, left = paste_window(prob, box, height, width, threshold, method)
        mask[top : top + window.shape[0], left : left + window.shape[1]] = window
    return masks


def _interpolate(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rows `[n, ...]` between the rows of `values` at positions `[n]`, from 0 to the last one.

    Products of matrices would do the same, slower: all but two weights of a pixel are zero, and the
    threads of BLAS wait for one another where others use the cores.
    """
    below = np.minimum(positions.astype(np.int64), len(values) - 2)
    share = (positions - below)[:, None]
    lower, upper = (1 - share).astype(np.float32), share.astype(np.float32)
    return lower * values[below] + upper * values[below + 1]


def _sample_cells(start: float, stop: float, cells: int, length: int) -> tuple[np.ndarray, int]:
    """Where the centres of `n` pixels are in a padded side of `cells` cells, and the first pixel.

    Without the zeros at its ends, the side spans the box from start to stop.
    """
    if stop <= start:
        return np.zeros(0), 0
    cell = (stop - start) / (cells - 2)
    # From half a cell outside the box on, all values are the zeros around the grid.
    first = int(np.clip(np.floor(start - cell / 2 - 0.5), 0, length))
    last = int(np.clip(np.ceil(stop + cell / 2 + 0.5), first, length))
    position = (np.arange(first, last) + 0.5 - start) / cell + 0.5
    return np.clip(position, 0, cells - 1), first


def _resize_cells(start: float, stop: float, cells: int, length: int) -> tuple[np.ndarray, int]:
    """As `_sample_cells`, for the box as torchvision rounds it.

    The box is widened in float32 and rounded towards zero; its far pixel counts as inside, so a box
    without area still covers one pixel.
    """
    start, stop = np.float32(start), np.float32(stop)
    half = (stop - start) * np.float32(0.5) * np.float32(cells / (cells - 2))
    centre = (stop + start) * np.float32(0.5)
    low, high = int(centre - half), int(centre + half)
    pixels = max(high - low + 1, 1)
    first = min(max(low, 0), length)
    last = max(min(high + 1, length), first)
    position = (np.arange(first, last) - low + 0.5) * (cells / pixels) - 0.5
    return np.clip(position, 0, cells - 1), first


def checked_box(box: Any) -> tuple[float, float, float, float]:
    """The four numbers of a box `(y1, x1, y2, x2)`.

    Raises:
        LabkitError: there are not four of them, or one is not finite.
    """
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise LabkitError(
            f"A box is (y1, x1, y2, x2), four finite numbers in pixels, not {values}."
        )
    return values[0], values[1], values[2], values[3]
