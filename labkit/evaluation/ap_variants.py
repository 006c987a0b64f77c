"""Other metrics called AP: four definitions beside COCO's, and how they differ.

Numbers of different definitions cannot be compared: on the same detections they differ by tenths.
All start from a precision-recall curve; they differ in what is pooled into one curve, how the area
under it is measured, and what is averaged:

                    one curve for             area                     mean over
    COCO            class and IoU             101 points, interpolated classes, IoU 0.50:0.95
    Cityscapes AP   class and IoU             trapezoids, raw          classes, IoU 0.50:0.95
    image AP        image, IoU 0.5            exact, interpolated      images
    cAP             class and image, IoU 0.5  exact, interpolated      images, then classes
    rAP             class, IoU 0.5            exact, interpolated      classes

The names cAP and rAP have no generally accepted definition: before you compare with a published
number, check how it was computed.
"""

from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import COCO_IOUS, Outcomes, area_under_curve, outcomes
from labkit.evaluation.comparison import Comparison, ImagePairs, overlaps, shape_areas
from labkit.evaluation.result import mean_measured

SMALLEST = 100  # px²; Cityscapes ignores smaller objects


# -------------------------------------------------------------------------------- Cityscapes


@dataclass(frozen=True)
class CityscapesAP:
    """The AP of the Cityscapes benchmark; -1 where there are no objects.

    Attributes:
        AP: the mean over the classes that have objects, at IoU 0.50 to 0.95.
        AP50: the same at IoU 0.5.
        per_class: {name: {"AP", "AP50"}}, in the data set's order.
    """

    AP: float
    AP50: float
    per_class: dict[str, dict[str, float]]


def cityscapes_ap(comparison: Comparison, *, min_area: float = SMALLEST) -> CityscapesAP:
    """AP as the Cityscapes instance benchmark defines it.

    The differences from COCO's: the IoU must be larger than the threshold, not equal to it; objects
    below min_area are always ignored; all detections count, without a limit per image; a detection
    is ignored if the share of its pixels in small objects and groups (COCO's crowds) of its class
    is above the threshold; and the area under the raw curve is the sum of trapezoids between the
    distinct scores, the first point extended to recall 0.

    Cityscapes also ignores detections in void pixels, which COCO's files do not have: convert void
    regions to crowds of each class to have them ignored.

    Source: evalInstanceLevelSemanticLabeling of cityscapesScripts; Cordts et al. 2016.

    Args:
        comparison: the images.
        min_area: of an object that counts, in px².
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
    """IoUs [D, G] with the objects that count, scores [D], the share [D] inside ignored ones."""

    iou: np.ndarray
    scores: np.ndarray
    ignored_share: np.ndarray


def _class_in_image(pairs: ImagePairs, comparison: Comparison, class_id: int, min_area: float):
    found = np.flatnonzero(pairs.classes == class_id)
    objects = np.flatnonzero(pairs.object_classes == class_id)
    annotations = [comparison.annotations[i] for i in pairs.objects[objects]]
    ignored = pairs.crowd[objects] | (shape_areas(annotations, comparison.iou_type) < min_area)
    entries = [comparison.entries[i] for i in pairs.detections[found]]
    left_out = [a for a, out in zip(annotations, ignored, strict=True) if out]
    inside = overlaps(entries, left_out, [True] * len(left_out), comparison.iou_type)
    counted = objects[~ignored]
    return _ClassInImage(
        pairs.overlaps[np.ix_(found, counted)], pairs.scores[found], inside.sum(axis=1)
    )


def _trapezoid_ap(images: list[_ClassInImage], threshold: float) -> float:
    scores, hits, missed = [], [], 0
    for image in images:
        matched = image.iou > threshold  # [D, G]
        for column in matched.T:
            found = np.flatnonzero(column)  # best score first: one hit, the others are false
            missed += not len(found)
            scores += image.scores[found].tolist()
            hits += [True] * min(len(found), 1) + [False] * (len(found) - 1)
        false_positives = ~matched.any(axis=1) & (image.ignored_share <= threshold)
        scores += image.scores[false_positives].tolist()
        hits += [False] * int(false_positives.sum())
    if not any(hits):
        return 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    ranked = np.array(scores)[order]
    ends = np.flatnonzero(np.append(np.diff(ranked), -1))  # the last of each score
    correct = np.cumsum(np.array(hits)[order])[ends]
    precision, recall = correct / (ends + 1), correct / (correct[-1] + missed)
    return float(np.trapezoid(np.append(precision[0], precision), np.append(0.0, recall)))


# -------------------------------------------------------------------------------- per image


def image_aps(comparison: Comparison, iou_threshold: float = 0.5) -> dict[int, float]:
    """{image id: AP of that image alone}, all classes in one curve, as Matterport's compute_ap.

    Images without objects have no AP and are left out: false positives there cost nothing.
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

    An image with one object weighs as much as one with fifty, and scores are compared only within
    an image: a model whose scores differ in meaning from image to image loses nothing.
    """
    return mean_measured(np.array(list(image_aps(comparison, iou_threshold).values())))


def class_image_ap(comparison: Comparison, iou_threshold: float = 0.5) -> float:
    """cAP: the AP of each class in each image that has it, averaged over images, then classes."""
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

    One curve per class over all images, matched by the IoU of regions (masks), with the exact
    area. It differs from COCO's AP50 only in that COCO samples 101 points.

    Raises:
        LabkitError: boxes were compared.
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
