"""Average precision from scratch, step by step: match, rank, curve, area.

This is the definition to read. What labkit reports is computed by pycocotools; a test holds every
number of the two together to 1e-12, crowds, ties and empty classes included.

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
    """Which object each detection of one image and class finds, COCO's way.

    The best detection chooses first. Each takes the free object that it overlaps most, from
    iou_threshold on; of equal overlaps the later one. An ignored object is taken only where no
    other can be, and a crowd by any number of detections.

    Args:
        overlaps: float [D, G], detections best score first.
        ignored, crowd: bool [G]; by default none. A crowd should be ignored too.

    Returns:
        int64 [D]: the object's place, or -1.
    """
    count, objects = overlaps.shape
    ignored = np.zeros(objects, bool) if ignored is None else ignored
    crowd = np.zeros(objects, bool) if crowd is None else crowd
    least = min(iou_threshold, 1 - 1e-10)  # at a threshold of 1, rounding may not decide
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
    """`match_detections` of one image's classes, one after the other: each finds its own only.

    Args:
        overlaps: float [D, G], detections best score first.
        classes: int [D]. object_classes: int [G].
        crowd: bool [G], by default none; crowds are ignored.

    Returns:
        int64 [D]: the object's place, or -1.
    """
    crowd = np.zeros(len(object_classes), bool) if crowd is None else crowd
    matches = np.full(len(classes), -1)
    for class_id in np.unique(classes):
        found = np.flatnonzero(classes == class_id)
        mine = np.flatnonzero(object_classes == class_id)
        places = match_detections(
            overlaps[np.ix_(found, mine)], iou_threshold, crowd[mine], crowd[mine]
        )
        matches[found] = np.append(mine, -1)[places]  # -1 is the appended one
    return matches


def precision_recall(hits: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """The raw curve: after each detection, best score first, what share was right and was found.

    Args:
        hits: bool [N], best score first. objects: how many there are to find, at least 1.

    Returns:
        precision and recall, float64 [N].
    """
    right = np.cumsum(hits)
    return right / np.arange(1, len(hits) + 1), right / objects


def interpolated(precision: np.ndarray) -> np.ndarray:
    """At each point the best precision there or at any higher recall: the saw's teeth cut off."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def precision_at(precision: np.ndarray, recall: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """The interpolated precision where each of `recalls` is reached; 0 where it never is."""
    padded = np.append(interpolated(precision), 0.0)
    return padded[np.searchsorted(recall, recalls, side="left")]


def area_under_curve(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP as the area under the interpolated curve, as VOC has it since 2010."""
    return float((interpolated(precision) * np.diff(recall, prepend=0.0)).sum())


def voc_11_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP as the mean of the precision at recalls 0, 0.1, … 1, as VOC had it until 2009."""
    return float(precision_at(precision, recall, VOC_RECALLS).mean())


def coco_101_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """AP at one IoU threshold as COCO has it: recalls 0, 0.01, … 1."""
    return float(precision_at(precision, recall, COCO_RECALLS).mean())


# -------------------------------------------------------------------------------- a data set


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of the N detections of one class that count, best score first.

    scores: float64 [N]. hits: bool [N]. objects: how many there are to find.
    detections: int64 [N], places in `Comparison.entries`.
    """

    scores: np.ndarray
    hits: np.ndarray
    objects: int
    detections: np.ndarray

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The raw precision and recall [N]."""
        return precision_recall(self.hits, self.objects)


Inside = Callable[[ImagePairs], tuple[np.ndarray, np.ndarray]]


def within_area(low: float, high: float) -> Inside:
    """For `outcomes`: objects and detections of low to high px², both included."""
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
    """Matches one class over all images. Detections that find something ignored do not count.

    Args:
        class_id: 1..K.
        max_dets: detections per image and class.
        inside: of one image, which objects bool [G] and detections bool [D] are asked about.
            Objects outside are ignored as crowds are, and so are unmatched detections outside.
    """
    parts = [(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))]
    objects = 0
    for pairs in comparison.images_with(class_id):
        mine = pairs.object_classes == class_id
        found = np.flatnonzero(pairs.classes == class_id)[:max_dets]
        asked, allowed = (
            (mine, np.ones(len(pairs.classes), bool)) if inside is None else (inside(pairs))
        )
        crowd = pairs.crowd[mine]
        ignored = crowd | ~asked[mine]
        objects += int((~ignored).sum())
        if len(found):
            overlaps = pairs.overlaps[found][:, mine]
            matches = match_detections(overlaps, iou_threshold, ignored, crowd)
            parts.append(_counted(pairs, found, matches, ignored, allowed[found]))
    scores, hits, places = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")  # ties keep the order of images, then of the file
    return Outcomes(scores[order], hits[order], objects, places[order])


def _counted(pairs: ImagePairs, found, matches, ignored, allowed):
    """Scores, hits and places of those that count: a hit, or a false alarm that is asked about."""
    hit = matches >= 0
    counts = np.where(hit, ~np.append(ignored, False)[matches], allowed)  # -1 is the appended one
    return pairs.scores[found][counts], hit[counts], pairs.detections[found][counts]


def coco_arrays(
    comparison: Comparison,
    *,
    iou_thresholds: np.ndarray = COCO_IOUS,
    max_dets: int = 100,
    inside: Inside | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COCOeval's arrays of one area range and one limit: precision, recall, scores.

    max_dets, inside: as in `outcomes`; an area range is `within_area(low, high)`.

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
            places = np.searchsorted(reached, COCO_RECALLS, side="left")
            scores[t, :, k] = np.append(found.scores, 0.0)[places]
    return precision, recall, scores


def average_precision(comparison: Comparison, iou_threshold: float = 0.5, **options) -> float:
    """COCO's AP at one IoU threshold: the mean over the classes that have objects, or -1.

    options: max_dets and inside, as in `outcomes`.
    """
    precision, _, _ = coco_arrays(comparison, iou_thresholds=np.array([iou_threshold]), **options)
    return mean_measured(precision)
