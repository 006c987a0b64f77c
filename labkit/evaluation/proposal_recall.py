"""How many of the objects do the proposals cover? What the region proposal network is judged by.

A proposal carries no class yet, and nothing forbids several for one object, so this is no AP: an
object that no proposal covers is lost to everything that comes after, one that ten cover is not.
"""

from collections.abc import Sequence

import numpy as np

from labkit.errors import LabkitError
from labkit.ops import boxes as box_ops


def best_overlaps(proposals, gt_boxes) -> np.ndarray:
    """The highest IoU that any of proposals [P, 4] has with each of gt_boxes [G, 4]: float32 [G].

    0 where there are no proposals.
    """
    proposals = np.asarray(proposals, np.float32).reshape(-1, 4)
    gt_boxes = np.asarray(gt_boxes, np.float32).reshape(-1, 4)
    return box_ops.iou(proposals, gt_boxes).numpy().max(axis=0, initial=0.0)


def recall(
    proposals: Sequence, gt_boxes: Sequence, iou: float = 0.5, most: int | None = None
) -> float:
    """The share of all objects that a proposal of their own picture covers with at least `iou`.

    proposals: for each picture, boxes [P, 4], the best first. gt_boxes: for each, boxes [G, 4].
    most: how many proposals of a picture are looked at; all by default. recall@100 is most=100.
    NaN where there are no objects at all. Raises LabkitError where the two differ in length.

    An object counts as covered by any proposal, also by one that covers another object too, as in
    torchvision's and Detectron2's training; COCO's AR gives each object a proposal of its own.
    """
    if len(proposals) != len(gt_boxes):
        raise LabkitError(
            f"recall: proposals of {len(proposals)} pictures and objects of {len(gt_boxes)}; give "
            "one array of each for every picture."
        )
    best = [best_overlaps(p[:most], g) for p, g in zip(proposals, gt_boxes, strict=True)]
    every = np.concatenate([*best, np.zeros(0, np.float32)])
    return float((every >= iou).mean()) if len(every) else float("nan")
