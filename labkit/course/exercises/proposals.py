"""The exercises of notebook 02b: which proposals stay, and what they cover."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.random_boxes import random_boxes
from labkit.evaluation.proposal_recall import recall
from labkit.ops import boxes as box_ops
from labkit.ops.nms import nms

NOTEBOOK = "02b_proposals"


def _overlap(a, b):
    return box_ops.iou(a, b).numpy()


# --- recall_at: the share of objects that the best proposals cover ----------------------


def _recall(proposals, objects, most, iou):
    return recall([proposals], [objects], iou, most)


def _recall_cases(rng):
    for _ in range(4):
        objects = random_boxes(rng, 8)
        shifted = objects[:6] + rng.uniform(-4, 4, (6, 4)).astype("f4")
        around = np.concatenate([random_boxes(rng, 10), shifted, random_boxes(rng, 4)])
        yield Case("proposals near some of the objects", (around, objects, 20, 0.5))
        yield Case("only the best few", (around, objects, 12, 0.5))
        yield Case("a higher threshold", (around, objects, 20, 0.8))
    square = np.float32([[0, 0, 10, 10]])
    half = np.float32([[0, 0, 5, 10]])
    yield Case("an IoU that is exactly the threshold", (half, square, 5, 0.5))
    two = np.concatenate([square, square + 50])
    yield Case("several proposals on one object", (np.tile(square, (5, 1)), two, 5, 0.5))
    yield Case("no proposals", (np.zeros((0, 4), "f4"), square, 5, 0.5))
    yield Case("no objects", (square, np.zeros((0, 4), "f4"), 5, 0.5))


def _best(proposals, objects, axis):
    return _overlap(proposals, objects).max(axis=axis, initial=0.0)


def _share(flags):
    return float(np.mean(flags)) if len(flags) else float("nan")


def _precision(proposals, objects, most, iou):
    return _share(_best(proposals[:most], objects, 1) >= iou)


def _of_all(proposals, objects, most, iou):
    return _share(_best(proposals, objects, 0) >= iou)


def _last_ones(proposals, objects, most, iou):
    return _share(_best(proposals[-most:], objects, 0) >= iou)


def _above_only(proposals, objects, most, iou):
    return _share(_best(proposals[:most], objects, 0) > iou)


def _mean_overlap(proposals, objects, most, iou):
    return _share(_best(proposals[:most], objects, 0))


def _pairs(proposals, objects, most, iou):
    hits = (_overlap(proposals[:most], objects) >= iou).sum()
    return float(hits / len(objects)) if len(objects) else float("nan")


RECALL = Exercise(
    name="recall_at",
    notebook=NOTEBOOK,
    title="Recall of the best proposals",
    reference=_recall,
    cases=_recall_cases,
    returns="one number",
    kinds={
        "no proposals": "without proposals every object is missed: the share is 0.",
        "no objects": "without objects there is no share: the answer is NaN.",
    },
    mistakes=(
        Mistake(
            "you count the proposals that hit something, which is precision. Recall asks each "
            "object whether it was hit.",
            _precision,
        ),
        Mistake("right where all proposals may be looked at; what did `most` say?", _of_all),
        Mistake("the best proposals come first in the list, not last.", _last_ones),
        Mistake("an overlap of exactly the threshold counts as covered.", _above_only),
        Mistake(
            "that is the mean of the overlaps; how many of them are good enough?", _mean_overlap
        ),
        Mistake(
            "an object that five proposals cover is still one object, but you count it five times.",
            _pairs,
        ),
    ),
    hints=(
        "Take the first `most` proposals, and the matrix of IoUs of proposals with objects.",
        "Each object has a column: what is the largest number in it? With `initial=0.0`, the "
        "maximum of nothing is 0.",
        "The share of objects whose best IoU is at least the threshold is the mean of true and "
        "false.",
    ),
)


# --- nms: greedy suppression ------------------------------------------------------------


def _nms(boxes, scores, threshold):
    return nms(boxes, scores, threshold).numpy()


def _nms_cases(rng):
    for _ in range(4):
        boxes = random_boxes(rng, 25, 40.0)
        yield Case("overlapping boxes in any order", (boxes, _scores(rng, 25), 0.3))
    # The middle one is suppressed by the first, so it cannot suppress the third.
    chain = np.float32([[0, 6, 10, 16], [0, 3, 10, 13], [0, 0, 10, 10], [0, 9, 10, 19]])
    yield Case("a chain of boxes", (chain, np.float32([0.9, 0.8, 0.7, 0.6]), 0.4))
    half = np.float32([[0, 0, 10, 10], [0, 0, 5, 10], [0, 30, 9, 39]])
    yield Case("an IoU that is exactly the threshold", (half, np.float32([0.9, 0.8, 0.7]), 0.5))
    inside = np.float32([[0, 0, 20, 20], [5, 5, 12, 12]])
    yield Case("a small box inside a large one", (inside, np.float32([0.6, 0.9]), 0.5))
    same = np.tile(np.float32([[3, 3, 9, 9]]), (4, 1))
    yield Case("boxes and scores that are all equal", (same, np.full(4, 0.5, "f4"), 0.5))
    yield Case("one box", (half[:1], np.float32([0.2]), 0.5))
    yield Case("boxes without area", (np.zeros((3, 4), "f4"), _scores(rng, 3), 0.5))
    yield Case("no boxes at all", (np.zeros((0, 4), "f4"), np.zeros(0, "f4"), 0.5))


def _scores(rng, count):
    return (rng.permutation(count).astype("f4") + 1) / (count + 1)


def _greedy(overlap, order, threshold, suppresses=np.greater):
    kept = []
    for i in order:
        if not any(suppresses(overlap[k, i], np.float32(threshold)) for k in kept):
            kept.append(int(i))
    return np.array(kept, "i4")


def _by_score(scores):
    return np.argsort(-scores, kind="stable")


def _in_the_order_given(boxes, scores, threshold):
    return _greedy(_overlap(boxes, boxes), range(len(boxes)), threshold)


def _worst_first(boxes, scores, threshold):
    return _greedy(_overlap(boxes, boxes), np.argsort(scores, kind="stable"), threshold)


def _suppressed_ones_suppress(boxes, scores, threshold):
    order, overlap = _by_score(scores), _overlap(boxes, boxes)
    kept = [i for n, i in enumerate(order) if not (overlap[order[:n], i] > threshold).any()]
    return np.array(kept, "i4")


def _at_the_threshold(boxes, scores, threshold):
    return _greedy(_overlap(boxes, boxes), _by_score(scores), threshold, np.greater_equal)


def _by_index(boxes, scores, threshold):
    return np.sort(_nms(boxes, scores, threshold))


def _over_the_smaller(boxes, scores, threshold):
    area = box_ops.area(boxes).numpy()
    smaller = np.maximum(np.minimum(area[:, None], area[None]), 1e-9)
    return _greedy(
        box_ops.intersection(boxes, boxes).numpy() / smaller, _by_score(scores), threshold
    )


NMS = Exercise(
    name="nms",
    notebook=NOTEBOOK,
    title="Non-maximum suppression",
    reference=_nms,
    cases=_nms_cases,
    returns="the indices of the boxes kept, best score first",
    kinds={
        "no boxes at all": "no boxes: nothing is kept, an empty array of whole numbers.",
        "boxes without area": "a box without area overlaps nothing, not even itself.",
    },
    mistakes=(
        Mistake(
            "you go through the boxes in the order they were given; which one comes first?",
            _in_the_order_given,
        ),
        Mistake(
            "you begin with the lowest score: so the worst of many copies survives.",
            _worst_first,
        ),
        Mistake(
            "in a chain of boxes, one that is suppressed must not suppress others any more: "
            "compare with the boxes you kept, not with all that came before.",
            _suppressed_ones_suppress,
        ),
        Mistake(
            "only an IoU *above* the threshold suppresses; a box with exactly the threshold stays.",
            _at_the_threshold,
        ),
        Mistake("the right boxes in another order: the best score comes first.", _by_index),
        Mistake(
            "a small box inside a large one has a small IoU with it: what do you divide by?",
            _over_the_smaller,
        ),
    ),
    hints=(
        "Sort by score, highest first. The first box is kept whatever happens.",
        "Go through the others in that order, and keep a box if its IoU with every box *kept so "
        "far* is at most the threshold.",
        "kept = []; for i in order: if all IoUs of i with kept are low enough, append i. At the "
        "end make it an array of integers, also where it is empty.",
    ),
)

# --- soft_nms: lower the score instead of suppressing -----------------------------------


def _soft(boxes, scores, threshold, *, factor=lambda iou: 1 - iou, resort=True, at=np.greater):
    overlap, scores = _overlap(boxes, boxes), np.array(scores, np.float64)
    waiting = _by_score(scores).tolist()
    while waiting:
        best = max(waiting, key=lambda i: scores[i]) if resort else waiting[0]
        waiting.remove(best)
        for i in waiting:
            if at(overlap[best, i], np.float32(threshold)):
                scores[i] *= factor(overlap[best, i])
    return scores


def _soft_cases(rng):
    for _ in range(3):
        yield Case("overlapping boxes", (random_boxes(rng, 15, 40.0), _scores(rng, 15), 0.3))
    # The second box falls behind the third, which then comes first.
    row = np.float32([[0, 0, 10, 10], [0, 2, 10, 12], [0, 5, 10, 15]])
    yield Case("an order that changes", (row, np.float32([0.9, 0.8, 0.7]), 0.3))
    half = np.float32([[0, 0, 10, 10], [0, 0, 5, 10]])
    yield Case("an IoU that is exactly the threshold", (half, np.float32([0.9, 0.8]), 0.5))
    yield Case("boxes apart", (row + np.float32([[0], [20], [40]]), np.float32([0.2, 0.9, 0.5]), 0))
    yield Case("no boxes at all", (np.zeros((0, 4), "f4"), np.zeros(0, "f4"), 0.5))


def _set_to_zero(boxes, scores, threshold):
    return _soft(boxes, scores, threshold, factor=lambda iou: 0.0)


SOFT_NMS = Exercise(
    name="soft_nms",
    notebook=NOTEBOOK,
    title="Soft-NMS: lower the score instead of suppressing",
    reference=_soft,
    cases=_soft_cases,
    returns="the new score of each box, in the order of the boxes",
    kinds={
        "no boxes at all": "no boxes have no scores: an empty array.",
        "an order that changes": "after a score was lowered, another box may be the best of those "
        "that are left.",
    },
    mistakes=(
        Mistake("that suppresses: Soft-NMS multiplies by 1 − IoU, not by 0.", _set_to_zero),
        Mistake(
            "you multiply by the IoU: a box that overlaps *more* should lose more of its score.",
            lambda *args: _soft(*args, factor=lambda iou: iou),
        ),
        Mistake(
            "the order is decided anew in each step: the next box is the best by the *new* scores.",
            lambda *args: _soft(*args, resort=False),
        ),
        Mistake(
            "only an IoU above the threshold lowers a score.",
            lambda *args: _soft(*args, at=np.greater_equal),
        ),
    ),
    hints=(
        "It is NMS with one line changed: what happens to the boxes that overlap too much?",
        "Keep a list of the boxes that are waiting. In each step: find the best by score, take it "
        "out, and multiply the scores of those waiting that overlap it too much.",
    ),
)

EXERCISES = (RECALL, NMS, SOFT_NMS)
