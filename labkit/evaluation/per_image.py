"""True and false positives of single images, and the worst images by any criterion."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError, counted
from labkit.evaluation.ap_variants import image_aps
from labkit.evaluation.average_precision import match_by_class
from labkit.evaluation.comparison import Comparison, ImagePairs


@dataclass(frozen=True)
class ImageScore:
    """Results of one image at a score threshold.

    Attributes:
        image_id: the data set's.
        objects: of the ground truth, without crowds.
        found: true positives.
        missed: false negatives, objects that no detection of their class matches.
        false_positives: detections that match no object of their class.
        f1: 1 for an image without objects and detections.
        ap: of this image alone, with detections of any score; -1 without objects.
        mean_iou: of the true positives; NaN if there are none.
        highest_false_positive: the best score of the false positives; 0 if there are none.
    """

    image_id: int
    objects: int
    found: int
    missed: int
    false_positives: int
    f1: float
    ap: float
    mean_iou: float
    highest_false_positive: float

    @property
    def in_words(self) -> str:
        """The counts: 3 of 4 found, 1 false positive."""
        false = counted(self.false_positives, "false positive")
        return f"{self.found} of {self.objects} found, {false}"


# Larger is worse. An image for which a criterion is not defined comes last.
CRITERIA: dict[str, tuple[str, Callable[[ImageScore], float]]] = {
    "f1": ("lowest F1", lambda image: -image.f1),
    "ap": ("lowest AP", lambda image: -image.ap if image.ap >= 0 else -2.0),
    "missed": ("most missed objects", lambda image: image.missed),
    "false_positives": ("most false positives", lambda image: image.false_positives),
    "highest_false_positive": (
        "false positive with the highest score",
        lambda image: image.highest_false_positive,
    ),
    "mean_iou": ("lowest IoU of matches", lambda image: -np.nan_to_num(image.mean_iou, nan=2.0)),
}


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where ground truth and detections of one image agree, as indices into its ImagePairs.

    Crowds, and the detections in them, are in none of the lists.

    Attributes:
        agreed: the true positives, pairs (object, detection).
        missed: the false negatives, objects.
        false_positives: detections.
    """

    agreed: list[tuple[int, int]]
    missed: list[int]
    false_positives: list[int]


def agreement(
    pairs: ImagePairs, *, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> Agreement:
    """Matches the detections from score_threshold on, class by class, as AP does."""
    found = np.flatnonzero(pairs.scores >= score_threshold)
    matches = match_by_class(
        pairs.overlaps[found],
        pairs.classes[found],
        pairs.object_classes,
        iou_threshold,
        pairs.crowd,
    )
    agreed = sorted(
        (int(g), int(d))
        for d, g in zip(found, matches, strict=True)
        if g >= 0 and not pairs.crowd[g]
    )
    matched = {g for g, _ in agreed}
    missed = [int(g) for g in np.flatnonzero(~pairs.crowd) if g not in matched]
    return Agreement(agreed, missed, found[matches < 0].tolist())


def image_scores(
    comparison: Comparison, *, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> list[ImageScore]:
    """The results of each image, in the order of the comparison."""
    aps = image_aps(comparison, iou_threshold)
    rows = []
    for pairs in comparison.images:
        found = agreement(pairs, iou_threshold=iou_threshold, score_threshold=score_threshold)
        agreed, wrong = found.agreed, len(found.missed) + len(found.false_positives)
        rows.append(
            ImageScore(
                image_id=pairs.image_id,
                objects=len(agreed) + len(found.missed),
                found=len(agreed),
                missed=len(found.missed),
                false_positives=len(found.false_positives),
                f1=2 * len(agreed) / (2 * len(agreed) + wrong) if agreed or wrong else 1.0,
                ap=aps.get(pairs.image_id, -1.0),
                mean_iou=float(np.mean([pairs.overlaps[d, g] for g, d in agreed]))
                if agreed
                else float("nan"),
                highest_false_positive=float(
                    max((pairs.scores[d] for d in found.false_positives), default=0.0)
                ),
            )
        )
    return rows


def worst_images(
    rows: list[ImageScore],
    by: str | Callable[[ImageScore], float] = "f1",
    count: int = 12,
) -> list[ImageScore]:
    """The worst images, the worst first; equally bad ones keep their order.

    Args:
        rows: of `image_scores`.
        by: a key of `CRITERIA`, or a function of a row that is larger for a worse image.
        count: how many images.

    Raises:
        LabkitError: the criterion is unknown.
    """
    if isinstance(by, str):
        if by not in CRITERIA:
            raise LabkitError(f"worst_images: {by!r} is none of {', '.join(CRITERIA)}.")
        by = CRITERIA[by][1]
    return sorted(rows, key=lambda row: -by(row))[:count]
