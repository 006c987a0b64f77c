"""The exercises of notebook 01a on IoU."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.random_boxes import random_boxes
from labkit.ops import boxes as box_ops

NOTEBOOK = "01a_boxes_and_iou"


def _iou(a, b):
    return float(box_ops.iou(np.float32([a]), np.float32([b]))[0, 0])


def _iou_cases(rng):
    for a in random_boxes(rng, 4):
        yield Case("a box with itself", (a, a.copy()))
        yield Case("boxes that overlap", (a, a + np.float32([1, 2, 3, 0.5])))
        yield Case("boxes apart along one axis", (a, a + np.float32([0, 200, 0, 200])))
        yield Case("boxes apart along both axes", (a, a + np.float32([200, 200, 200, 200])))
    yield Case("boxes that only touch", (np.float32([0, 0, 2, 2]), np.float32([0, 2, 2, 4])))
    yield Case("a box inside another", (np.float32([0, 0, 8, 8]), np.float32([2, 2, 4, 6])))
    yield Case("boxes without area", (np.float32([3, 3, 3, 3]), np.float32([3, 3, 3, 3])))


def _sides(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])


def _area(a):
    return (a[2] - a[0]) * (a[3] - a[1])


def _safe(shared, union):
    return float(shared / union) if union > 0 else 0.0


def _unclamped(a, b):
    h, w = _sides(a, b)
    return _safe(h * w, _area(a) + _area(b) - h * w)


def _union_with_shared_twice(a, b):
    h, w = np.maximum(_sides(a, b), 0)
    return _safe(h * w, _area(a) + _area(b))


def _one_more_pixel(a, b):
    h, w = (max(s + 1, 0) for s in _sides(a, b))
    plus = [(x[2] - x[0] + 1) * (x[3] - x[1] + 1) for x in (a, b)]
    return _safe(h * w, sum(plus) - h * w)


def _over_the_smaller(a, b):
    h, w = np.maximum(_sides(a, b), 0)
    return _safe(h * w, min(_area(a), _area(b)))


def _divides_by_zero(a, b):
    h, w = np.maximum(_sides(a, b), 0)
    with np.errstate(all="ignore"):
        return np.float64(h * w) / np.float64(_area(a) + _area(b) - h * w)


IOU = Exercise(
    name="iou",
    notebook=NOTEBOOK,
    title="IoU of two boxes",
    reference=_iou,
    cases=_iou_cases,
    returns="one number",
    kinds={
        "boxes apart along one axis": "what is the height and the width of nothing?",
        "boxes without area": "two boxes without area share nothing and cover nothing: say 0.",
    },
    mistakes=(
        Mistake(
            "boxes far apart along both axes have two negative sides, and minus times minus is "
            "plus: look at the sign of the intersection's sides.",
            _unclamped,
        ),
        Mistake(
            "the pixels in both boxes are counted in each of them: is your union too large?",
            _union_with_shared_twice,
        ),
        Mistake(
            "your boxes are a pixel too long on each side: the far edge does not belong to the "
            "box, so its height is y2 − y1.",
            _one_more_pixel,
        ),
        Mistake(
            "that is how much of the smaller box is covered; a huge prediction around a tiny "
            "object would be perfect. What should it be divided by?",
            _over_the_smaller,
        ),
        Mistake(
            "right wherever there is something to divide by: what if both boxes are empty?",
            _divides_by_zero,
        ),
    ),
    hints=(
        "Begin with the intersection: where is its top, if box A begins at y = 10 and B at y = 30?",
        "Its top is the larger of the two tops, its bottom the smaller of the two bottoms; if the "
        "bottom comes before the top, there is no intersection.",
        "union = area(A) + area(B) − intersection; divide, unless the union is 0.",
    ),
)


def _iou_matrix(a, b):
    return box_ops.iou(np.float32(a), np.float32(b)).numpy()


def _iou_matrix_cases(rng):
    for n, m in ((3, 5), (6, 2)):
        yield Case("many boxes", (random_boxes(rng, n), random_boxes(rng, m)))
    apart = random_boxes(rng, 4)
    yield Case("boxes far apart", (apart, apart + np.float32(300)))
    yield Case("one box each", (random_boxes(rng, 1), random_boxes(rng, 1)))
    yield Case("as many boxes on both sides", (random_boxes(rng, 4), random_boxes(rng, 4)))
    none = np.zeros((0, 4), np.float32)
    yield Case("no boxes on one side", (none, random_boxes(rng, 3)))
    yield Case("no boxes on one side", (random_boxes(rng, 3), none))
    flat = np.float32([[3, 3, 3, 3], [0, 0, 9, 9]])
    yield Case("boxes without area", (flat, flat))
    whole = random_boxes(rng, 3).astype(int)
    yield Case("whole-number boxes", (whole, whole[:2] + 2))


def matrix_of(a, b, union=None, clamp=True):
    """IoU of all pairs, with the mistakes named by the arguments."""
    a, b = np.asarray(a, float)[:, None], np.asarray(b, float)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = (np.maximum(sides, 0) if clamp else sides).prod(axis=-1)
    areas = ((x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (a, b))
    below = (union or (lambda p, q, s: p + q - s))(*areas, shared)
    with np.errstate(all="ignore"):
        return np.where(below > 0, shared / below, 0.0)


def _pair_by_pair(a, b):
    count = min(len(a), len(b))
    return np.diagonal(matrix_of(a[:count], b[:count])).copy()


def _transposed(a, b):
    return matrix_of(a, b).T


def _matrix_unclamped(a, b):
    return matrix_of(a, b, clamp=False)


def _matrix_double_union(a, b):
    return matrix_of(a, b, union=lambda p, q, s: p + q + 0 * s)


def _matrix_with_nan(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    found = matrix_of(a, b)
    empty = (a[:, 2:] <= a[:, :2]).any(1)[:, None] & (b[:, 2:] <= b[:, :2]).any(1)[None]
    return np.where(empty, np.nan, found)


IOU_MATRIX = Exercise(
    name="iou_matrix",
    notebook=NOTEBOOK,
    title="IoU of every box with every other, without a loop",
    reference=_iou_matrix,
    cases=_iou_matrix_cases,
    returns="an array [N, M]",
    kinds={
        "no boxes on one side": "with no boxes the answer is an array of no rows, or no columns: "
        "array arithmetic gives it by itself, a loop that stacks rows does not.",
        "boxes without area": "where the union is empty the IoU is 0: mind the division.",
        "whole-number boxes": "is there an array that you fill in? It may have the type of the "
        "boxes, and whole numbers cut off the fractions.",
    },
    mistakes=(
        Mistake(
            "you compare the first box with the first and the second with the second; every "
            "box must meet every other, so one of the two needs another axis.",
            _pair_by_pair,
        ),
        Mistake(
            "the right numbers lie on their side: a row for each box of the first argument.",
            _transposed,
        ),
        Mistake(
            "boxes far apart along both axes share a lot, you say: what becomes of two "
            "negative sides?",
            _matrix_unclamped,
        ),
        Mistake("what both boxes cover is counted twice below the line.", _matrix_double_union),
        Mistake(
            "right, but for two boxes without area you divide nothing by nothing.", _matrix_with_nan
        ),
    ),
    hints=(
        "`a[:, None, 0]` has shape [N, 1] and `b[None, :, 0]` shape [1, M]. What shape has the "
        "larger of the two, element by element?",
        "Do all four edges like that, then it reads as the function for two boxes did: tops, "
        "bottoms, heights that are at least 0, areas.",
        "Areas: [N, 1] plus [1, M] minus the shared [N, M]. Where that is 0, answer 0.",
    ),
)

EXERCISES = (IOU, IOU_MATRIX)
