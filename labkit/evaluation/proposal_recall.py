"""How many of the objects do the proposals cover? The metric for class-agnostic proposals.

Proposals have no class yet, and several may cover one object, so AP does not apply: an object that
no proposal covers is lost for the next stage, one that ten cover is not.
"""

from collections.abc import Sequence

import numpy as np

from labkit.errors import LabkitError
from labkit.ops import boxes as box_ops


def best_overlaps(proposals, gt_boxes) -> np.ndarray:
    """For each of gt_boxes [G, 4] its highest IoU with any of proposals [P, 4]: float32 [G].

    It is 0 where there are no proposals.
    """
    proposals = np.asarray(proposals, np.float32).reshape(-1, 4)
    gt_boxes = np.asarray(gt_boxes, np.float32).reshape(-1, 4)
    return box_ops.iou(proposals, gt_boxes).numpy().max(axis=0, initial=0.0)


def recall(
    proposals: Sequence, gt_boxes: Sequence, iou: float = 0.5, most: int | None = None
) -> float:
    """The share of objects that some proposal of their image covers with at least `iou`.

    A proposal may cover several objects, as in the training of torchvision and Detectron2; COCO's
    AR gives each object a proposal of its own.

    Args:
        proposals: for each image, boxes [P, 4], the best first.
        gt_boxes: for each image, boxes [G, 4].
        iou: the least IoU with which an object is covered.
        most: how many proposals of an image count; all by default. recall@100 is most=100.

    Returns:
        The share; NaN if there are no objects at all.

    Raises:
        LabkitError: the two differ in length.
    """
    if len(proposals) != len(gt_boxes):
        raise LabkitError(
            f"recall: proposals of {len(proposals)} images and objects of {len(gt_boxes)}; give "
            "one array of each for every image."
        )
    best = [best_overlaps(p[:most], g) for p, g in zip(proposals, gt_boxes, strict=True)]
    every = np.concatenate([*best, np.zeros(0, np.float32)])
    return float((every >= iou).mean()) if len(every) else float("nan")
