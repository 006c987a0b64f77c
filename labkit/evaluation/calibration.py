"""Does a score of 0.9 mean right nine times out of ten? Reliability and calibration error.

Guo et al. 2017, "On Calibration of Modern Neural Networks", for classifiers; here a detection is
right if it is a true positive, as in AP.
"""

from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.average_precision import outcomes
from labkit.evaluation.comparison import Comparison


@dataclass(frozen=True, eq=False)
class Calibration:
    """Detections by score, in B bins of equal width from 0 to 1.

    Attributes:
        edges: float64 [B + 1]; a score on an edge belongs to the bin above it, and 1 to the last.
        counts: int64 [B], detections.
        confidence: float64 [B], the mean score; NaN in an empty bin.
        precision: float64 [B], the share of true positives; NaN in an empty bin.
        ece: the expected calibration error, the mean of |precision - confidence| over all
            detections; 0 is perfect; NaN without detections.
        worst: the largest |precision - confidence| of a bin; NaN without detections.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    precision: np.ndarray
    ece: float
    worst: float


def calibration(
    comparison: Comparison,
    *,
    iou_threshold: float = 0.5,
    bins: int = 10,
    classes: list[str] | None = None,
    max_dets: int = 100,
) -> Calibration:
    """Compares the scores of detections with how often they are right.

    A model that leaves out weak detections has empty bins there. Detections that lie in crowds do
    not count.

    Args:
        comparison: the images.
        iou_threshold: of masks or of boxes, whichever were compared.
        bins: the number of bins.
        classes: by default all that have objects.
        max_dets: detections per image and class, as in AP.

    Raises:
        LabkitError: a class is unknown, or bins is below 1.
    """
    if bins < 1:
        raise LabkitError(f"calibration: bins is {bins}; it must be at least 1.")
    names = list(comparison.class_names)
    unknown = [name for name in classes or () if name not in names]
    if unknown:
        raise LabkitError(f"calibration: there is no class {unknown[0]!r}.")
    chosen = names if classes is None else classes
    found = [
        outcomes(comparison, names.index(name) + 1, iou_threshold, max_dets=max_dets)
        for name in chosen
    ]
    found = [part for part in found if part.objects]
    scores = np.concatenate([np.zeros(0), *(part.scores for part in found)])
    hits = np.concatenate([np.zeros(0, bool), *(part.hits for part in found)])
    return _binned(scores, hits, bins)


def _binned(scores: np.ndarray, hits: np.ndarray, bins: int) -> Calibration:
    edges = np.linspace(0, 1, bins + 1)
    bin_of = (np.searchsorted(edges, scores, side="right") - 1).clip(0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)

    def mean_in_bins(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(bin_of, weights=values, minlength=bins)
        return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)

    confidence, precision = mean_in_bins(scores), mean_in_bins(hits.astype(float))
    gaps = np.abs(precision - confidence)[counts > 0]
    weights = counts[counts > 0] / max(len(scores), 1)
    return Calibration(
        edges=edges,
        counts=counts,
        confidence=confidence,
        precision=precision,
        ece=float((gaps * weights).sum()) if len(gaps) else float("nan"),
        worst=float(gaps.max()) if len(gaps) else float("nan"),
    )
