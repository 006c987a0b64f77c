"""The exercises of notebook 00: counting detections, overlap of masks, precision and recall."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake

NOTEBOOK = "00_tour"


# --- count_at: how many detections pass a score -----------------------------------------


def _count_cases(rng):
    for threshold in (0.2, 0.5, 0.9):
        yield Case("scores of one image", (rng.uniform(0.05, 1, 12).astype("f4"), threshold))
    yield Case("a score equal to the threshold", (np.float32([0.25, 0.5, 0.5, 0.75]), 0.5))
    yield Case("a threshold that all pass", (np.float32([0.3, 0.4]), 0.0))
    yield Case("a threshold that none pass", (np.float32([0.3, 0.4]), 1.01))
    yield Case("an image without detections", (np.zeros(0, "f4"), 0.5))


COUNT_AT = Exercise(
    name="count_at",
    notebook=NOTEBOOK,
    title="How many detections pass a score",
    reference=lambda scores, threshold: int((scores >= threshold).sum()),
    cases=_count_cases,
    returns="one whole number",
    mistakes=(
        Mistake(
            "a score equal to the threshold counts: *at least* is not *more than*.",
            lambda scores, threshold: int((scores > threshold).sum()),
        ),
        Mistake(
            "that says which of them pass; the question is how many.",
            lambda scores, threshold: scores >= threshold,
        ),
        Mistake(
            "those are the scores themselves; how many are there?",
            lambda scores, threshold: scores[scores >= threshold],
        ),
        Mistake(
            "you count the detections below the threshold, which are dropped.",
            lambda scores, threshold: int((scores < threshold).sum()),
        ),
        Mistake(
            "you add up the scores; each detection counts as one, whatever its score.",
            lambda scores, threshold: float(scores[scores >= threshold].sum()),
        ),
    ),
    hints=(
        "Comparing an array with a number gives an array of true and false.",
        "True counts as 1 in a sum.",
    ),
    kinds={"an image without detections": "no scores at all: then nothing passes."},
)


# --- mask_iou: the overlap that AP rests on ---------------------------------------------


def _mask_iou(a, b):
    either = (a | b).sum()
    return float((a & b).sum() / either) if either else 0.0


def _square(y, x, side=4):
    mask = np.zeros((10, 10), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def _mask_cases(rng):
    yield Case("a mask with itself", (_square(0, 0), _square(0, 0)))
    yield Case("masks that do not touch", (_square(0, 0), _square(5, 5)))
    yield Case("masks that share a part", (_square(0, 0), _square(0, 2)))
    yield Case("a mask inside another", (_square(0, 0, 8), _square(2, 2, 3)))
    for _ in range(3):
        a, b = rng.random((2, 9, 13)) < 0.4
        yield Case("masks of scattered pixels", (a, b))
    yield Case("two empty masks", (np.zeros((5, 5), bool), np.zeros((5, 5), bool)))
    yield Case("one empty mask", (_square(1, 1), np.zeros((10, 10), bool)))


def _unguarded(a, b):
    with np.errstate(all="ignore"):
        return np.float64((a & b).sum()) / np.float64((a | b).sum())


def _ratio(shared, of):
    return float(shared / of) if of else 0.0


MASK_IOU = Exercise(
    name="mask_iou",
    notebook=NOTEBOOK,
    title="IoU of two masks",
    reference=_mask_iou,
    cases=_mask_cases,
    returns="one number",
    mistakes=(
        Mistake(
            "you divide by a sum that counts the pixels in both twice: divide by the pixels in "
            "either.",
            lambda a, b: _ratio((a & b).sum(), a.sum() + b.sum()),
        ),
        Mistake(
            "that is the share of the first mask that is covered. A huge second mask would be "
            "perfect.",
            lambda a, b: _ratio((a & b).sum(), a.sum()),
        ),
        Mistake(
            "right wherever there is something to divide by: what of two empty masks?", _unguarded
        ),
        Mistake(
            "background that both leave out is no agreement on the object.",
            lambda a, b: float((a == b).mean()),
        ),
        Mistake(
            "that is the Dice coefficient, 2 · both / (A + B), a related measure. IoU divides "
            "by the pixels in either.",
            lambda a, b: _ratio(2 * (a & b).sum(), a.sum() + b.sum()),
        ),
    ),
    hints=(
        'For boolean arrays `a & b` is "in both" and `a | b` "in either"; .sum() counts.',
        "Divide the one by the other, unless the other is 0.",
    ),
    kinds={"two empty masks": "they share nothing: say 0, and mind the division."},
)

# --- precision_recall: at one score threshold -------------------------------------------


def _precision_recall(scores, correct, objects, threshold):
    kept = scores >= threshold
    right = (kept & correct).sum()
    return float(right / kept.sum()) if kept.any() else 1.0, float(right / objects)


def _threshold_cases(rng):
    for threshold in (0.2, 0.5, 0.8):
        scores = rng.uniform(0.05, 1, 20).astype("f4")
        yield Case("many detections", (scores, rng.random(20) < scores, 25, threshold))
    half = np.float32([0.3, 0.5, 0.9])
    yield Case("a score equal to the threshold", (half, np.array([True, True, False]), 4, 0.5))
    yield Case("false positives only", (half, np.zeros(3, bool), 4, 0.4))
    yield Case("no detection at this threshold", (half, np.ones(3, bool), 4, 0.95))
    yield Case("no detections at all", (np.zeros(0, "f4"), np.zeros(0, bool), 4, 0.5))


def _at(
    scores, correct, objects, threshold, *, precision_of="kept", recall_of="objects", keep=None
):
    """Precision and recall with one of their parts replaced."""
    kept = (np.greater_equal if keep is None else keep)(scores, threshold)
    right = (kept & correct).sum()
    below = {"kept": kept.sum(), "objects": objects, "all": len(scores), "correct": correct.sum()}
    precision = right / below[precision_of] if kept.any() else 1.0
    return float(precision), float(right / max(below[recall_of], 1))


def _precision_0(scores, correct, objects, threshold):
    precision, recall = _precision_recall(scores, correct, objects, threshold)
    return precision if (scores >= threshold).any() else 0.0, recall


PRECISION_RECALL = Exercise(
    name="precision_recall",
    notebook=NOTEBOOK,
    title="Precision and recall at a score threshold",
    reference=_precision_recall,
    cases=_threshold_cases,
    returns="two numbers, precision and recall",
    mistakes=(
        Mistake(
            "two numbers in the other order: precision comes first.",
            lambda *args: _precision_recall(*args)[::-1],
        ),
        Mistake(
            "an object that no detection found is missing in your recall: divide by the number "
            "of objects, not by that of the correct detections.",
            lambda *args: _at(*args, recall_of="correct"),
        ),
        Mistake(
            "your precision divides by all detections; only those at or above the threshold count.",
            lambda *args: _at(*args, precision_of="all"),
        ),
        Mistake(
            "a score equal to the threshold counts, as in exercise 1.",
            lambda *args: _at(*args, keep=np.greater),
        ),
        Mistake("without detections nothing is wrong: precision is 1 then, not 0.", _precision_0),
    ),
    hints=(
        "Which detections are kept? That is exercise 1. Which of those are correct?",
        "Precision: kept and correct, divided by kept. Recall: kept and correct, divided by the "
        "number of objects.",
    ),
    kinds={
        "no detection at this threshold": "nothing is kept: what do you divide by?",
        "no detections at all": "nothing is kept: what do you divide by?",
    },
)

EXERCISES = (COUNT_AT, MASK_IOU, PRECISION_RECALL)
