"""Checking a COCO segmentation before pycocotools gets it.

The runs of a mask must cover its picture exactly. pycocotools takes that for granted: given runs
that cover less or more, or a text that was cut off, its IoU never returns. A file may hold half a
million masks, so their texts are checked many at a time.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError

TEXTS_AT_A_TIME = 4096  # a few megabytes of run lengths


def checked_rle(entry: dict, where: str, height: int, width: int, remedy: str) -> dict:
    """The segmentation of an annotation or result as compressed RLE (counts are bytes).

    Polygons and plain counts are converted by pycocotools, in the very way COCOeval would do it.
    The runs of counts that are compressed already are left to `check_texts`.

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
    if isinstance(counts, list):
        _check_runs(_plain_runs(counts, where), height, width, where)
        return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    if not isinstance(counts, (str, bytes)):
        raise LabkitError(f"{where}: the counts of its segmentation must be a text or a list.")
    counts = counts.encode("ascii", "replace") if isinstance(counts, str) else bytes(counts)
    return {"size": [height, width], "counts": counts}


def check_texts(segmentations: Sequence[dict], where: Callable[[int], str]) -> None:
    """Checks that the runs of compressed RLEs (counts are bytes) cover their pictures.

    where: what to call number i in a message. Raises LabkitError for the first that does not.
    """
    for first in range(0, len(segmentations), TEXTS_AT_A_TIME):
        part = segmentations[first : first + TEXTS_AT_A_TIME]
        areas = [entry["size"][0] * entry["size"][1] for entry in part]
        if _all_cover([entry["counts"] for entry in part], np.array(areas)):
            continue
        for i, entry in enumerate(part):  # one of them is wrong: say which, and how
            runs = decode_texts([entry["counts"]], where(first + i))[0]
            _check_runs(runs, *entry["size"], where(first + i))


def _all_cover(texts: list[bytes], areas: np.ndarray) -> bool:
    try:
        runs, firsts = decode_texts(texts, "")
    except LabkitError:
        return False
    return bool((runs >= 0).all() and (np.add.reduceat(runs, firsts) == areas).all())


def _check_runs(runs: np.ndarray, height: int, width: int, where: str) -> None:
    if (runs < 0).any() or runs.sum() != height * width:
        raise LabkitError(
            f"{where}: the run lengths of its segmentation cover {runs.sum()} pixels instead of "
            f"{height} x {width} = {height * width}; write the mask again."
        )


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


def _plain_runs(counts: list, where: str) -> np.ndarray:
    if not all(isinstance(v, (int, np.integer)) for v in counts):
        raise LabkitError(f"{where}: the counts of its segmentation must be whole numbers.")
    return np.asarray(counts, np.int64)


def decode_texts(texts: Sequence[bytes], where: str) -> tuple[np.ndarray, np.ndarray]:
    """The run lengths of N texts one after the other, int64 [R], and the first of each, int64 [N].

    COCO's text form: each run is written in groups of five bits, lowest first, 48 added to make a
    printable character; 32 says that more follow, and from the third run on only the difference
    from the run before the last is kept.
    """
    codes = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - 48
    lengths = np.array([len(text) for text in texts])
    last = (codes & 32) == 0  # the last group of its run
    ends = np.cumsum(lengths)
    if not lengths.all() or codes.min() < 0 or codes.max() > 63 or not last[ends - 1].all():
        raise LabkitError(f"{where}: the counts of its segmentation are no COCO run-length text.")
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    place = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    if place.max() > 6:  # 35 bits: more than any picture needs
        raise LabkitError(f"{where}: a run length of its segmentation is far too large.")
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = (codes[last] & 16) > 0
    values -= negative * (np.int64(1) << (5 * (place[last] + 1)))

    firsts = np.searchsorted(starts, ends - lengths)
    counts = np.diff(np.append(firsts, len(values)))
    number = np.arange(len(values)) - np.repeat(firsts, counts)  # of a run within its text
    # Undo the differences: run i is stored as run i minus run i - 2, for i >= 3. So odd runs add
    # up among themselves, and so do even ones from the second on.
    runs = values.copy()
    for chain in (number % 2 == 1, (number % 2 == 0) & (number > 0)):
        total = np.cumsum(np.where(chain, values, 0))
        before = np.repeat(np.where(firsts > 0, total[firsts - 1], 0), counts)
        runs[chain] = (total - before)[chain]
    return runs, firsts
