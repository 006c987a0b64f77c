"""What mini-masks cost: how much of a mask is lost when it is stored in a small grid.

Training keeps a mask as a grid of 56 x 56 cells inside its box (`Config.mini_mask`). A grid with
fewer cells than the object has pixels smooths its outline. This measures by how much, on your own
data and by object size, so that you can choose the side of the grid and need not guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from labkit.data.augment import Example
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.ops.mini_masks import expand_mini_mask, mini_mask

EDGES = (0, 32, 64, 128, 256, 512)  # pixels of a box's longer side: each range begins at one


@dataclass(frozen=True)
class MaskLoss:
    """IoU of masks with what a grid gives back, for one range of object sizes.

    Attributes:
        side: the grid has side x side cells.
        low, high: the range: low <= longer side of the box < high, in pixels.
        count: how many masks are in it.
        mean_iou: NaN where count is 0.
        worst_iou: the 5th percentile: 95 % of the masks are better; NaN where count is 0.
    """

    side: int
    low: float
    high: float
    count: int
    mean_iou: float
    worst_iou: float


class MiniMaskError(tuple):
    """A row (`MaskLoss`) for each grid and range of sizes; prints as a table."""

    def __str__(self) -> str:
        sides = list(dict.fromkeys(row.side for row in self))
        head = "".join(f"   {f'{s} x {s}':>14}" for s in sides)
        lines = [f"{'longer side':>14}   masks{head}   (mean IoU, 5th percentile)"]
        for low in dict.fromkeys(row.low for row in self):
            rows = [row for row in self if row.low == low]
            size = f"{low:g} px and more" if np.isinf(rows[0].high) else f"{low:g}-{rows[0].high:g}"
            cells = "".join(f"   {r.mean_iou:>7.4f} {r.worst_iou:.4f}" for r in rows)
            lines.append(f"{size:>14}   {rows[0].count:>5}{cells if rows[0].count else ''}")
        return "\n".join(lines)

    __repr__ = __str__


def mini_mask_error(
    dataset: Dataset,
    sides: Sequence[int] = (28, 56, 112),
    indices: Iterable[int] | None = None,
    *,
    scale: float = 1.0,
) -> MiniMaskError:
    """Measure every mask of a data set: mask -> grid -> pasted back -> IoU with the mask.

    Crowds are left out, as in training.

    Args:
        dataset: whose masks.
        sides: of the square grids, in cells.
        indices: which pictures; all by default.
        scale: by how much the config resizes these pictures. Sizes are in pixels of what the
            network sees, so at 0.5 a box of 200 px is in the range of 100 px.

    Raises:
        LabkitError: a side is below 1, or there is none.
    """
    if any(side < 1 for side in sides) or not sides:
        raise LabkitError(f"mini_mask_error: sides must be at least 1, got {tuple(sides)}.")
    lengths, ious = [], []
    for index in range(len(dataset)) if indices is None else indices:
        for patch in Example.of_cutouts(dataset.cutouts(index)).patches:
            patch = _scaled(patch, scale)
            lengths.append(max(patch.shape))
            ious.append([round_trip_iou(patch, side) for side in sides])
    lengths, ious = np.array(lengths), np.array(ious).reshape(-1, len(sides))
    rows = []
    for low, high in zip(EDGES, (*EDGES[1:], np.inf), strict=True):
        inside = ious[(lengths >= low) & (lengths < high)]
        for side, values in zip(sides, inside.T, strict=True):
            mean, worst = np.nan, np.nan
            if len(values):
                mean, worst = float(values.mean()), float(np.percentile(values, 5))
            rows.append(MaskLoss(side, low, high, len(values), mean, worst))
    return MiniMaskError(rows)


def round_trip_iou(patch: np.ndarray, side: int) -> float:
    """IoU of a mask, bool [h, w] cut to its box, with what a grid of side x side gives back."""
    box = [0, 0, *patch.shape]
    # Outside the box the pasted values are below a half, so nothing is added there.
    back = expand_mini_mask(mini_mask(patch, box, (side, side)), box, *patch.shape)
    union = np.count_nonzero(back | patch)
    return np.count_nonzero(back & patch) / union if union else 1.0


def _scaled(patch: np.ndarray, scale: float) -> np.ndarray:
    shape = tuple(max(1, round(length * scale)) for length in patch.shape)
    return patch if shape == patch.shape else mini_mask(patch, [0, 0, *patch.shape], shape)
