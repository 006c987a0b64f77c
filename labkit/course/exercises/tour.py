"""The exercises of notebook 00: counting detections, overlap of masks."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake

NOTEBOOK = "00_tour"


# --- count_at: how many detections pass a score -----------------------------------------


def _count_cases(rng):
    for line in (0.2, 0.5, 0.9):
        yield Case("scores of one picture", (rng.uniform(0.05, 1, 12).astype("f4"), line))
    yield Case("a score exactly on the line", (np.float32([0.25, 0.5, 0.5, 0.75]), 0.5))
    yield Case("a line that all pass", (np.float32([0.3, 0.4]), 0.0))
    yield Case("a line that none pass", (np.float32([0.3, 0.4]), 1.01))
    yield Case("a picture without detections", (np.zeros(0, "f4"), 0.5))


COUNT_AT = Exercise(
    name="count_at",
    notebook=NOTEBOOK,
    title="How many detections pass a score",
    reference=lambda scores, line: int((scores >= line).sum()),
    cases=_count_cases,
    returns="one whole number",
    mistakes=(
        Mistake(
            "a score equal to the line should count: *at least* is not *more than*.",
            lambda scores, line: int((scores > line).sum()),
        ),
        Mistake(
            "that says which of them pass; the question is how many.",
            lambda scores, line: scores >= line,
        ),
        Mistake(
            "those are the scores themselves; how many are there?",
            lambda scores, line: scores[scores >= line],
        ),
        Mistake(
            "those are the ones below the line, the ones that fall away.",
            lambda scores, line: int((scores < line).sum()),
        ),
        Mistake(
            "you add up the scores; each detection counts as one, however sure it is.",
            lambda scores, line: float(scores[scores >= line].sum()),
        ),
    ),
    hints=(
        "Comparing an array with a number gives an array of true and false.",
        "True counts as 1 in a sum.",
    ),
    kinds={"a picture without detections": "no scores at all: then nothing passes."},
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
            "the pixels in both are counted twice below the line: divide by the pixels in either.",
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
            "that is Dice's coefficient, a cousin: 2 · both / (A + B). IoU divides by the "
            "pixels in either.",
            lambda a, b: _ratio(2 * (a & b).sum(), a.sum() + b.sum()),
        ),
    ),
    hints=(
        'For boolean arrays `a & b` is "in both" and `a | b` "in either"; .sum() counts.',
        "Divide the one by the other, unless the other is 0.",
    ),
    kinds={"two empty masks": "they share nothing: say 0, and mind the division."},
)

EXERCISES = (COUNT_AT, MASK_IOU)
