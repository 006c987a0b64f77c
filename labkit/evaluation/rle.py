"""The masks of a COCO file as compressed run lengths, checked before pycocotools gets them.

A file may hold half a million masks, so their texts are checked many at a time.
"""

from collections.abc import Callable, Sequence

import numpy as np

from labkit.errors import LabkitError
from labkit.ops.coco_masks import compress_segmentation
from labkit.ops.rle import checked_runs, decode_texts

TEXTS_AT_A_TIME = 4096  # a few megabytes of run lengths


def checked_rle(entry: dict, where: str, height: int, width: int, remedy: str) -> dict:
    """The segmentation of an annotation or result as compressed run lengths (counts are str).

    The contents of counts that were a text already are left to `check_texts`.

    Args:
        entry: the annotation or result.
        where: what to call the entry in a message.
        height: of its image.
        width: of its image.
        remedy: what to do if there is no segmentation.

    Raises:
        LabkitError: the segmentation is missing, of another size, or malformed.
    """
    segmentation = entry.get("segmentation")
    if segmentation is None or segmentation == []:
        raise LabkitError(f"{where}: has no segmentation; {remedy}.")
    try:
        return compress_segmentation(segmentation, height, width)
    except LabkitError as error:
        raise LabkitError(f"{where}: {error}") from None


def check_texts(segmentations: Sequence[dict], where: Callable[[int], str]) -> None:
    """Checks that compressed run lengths cover their images.

    Args:
        segmentations: as `checked_rle` returns them.
        where: what to call number i in a message.

    Raises:
        LabkitError: the first that does not, and why.
    """
    for first in range(0, len(segmentations), TEXTS_AT_A_TIME):
        part = segmentations[first : first + TEXTS_AT_A_TIME]
        if _all_cover(part):
            continue
        for i, rle in enumerate(part, first):  # one of them is wrong: say which, and how
            try:
                checked_runs(rle, *rle["size"])
            except LabkitError as error:
                raise LabkitError(f"{where(i)}: {error}") from None


def _all_cover(segmentations: Sequence[dict]) -> bool:
    try:
        runs, firsts = decode_texts([rle["counts"] for rle in segmentations])
    except LabkitError:
        return False
    areas = [rle["size"][0] * rle["size"][1] for rle in segmentations]
    return bool((runs >= 0).all() and (np.add.reduceat(runs, firsts) == areas).all())
