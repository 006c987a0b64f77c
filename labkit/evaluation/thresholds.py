"""Precision, recall and F1 against the score threshold: which threshold for which purpose.

AP judges the whole ranking; whoever uses a model must cut it somewhere. From a score on, everything
counts: these are the raw counts of the data set, without interpolation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import outcomes
from labkit.evaluation.comparison import Comparison

ALL_CLASSES = "all classes"


@dataclass(frozen=True)
class OperatingPoint:
    """What a score threshold means: detections of that score and above are shown, others not."""

    score: float
    precision: float
    recall: float
    f1: float
    found: int
    false_alarms: int
    missed: int

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """One class at every score that occurs, highest first.

    name: of the class. objects: how many there are to find.
    scores: float64 [N], distinct. found, shown: int64 [N], right detections and all detections of
    that score and above.
    """

    name: str
    objects: int
    scores: np.ndarray
    found: np.ndarray
    shown: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """float64 [N]."""
        return self.found / np.maximum(self.shown, 1)

    @property
    def recall(self) -> np.ndarray:
        """float64 [N]; 0 for a class without objects."""
        return self.found / max(self.objects, 1)

    @property
    def f1(self) -> np.ndarray:
        """float64 [N], the harmonic mean of precision and recall."""
        return 2 * self.found / np.maximum(self.shown + self.objects, 1)

    def at(self, score: float) -> OperatingPoint:
        """The counts at any score threshold. Showing nothing has precision 1: nothing is wrong."""
        below = int(np.searchsorted(-self.scores, -score, side="right"))
        found, shown = (self.found[below - 1], self.shown[below - 1]) if below else (0, 0)
        return OperatingPoint(
            score=float(score),
            precision=float(found / shown) if shown else 1.0,
            recall=float(found / max(self.objects, 1)),
            f1=float(2 * found / max(shown + self.objects, 1)),
            found=int(found),
            false_alarms=int(shown - found),
            missed=int(self.objects - found),
        )

    def best(self) -> OperatingPoint | None:
        """The threshold of the best F1, the highest of equals; None if nothing is ever found."""
        if not self.found.any():
            return None
        return self.at(float(self.scores[int(self.f1.argmax())]))

    def for_precision(self, least: float) -> OperatingPoint | None:
        """The most found with a precision of at least so much; None if it is never reached."""
        good = np.flatnonzero((self.precision >= least) & (self.found > 0))
        return self.at(float(self.scores[good[-1]])) if len(good) else None

    def for_recall(self, least: float) -> OperatingPoint | None:
        """The highest threshold with a recall of at least so much; None if it is never reached."""
        good = np.flatnonzero((self.recall >= least) & (self.found > 0))
        return self.at(float(self.scores[good[0]])) if len(good) else None


def threshold_curves(
    comparison: Comparison, iou_threshold: float = 0.5, *, max_dets: int = 100
) -> dict[str, ThresholdCurve]:
    """{class name: its curve}, in the data set's order, for the classes that have objects.

    Args:
        iou_threshold: from this overlap on an object is found.
        max_dets: detections per image and class, as in AP.
    """
    curves = {}
    for class_id, name in enumerate(comparison.class_names, 1):
        found = outcomes(comparison, class_id, iou_threshold, max_dets=max_dets)
        if found.objects:
            curves[name] = _curve(name, found.objects, found.scores, found.hits)
    return curves


def pooled(curves: dict[str, ThresholdCurve]) -> ThresholdCurve:
    """All classes in one curve: each object counts alike, so common classes weigh more.

    Detections of classes that have no objects are not in it, as in AP.

    Raises LabkitError if there is no curve.
    """
    if not curves:
        raise LabkitError("There is no object in the ground truth, so no threshold has a meaning.")
    each = curves.values()
    scores = np.concatenate([curve.scores for curve in each])
    found = np.concatenate([np.diff(curve.found, prepend=0) for curve in each])
    shown = np.concatenate([np.diff(curve.shown, prepend=0) for curve in each])
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_equals(scores[order])
    return ThresholdCurve(
        ALL_CLASSES,
        sum(curve.objects for curve in each),
        scores[order][ends],
        np.cumsum(found[order])[ends],
        np.cumsum(shown[order])[ends],
    )


def _curve(name: str, objects: int, scores: np.ndarray, hits: np.ndarray) -> ThresholdCurve:
    ends = _last_of_equals(scores)
    return ThresholdCurve(name, objects, scores[ends], np.cumsum(hits)[ends], ends + 1)


def _last_of_equals(scores: Sequence[float]) -> np.ndarray:
    """A threshold cannot part equal scores: the places in a falling list where one ends."""
    return np.flatnonzero(np.append(np.diff(scores) != 0, True)[: len(scores)])
