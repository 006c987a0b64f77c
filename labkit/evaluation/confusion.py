"""Which class is taken for which: the confusion matrix of detection, and how well pairs overlap."""

from collections.abc import Sequence

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.comparison import Comparison, ImagePairs, compare

BACKGROUND = 0


def confusion_matrix(
    truth,
    results=None,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    iou_type: str | None = "segm",
) -> np.ndarray:
    """Counts of (true class, predicted class), background included.

    In each image every detection, best score first, is matched with the free object of the highest
    IoU, whatever its class, if the IoU reaches the threshold. In AP, by contrast, an object can
    only be found by its own class: a disc called a ring is one confusion here, and a false negative
    and a false positive there.

    Args:
        truth: a `labkit.data.Dataset`, a COCO annotation file or the dict it holds, such as
            `Evaluation.coco_gt`; or an Evaluation or a Comparison, and no results.
        results: a COCO results file or list, such as `Evaluation.results`; or Detections, one per
            image, with image ids.
        iou_threshold: the least IoU of a match.
        score_threshold: detections below it are left out. The matrix depends on it: choose the one
            that the model is used with (AP wants all detections).
        iou_type: IoU of "segm" masks or of "bbox" boxes; a Comparison has its own.

    Returns:
        int64 [N + 1, N + 1], row = true class, column = predicted class, in the data set's order
        from 1; row 0 holds false positives, column 0 missed objects, and [0, 0] is 0, because true
        negatives cannot be counted. Detections that lie in a crowd region and match nothing else
        are not counted.

    Raises:
        LabkitError: something in the input is wrong: which entry, and what to do.
    """
    comparison = compare(truth, results, iou_type=iou_type)
    matrix = np.zeros((len(comparison.class_names) + 1,) * 2, np.int64)
    for pairs in comparison.images:
        for true_id, found_id, _ in image_pairs(pairs, iou_threshold, score_threshold):
            matrix[true_id, found_id] += 1
    return matrix


def mean_overlaps(
    comparison: Comparison, *, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> np.ndarray:
    """The mean IoU of the pairs that the confusion matrix counts.

    Args:
        comparison: the images.
        iou_threshold: as in `confusion_matrix`.
        score_threshold: as in `confusion_matrix`.

    Returns:
        float64 [N + 1, N + 1], the mean IoU of each cell's pairs; NaN where there are none, as in
        the row and the column of the background, which overlaps nothing.
    """
    shape = (len(comparison.class_names) + 1,) * 2
    total, count = np.zeros(shape), np.zeros(shape)
    for pairs in comparison.images:
        for true_id, found_id, iou in image_pairs(pairs, iou_threshold, score_threshold):
            if BACKGROUND not in (true_id, found_id):
                total[true_id, found_id] += iou
                count[true_id, found_id] += 1
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)


def normalised(matrix: np.ndarray, by: str) -> np.ndarray:
    """Counts as shares: by "truth" each row sums to 1, by "prediction" each column.

    An empty row or column stays 0. By truth, the false positives of row 0 have no true class: there
    the shares are of all false positives.
    """
    if by not in ("truth", "prediction"):
        raise LabkitError(f"normalised: by is {by!r}; it must be 'truth' or 'prediction'.")
    sums = matrix.sum(axis=1 if by == "truth" else 0, keepdims=True)
    return matrix / np.maximum(sums, 1)


def without_empty_classes(matrix: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The matrix without the classes that never occur, neither as truth nor as prediction.

    Args:
        matrix: [N + 1, N + 1], background first; counts, or mean IoUs with NaN where there is none.
        names: the N class names.

    Returns:
        The smaller matrix, and the names that are left.
    """
    occurs = np.nan_to_num(matrix) != 0
    keep = occurs.any(axis=0) | occurs.any(axis=1)
    keep[BACKGROUND] = True
    kept = [name for name, present in zip(names, keep[1:], strict=True) if present]
    return matrix[np.ix_(keep, keep)], kept


def image_pairs(
    pairs: ImagePairs, iou_threshold: float, score_threshold: float
) -> list[tuple[int, int, float]]:
    """(true class, predicted class, IoU) of one image; 0 stands for background, with IoU 0."""
    objects = np.flatnonzero(~pairs.crowd)
    in_crowd = pairs.overlaps[:, pairs.crowd].max(axis=1, initial=0)
    free = np.ones(len(objects), bool)
    found = []
    for d in np.flatnonzero(pairs.scores >= score_threshold):
        candidates = np.where(free, pairs.overlaps[d, objects], -1.0)
        best = int(candidates.argmax()) if len(objects) else -1
        if best >= 0 and candidates[best] >= iou_threshold:
            free[best] = False
            true_id = int(pairs.object_classes[objects[best]])
            found.append((true_id, int(pairs.classes[d]), float(candidates[best])))
        elif in_crowd[d] < iou_threshold:
            found.append((BACKGROUND, int(pairs.classes[d]), 0.0))
    missed = pairs.object_classes[objects[free]]
    return found + [(int(true_id), BACKGROUND, 0.0) for true_id in missed]
