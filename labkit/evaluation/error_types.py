"""What kind of mistakes cost how much AP: the six error types of TIDE.

Bolya, Foley, Hays, Hoffman 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors".
Every false alarm and every missed object has one type, and mending all errors of one type tells
what they cost. The costs do not add up to what is missing: mending one error may uncover another.
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

FOUND_IOU = 0.5  # from here on an object is found
BACKGROUND_IOU = 0.1  # up to here a detection has nothing to do with an object

ERROR_TYPES = {
    "classification": "on an object, but of another class",
    "localisation": "right class, but overlaps its object too little",
    "both": "wrong class, and overlaps too little",
    "duplicate": "right, but the object was found by a better score",
    "background": "on nothing",
    "missed": "an object that nothing found, not even wrongly",
}


@dataclass(frozen=True)
class Error:
    """One mistake: where, and of which type.

    entry: place in `Comparison.entries`, or None for a missed object.
    object: place in `Comparison.annotations` of the object that was meant, or None.
    """

    type: str
    image_id: int
    entry: int | None
    object: int | None


@dataclass(frozen=True, eq=False)
class ErrorTypes:
    """ap: AP at found_iou as it is, equal to COCO's AP50 at 0.5; -1 without objects.

    counts: {type: how many}. costs: {type: AP gained by mending all of that type}.
    errors: each single one, image by image.
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

    A false alarm is, in this order, of the type localisation if an object of its class overlaps it
    by background_iou or more but less than found_iou; classification if one of another class does
    by found_iou; duplicate if its own object was taken; background if nothing overlaps it by more
    than background_iou; else both. Detections that only lie in a crowd are no errors.

    Mended are: classification and localisation by finding the object that was meant (the best
    score only, and only if nothing else found it; the others go); both, duplicate and background
    by going; missed by taking the object off the list. A class of which nothing is left to be
    wrong has an AP of 1, so mending everything gives 1.

    Args:
        max_dets: detections per image and class, as in AP.

    Raises LabkitError unless 0 < background_iou < found_iou <= 1.
    """
    state = _State(comparison, found_iou, background_iou, max_dets)
    ap = state.ap(())
    return ErrorTypes(
        ap=ap,
        counts={name: sum(e.type == name for e in state.errors) for name in ERROR_TYPES},
        costs={name: state.ap((name,)) - ap if ap >= 0 else 0.0 for name in ERROR_TYPES},
        errors=state.errors,
    )


def mended_ap(comparison: Comparison, types: Collection[str], **options) -> float:
    """AP if all errors of these types were mended; options as in `error_types`."""
    settings = {"found_iou": FOUND_IOU, "background_iou": BACKGROUND_IOU, "max_dets": 100}
    return _State(comparison, **{**settings, **options}).ap(types)


class _State:
    """All detections with what became of them, from which AP can be taken with errors mended."""

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
        self.hits: list[int] = []  # places of entries
        self.errors: list[Error] = []
        self.taken: set[int] = set()  # places of annotations
        self.class_of: dict[int, int] = {}  # place of an annotation -> its class
        for pairs in comparison.images:
            self._sort_image(pairs, max_dets)
            classes = zip(pairs.objects.tolist(), pairs.object_classes.tolist(), strict=True)
            self.class_of.update(classes)
        self.rank, self.entry_class = self._ranks()

    def _ranks(self) -> tuple[dict[int, int], dict[int, int]]:
        """Of each entry: its place in the order that AP goes through all of them; its class."""
        images = self.comparison.images
        places = np.concatenate([p.detections for p in images])
        scores = np.concatenate([p.scores for p in images])
        classes = np.concatenate([p.classes for p in images])
        ordered = places[np.argsort(-scores, kind="stable")].tolist()
        return (
            {entry: rank for rank, entry in enumerate(ordered)},
            dict(zip(places.tolist(), classes.tolist(), strict=True)),
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
        right = matches[matches >= 0]
        self.hits += pairs.detections[kept[matches >= 0][~pairs.crowd[right]]].tolist()
        meant = set()
        for d in kept[matches < 0].tolist():
            kind, place = self._type_of(pairs, d)
            entry = int(pairs.detections[d])
            target = None if place is None else int(pairs.objects[place])
            self.errors.append(Error(kind, pairs.image_id, entry, target))
            if kind in ("classification", "localisation") and not taken[place]:
                meant.add(place)
        for place in np.flatnonzero(~taken & ~pairs.crowd):
            if place not in meant:
                error = Error("missed", pairs.image_id, None, int(pairs.objects[place]))
                self.errors.append(error)
        self.taken.update(pairs.objects[taken].tolist())

    def _type_of(self, pairs: ImagePairs, d: int) -> tuple[str, int | None]:
        """The type of a false alarm, and the object of the image that was meant."""
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

    def ap(self, mended: Collection[str]) -> float:
        """COCO's AP at found_iou with the errors of some types mended."""
        # An object that was meant is found by the first detection that meant it, of any type that
        # is mended; what else meant it goes.
        ranked = [(self.rank[entry], self.entry_class[entry], True) for entry in self.hits]
        objects, found = self.objects.copy(), set(self.taken)
        false = [e for e in self.errors if e.entry is not None]
        for error in sorted(false, key=lambda e: self.rank[e.entry]):
            if error.type not in mended:
                ranked.append((self.rank[error.entry], self.entry_class[error.entry], False))
            elif error.type in ("classification", "localisation") and error.object not in found:
                found.add(error.object)
                ranked.append((self.rank[error.entry], self.class_of[error.object], True))
        if "missed" in mended:
            for error in self.errors:
                if error.type == "missed":
                    objects[self.class_of[error.object]] -= 1
        return self._mean_ap(sorted(ranked), objects)

    def _mean_ap(self, ranked: list[tuple[int, int, bool]], objects: np.ndarray) -> float:
        classes = np.array([class_id for _, class_id, _ in ranked], int)
        hits = np.array([hit for _, _, hit in ranked], bool)
        aps = []
        for class_id in np.flatnonzero(self.objects):
            mine = hits[classes == class_id]
            if objects[class_id]:
                aps.append(coco_101_points(*precision_recall(mine, objects[class_id])))
            else:
                aps.append(0.0 if len(mine) else 1.0)
        return float(np.mean(aps)) if aps else -1.0


def _first_of_each_class(classes: np.ndarray, count: int) -> np.ndarray:
    kept = np.zeros(len(classes), bool)
    for class_id in np.unique(classes):
        kept[np.flatnonzero(classes == class_id)[:count]] = True
    return np.flatnonzero(kept)
