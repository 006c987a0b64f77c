"""The exercises of notebook 02, first half: the labels of anchors, sampling, objectness loss."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.anchors_and_iou import random_boxes
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.ops.matching import BACKGROUND, IGNORED, match, sample

NOTEBOOK = "02_rpn_targets"


# --- inside_image: which anchors do not cross the border --------------------------------


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


# --- match_anchors: an object's index, BACKGROUND or IGNORED ----------------------------


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


# --- sample_anchors: at most number, at most a fraction of them positive ----------------


def _sample(positive, negative, number, fraction, priority):
    positive, negative, priority = (tf.constant(x)[None] for x in (positive, negative, priority))
    taken = sample(positive, negative, number, fraction, priority)
    return tuple(flags.numpy()[0] for flags in taken)


def _sample_cases(rng):
    for _ in range(3):
        yield Case("many anchors, few of them positive", _drawn(rng, 200, 0.03, 32))
        yield Case("more positives than wanted", _drawn(rng, 100, 0.5, 32))
    yield Case(
        "another share of positives", (*_drawn(rng, 100, 0.5, 20)[:3], 0.25, _priority(rng, 100))
    )
    yield Case("no positives", _drawn(rng, 60, 0.0, 16))
    yield Case("fewer anchors than wanted", _drawn(rng, 12, 0.3, 40))
    nothing = np.zeros(9, bool)
    yield Case("nothing to sample", (nothing, nothing, 4, 0.5, _priority(rng, 9)))


def _drawn(rng, anchors, share, number):
    kind = rng.uniform(0, 1, anchors)
    return kind < share, kind > 0.8 * share + 0.2, number, 0.5, _priority(rng, anchors)


def _priority(rng, anchors):
    return rng.permutation(anchors).astype("f4") / anchors


def _highest(flags, priority, count):
    order = np.argsort(-np.where(flags, priority, -np.inf), kind="stable")
    chosen = np.zeros(len(flags), bool)
    chosen[order[: max(count, 0)]] = True
    return chosen & flags


def _no_limit(positive, negative, number, fraction, priority):
    chosen = _highest(positive, priority, number)
    return chosen, _highest(negative, priority, number - chosen.sum())


def _not_filled_up(positive, negative, number, fraction, priority):
    half = int(number * fraction)
    return _highest(positive, priority, half), _highest(negative, priority, number - half)


def _as_many_of_each(positive, negative, number, fraction, priority):
    chosen = _highest(positive, priority, int(number * fraction))
    return chosen, _highest(negative, priority, chosen.sum())


def _lowest(positive, negative, number, fraction, priority):
    return _sample(positive, negative, number, fraction, -priority)


def _first_ones(positive, negative, number, fraction, priority):
    return _sample(positive, negative, number, fraction, -np.arange(len(priority), dtype="f4"))


def _neutral_too(positive, negative, number, fraction, priority):
    return _sample(positive, ~positive, number, fraction, priority)


SAMPLE = Exercise(
    name="sample_anchors",
    notebook=NOTEBOOK,
    title="Draw a balanced sample",
    reference=_sample,
    cases=_sample_cases,
    returns="two arrays of true and false: positives taken, negatives taken",
    kinds={
        "nothing to sample": "where there is nothing, nothing is taken: two arrays of false.",
        "fewer anchors than wanted": "there may be fewer anchors than you want to take.",
    },
    mistakes=(
        Mistake("you take more positives than their share of the sample allows.", _no_limit),
        Mistake(
            "where positives are rare your sample is not full: who may have the places that "
            "they leave?",
            _not_filled_up,
        ),
        Mistake(
            "as many negatives as positives would be balanced, but the sample has a size: "
            "with two positives you would look at four anchors.",
            _as_many_of_each,
        ),
        Mistake("the highest priority is taken first; yours are the lowest.", _lowest),
        Mistake(
            "you take the first ones in the list: always the top of the picture. What was "
            "priority for?",
            _first_ones,
        ),
        Mistake(
            "an anchor that is not positive need not be negative: some are neither.", _neutral_too
        ),
    ),
    hints=(
        "First the positives: at most number × fraction of them. Then count how many you took.",
        "Negatives fill up what is left of `number`.",
        "To take the k best of those that are eligible: give the others a priority of minus "
        "infinity, sort, take the first k, and drop what was not eligible.",
    ),
)


# --- objectness_loss: mean cross-entropy over the sample --------------------------------


def _loss(logits, positive, negative):
    given = (tf.constant(x)[None] for x in (logits, positive, negative))
    return float(losses.objectness_loss(*given))


def _loss_cases(rng):
    for _ in range(4):
        yield Case("logits as they come", _answers(rng, 30, 2.0))
        yield Case("a few sampled among many", _answers(rng, 300, 2.0, 0.05))
    yield Case("logits of a new network", (np.zeros(8, "f4"), *_answers(rng, 8, 1.0)[1:]))
    yield Case("very large logits", _answers(rng, 12, 300.0, 0.9))
    logits, positive, _ = _answers(rng, 12, 2.0)
    yield Case("positives only", (logits, positive, np.zeros(12, bool)))
    yield Case("nothing sampled", (np.ones(5, "f4"), np.zeros(5, bool), np.zeros(5, bool)))


def _answers(rng, anchors, size, share=0.5):
    kind = rng.uniform(0, 1, anchors)
    return rng.normal(0, size, anchors).astype("f4"), kind < share / 3, kind > 1 - share * 2 / 3


def _entropy(logits, labels):
    with np.errstate(all="ignore"):
        return np.logaddexp(0.0, np.float64(logits)) - logits * labels


def _mean(values, counted):
    return float(values[counted].mean()) if counted.any() else 0.0


def _over_all(logits, positive, negative):
    return float((_entropy(logits, positive) * (positive | negative)).mean())


def _neutral_as_negative(logits, positive, negative):
    return float(_entropy(logits, positive).mean())


def _summed(logits, positive, negative):
    return float(_entropy(logits, positive)[positive | negative].sum())


def _positives_only(logits, positive, negative):
    return _mean(_entropy(logits, positive), positive)


def _labels_inverted(logits, positive, negative):
    return _mean(_entropy(logits, negative), positive | negative)


def _overflowing(logits, positive, negative):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-logits))
        values = -np.where(positive, np.log(p), np.log(1 - p))
    return _mean(values, positive | negative)


def _mean_of_nothing(logits, positive, negative):
    counted = positive | negative
    with np.errstate(all="ignore"):
        return float(_entropy(logits, positive)[counted].sum() / np.float64(counted.sum()))


LOSS = Exercise(
    name="objectness_loss",
    notebook=NOTEBOOK,
    title="The objectness loss of a sample",
    reference=_loss,
    cases=_loss_cases,
    returns="one number",
    kinds={
        "nothing sampled": "nothing sampled costs nothing: say 0.",
        "very large logits": "what does your formula do where the logit is 300, or −300?",
    },
    mistakes=(
        Mistake(
            "you divide by the number of all anchors; the mean is over the sampled ones.", _over_all
        ),
        Mistake(
            "anchors that were not sampled are in your mean, too, as if their answer had to be no.",
            _neutral_as_negative,
        ),
        Mistake("that is a sum. With twice the sample it would be twice as large.", _summed),
        Mistake(
            "a network that says yes to everything would have no loss with yours: negatives "
            "count as well.",
            _positives_only,
        ),
        Mistake("look at the labels: which of the two kinds has the label 1?", _labels_inverted),
        Mistake(
            "right for logits of ordinary size; for large ones the exponential is infinite, or "
            "the logarithm is that of 0. Can the loss be written with log(1 + e^x) alone?",
            _overflowing,
        ),
        Mistake("right wherever something is sampled: and if nothing is?", _mean_of_nothing),
    ),
    hints=(
        "The loss of one anchor is −log p where it is positive and −log(1 − p) where it is "
        "negative, with p = 1 / (1 + e^−x).",
        "Both are softplus: log(1 + e^−x) for a positive, log(1 + e^x) for a negative anchor. "
        "NumPy's logaddexp(0, x) computes log(1 + e^x) and does not overflow.",
        "Mean over positive | negative; 0 where there are none.",
    ),
)

# --- diagnose_targets: from counts of labels to the cause ------------------------------


def _diagnose(positive, negative, objects, without, most_each=10, order=(1, 2, 3)):
    found = {
        1: positive > negative,
        2: without > 0,
        3: positive >= most_each * objects,
    }
    return next((cause for cause in order if found[cause]), 0)


def _runs(rng):
    yield Case("a run in which nothing is wrong", (4.7, 4006.0, 3.0, 0.0))
    yield Case("a run in which padding was matched", (4000.0, 40.0, 3.0, 0.0))
    yield Case("a run without the best-anchor rule", (1.0, 4006.0, 3.0, 2.0))
    yield Case("a run with one low threshold", (85.8, 4006.0, 3.0, 0.0))
    yield Case("a run with exactly ten positives an object", (30.0, 4000.0, 3.0, 0.0))
    yield Case("a run with two causes", (90.0, 4000.0, 3.0, 0.1))
    yield Case("a run with two causes", (4000.0, 40.0, 3.0, 1.0))
    yield Case("images with many objects", (120.0, 3900.0, 40.0, 0.0))


DIAGNOSE = Exercise(
    name="diagnose_targets",
    notebook=NOTEBOOK,
    title="Which rule is broken? Tell it from the labels",
    reference=_diagnose,
    cases=_runs,
    returns="one whole number from 0 to 3",
    kinds={
        "images with many objects": "120 anchors are not many for 40 objects: compare with the "
        "number of objects.",
        "a run with two causes": "several causes fit; the order in which you test them counts.",
    },
    mistakes=(
        Mistake(
            "40 objects may well have 120 positive anchors: what is the number compared with?",
            lambda positive, negative, objects, without: _diagnose(
                positive, negative, 3.0, without
            ),
        ),
        Mistake(
            "ten positive anchors for each object are enough for cause 3, not more than ten.",
            lambda *args: _diagnose(*args, most_each=10.001),
        ),
        Mistake(
            "where several causes fit, test for padding first and for the low threshold last.",
            lambda *args: _diagnose(*args, order=(3, 2, 1)),
        ),
        Mistake(
            "where some objects have no anchor and many anchors are positive, which comes first?",
            lambda *args: _diagnose(*args, order=(1, 3, 2)),
        ),
        Mistake(
            "a run can be right: then the answer is 0.",
            lambda *args: _diagnose(*args) or 3,
        ),
    ),
    hints=(
        "In the table of rules above, which column changes for which rule?",
        "Padding: more positive than negative anchors. No best-anchor rule: objects without an "
        "anchor. One low threshold: at least ten positive anchors for each object.",
    ),
)

EXERCISES = (INSIDE, MATCH, SAMPLE, LOSS, DIAGNOSE)
