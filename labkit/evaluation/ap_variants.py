"""Other things that were called AP: four definitions beside COCO's, and how they differ.

Numbers of different definitions cannot be compared, on the same detections they differ by tenths.
What they have in common is a precision-recall curve; they differ in what is pooled into one curve,
how its area is taken, and what is averaged:

                    one curve for             area                     mean over
    COCO            class and IoU             101 points, interpolated classes, IoU 0.50:0.95
    Cityscapes AP   class and IoU             trapezoids, raw          classes, IoU 0.50:0.95
    image AP        image, IoU 0.5            exact, interpolated      images
    cAP             class and image, IoU 0.5  exact, interpolated      images, then classes
    rAP             class, IoU 0.5            exact, interpolated      classes

The names cAP and rAP have no definition that everybody follows: before comparing with a printed
number, see how it was computed.
"""

from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import COCO_IOUS, Outcomes, area_under_curve, outcomes
from labkit.evaluation.comparison import Comparison, ImagePairs, overlaps, shape_areas
from labkit.evaluation.result import mean_measured

SMALLEST = 100  # pixels; Cityscapes asks for no smaller object


# -------------------------------------------------------------------------------- Cityscapes


@dataclass(frozen=True)
class CityscapesAP:
    """AP, AP50: the mean over the classes that have objects; -1 without any.

    per_class: {name: {"AP", "AP50"}}, in the data set's order.
    """

    AP: float
    AP50: float
    per_class: dict[str, dict[str, float]]


def cityscapes_ap(comparison: Comparison, *, min_area: float = SMALLEST) -> CityscapesAP:
    """AP as the Cityscapes instance benchmark defines it.

    Unlike COCO's: an overlap must be larger than the threshold; objects below min_area pixels are
    ignored whatever is asked; all detections count, without a limit per image; a detection is
    ignored if more than the threshold's share of its pixels lies in small objects and groups
    (COCO's crowds) of its class together; and the area under the raw curve is taken by trapezoids
    between the distinct scores, the first point drawn out to recall 0.

    Cityscapes also ignores detections in void pixels, which COCO's files do not keep: convert
    void regions to crowds of each class to have them ignored.

    Follows cityscapesScripts' evalInstanceLevelSemanticLabeling; Cordts et al. 2016.
    """
    table = np.full((len(comparison.class_names), len(COCO_IOUS)), -1.0)
    for k in range(len(table)):
        images = [
            _class_in_image(p, comparison, k + 1, min_area) for p in comparison.images_with(k + 1)
        ]
        if sum(len(image.iou.T) for image in images):
            table[k] = [_trapezoid_ap(images, iou) for iou in COCO_IOUS]
    return CityscapesAP(
        AP=mean_measured(table),
        AP50=mean_measured(table[:, 0]),
        per_class={
            name: {"AP": mean_measured(row), "AP50": float(row[0])}
            for name, row in zip(comparison.class_names, table, strict=True)
        },
    )


@dataclass(frozen=True, eq=False)
class _ClassInImage:
    """iou [D, G] with the objects that count, scores [D], share [D] inside what is ignored."""

    iou: np.ndarray
    scores: np.ndarray
    ignored_share: np.ndarray


def _class_in_image(pairs: ImagePairs, comparison: Comparison, class_id: int, min_area: float):
    found = np.flatnonzero(pairs.classes == class_id)
    mine = np.flatnonzero(pairs.object_classes == class_id)
    annotations = [comparison.annotations[i] for i in pairs.objects[mine]]
    ignored = pairs.crowd[mine] | (shape_areas(annotations, comparison.iou_type) < min_area)
    entries = [comparison.entries[i] for i in pairs.detections[found]]
    aside = [a for a, out in zip(annotations, ignored, strict=True) if out]
    inside = overlaps(entries, aside, [True] * len(aside), comparison.iou_type)
    counted = mine[~ignored]
    return _ClassInImage(
        pairs.overlaps[np.ix_(found, counted)], pairs.scores[found], inside.sum(axis=1)
    )


