"""Which kinds of errors cost how much AP: the six error types of TIDE.

Bolya, Foley, Hays, Hoffman 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors".
Every false positive and every missed object has one type, and fixing all errors of one type shows
what they cost. The costs do not add up to 1 - AP: fixing one error may uncover another.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import (
    coco_101_points,
    match_by_class,
    precision_recall,
)
from labkit.evaluation.comparison import Comparison, ImagePairs

FOUND_IOU = 0.5  # the least IoU of a match
BACKGROUND_IOU = 0.1  # up to here a detection lies on background

ERROR_TYPES = {
    "classification": "on an object, but of another class",
    "localisation": "right class, but overlaps its object too little",
    "both": "wrong class, and overlaps too little",
    "duplicate": "right, but the object was already found with a better score",
    "background": "on background",
    "missed": "an object without any detection, not even a wrong one",
}


@dataclass(frozen=True)
class Error:
    """One error: where, and of which type.

    Attributes:
        type: a key of `ERROR_TYPES`.
        image_id: the data set's.
        entry: index into `Comparison.entries`, or None for a missed object.
        object: index into `Comparison.annotations` of the object it belongs to, or None.
    """

    type: str
    image_id: int
    entry: int | None
    object: int | None


@dataclass(frozen=True, eq=False)
class ErrorTypes:
    """All errors of a set of detections, and what each type costs.

    Attributes:
        ap: AP at found_iou, at 0.5 equal to COCO's AP50; -1 without objects.
        counts: {type: number of errors}.
        costs: {type: AP gained by fixing all errors of that type}.
        errors: every single error, image by image.
    """

    ap: float
    counts: dict[str, int]
    costs: dict[str, float]
    errors: list[Error]


def error_types(
    comparison: Comparison,
    *,
    found_iou: float = FOUND_IOU,
    background_iou: float = BACKGROUND_IOU,
    max_dets: int = 100,
) -> ErrorTypes:
    """Sorts all errors by type and measures what each type costs.

    The types of a false positive are tested in this order: localisation if the IoU with an object
    of its class is at least background_iou but below found_iou; classification if the IoU with one
    of another class reaches found_iou; duplicate if its own object was already found; background
    if no IoU is above background_iou; else both. Detections that only lie in a crowd are no errors.

    Fixing an error of classification or localisation makes it a true positive of its object (only
    the best score, and only if no other detection found the object; the others are removed); fixing
    both, duplicate and background removes the detection; fixing missed removes the object. A class
    with nothing left to be wrong has an AP of 1, so fixing everything gives 1.

    Args:
        comparison: the images.
        found_iou: the least IoU of a match.
        background_iou: up to this IoU a detection lies on background.
        max_dets: detections per image and class, as in AP.

    Raises:
        LabkitError: not 0 < background_iou < found_iou <= 1.
    """
    analysis = _Analysis(comparison, found_iou, background_iou, max_dets)
    ap = analysis.ap(())
    return ErrorTypes(
        ap=ap,
        counts={name: sum(e.type == name for e in analysis.errors) for name in ERROR_TYPES},
        costs={name: analysis.ap((name,)) - ap if ap >= 0 else 0.0 for name in ERROR_TYPES},
        errors=analysis.errors,
    )


def ap_after_fixing(comparison: Comparison, types: Collection[str], **options) -> float:
    """AP if all errors of these types were fixed; options as in `error_types`."""
    settings = {"found_iou": FOUND_IOU, "background_iou": BACKGROUND_IOU, "max_dets": 100}
    return _Analysis(comparison, **{**settings, **options}).ap(types)


class _Analysis:
    """All detections as true positives or errors, to compute the AP with some errors fixed."""

    def __init__(
        self, comparison: Comparison, found_iou: float, background_iou: float, max_dets: int
    ):
        if not 0 < background_iou < found_iou <= 1:
            raise LabkitError(
                "error_types: background_iou must be above 0 and below found_iou, and that at most "
                f"1; got background_iou={background_iou!r}, found_iou={found_iou!r}."
            )
        self.comparison = comparison
        self.found_iou, self.background_iou = found_iou, background_iou
        self.objects = comparison.object_counts()
        self.hits: list[int] = []  # indices of entries
        self.errors: list[Error] = []
        self.taken: set[int] = set()  # indices of annotations
        self.class_of: dict[int, int] = {}  # index of an annotation -> its class
        for pairs in comparison.images:
            self._sort_image(pairs, max_dets)
            classes = zip(pairs.objects.tolist(), pairs.object_classes.tolist(), strict=True)
            self.class_of.update(classes)
        self.rank, self.entry_class = self._ranks()

    def _ranks(self) -> tuple[dict[int, int], dict[int, int]]:
        """Entry -> its rank in the order of AP, and entry -> its class."""
        images = self.comparison.images
        entries = np.concatenate([p.detections for p in images])
        scores = np.concatenate([p.scores for p in images])
        classes = np.concatenate([p.classes for p in images])
        ordered = entries[np.argsort(-scores, kind="stable")].tolist()
        return (
            {entry: rank for rank, entry in enumerate(ordered)},
            dict(zip(entries.tolist(), classes.tolist(), strict=True)),
        )

    def _sort_image(self, pairs: ImagePairs, max_dets: int) -> None:
        kept = _first_of_each_class(pairs.classes, max_dets)
        matches = match_by_class(
            pairs.overlaps[kept],
            pairs.classes[kept],
            pairs.object_classes,
            self.found_iou,
            pairs.crowd,
        )
        taken = np.isin(np.arange(len(pairs.objects)), matches)
        matched = matches[matches >= 0]
        self.hits += pairs.detections[kept[matches >= 0][~pairs.crowd[matched]]].tolist()
        nearly_found = set()
        for d in kept[matches < 0].tolist():
            kind, g = self._type_of(pairs, d)
            entry = int(pairs.detections[d])
            target = None if g is None else int(pairs.objects[g])
            self.errors.append(Error(kind, pairs.image_id, entry, target))
            if kind in ("classification", "localisation") and not taken[g]:
                nearly_found.add(g)
        for g in np.flatnonzero(~taken & ~pairs.crowd):
            if g not in nearly_found:
                self.errors.append(Error("missed", pairs.image_id, None, int(pairs.objects[g])))
        self.taken.update(pairs.objects[taken].tolist())

    def _type_of(self, pairs: ImagePairs, d: int) -> tuple[str, int | None]:
        """The type of a false positive, and the index of the object it belongs to."""
        iou = np.where(pairs.crowd, 0.0, pairs.overlaps[d])
        own = pairs.object_classes == pairs.classes[d]
        same, other = np.where(own, iou, 0.0), np.where(own, 0.0, iou)
        best_same, best_other = same.max(initial=0), other.max(initial=0)
        if self.background_iou <= best_same < self.found_iou:
            return "localisation", int(same.argmax())
        if best_other >= self.found_iou:
            return "classification", int(other.argmax())
        if best_same >= self.found_iou:
            return "duplicate", int(same.argmax())
        if best_other <= self.background_iou:
            return "background", None
        return "both", int(other.argmax())

    def ap(self, fixed: Collection[str]) -> float:
        """COCO's AP at found_iou with the errors of some types fixed."""
        # The first fixed error that belongs to an object finds it; the others are removed.
        ranked = [(self.rank[entry], self.entry_class[entry], True) for entry in self.hits]
        objects, found = self.objects.copy(), set(self.taken)
        false = [e for e in self.errors if e.entry is not None]
        for error in sorted(false, key=lambda e: self.rank[e.entry]):
            if error.type not in fixed:
                ranked.append((self.rank[error.entry], self.entry_class[error.entry], False))
            elif error.type in ("classification", "localisation") and error.object not in found:
                found.add(error.object)
                ranked.append((self.rank[error.entry], self.class_of[error.object], True))
        if "missed" in fixed:
            for error in self.errors:
                if error.type == "missed":
                    objects[self.class_of[error.object]] -= 1
        return self._mean_ap(sorted(ranked), objects)

    def _mean_ap(self, ranked: list[tuple[int, int, bool]], objects: np.ndarray) -> float:
        classes = np.array([class_id for _, class_id, _ in ranked], int)
        hits = np.array([hit for _, _, hit in ranked], bool)
        aps = []
        for class_id in np.flatnonzero(self.objects):
            hits_of_class = hits[classes == class_id]
            if objects[class_id]:
                aps.append(coco_101_points(*precision_recall(hits_of_class, objects[class_id])))
            else:
                aps.append(0.0 if len(hits_of_class) else 1.0)
        return float(np.mean(aps)) if aps else -1.0


def _first_of_each_class(classes: np.ndarray, count: int) -> np.ndarray:
    kept = np.zeros(len(classes), bool)
    for class_id in np.unique(classes):
        kept[np.flatnonzero(classes == class_id)[:count]] = True
    return np.flatnonzero(kept)
