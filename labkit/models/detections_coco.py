"""Detections as COCO results: what `COCO.loadRes` and evaluation servers read.

The format is described at https://cocodataset.org/#format-results.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.models.detections import Detections


def coco_results(
    detections: "Detections",
    image_id: int | None,
    category_ids: Sequence[int] | Mapping[str, int] | None,
) -> list[dict]:
    """One result dict per object, best score first; see `Detections.to_coco`.

    Masks are pasted and encoded one at a time, so that a crowded photo needs little memory.
    """
    image_id = detections.image_id if image_id is None else image_id
    if image_id is None:
        raise LabkitError("Detections.to_coco: these detections carry no image id; give image_id=.")
    if isinstance(category_ids, Mapping):
        known = np.array([name in category_ids for name in detections.names], bool)
        if not known.all():  # else the masks would be copied for nothing
            detections = detections[known]
        categories = [category_ids[name] for name in detections.names]
    else:
        own = detections.category_ids
        ids = own if category_ids is None else detections.checked_ids(category_ids)
        categories = [ids[i - 1] for i in detections.class_ids]
    results = [
        {
            "image_id": image_id,
            "category_id": int(category),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for (y1, x1, y2, x2), score, category in zip(
            detections.boxes.tolist(), detections.scores.tolist(), categories, strict=True
        )
    ]
    if detections.has_masks:
        for result, rle in zip(results, detections.rles(), strict=True):
            result["segmentation"] = rle
    return results
