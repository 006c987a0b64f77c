"""Which images went worst, by any criterion: where to look first."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation.ap_variants import image_aps
from labkit.evaluation.average_precision import match_by_class
from labkit.evaluation.comparison import Comparison, ImagePairs


@dataclass(frozen=True)
class ImageScore:
    """How one image went at a score threshold.

    objects: in the truth, without crowds. found: right ones. missed: objects that no detection of
    their class found. invented: detections that found nothing of their class.
    f1: 1 for an image where nothing is and nothing was found.
    ap: of this image alone, at any score; -1 without objects.
    overlap: the mean IoU of what was found; NaN if nothing was.
    sure: the best score among the invented; 0 if there are none.
    """

    image_id: int
    objects: int
    found: int
    missed: int
    invented: int
    f1: float
    ap: float
    overlap: float
    sure: float

    def to_dict(self) -> dict:
        return asdict(self)


# Larger is worse. An image that a criterion says nothing about comes last.
CRITERIA: dict[str, tuple[str, Callable[[ImageScore], float]]] = {
    "f1": ("lowest F1", lambda image: -image.f1),
    "ap": ("lowest AP", lambda image: -image.ap if image.ap >= 0 else -2.0),
    "missed": ("most objects missed", lambda image: image.missed),
    "invented": ("most objects invented", lambda image: image.invented),
    "sure": ("surest false alarm", lambda image: image.sure),
    "overlap": ("loosest outlines", lambda image: -np.nan_to_num(image.overlap, nan=2.0)),
}


@dataclass(frozen=True, eq=False)
class Agreement:
    """Truth and detections of one image, sorted out; all are places in its ImagePairs.

    agreed: pairs (object, detection). missed: objects. invented: detections. Crowds, and what lies
    in them, are in none.
    """

    agreed: list[tuple[int, int]]
    missed: list[int]
    invented: list[int]


def agreement(
    pairs: ImagePairs, *, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> Agreement:
    """Matches class by class, as AP does, the detections of score_threshold and above."""
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
    taken = {place for place, _ in agreed}
    missed = [int(g) for g in np.flatnonzero(~pairs.crowd) if g not in taken]
    return Agreement(agreed, missed, found[matches < 0].tolist())


def image_scores(
    comparison: Comparison, *, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> list[ImageScore]:
    """One row for each image, in their order."""
    aps = image_aps(comparison, iou_threshold)
    rows = []
    for pairs in comparison.images:
        sorted_out = agreement(pairs, iou_threshold=iou_threshold, score_threshold=score_threshold)
        agreed, missed, invented = sorted_out.agreed, sorted_out.missed, sorted_out.invented
        wrong = len(missed) + len(invented)
        rows.append(
            ImageScore(
                image_id=pairs.image_id,
                objects=len(agreed) + len(missed),
                found=len(agreed),
                missed=len(missed),
                invented=len(invented),
                f1=2 * len(agreed) / (2 * len(agreed) + wrong) if agreed or wrong else 1.0,
                ap=aps.get(pairs.image_id, -1.0),
                overlap=float(np.mean([pairs.overlaps[d, g] for g, d in agreed]))
                if agreed
                else float("nan"),
                sure=float(max((pairs.scores[d] for d in invented), default=0.0)),
            )
        )
    return rows


def worst_images(
    rows: list[ImageScore],
    by: str | Callable[[ImageScore], float] = "f1",
    count: int = 12,
) -> list[ImageScore]:
    """The worst first; images that are equally bad keep their order.

    by: a key of `CRITERIA`, or a function of a row that is larger for a worse image.

    Raises LabkitError for an unknown criterion.
    """
    if isinstance(by, str):
        if by not in CRITERIA:
            raise LabkitError(f"worst_images: {by!r} is none of {', '.join(CRITERIA)}.")
        by = CRITERIA[by][1]
    return sorted(rows, key=lambda row: -by(row))[:count]
