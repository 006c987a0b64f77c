"""The boxes of a COCO file: is one usable, and does it say what its mask says?"""

from collections.abc import Sequence
from typing import Any

from labkit.io.data_files import is_number, shown

# `check` reports a bbox if it differs from the box of its segmentation by more than both of these.
# COCO's own differ by some pixels: polygons have corners between pixels, and tips that cover none.
_SAME_BOX_PIXELS = 3
_SAME_BOX_IOU = 0.5


def wrong_bbox(bbox: Any, height: int, width: int) -> str:
    """What is wrong with a bbox, as a part of a sentence; "" if nothing is."""
    if (
        not isinstance(bbox, (list, tuple))
        or len(bbox) != 4
        or not all(is_number(value) for value in bbox)
    ):
        return f"bbox is {shown(bbox)}, not four numbers [x, y, width, height]"
    x, y, box_width, box_height = bbox
    if box_width <= 0 or box_height <= 0:
        return f"bbox {shown(bbox)} has no area"
    if x >= width or y >= height or x + box_width <= 0 or y + box_height <= 0:
        return f"bbox {shown(bbox)} lies outside the image of {height} x {width} pixels"
    return ""


def same_box(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two boxes (y1, x1, y2, x2) are the same, but for what outlines and masks differ."""
    if max(abs(p - q) for p, q in zip(a, b, strict=True)) <= _SAME_BOX_PIXELS:
        return True
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - height * width
    return height * width >= _SAME_BOX_IOU * union
