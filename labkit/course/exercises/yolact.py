"""The exercises of notebook 09: masks from prototypes, Fast NMS, leaks, and hard negatives."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake

NOTEBOOK = "09_yolact"

# --- assembled: a mask from prototypes and coefficients -----------------------------------


def _assembled(prototypes, coefficients):
    return 1 / (1 + np.exp(-(prototypes @ coefficients)))


def _assembled_cases(rng):
    for h, w, k in ((3, 4, 2), (5, 5, 4)):
        yield Case(
            "coefficients of both signs",
            (rng.normal(size=(h, w, k)).round(2), rng.normal(size=k).round(2)),
        )
    yield Case("as many prototypes as columns", (rng.normal(size=(2, 3, 3)).round(2), np.ones(3)))
    yield Case("coefficients of zero", (rng.normal(size=(2, 2, 3)).round(2), np.zeros(3)))


def _plain_sum(prototypes, coefficients):
    return prototypes @ coefficients


def _mean_instead(prototypes, coefficients):
    return 1 / (1 + np.exp(-(prototypes * coefficients).mean(axis=-1)))


def _sigmoid_too_early(prototypes, coefficients):
    return (1 / (1 + np.exp(-prototypes))) @ coefficients


def _wrong_sign(prototypes, coefficients):
    return 1 / (1 + np.exp(prototypes @ coefficients))


def _thresholded(prototypes, coefficients):
    return (prototypes @ coefficients > 0).astype(float)


ASSEMBLED = Exercise(
    name="assembled",
    notebook=NOTEBOOK,
    title="A mask from prototypes and coefficients",
    reference=_assembled,
    cases=_assembled_cases,
    returns="probabilities, height rows of width numbers",
    kinds={"coefficients of zero": "a sum of 0 is a probability of one half, everywhere."},
    mistakes=(
        Mistake(
            "the weighted sum is right, but it is a logit: the sigmoid is missing.", _plain_sum
        ),
        Mistake("the sum over the prototypes, not their mean.", _mean_instead),
        Mistake(
            "first the sum, then the sigmoid: yours are the other way round.", _sigmoid_too_early
        ),
        Mistake(
            "the sign in the exponent: a large sum must give a probability near 1.", _wrong_sign
        ),
        Mistake("probabilities, not true and false: the threshold comes later.", _thresholded),
    ),
    hints=(
        "A weighted sum over the last axis, and then the sigmoid.",
        "`prototypes @ coefficients` sums over the last axis.",
    ),
)

# --- cropped: nothing outside the box -----------------------------------------------------


def _centre_inside(shape, box):
    y, x = (np.arange(n) + 0.5 for n in shape)
    y1, x1, y2, x2 = box
    return ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))[None]


def _cropped(mask, box):
    return np.where(_centre_inside(mask.shape, box), mask, 0.0)


def _cropped_cases(rng):
    mask = rng.uniform(0.1, 1, (6, 8)).round(2)
    yield Case("a box between the cells", (mask, np.array([1.0, 2.0, 4.0, 7.0])))
    yield Case("a box through the cells", (mask, np.array([1.4, 2.6, 4.3, 6.8])))
    yield Case("a box beyond the border", (mask, np.array([-2.0, 3.2, 3.7, 20.0])))
    yield Case("an empty box", (mask, np.array([2.0, 2.0, 2.0, 2.0])))


def _swapped_axes(mask, box):
    return np.where(_centre_inside(mask.shape, box[[1, 0, 3, 2]]), mask, 0.0)


def _every_touched_cell(mask, box):
    wider = np.array([np.floor(box[0]), np.floor(box[1]), np.ceil(box[2]), np.ceil(box[3])])
    return np.where(_centre_inside(mask.shape, wider), mask, 0.0)


def _by_the_corner(mask, box):
    return np.where(_centre_inside(mask.shape, box + 0.5), mask, 0.0)


def _inside_out(mask, box):
    return np.where(_centre_inside(mask.shape, box), 0.0, mask)


def _cut_out(mask, box):
    y1, x1, y2, x2 = np.clip(np.round(box), 0, None).astype(int)
    return mask[y1:y2, x1:x2]


CROPPED = Exercise(
    name="cropped",
    notebook=NOTEBOOK,
    title="A mask that ends at its box",
    reference=_cropped,
    cases=_cropped_cases,
    returns="numbers, in the shape of the mask",
    kinds={
        "a box beyond the border": "a box may begin before 0 and end beyond the map.",
        "a box through the cells": "which cells count where the box ends inside one? Those whose "
        "centre is inside.",
    },
    mistakes=(
        Mistake("a box is (y1, x1, y2, x2): yours takes rows for columns.", _swapped_axes),
        Mistake(
            "a cell counts if its centre is inside, not if the box touches it.", _every_touched_cell
        ),
        Mistake("the centre of the first cell is at 0.5: yours tests its corner.", _by_the_corner),
        Mistake("the other way round: the inside is kept.", _inside_out),
        Mistake(
            "the shape stays the same: set what is outside to 0 and cut nothing off.", _cut_out
        ),
    ),
    hints=(
        "Compare the centres of the rows with y1 and y2, those of the columns with x1 and x2.",
        "Centres are `np.arange(n) + 0.5`. Combine a column of rows with a row of columns.",
    ),
)

# --- fast_keep: Fast NMS without a loop ---------------------------------------------------


def _fast_keep(overlap, threshold):
    return np.triu(overlap, 1).max(axis=0, initial=0) <= threshold


def _overlaps(rng, n):
    upper = np.triu(rng.uniform(0, 1, (n, n)).round(2), 1)
    return upper + upper.T + np.eye(n)


def _fast_cases(rng):
    for n in (5, 8):
        yield Case("boxes that overlap", (_overlaps(rng, n), 0.6))
    chain = np.eye(3)
    chain[0, 1] = chain[1, 0] = chain[1, 2] = chain[2, 1] = 0.7
    yield Case("a chain of three boxes", (chain, 0.5))
    equal = np.eye(2)
    equal[0, 1] = equal[1, 0] = 0.5
    yield Case("an IoU equal to the threshold", (equal, 0.5))
    yield Case("no box", (np.zeros((0, 0)), 0.5))


def _greedy(overlap, threshold):
    keep = np.ones(len(overlap), bool)
    for i in range(len(overlap)):
        if keep[i]:
            keep[i + 1 :] &= overlap[i, i + 1 :] <= threshold
    return keep


def _with_itself(overlap, threshold):
    return np.triu(overlap).max(axis=0, initial=0) <= threshold


def _lower_scores(overlap, threshold):
    return np.tril(overlap, -1).max(axis=0, initial=0) <= threshold


def _equal_too(overlap, threshold):
    return np.triu(overlap, 1).max(axis=0, initial=0) < threshold


def _removed(overlap, threshold):
    return np.triu(overlap, 1).max(axis=0, initial=0) > threshold


FAST_KEEP = Exercise(
    name="fast_keep",
    notebook=NOTEBOOK,
    title="Fast NMS without a loop",
    reference=_fast_keep,
    cases=_fast_cases,
    returns="true and false, one for each box",
    kinds={"no box": "there may be no box at all: the maximum of nothing needs `initial=`."},
    mistakes=(
        Mistake(
            "that is ordinary NMS: in Fast NMS a box that was removed itself still removes others.",
            _greedy,
        ),
        Mistake("every box overlaps itself completely: leave the diagonal out.", _with_itself),
        Mistake("a box is removed by boxes with a *higher* score, those before it.", _lower_scores),
        Mistake("only an IoU above the threshold removes: equal to it is not above.", _equal_too),
        Mistake("true means kept; yours is true for the boxes that are removed.", _removed),
    ),
    hints=(
        "For each box, the largest IoU with any box before it.",
        "`np.triu(overlap, 1)` keeps the entries whose row comes before their column.",
    ),
)

# --- leak_share: how much of a mask lies outside its box ----------------------------------


def _leak_share(mask, box_mask):
    return float((mask & ~box_mask).sum() / mask.sum()) if mask.any() else 0.0


def _leak_cases(rng):
    box = np.zeros((6, 8), bool)
    box[1:5, 2:6] = True
    for _ in range(2):
        yield Case("a mask that leaks", (rng.uniform(size=(6, 8)) > 0.6, box))
    yield Case("a mask within its box", (box & (rng.uniform(size=(6, 8)) > 0.3), box))
    yield Case("an empty mask", (np.zeros((6, 8), bool), box))


def _of_the_box(mask, box_mask):
    return float((mask & ~box_mask).sum() / box_mask.sum())


def _of_the_image(mask, box_mask):
    return float((mask & ~box_mask).mean())


def _share_inside(mask, box_mask):
    return float((mask & box_mask).sum() / mask.sum()) if mask.any() else 0.0


def _one_minus_iou(mask, box_mask):
    return float(1 - (mask & box_mask).sum() / (mask | box_mask).sum())


LEAK_SHARE = Exercise(
    name="leak_share",
    notebook=NOTEBOOK,
    title="How much of a mask lies outside its box",
    reference=_leak_share,
    cases=_leak_cases,
    returns="one number",
    kinds={"an empty mask": "an empty mask leaks nothing: its share is 0."},
    mistakes=(
        Mistake(
            "a share of the mask, not of the box: divide by the cells of the mask.", _of_the_box
        ),
        Mistake("a share of the mask, not of the whole image.", _of_the_image),
        Mistake("that is the share inside the box; the leak is outside.", _share_inside),
        Mistake(
            "that is 1 − IoU: it also counts the cells of the box that the mask leaves out.",
            _one_minus_iou,
        ),
    ),
    hints=(
        "Count the cells of the mask that are not in the box. Divide by all cells of the mask.",
        "`mask & ~box_mask`, and mind the mask without any cell.",
    ),
)

# --- hard_negatives: the background anchors that teach most ------------------------------


def _hard_negatives(losses, positive, ratio):
    count = min(int(ratio * positive.sum()), int((~positive).sum()))
    ranked = np.argsort(np.where(positive, -np.inf, losses))[::-1]
    chosen = np.zeros(len(losses), bool)
    chosen[ranked[:count]] = True
    return chosen


def _negative_cases(rng):
    for n, positives in ((12, 2), (20, 3)):
        positive = np.zeros(n, bool)
        positive[rng.choice(n, positives, replace=False)] = True
        yield Case("more negatives than needed", (rng.permutation(n) / n, positive, 3))
    positive = np.array([True, True, True, False, False])
    yield Case("too few negatives", (np.array([0.9, 0.8, 0.7, 0.1, 0.3]), positive, 3))
    yield Case("no positive", (rng.permutation(6) / 6, np.zeros(6, bool), 3))


def _easiest(losses, positive, ratio):
    return _hard_negatives(-losses, positive, ratio)


def _positives_too(losses, positive, ratio):
    chosen = np.zeros(len(losses), bool)
    chosen[np.argsort(losses)[::-1][: int(ratio * positive.sum())]] = True
    return chosen


def _all_negatives(losses, positive, ratio):
    return ~positive


def _one_for_each(losses, positive, ratio):
    return _hard_negatives(losses, positive, 1)


HARD_NEGATIVES = Exercise(
    name="hard_negatives",
    notebook=NOTEBOOK,
    title="The background anchors that teach most",
    reference=_hard_negatives,
    cases=_negative_cases,
    returns="true and false, one for each anchor",
    kinds={
        "too few negatives": "there may be fewer negatives than you ask for: take all of them.",
        "no positive": "three for each positive: without a positive, none.",
    },
    mistakes=(
        Mistake("the hard ones have the *largest* loss.", _easiest),
        Mistake("a positive is never a negative, however large its loss.", _positives_too),
        Mistake("not all negatives: `ratio` of them for each positive.", _all_negatives),
        Mistake("`ratio` negatives for each positive, not one.", _one_for_each),
    ),
    hints=(
        "How many? `ratio` times the number of positives. Which? Those with the largest loss.",
        "Give the positives a loss of −∞, sort, and take the last ones.",
    ),
)

EXERCISES = (ASSEMBLED, CROPPED, FAST_KEEP, LEAK_SHARE, HARD_NEGATIVES)
