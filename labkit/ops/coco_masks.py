"""Masks as COCO writes them: polygons and run lengths.

pycocotools fills the polygons and compresses the run lengths, as in COCO's own evaluation; what it
would trust is checked here first. `labkit.ops.rle` reads the texts of compressed run lengths.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.ops.mask_boxes import window_of
from labkit.ops.rle import checked_counts, checked_runs, is_number, runs_of_window

_PLAIN_NUMBERS = {int, float}


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
