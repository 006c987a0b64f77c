"""Masks and their tight boxes. NumPy, no TensorFlow."""

import numpy as np

from labkit.errors import LabkitError


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
