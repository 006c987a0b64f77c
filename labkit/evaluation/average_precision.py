"""Average precision from scratch, step by step: match, rank, curve, area.

This is the definition to read. What labkit reports is computed by pycocotools; a test checks that
the two agree to 1e-12 in every number, with crowds, ties and empty classes.

    COCO: Lin et al. 2014, and the reference code pycocotools.
    PASCAL VOC: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labkit.evaluation.comparison import Comparison, ImagePairs
from labkit.evaluation.result import mean_measured

COCO_IOUS = np.linspace(0.5, 0.95, 10)
COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = np.linspace(0, 1, 11)


# -------------------------------------------------------------------------------- the steps


def match_detections(
    overlaps: np.ndarray,
    iou_threshold: float,
    ignored: np.ndarray | None = None,
    crowd: np.ndarray | None = None,
) -> np.ndarray:
    """Matches the detections of one image and class with its objects, as COCO does.

    The detection with the best score chooses first. Each takes the object with the highest IoU
    that is still free and reaches iou_threshold; of equal IoUs the later one. An ignored object is
    matched only if no other can be, and a crowd by any number of detections.

    Args:
        overlaps: float [D, G], the IoUs, detections with the best score first.
        iou_threshold: the least IoU of a match.
        ignored: bool [G], by default none.
        crowd: bool [G], by default none. A crowd should be ignored too.

    Returns:
        int64 [D]: the index of the matched object, or -1.
    """
    count, objects = overlaps.shape
    ignored = np.zeros(objects, bool) if ignored is None else ignored
    crowd = np.zeros(objects, bool) if crowd is None else crowd
    least = min(iou_threshold, 1 - 1e-10)  # at a threshold of 1, rounding must not decide
    matches = np.full(count, -1)
    taken = np.zeros(objects, bool)
    for d in range(count):
        for group in (~ignored, ignored):
            free = np.where(group & (crowd | ~taken), overlaps[d], -1.0)
            if free.max(initial=-1.0) >= least:
                best = objects - 1 - int(free[::-1].argmax())
                matches[d], taken[best] = best, True
                break
    return matches


def match_by_class(
    overlaps: np.ndarray,
    classes: np.ndarray,
    object_classes: np.ndarray,
    iou_threshold: float,
    crowd: np.ndarray | None = None,
) -> np.ndarray:
    """`match_detections` for each class of one image: a detection matches its own class only.

    Args:
        overlaps: float [D, G], the IoUs, detections with the best score first.
        classes: int [D], of the detections.
        object_classes: int [G].
        iou_threshold: the least IoU of a match.
        crowd: bool [G], by default none; crowds are ignored.

    Returns:
        int64 [D]: the index of the matched object, or -1.
    """
    crowd = np.zeros(len(object_classes), bool) if crowd is None else crowd
    matches = np.full(len(classes), -1)
    for class_id in np.unique(classes):
        found = np.flatnonzero(classes == class_id)
        objects = np.flatnonzero(object_classes == class_id)
        matched = match_detections(
            overlaps[np.ix_(found, objects)], iou_threshold, crowd[objects], crowd[objects]
        )
        matches[found] = np.append(objects, -1)[matched]  # index -1 is the appended -1
    return matches


def precision_recall(hits: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """The raw precision-recall curve: precision and recall after each detection.

    Args:
        hits: bool [N], whether each detection is a true positive, best score first.
        objects: the number of objects to find, at least 1.

    Returns:
        precision and recall, float64 [N].
    """
    true_positives = np.cumsum(hits)
    return true_positives / np.arange(1, len(hits) + 1), true_positives / objects


def interpolated(precision: np.ndarray) -> np.ndarray:
    """At each point the best precision there or at any higher recall: the curve without teeth."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def precision_at(precision: np.ndarray, recall: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """The interpolated precision at each of `recalls`; 0 at a recall that is never reached."""
    padded = np.append(interpolated(precision), 0.0)
    return padded[np.searchsorted(recall, recalls, side="left")]


def area_under_curve(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP as the area under the interpolated curve, PASCAL VOC's definition since 2010."""
    return float((interpolated(precision) * np.diff(recall, prepend=0.0)).sum())


def voc_11_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP as the mean precision at recalls 0, 0.1, … 1, PASCAL VOC's definition until 2009."""
    return float(precision_at(precision, recall, VOC_RECALLS).mean())


