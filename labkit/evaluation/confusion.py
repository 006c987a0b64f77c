"""Which class is taken for which: the confusion matrix of detection."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from labkit.detections import Detections
from labkit.errors import LabkitError
from labkit.evaluation.inputs import read_ground_truth, read_results

BACKGROUND = 0


def confusion_matrix(
    truth,
    results,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    iou_type: str = "segm",
) -> np.ndarray:
    """Counts of (true class, predicted class), background included.

    In each image the detections, best score first, take the free object that they overlap most,
    whatever its class, if the IoU reaches the threshold. That is unlike AP, where an object can
    only be found by its own class: a disc called a ring is one confusion here, and there a miss
    and a false alarm.

    Args:
        truth: a `labkit.data.Dataset`, a COCO annotation file or the dict it holds, such as
            `Evaluation.coco_gt`.
        results: a COCO results file or list, such as `Evaluation.results`; or Detections, one per
            image, that carry image ids.
        iou_threshold: from this overlap on, a detection means that object.
        score_threshold: detections below it are left out. The matrix depends on it: choose it as
            for use, where AP wants everything.
        iou_type: overlap of "segm" masks or of "bbox" boxes.

    Returns:
        int64 [N + 1, N + 1], row = true class, column = predicted class, in the data set's order
        from 1; row 0 are false alarms, column 0 missed objects, and [0, 0] is 0, for nothing
        found where nothing is cannot be counted. Detections that lie in a crowd region and match
        nothing else are not counted.

    Raises:
        LabkitError: something in the input is wrong: which entry, and what to do.
    """
    if iou_type not in ("segm", "bbox"):
        raise LabkitError(f"iou_type is {iou_type!r}; it must be 'segm' or 'bbox'.")
    truth = read_ground_truth(truth.to_coco() if hasattr(truth, "to_coco") else truth)
    found = read_results(_as_results(results, truth), truth)
    if iou_type == "segm":
        for file in (truth, found):
            if not file.has_masks:
                raise LabkitError(
                    f"{file.source}: has no segmentations; compare boxes with iou_type='bbox'."
                )
    number = {category["id"]: i + 1 for i, category in enumerate(truth.categories)}
    matrix = np.zeros((len(number) + 1, len(number) + 1), np.int64)
    annotations, detections = defaultdict(list), defaultdict(list)
    for annotation in truth.annotations:
        annotations[annotation["image_id"]].append(annotation)
    for entry in found.entries:
        if entry["score"] >= score_threshold:
            detections[entry["image_id"]].append(entry)
    for image_id in truth.images:
        pairs = _match(annotations[image_id], detections[image_id], iou_threshold, iou_type)
        for true_id, found_id in pairs:
            matrix[number.get(true_id, BACKGROUND), number.get(found_id, BACKGROUND)] += 1
    return matrix


def _match(annotations: list, detections: list, iou_threshold: float, iou_type: str) -> list[tuple]:
    """(true category or None, found category or None) of one image."""
    objects = [a for a in annotations if not a["iscrowd"]]
    crowds = [a for a in annotations if a["iscrowd"]]
    detections = sorted(detections, key=lambda d: -d["score"])
    overlaps = _overlaps(detections, objects, iou_type, crowd=False)
    in_crowd = _overlaps(detections, crowds, iou_type, crowd=True).max(axis=1, initial=0)

    free = np.ones(len(objects), bool)
    pairs = []
    for i, detection in enumerate(detections):
        candidates = np.where(free, overlaps[i], -1.0)
        best = int(candidates.argmax()) if len(objects) else -1
        if best >= 0 and candidates[best] >= iou_threshold:
            free[best] = False
            pairs.append((objects[best]["category_id"], detection["category_id"]))
        elif in_crowd[i] < iou_threshold:
            pairs.append((None, detection["category_id"]))
    return pairs + [(objects[j]["category_id"], None) for j in np.flatnonzero(free)]


def _overlaps(detections: list, annotations: list, iou_type: str, *, crowd: bool) -> np.ndarray:
    """IoU [D, A]; with a crowd, the share of the detection that lies inside it."""
    if not detections or not annotations:
        return np.zeros((len(detections), len(annotations)))
    key = "segmentation" if iou_type == "segm" else "bbox"
    shapes = [[entry[key] for entry in side] for side in (detections, annotations)]
    return coco_mask.iou(*shapes, [int(crowd)] * len(annotations))


def _as_results(results, truth):
    """Detections become result entries; anything else is passed on."""
    if isinstance(results, Detections):
        results = [results]
    if not (isinstance(results, Sequence) and results and isinstance(results[0], Detections)):
        return results
    entries, seen = [], set()
    for detections in results:
        if detections.image_id in seen:
            raise LabkitError(
                f"confusion_matrix: two Detections carry the image id {detections.image_id}; give "
                "one per image, each with its own id."
            )
        seen.add(detections.image_id)
        entries += detections.to_coco(category_ids=_ids_by_name(truth, detections))
    return entries


def _ids_by_name(truth, detections: Detections) -> dict[str, int]:
    ids = dict(zip(truth.names, (c["id"] for c in truth.categories), strict=True))
    unknown = [name for name in detections.class_names if name not in ids]
    if len(unknown) == len(detections.class_names):
        raise LabkitError(
            f"confusion_matrix: no class of the detections ({', '.join(unknown[:8])}) is among "
            f"those of the ground truth ({', '.join(list(ids)[:8])})."
        )
    return ids
