"""Checking a COCO segmentation before pycocotools gets it.

The runs of a mask must cover its picture exactly. pycocotools takes that for granted: given runs
that cover less or more, or a text that was cut off, its IoU never returns.
"""

import math

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError


def checked_rle(entry: dict, where: str, height: int, width: int, remedy: str) -> dict:
    """The segmentation of an annotation or result as compressed RLE (counts are bytes).

    Polygons and plain counts are converted by pycocotools, in the very way COCOeval would do it.

    Args:
        entry: has "segmentation". where: what to call the entry in a message.
        height, width: of its image. remedy: what to do if there is no segmentation.

    Raises:
        LabkitError: it is missing, of another size, or no valid mask.
    """
    given = entry.get("segmentation")
    if given is None or given == []:
        raise LabkitError(f"{where}: has no segmentation; {remedy}.")
    if isinstance(given, list):
        return _rle_of_polygons(given, where, height, width)
    if not isinstance(given, dict) or "counts" not in given or "size" not in given:
        raise LabkitError(
            f"{where}: segmentation must be a list of polygons or an RLE with size and counts."
        )
    if list(given["size"]) != [height, width]:
        raise LabkitError(
            f"{where}: segmentation is {given['size']} pixels (height, width), but its image is "
            f"{[height, width]}; scale the mask to the original picture before writing it."
        )
    counts = given["counts"]
    runs = _decode_counts(counts, where)
    if (runs < 0).any() or runs.sum() != height * width:
        raise LabkitError(
            f"{where}: the run lengths of its segmentation cover {runs.sum()} pixels instead of "
            f"{height} x {width} = {height * width}; write the mask again."
        )
    if isinstance(counts, list):
        return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    counts = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    return {"size": [height, width], "counts": counts}


def _rle_of_polygons(polygons: list, where: str, height: int, width: int) -> dict:
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(
            isinstance(v, (int, float)) and math.isfinite(v) for v in polygon
        )
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise LabkitError(
                f"{where}: a polygon of its segmentation is not a list of at least three points "
                "x, y (six numbers); remove it, or redraw it."
            )
    # A polygon of two points would be taken for a box, hence the check above.
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def _decode_counts(counts, where: str) -> np.ndarray:
    """The run lengths, int64, of compressed or plain counts.

    COCO's text form: each run is written in groups of five bits, lowest first, 48 added to make a
    printable character; 32 says that more follow, and from the third run on only the difference
    from the run before the last is kept.
    """
    if isinstance(counts, list):
        if not all(isinstance(v, (int, np.integer)) for v in counts):
            raise LabkitError(f"{where}: the counts of its segmentation must be whole numbers.")
        return np.asarray(counts, np.int64)
    if not isinstance(counts, (str, bytes)):
        raise LabkitError(f"{where}: the counts of its segmentation must be a text or a list.")
    text = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    last = (codes & 32) == 0  # the last group of its run
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise LabkitError(f"{where}: the counts of its segmentation are no COCO run-length text.")
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    place = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    if place.max() > 6:  # 35 bits: more than any picture needs
        raise LabkitError(f"{where}: a run length of its segmentation is far too large.")
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = (codes[last] & 16) > 0
    values -= negative * (np.int64(1) << (5 * (place[last] + 1)))
    # Undo the differences: run i is stored as run i minus run i - 2, for i >= 3.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