def coco_101_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP at one IoU threshold as COCO defines it: the mean precision at recalls 0, 0.01, … 1."""
    return float(precision_at(precision, recall, COCO_RECALLS).mean())


# -------------------------------------------------------------------------------- a data set


@dataclass(frozen=True, eq=False)
class Outcomes:
    """True and false positives of one class: the N detections that count, best score first.

    Attributes:
        scores: float64 [N].
        hits: bool [N], True for a true positive.
        objects: the number of objects to find.
        detections: int64 [N], indices into `Comparison.entries`.
    """

    scores: np.ndarray
    hits: np.ndarray
    objects: int
    detections: np.ndarray

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The raw precision and recall, float64 [N] each."""
        return precision_recall(self.hits, self.objects)


Inside = Callable[[ImagePairs], tuple[np.ndarray, np.ndarray]]


def within_area(low: float, high: float) -> Inside:
    """The `inside` of `outcomes` that keeps areas from low to high px², both included."""
    return lambda pairs: (
        (pairs.object_areas >= low) & (pairs.object_areas <= high),
        (pairs.areas >= low) & (pairs.areas <= high),
    )


def outcomes(
    comparison: Comparison,
    class_id: int,
    iou_threshold: float = 0.5,
    *,
    max_dets: int = 100,
    inside: Inside | None = None,
) -> Outcomes:
    """Matches one class over all images. Detections matched to an ignored object do not count.

    Args:
        comparison: the images.
        class_id: 1..K.
        iou_threshold: the least IoU of a match.
        max_dets: detections per image and class.
        inside: a function of one image, which objects bool [G] and detections bool [D] to measure.
            The other objects are ignored as crowds are, and so are the other detections where
            they match nothing.
    """
    parts = [(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))]
    objects = 0
    for pairs in comparison.images_with(class_id):
        of_class = pairs.object_classes == class_id
        found = np.flatnonzero(pairs.classes == class_id)[:max_dets]
        objects_in, detections_in = (
            (of_class, np.ones(len(pairs.classes), bool)) if inside is None else inside(pairs)
        )
        crowd = pairs.crowd[of_class]
        ignored = crowd | ~objects_in[of_class]
        objects += int((~ignored).sum())
        if len(found):
            overlaps = pairs.overlaps[found][:, of_class]
            matches = match_detections(overlaps, iou_threshold, ignored, crowd)
            parts.append(_counted(pairs, found, matches, ignored, detections_in[found]))
    scores, hits, detections = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")  # ties keep the order of images, then of the file
    return Outcomes(scores[order], hits[order], objects, detections[order])


def _counted(pairs: ImagePairs, found, matches, ignored, inside):
    """Scores, hits and indices of the detections that count: true positives, false ones inside."""
    hit = matches >= 0
    counts = np.where(hit, ~np.append(ignored, False)[matches], inside)  # -1 is the appended one
    return pairs.scores[found][counts], hit[counts], pairs.detections[found][counts]


def coco_arrays(
    comparison: Comparison,
    *,
    iou_thresholds: np.ndarray = COCO_IOUS,
    max_dets: int = 100,
    inside: Inside | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COCOeval's arrays for one area range and one detection limit.

    Args:
        comparison: the images.
        iou_thresholds: float [T].
        max_dets: as in `outcomes`.
        inside: as in `outcomes`; an area range is `within_area(low, high)`.

    Returns:
        precision [T, R, K], recall [T, K], scores [T, R, K], float64; -1 for a class without
        objects. The mean of the precisions that are not -1 is the AP.
    """
    shape = len(iou_thresholds), len(COCO_RECALLS), len(comparison.class_names)
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full((shape[0], shape[2]), -1.0)
    for t, iou in enumerate(iou_thresholds):
        for k in range(shape[2]):
            found = outcomes(comparison, k + 1, iou, max_dets=max_dets, inside=inside)
            if not found.objects:
                continue
            raw, reached = found.curve()
            precision[t, :, k] = precision_at(raw, reached, COCO_RECALLS)
            recall[t, k] = reached[-1] if len(reached) else 0.0
            first = np.searchsorted(reached, COCO_RECALLS, side="left")
            scores[t, :, k] = np.append(found.scores, 0.0)[first]
    return precision, recall, scores


def average_precision(comparison: Comparison, iou_threshold: float = 0.5, **options) -> float:
    """COCO's AP at one IoU threshold: the mean over the classes that have objects, or -1.

    Args:
        comparison: the images.
        iou_threshold: the least IoU of a match.
        **options: max_dets and inside, as in `outcomes`.
    """
    precision, _, _ = coco_arrays(comparison, iou_thresholds=np.array([iou_threshold]), **options)
    return mean_measured(precision)