def _trapezoid_ap(images: list[_ClassInImage], threshold: float) -> float:
    scores, hits, missed = [], [], 0
    for image in images:
        matched = image.iou > threshold  # [D, G]
        for column in matched.T:
            mine = np.flatnonzero(column)  # best score first: one hit, the others are false
            missed += not len(mine)
            scores += image.scores[mine].tolist()
            hits += [True] * min(len(mine), 1) + [False] * (len(mine) - 1)
        alarms = ~matched.any(axis=1) & (image.ignored_share <= threshold)
        scores += image.scores[alarms].tolist()
        hits += [False] * int(alarms.sum())
    if not any(hits):
        return 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    ranked = np.array(scores)[order]
    ends = np.flatnonzero(np.append(np.diff(ranked), -1))  # the last of each score
    right = np.cumsum(np.array(hits)[order])[ends]
    precision, recall = right / (ends + 1), right / (right[-1] + missed)
    return float(np.trapezoid(np.append(precision[0], precision), np.append(0.0, recall)))


# -------------------------------------------------------------------------------- per image


def image_aps(comparison: Comparison, iou_threshold: float = 0.5) -> dict[int, float]:
    """{image id: AP of that image alone}, all classes in one curve, as Matterport's compute_ap.

    Images without objects have no AP and are left out: what is found there costs nothing.
    """
    aps = {}
    for pairs in comparison.images:
        one = _alone(comparison, pairs)
        present = np.union1d(pairs.object_classes, pairs.classes).tolist()
        found = [outcomes(one, k, iou_threshold) for k in present]
        objects = sum(part.objects for part in found)
        if objects:
            scores = np.concatenate([part.scores for part in found])
            hits = np.concatenate([part.hits for part in found])
            hits = hits[np.argsort(-scores, kind="stable")]
            aps[pairs.image_id] = _exact_ap(Outcomes(scores, hits, objects, np.zeros(0)))
    return aps


def mean_image_ap(comparison: Comparison, iou_threshold: float = 0.5) -> float:
    """The mean of `image_aps`, printed as "mAP" by Matterport's notebooks; -1 without objects.

    An image with one object weighs as much as one with fifty, and a score means nothing beyond its
    own image: a model whose scores cannot be compared across images loses nothing.
    """
    return mean_measured(np.array(list(image_aps(comparison, iou_threshold).values())))


def class_image_ap(comparison: Comparison, iou_threshold: float = 0.5) -> float:
    """cAP: AP of each class in each image that has it, the mean over images, then over classes."""
    by_class = []
    for class_id in range(1, len(comparison.class_names) + 1):
        images = [
            outcomes(_alone(comparison, pairs), class_id, iou_threshold)
            for pairs in comparison.images_with(class_id)
        ]
        aps = [_exact_ap(found) for found in images if found.objects]
        by_class.append(float(np.mean(aps)) if aps else -1.0)
    return mean_measured(np.array(by_class))


def region_ap(comparison: Comparison, iou_threshold: float = 0.5) -> float:
    """rAP: the AP^r of Hariharan et al. 2014, "Simultaneous Detection and Segmentation".

    One curve a class over all images, a hit by the overlap of regions (masks), exact area. It is
    COCO's AP50 but for the 101 points.

    Raises LabkitError if boxes were compared.
    """
    if comparison.iou_type != "segm":
        raise LabkitError("region_ap: rAP is of masks; compare with iou_type='segm'.")
    aps = [
        outcomes(comparison, k, iou_threshold) for k in range(1, len(comparison.class_names) + 1)
    ]
    return mean_measured(np.array([_exact_ap(found) if found.objects else -1.0 for found in aps]))


def _exact_ap(found: Outcomes) -> float:
    return area_under_curve(*found.curve())


def _alone(comparison: Comparison, pairs: ImagePairs) -> Comparison:
    return Comparison(
        comparison.class_names,
        comparison.iou_type,
        [pairs],
        comparison.annotations,
        comparison.entries,
    )
