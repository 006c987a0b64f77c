"""Precision, recall and F1 against the score threshold: which threshold for which purpose.

AP measures the whole ranking, but to use a model you must choose a threshold. These are the raw
counts of all detections from a score on, without interpolation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import outcomes
from labkit.evaluation.comparison import Comparison

ALL_CLASSES = "all classes"


@dataclass(frozen=True)
class OperatingPoint:
    """The effect of a score threshold: only detections of that score and above are shown."""

    score: float
    precision: float
    recall: float
    f1: float
    found: int
    false_positives: int
    missed: int


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """One class at every score that occurs, highest first.

    Attributes:
        name: of the class.
        objects: the number of objects to find.
        scores: float64 [N], distinct.
        found: int64 [N], true positives of that score and above.
        shown: int64 [N], detections of that score and above.
    """

    name: str
    objects: int
    scores: np.ndarray
    found: np.ndarray
    shown: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Precision at each score, float64 [N]."""
        return self.found / np.maximum(self.shown, 1)

    @property
    def recall(self) -> np.ndarray:
        """Recall at each score, float64 [N]; 0 for a class without objects."""
        return self.found / max(self.objects, 1)

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall at each score, float64 [N]."""
        return 2 * self.found / np.maximum(self.shown + self.objects, 1)

    def at(self, score: float) -> OperatingPoint:
        """The counts at any score threshold. Without detections, precision is 1."""
        count = int(np.searchsorted(-self.scores, -score, side="right"))
        found, shown = (self.found[count - 1], self.shown[count - 1]) if count else (0, 0)
        return OperatingPoint(
            score=float(score),
            precision=float(found / shown) if shown else 1.0,
            recall=float(found / max(self.objects, 1)),
            f1=float(2 * found / max(shown + self.objects, 1)),
            found=int(found),
            false_positives=int(shown - found),
            missed=int(self.objects - found),
        )

    def best(self) -> OperatingPoint | None:
        """The threshold with the best F1, the highest of equals; None if nothing is ever found."""
        if not self.found.any():
            return None
        return self.at(float(self.scores[int(self.f1.argmax())]))

    def for_precision(self, least: float) -> OperatingPoint | None:
        """The lowest threshold with at least this precision; None if it is never reached."""
        good = np.flatnonzero((self.precision >= least) & (self.found > 0))
        return self.at(float(self.scores[good[-1]])) if len(good) else None

    def for_recall(self, least: float) -> OperatingPoint | None:
        """The highest threshold with at least this recall; None if it is never reached."""
        good = np.flatnonzero((self.recall >= least) & (self.found > 0))
        return self.at(float(self.scores[good[0]])) if len(good) else None


def threshold_curves(
    comparison: Comparison, iou_threshold: float = 0.5, *, max_dets: int = 100
) -> dict[str, ThresholdCurve]:
    """{class name: its curve}, in the data set's order, for the classes that have objects.

    Args:
        comparison: the images.
        iou_threshold: the least IoU of a match.
        max_dets: detections per image and class, as in AP.
    """
    curves = {}
    for class_id, name in enumerate(comparison.class_names, 1):
        found = outcomes(comparison, class_id, iou_threshold, max_dets=max_dets)
        if found.objects:
            curves[name] = _curve(name, found.objects, found.scores, found.hits)
    return curves


def pooled(curves: dict[str, ThresholdCurve]) -> ThresholdCurve:
    """All classes in one curve: every object counts the same, so frequent classes weigh more.

    Detections of classes that have no objects are left out, as in AP.

    Raises:
        LabkitError: there is no curve.
    """
    if not curves:
        raise LabkitError("There is no object in the ground truth, so no threshold has a meaning.")
    parts = curves.values()
    scores = np.concatenate([curve.scores for curve in parts])
    found = np.concatenate([np.diff(curve.found, prepend=0) for curve in parts])
    shown = np.concatenate([np.diff(curve.shown, prepend=0) for curve in parts])
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_equals(scores[order])
    return ThresholdCurve(
        ALL_CLASSES,
        sum(curve.objects for curve in parts),
        scores[order][ends],
        np.cumsum(found[order])[ends],
        np.cumsum(shown[order])[ends],
    )


def _curve(name: str, objects: int, scores: np.ndarray, hits: np.ndarray) -> ThresholdCurve:
    ends = _last_of_equals(scores)
    return ThresholdCurve(name, objects, scores[ends], np.cumsum(hits)[ends], ends + 1)


def _last_of_equals(scores: Sequence[float]) -> np.ndarray:
    """Indices of the last of each run of equal scores, which no threshold can separate."""
    return np.flatnonzero(np.append(np.diff(scores) != 0, True)[: len(scores)])
