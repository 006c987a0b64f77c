"""Masks: their boxes, COCO's encodings, and resampling between a grid in a box and the image.

A mask head predicts an m x m grid for every box; a training target is such a grid cut from the
true mask. Both directions are here and follow one convention: pixel `i` covers `[i, i + 1)` and its
value is at its centre `i + 0.5`; cell `j` of a grid of `m` cells over the box side `[a, b)` covers
an m-th of it, and its value is at the cell's centre.

Resampling is separable, first along y and then along x, and computed only for the pixels of the
box. NumPy and pycocotools, no TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.ops.rle import checked_counts, checked_runs, is_number, runs_of_window

_PLAIN_NUMBERS = {int, float}

# ---- boxes ---------------------------------------------------------------------------------------


def boxes_from_masks(masks: np.ndarray) -> np.ndarray:
    """The tight boxes of masks.

    Args:
        masks: `[N, H, W]`, anything that is true where the instance is.

    Returns:
        float32 `[N, 4]`, `(y1, x1, y2, x2)` in pixels, half-open; zeros for an empty mask.

    Raises:
        LabkitError: masks do not have three axes.
    """
    masks = np.asarray(masks, bool)
    if masks.ndim != 3:
        raise LabkitError(f"masks have shape {masks.shape}; give [N, H, W] (mask[None] for one).")
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        window, top, left = window_of(mask)
        box[:] = top, left, top + window.shape[0], left + window.shape[1]
    return boxes


def window_of(mask: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The part of a mask `[H, W]` inside its tight box, which is all there is to it.

    Returns:
        `(window, top, left)`: bool `[h, w]`, a view of the mask's rows from `top` and columns from
        `left`; `[0, 0]` at 0, 0 for an empty mask.
    """
    mask = np.asarray(mask, bool)
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return mask[:0, :0], 0, 0
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return mask[top:bottom, left:right], top, left


def nearest_pixels(length: int, of: int) -> np.ndarray:
    """The pixels of a side of `of` pixels at the centres of `length` equal parts: int `[length]`.

    `mask[np.ix_(nearest_pixels(h, H), nearest_pixels(w, W))]` resizes a mask `[H, W]`.
    """
    return ((np.arange(length) + 0.5) * of / length).astype(int)


# ---- COCO's encodings ----------------------------------------------------------------------------


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask `[H, W]`: `{"size": [H, W], "counts": str}`."""
    return encode_window(*window_of(mask), *np.shape(mask))


def encode_window(
    window: np.ndarray, top: int, left: int, height: int, width: int
) -> dict[str, Any]:
    """As `encode_rle`, of a mask of which only a window is given.

    Args:
        window: bool `[h, w]`, the mask's rows from `top` and columns from `left`; it is empty
            outside.
        top: the window's first row.
        left: the window's first column.
        height: of the mask, in pixels.
        width: of the mask, in pixels.
    """
    runs = runs_of_window(window, top, left, height, width).tolist()
    return _as_text(coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """A COCO `segmentation` as a mask.

    Args:
        segmentation: a list of polygons `[x, y, x, y, …]` (their union), or run lengths
            `{"size": [height, width], "counts": …}` with a list (uncompressed) or a text.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        bool `[height, width]`. Polygons are filled by pycocotools, as COCO's evaluation does.

    Raises:
        LabkitError: a field is missing, malformed or does not fit the image.
    """
    if isinstance(segmentation, dict):
        return _fill_runs(checked_runs(segmentation, height, width), height, width)
    return coco_mask.decode(_rasterise(segmentation, height, width)) > 0


def compress_segmentation(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """A COCO `segmentation` as compressed run lengths: `{"size", "counts": str}`.

    pycocotools converts polygons and uncompressed counts, as in COCO's evaluation. A text stays as
    it is, and what it says is not checked: `labkit.ops.rle.decode_texts` is fast on many at a time.

    Raises:
        LabkitError: as in `decode_segmentation`, but for the contents of a text.
    """
    if not isinstance(segmentation, dict):
        return _as_text(_rasterise(segmentation, height, width))
    size, counts = [height, width], checked_counts(segmentation, height, width)
    if isinstance(counts, str):
        return {"size": size, "counts": counts}
    runs = checked_runs(segmentation, height, width).tolist()
    return _as_text(coco_mask.frPyObjects({"size": size, "counts": runs}, height, width))


def _as_text(rle: dict[str, Any]) -> dict[str, Any]:
    """Pycocotools' run lengths with counts that JSON can hold."""
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _rasterise(polygons: Any, height: int, width: int) -> dict[str, Any]:
    polygons = _checked_polygons(polygons, height, width)
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def _checked_polygons(segmentation: Any, height: int, width: int) -> list[list[float]]:
    if not isinstance(segmentation, (list, tuple)):
        raise LabkitError(
            f"segmentation is {_kind(segmentation)}; give a list of polygons or run lengths "
            '{"size", "counts"}.'
        )
    if not segmentation:
        raise LabkitError("segmentation is an empty list; give at least one polygon.")
    if all(is_number(value) for value in segmentation):
        raise LabkitError(
            "segmentation is one flat list of numbers; a polygon is a list in it, [[x, y, …]]."
        )
    return [_checked_polygon(polygon, height, width) for polygon in segmentation]


