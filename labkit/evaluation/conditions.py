"""AP under conditions: against the size of objects, their overlap with others, and crowding.

As with COCO's area ranges, objects outside a range are ignored, and so are unmatched detections
outside. Each condition is therefore measured for detections too, in the same way: from the boxes of
the objects around, without the one that it overlaps most (for an object, itself).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import coco_arrays
from labkit.evaluation.comparison import Comparison, ImagePairs
from labkit.evaluation.result import mean_measured


@dataclass(frozen=True)
class Condition:
    """How a condition is measured, and the ranges it is split into.

    Attributes:
        title: of the condition.
        unit: of its values.
        edges: B + 1 rising values; range b goes from edges[b], included, to edges[b + 1], excluded.
        measure: for an image, the values of its objects float64 [G] and detections float64 [D].
    """

    title: str
    unit: str
    edges: tuple[float, ...]
    measure: Callable[[Comparison, ImagePairs], tuple[np.ndarray, np.ndarray]]

    def range_names(self) -> list[str]:
        """The ranges in words: "16 to 32", "96 and more"; a single whole number as itself."""
        names = []
        for low, high in zip(self.edges, self.edges[1:], strict=False):
            if high == float("inf"):
                names.append(f"{low:g} and more")
            elif self.unit == "objects":
                names.append(f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}")
            else:
                names.append(f"{low:g} to {high:g}")
        return names


@dataclass(frozen=True, eq=False)
class UnderCondition:
    """AP and recall in the B ranges of one condition; -1 where no object is in the range.

    Attributes:
        condition: with its ranges.
        objects: int64 [B].
        ap: float64 [B], the mean over the classes with objects in the range.
        recall: float64 [B], likewise.
    """

    condition: Condition
    objects: np.ndarray
    ap: np.ndarray
    recall: np.ndarray


def _size(comparison: Comparison, pairs: ImagePairs) -> tuple[np.ndarray, np.ndarray]:
    return np.sqrt(pairs.object_areas), np.sqrt(pairs.areas)


def _second_overlap(comparison: Comparison, pairs: ImagePairs) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.sort(iou, axis=1)[:, -2] if iou.shape[1] > 1 else np.zeros(len(iou))
        for iou in _box_overlaps(comparison, pairs)
    )


def _neighbours(comparison: Comparison, pairs: ImagePairs) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        np.maximum((iou > 0).sum(axis=1) - 1, 0).astype(float)
        for iou in _box_overlaps(comparison, pairs)
    )


def _box_overlaps(comparison: Comparison, pairs: ImagePairs) -> tuple[np.ndarray, np.ndarray]:
    """Box IoUs of objects [G, N] and of detections [D, N] with the N objects that are no crowds."""
    boxes = [comparison.annotations[i]["bbox"] for i in pairs.objects]
    others = [box for box, crowd in zip(boxes, pairs.crowd, strict=True) if not crowd]
    found = [comparison.entries[i]["bbox"] for i in pairs.detections]
    return tuple(
        coco_mask.iou(np.array(side), np.array(others), [0] * len(others))
        if side and others
        else np.zeros((len(side), len(others)))
        for side in (boxes, found)
    )


INFINITY = float("inf")
CONDITIONS = {
    "size": Condition(
        "size of the object", "√area in pixels", (0, 16, 32, 64, 96, 192, INFINITY), _size
    ),
    "occlusion": Condition(
        "overlap with another object",
        "IoU of boxes",
        (0, 0.05, 0.15, 0.3, 0.5, INFINITY),
        _second_overlap,
    ),
    "crowding": Condition(
        "objects whose boxes touch it", "objects", (0, 1, 2, 3, 5, INFINITY), _neighbours
    ),
}


def under_condition(
    comparison: Comparison,
    name: str,
    *,
    edges: Sequence[float] | None = None,
    iou_threshold: float = 0.5,
    max_dets: int = 100,
) -> UnderCondition:
    """AP at one IoU threshold in each range of a condition.

    Args:
        comparison: the images.
        name: "size", "occlusion" or "crowding".
        edges: of the ranges, rising; by default those of `CONDITIONS`. COCO's sizes are
            (0, 32, 96, inf).
        iou_threshold: the least IoU of a match.
        max_dets: detections per image and class, as in AP.

    Raises:
        LabkitError: the name is unknown, or edges do not rise.
    """
    if name not in CONDITIONS:
        raise LabkitError(f"under_condition: {name!r} is none of {', '.join(CONDITIONS)}.")
    condition = CONDITIONS[name]
    if edges is not None:
        condition = Condition(condition.title, condition.unit, tuple(edges), condition.measure)
    if len(condition.edges) < 2 or (np.diff(condition.edges) <= 0).any():
        raise LabkitError(f"under_condition: edges {condition.edges} must rise; give two or more.")
    measured = {p.image_id: condition.measure(comparison, p) for p in comparison.images}
    rows = [
        _in_range(comparison, measured, low, high, iou_threshold, max_dets)
        for low, high in zip(condition.edges, condition.edges[1:], strict=False)
    ]
    objects, ap, recall = zip(*rows, strict=True)
    return UnderCondition(condition, np.array(objects), np.array(ap), np.array(recall))


def _in_range(comparison, measured, low, high, iou_threshold, max_dets):
    def inside(pairs: ImagePairs) -> tuple[np.ndarray, np.ndarray]:
        return tuple((values >= low) & (values < high) for values in measured[pairs.image_id])

    objects = sum(int((inside(p)[0] & ~p.crowd).sum()) for p in comparison.images)
    precision, recall, _ = coco_arrays(
        comparison, iou_thresholds=np.array([iou_threshold]), max_dets=max_dets, inside=inside
    )
    return objects, mean_measured(precision), mean_measured(recall)
