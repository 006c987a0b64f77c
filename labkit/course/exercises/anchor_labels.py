"""The exercises of notebook 02a on which anchors learn, and from which object."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.random_boxes import random_boxes
from labkit.ops import boxes as box_ops
from labkit.ops.matching import BACKGROUND, IGNORED, match

NOTEBOOK = "02a_rpn_targets"


def _inside(anchors, height, width):
    return (box_ops.clip(anchors, height, width).numpy() == anchors).all(axis=1)


def _inside_cases(rng):
    for _ in range(3):
        yield Case("anchors inside and across the border", (random_boxes(rng, 30) - 20, 60, 60))
        yield Case("a picture that is not square", (random_boxes(rng, 30) - 10, 40, 90))
    yield Case("an anchor that just touches the border", (np.float32([[0, 0, 50, 80]]), 50, 80))
    yield Case("anchors beyond the picture", (random_boxes(rng, 4) + 500, 60, 60))
    yield Case("a picture smaller than the anchors", (np.float32([[-9, -9, 70, 70]]), 60, 60))
    yield Case("no anchors at all", (np.zeros((0, 4), "f4"), 60, 60))


def _strictly(a, h, w):
    return (a[:, :2] > 0).all(axis=1) & (a[:, 2:] < [h, w]).all(axis=1)


def _meets(a, h, w):
    return (a[:, 2:] > 0).all(axis=1) & (a[:, :2] < [h, w]).all(axis=1)


def _transposed(a, h, w):
    return _inside(a, w, h)


def _near_edges(a, h, w):
    return (a[:, :2] >= 0).all(axis=1)


def _centre(a, h, w):
    centre = (a[:, :2] + a[:, 2:]) / 2
    return (centre >= 0).all(axis=1) & (centre <= [h, w]).all(axis=1)


INSIDE = Exercise(
    name="inside_image",
    notebook=NOTEBOOK,
    title="Anchors that do not cross the border",
    reference=_inside,
    cases=_inside_cases,
    returns="true or false for each anchor",
    kinds={"no anchors at all": "no anchors have no answers: an empty array, not a number."},
    mistakes=(
        Mistake(
            "an anchor that ends exactly at the border does not cross it yet: the far edge of "
            "a box is the first pixel that is not in it.",
            _strictly,
        ),
        Mistake(
            "you say yes to anchors that are only partly in the picture: all four edges have "
            "to be inside.",
            _meets,
        ),
        Mistake("right for square pictures: which comes first in a box, y or x?", _transposed),
        Mistake("two of the four borders are not looked at yet: bottom and right.", _near_edges),
        Mistake("an anchor whose centre is in the picture may still stick out.", _centre),
    ),
    hints=(
        "A box sticks out at the top if its y1 is negative. What about the other three sides?",
        "Four comparisons, one an edge, joined by `&`; equal is still inside.",
    ),
)


def _match(iou, real, high, low):
    return match(tf.constant(iou), tf.constant(real), high, low, True).numpy()


def _match_cases(rng):
    for _ in range(4):
        yield Case("many anchors and a few objects", (*_overlaps(rng, 40, 4), 0.7, 0.3))
        yield Case("objects that no anchor fits well", (*_overlaps(rng, 12, 3, 0.5), 0.7, 0.3))
    exact = np.float32([[0.7, 0.1], [0.3, 0.2], [0.9, 0.1], [0.1, 0.8], [0.1, 0.05]])
    both = np.ones(2, bool)
    yield Case("IoUs that are exactly a threshold", (exact, both, 0.7, 0.3))
    ties = np.float32([[0.5, 0], [0.5, 0.1], [0.2, 0.9], [0.5, 0.2], [0.4, 0]])
    yield Case("two anchors that fit an object equally well", (ties, both, 0.7, 0.3))
    shared = np.float32([[0.6, 0.4], [0.65, 0.1], [0.2, 0.1], [0.1, 0.1]])
    yield Case("an anchor that is best for two objects", (shared, both, 0.7, 0.3))
    yield Case("a single threshold", (*_overlaps(rng, 20, 3), 0.5, 0.5))
    iou, _ = _overlaps(rng, 20, 3)
    padded = np.pad(iou, ((0, 0), (1, 2)))
    yield Case("padding", (padded, np.array([0, 1, 1, 1, 0, 0], bool), 0.7, 0.3))
    yield Case("no objects", (np.zeros((5, 0), "f4"), np.zeros(0, bool), 0.7, 0.3))
    yield Case("nothing but padding", (np.zeros((5, 2), "f4"), np.zeros(2, bool), 0.7, 0.3))


def _overlaps(rng, anchors, objects, scale=1.0):
    """Typical IoUs, most of them near 0, a few high, none exactly 0; and no padding."""
    iou = (0.02 + 0.96 * rng.uniform(0, 1, (anchors, objects)) ** 3) * scale
    return iou.astype("f4"), np.ones(objects, bool)


def _wrong_match(
    iou, real, high, low, *, rule="own", above=np.greater_equal, ignored=IGNORED, below=np.less
):
    """The matching rule, with one of its parts replaced."""
    if not real.any():
        return np.full(len(iou), BACKGROUND, "i4")
    objects, iou = np.flatnonzero(real).astype("i4"), iou[:, real]
    best, value = objects[iou.argmax(axis=1)], iou.max(axis=1)
    matches = np.where(above(value, np.float32(high)), best, ignored).astype("i4")
    matches[below(value, np.float32(low))] = BACKGROUND
    if rule == "own":
        top = (iou == iou.max(axis=0)).any(axis=1)
        matches[top] = best[top]
    elif rule == "first":
        top = iou.argmax(axis=0)
        matches[top] = best[top]
    elif rule == "forced":
        for g in range(iou.shape[1]):
            matches[iou[:, g] == iou[:, g].max()] = objects[g]
    return matches


def _no_best(*args):
    return _wrong_match(*args, rule="none")


def _one_of_a_tie(*args):
    return _wrong_match(*args, rule="first")


def _to_that_object(*args):
    return _wrong_match(*args, rule="forced")


def _above_only(*args):
    return _wrong_match(*args, above=np.greater)


def _up_to_low(*args):
    return _wrong_match(*args, below=np.less_equal)


def _nothing_ignored(*args):
    return _wrong_match(*args, ignored=BACKGROUND)


def _padding_matched(iou, real, high, low):
    return _wrong_match(iou, np.ones(iou.shape[1], bool), high, low)


MATCH = Exercise(
    name="match_anchors",
    notebook=NOTEBOOK,
    title="Repair a matcher of anchors and objects",
    reference=_match,
    cases=_match_cases,
    returns="one whole number for each anchor",
    kinds={
        "no objects": "without objects there is no largest IoU: everything is background then.",
        "nothing but padding": "an image whose boxes are all padding has no objects.",
        "padding": "a box of padding must neither be matched nor have a best anchor; the others "
        "keep their indices.",
        "a single threshold": "where both thresholds are equal, nothing is ignored.",
    },
    mistakes=(
        Mistake(
            "right for anchors above the threshold; but some object is left without any "
            "positive anchor. What does the second rule say?",
            _no_best,
        ),
        Mistake(
            "if two anchors fit an object equally well, both are its best: one position of "
            "the maximum is not enough.",
            _one_of_a_tie,
        ),
        Mistake(
            "an anchor that is the best one of some object becomes positive, yes, but what "
            "does *it* overlap most? That is what it is matched to.",
            _to_that_object,
        ),
        Mistake("an IoU that is exactly the upper threshold is enough.", _above_only),
        Mistake("an IoU that is exactly the lower threshold is not background yet.", _up_to_low),
        Mistake(
            "an anchor with an IoU of at least `low`, but below `high`, is ignored: it is not "
            "background.",
            _nothing_ignored,
        ),
        Mistake(
            "all is right but for the padding: a box that overlaps nothing still has a best "
            "anchor, all of them in fact.",
            _padding_matched,
        ),
    ),
    hints=(
        "Run the small case by hand: which anchors are positive, which ignored? Compare with "
        "what each line of the code does.",
        "Look at the third line (what should it write?), at the fourth (ties, and whose object?), "
        "and at the columns of padding, which should be taken out first.",
        "Without padding, iou == iou.max(axis=0) marks the best anchors of each object, ties and "
        "all; an anchor that is marked anywhere in its row gets its own best object.",
    ),
)

EXERCISES = (INSIDE, MATCH)