def _checked_polygon(polygon: Any, height: int, width: int) -> list[float]:
    plain = type(polygon) is list and set(map(type, polygon)) <= _PLAIN_NUMBERS  # nearly always
    numbers = plain or isinstance(polygon, (list, tuple)) and all(map(is_number, polygon))
    if not numbers:
        raise LabkitError(
            "segmentation holds a polygon that is not a list of numbers [x, y, x, y, …]."
        )
    if len(polygon) % 2 or len(polygon) < 6:
        raise LabkitError(
            f"segmentation holds a polygon of {len(polygon)} numbers; it takes an even number, 6 "
            "at least (three corners)."
        )
    # pycocotools walks along the outline point by point: with a corner at 1e12 it never returns.
    reach = 4 * (height + width)
    # min and max may pass over a NaN, but the sum does not
    if not (-reach <= min(polygon) and max(polygon) <= reach and sum(polygon) == sum(polygon)):
        raise LabkitError(
            f"segmentation holds a corner far outside the image of {height} x {width}, or NaN; "
            "coordinates are pixels of this image."
        )
    return list(map(float, polygon))


def segmentation_box(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The box around a COCO `segmentation`, without filling a mask; also the way to check one.

    Returns:
        float32 `(y1, x1, y2, x2)`, clipped to the image: around the corners of polygons, around the
        pixels of run lengths. It has no area, or its corners are swapped, where nothing of the
        segmentation is in the image.

    Raises:
        LabkitError: as in `decode_segmentation`.
    """
    if isinstance(segmentation, dict):
        return _box_of_runs(checked_runs(segmentation, height, width), height)
    polygons = _checked_polygons(segmentation, height, width)
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    box = (max(min(ys), 0), max(min(xs), 0), min(max(ys), height), min(max(xs), width))
    return np.array(box, np.float32)


def _ones(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel (counted down the columns) of every run of ones that is not empty."""
    ends = np.cumsum(runs)
    first, last = ends[:-1:2], ends[1::2] - 1
    return first[first <= last], last[first <= last]


def _box_of_runs(runs: np.ndarray, height: int) -> np.ndarray:
    first, last = _ones(runs)
    if not len(first):
        return np.zeros(4, np.float32)
    over = (first // height != last // height).any()  # a run goes on in the next column
    y1, y2 = (0, height) if over else ((first % height).min(), (last % height).max() + 1)
    return np.array([y1, first[0] // height, y2, last[-1] // height + 1], np.float32)


def _fill_runs(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask of run lengths; only the columns that hold ones are decoded and transposed."""
    mask = np.zeros((height, width), bool)
    first, last = _ones(runs)
    if len(first):
        left, right = int(first[0]) // height, int(last[-1]) // height + 1
        columns = np.zeros((right - left) * height + 1, np.int8)
        np.add.at(columns, first - left * height, 1)
        np.add.at(columns, last + 1 - left * height, -1)
        inside = np.cumsum(columns[:-1], dtype=np.int8) > 0
        mask[:, left:right] = inside.reshape(right - left, height).T
    return mask


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"


# ---- mini-masks: from the image into the box -----------------------------------------------------


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
    y1, x1, y2, x2 = _checked_box(box)
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


# ---- pasting: from the box into the image --------------------------------------------------------


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
    y1, x1, y2, x2 = _checked_box(box)
    place = _sample_cells if method == "exact" else _resize_cells
    rows, top = place(y1, y2, padded.shape[0], height)
    columns, left = place(x1, x2, padded.shape[1], width)
    return _interpolate(_interpolate(padded, rows).T, columns).T, top, left


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
    frame, box = _checked_box(frame), _checked_box(box)
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


def _checked_box(box: Any) -> tuple[float, float, float, float]:
    values = [float(value) for value in box]
    if len(values) != 4 or not np.isfinite(values).all():
        raise LabkitError(
            f"A box is (y1, x1, y2, x2), four finite numbers in pixels, not {values}."
        )
    return values[0], values[1], values[2], values[3]
