"""Label maps that may mean something else than "every value is an object".

Smoothed maps, maps of classes, maps whose background is not 0: read to the letter they give a data
set, and a wrong one. `doubts_about` finds them by their pixels; `connected_parts` is the way out
for most of them.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

# A smoothed map has at least this many values of which at least half are scattered: most of their
# pixels touch no other pixel of the same value.
_FEWEST_SOFT_VALUES = 8
_SCATTERED = 3  # pixels for each place where a value begins

_MOST_CLASSES = 20  # a map with more values is one of objects
_PART_PIXELS, _PART_SHARE = 9, 0.1  # a part of a value counts from both of these on
_BORDER_SHARE = 0.95

_MOST_PIXELS = 1_000_000  # of a map that are looked at

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_VOID = (255, 65535)  # the highest values of 8 and 16 bits

_CONNECTED = "connected_components=True (on the command line --connected-components)"

#: What each kind of doubt says after the map's name. `{value}` is the value that it is about.
DOUBTS = {
    "soft": "most of its values are scattered pixels, as in a map that was smoothed, resized or "
    "saved as JPEG, and every value would be an object; save the maps anew as PNG without "
    f"smoothing, or read each connected part that is brighter than half as an object: {_CONNECTED}",
    "background": "the value {value} covers the border of the picture, as a background does, but "
    "would be an object; if it is the background: background={value} (--background {value})",
    "void": "the value {value} is far above all others, as the mark of pixels that are not "
    "labelled, but would be an object; if it is such a mark: void=[{value}] (--void {value})",
    "parts": "its values have several separate parts each, as in a map of foreground or of "
    "classes, and all parts of a value would be one object; if each part is an object of its own: "
    f"{_CONNECTED}",
}


def doubts_about(label_map: np.ndarray) -> dict[str, int]:
    """The kinds of doubt about a label map, each with the value that it is about.

    Args:
        label_map: whole numbers `[H, W]`; 0 is the background.

    Returns:
        Keys of `DOUBTS`; empty if each value looks like one object.
    """
    if is_soft(_middle(label_map)):
        return {"soft": int(label_map.max())}
    step = math.ceil(math.sqrt(label_map.size / _MOST_PIXELS))
    label_map = label_map[::step, ::step]  # of a large map every step-th pixel tells enough
    values, counts = np.unique(label_map[label_map > 0], return_counts=True)
    if not len(values):
        return {}
    found = {}
    if len(values) > 1 and values[-1] in _VOID and values[-2] < values[-1] / 2:
        found["void"] = int(values[-1])
    largest = values[counts.argmax()]
    if covers_border(label_map == largest):
        found["background"] = int(largest)
    kept = [value for value in values if value not in found.values()]
    if kept and len(kept) <= _MOST_CLASSES:
        several = [part_count(label_map == value) > 1 for value in kept]
        if sum(several) * 2 > len(several):
            found["parts"] = int(kept[0])
    return found


def _middle(label_map: np.ndarray) -> np.ndarray:
    """The middle of a large map, where most objects are."""
    side = math.isqrt(_MOST_PIXELS)
    top, left = (max(0, (length - side) // 2) for length in label_map.shape)
    return label_map[top : top + side, left : left + side]


def is_soft(label_map: np.ndarray) -> bool:
    """Whether most values are scattered pixels, as along the edges of a smoothed map."""
    if ((label_map == 0) | (label_map == label_map.max())).all():
        return False  # black and white: `unique` would take a hundred times as long
    values, codes = np.unique(label_map, return_inverse=True)
    codes = codes.reshape(label_map.shape)
    # A pixel begins a stretch of its value if neither the one before it nor the three above it
    # have the same value: one in a compact object, nearly all in scattered pixels.
    padded = np.pad(codes, 1, constant_values=-1)
    begins = np.ones(codes.shape, bool)
    for rows, columns in ((1, 0), (0, 0), (0, 1), (0, 2)):
        begins &= codes != padded[rows:, columns:][: codes.shape[0], : codes.shape[1]]
    pixels = np.bincount(codes.ravel(), minlength=len(values))[values > 0]
    beginnings = np.bincount(codes[begins], minlength=len(values))[values > 0]
    scattered = pixels < _SCATTERED * beginnings
    if scattered.sum() < _FEWEST_SOFT_VALUES or scattered.mean() < 0.5:
        return False
    # Objects of a few pixels have one beginning each. Of 8 bits the values occur again and again,
    # of 16 bits hardly any occurs twice.
    again = beginnings[scattered].mean() >= 1.5
    return bool(again or pixels[scattered].mean() < 1.5)


def connected_parts(label_map: np.ndarray) -> np.ndarray:
    """A label map whose objects are the connected parts of each value: int64 `[H, W]`.

    Pixels are connected over edges and corners. Of a smoothed map, the foreground is what has at
    least half of the highest value.
    """
    if is_soft(label_map):
        label_map = label_map >= label_map.max() / 2
    parts, count = np.zeros(label_map.shape, np.int64), 0
    for value in np.unique(label_map[label_map > 0]):
        found, number = ndimage.label(label_map == value, _EIGHT_NEIGHBOURS)
        parts[found > 0] = found[found > 0] + count
        count += number
    return parts


def covers_border(mask: np.ndarray) -> bool:
    """Whether a mask `[H, W]` covers the border of its picture, but for a few pixels."""
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return bool(border.mean() >= _BORDER_SHARE)


def part_count(mask: np.ndarray) -> int:
    """The number of connected parts of a mask that are more than specks."""
    found, _ = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(found.ravel())[1:]
    return int((sizes >= max(_PART_PIXELS, _PART_SHARE * sizes.sum())).sum())
