"""The exercises of notebook 04, second half: the losses of the heads over RoIs, a gradient."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.heads_and_losses import BETA, NOTEBOOK, rows_at
from labkit.ops import losses


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _mean(values):
    return float(values.mean()) if values.size else 0.0


# --- own_box_loss: summed over positives, divided by all samples -------------------------


def _box_loss(deltas, targets, positive, samples):
    return float(
        losses.box_loss(
            tf.constant(deltas),
            tf.constant(targets),
            tf.constant(positive),
            tf.constant(samples),
            BETA,
        )
    )


def _box_cases(rng):
    def case(kind, positive, samples, nonsense=0.0):
        positive = np.array(positive)
        deltas, targets = rng.normal(0, 0.5, (2, *positive.shape, 4)).astype("f4")
        targets[~positive] += np.float32(nonsense)
        return Case(kind, (deltas, targets, positive, np.int32(samples)))

    yield case("positives only", [True] * 3, 3)
    yield case("positives among negatives", [True, True, False, False, False], 5)
    yield case("padding beside the samples", [True, False, False, False], 3)
    yield case("targets that are not a number", [True, False, False], 3, np.nan)
    yield case("no positives", [False, False], 2)
    yield case("nothing sampled", [False, False], 0)


def _curve(deltas, targets):
    return np.asarray(losses.smooth_l1(tf.constant(deltas - targets), BETA))


def _over_positives(deltas, targets, positive, samples):
    return float(_curve(deltas, targets)[positive].sum() / max(positive.sum(), 1))


def _mean_of_the_four(deltas, targets, positive, samples):
    return float(_curve(deltas, targets)[positive].sum() / max(4 * samples, 1))


def _of_all_rois(deltas, targets, positive, samples):
    return float(_curve(deltas, targets).sum() / max(samples, 1))


def _multiplies_by_the_mask(deltas, targets, positive, samples):
    return float((_curve(deltas, targets) * positive[:, None]).sum() / max(samples, 1))


def _over_all_rows(deltas, targets, positive, samples):
    return float(_curve(deltas, targets)[positive].sum() / len(deltas))


OWN_BOX_LOSS = Exercise(
    name="own_box_loss",
    notebook=NOTEBOOK,
    title="The loss of the boxes",
    reference=_box_loss,
    cases=_box_cases,
    returns="one number",
    kinds={"nothing sampled": "nothing sampled is nothing to be wrong about: the loss is 0."},
    mistakes=(
        Mistake(
            "you divide by the positives; a batch with a single one would then weigh its box "
            "as much as a batch of a hundred. By what does labkit divide?",
            _over_positives,
        ),
        Mistake(
            "a quarter of what it should be: the four differences of a box are added, not "
            "averaged.",
            _mean_of_the_four,
        ),
        Mistake("background has no box to be wrong about: which rows count?", _of_all_rois),
        Mistake(
            "right until a target that does not count is NaN: nought times NaN is NaN. Choose "
            "the rows *before* you compute with them.",
            _multiplies_by_the_mask,
        ),
        Mistake(
            "some rows are padding, neither positive nor negative: the number of samples is "
            "given to you.",
            _over_all_rows,
        ),
    ),
    hints=(
        "Take the rows that are positive, and forget all others.",
        "The sum of smooth_l1(deltas[positive] − targets[positive], 1/9) over samples; or 0.",
    ),
)


# --- own_mask_loss: each RoI in the channel of its class ---------------------------------


def _mask_loss(logits, targets, classes, positive):
    index = np.maximum(classes - 1, 0)[:, None, None, None]
    own = np.take_along_axis(logits, index, -1)[..., 0]
    return float(losses.mask_loss(own[None], targets[None], positive[None]))


def _mask_cases(rng):
    def case(kind, classes, positive, scale=2.0):
        count = len(classes)
        logits = rng.normal(0, scale, (count, 6, 6, 3)).astype("f4")
        targets = rng.integers(0, 2, (count, 6, 6)).astype("f4")
        return Case(kind, (logits, targets, np.array(classes, "i4"), np.array(positive, bool)))

    yield case("one RoI", [2], [True])
    yield case("RoIs of several classes", [3, 1, 2, 2], [True] * 4)
    yield case("negatives among them", [1, 3, 0, 0], [True, True, False, False])
    yield case("very large logits", [1, 2], [True, True], 200.0)
    yield case("no positives", [0, 0], [False, False])
    yield case("no RoIs", [], [])


def _entropies(logits, targets):
    return np.logaddexp(0, np.float64(logits)) - targets * np.float64(logits)


def _own_channel(logits, classes):
    rows = np.moveaxis(logits, -1, 1).reshape(len(logits), 3, 36)
    return rows_at(rows, classes).reshape(-1, 6, 6)


def _all_channels(logits, targets, classes, positive):
    return _mean(_entropies(logits, targets[..., None])[positive])


def _off_by_one(logits, targets, classes, positive):
    return _mean(_entropies(_own_channel(logits, np.minimum(classes, 2)), targets)[positive])


def _negatives_too(logits, targets, classes, positive):
    return _mean(_entropies(_own_channel(logits, np.maximum(classes - 1, 0)), targets))


def _summed_over_cells(logits, targets, classes, positive):
    own = _entropies(_own_channel(logits, np.maximum(classes - 1, 0)), targets)
    return 36 * _mean(own[positive])


def _softmax_over_classes(logits, targets, classes, positive):
    p = np.clip(_softmax(np.float64(logits)), 1e-300, 1 - 1e-16)
    own = _own_channel(p, np.maximum(classes - 1, 0))
    return _mean(-(targets * np.log(own) + (1 - targets) * np.log(1 - own))[positive])


OWN_MASK_LOSS = Exercise(
    name="own_mask_loss",
    notebook=NOTEBOOK,
    title="The loss of the masks",
    reference=_mask_loss,
    cases=_mask_cases,
    returns="one number",
    kinds={
        "very large logits": "this is where your binary cross-entropy of the exercise above earns "
        "its keep.",
        "no positives": "the mean of nothing is 0/0: say 0.",
    },
    mistakes=(
        Mistake(
            "every channel is punished for the one object; the channels of the other classes "
            "should neither gain nor lose.",
            _all_channels,
        ),
        Mistake("class 1 draws into the first channel: are you one too far?", _off_by_one),
        Mistake("what should a RoI of background draw? Only positives count.", _negatives_too),
        Mistake("too large by the number of cells in a mask: sum or mean?", _summed_over_cells),
        Mistake(
            "you let the classes compete for each cell; each should answer its own question.",
            _softmax_over_classes,
        ),
    ),
    hints=(
        "First pick the channel of each RoI's class, as for the deltas; then it is the binary "
        "cross-entropy of two arrays [K, m, m].",
        "Mean over the cells and over the positives; 0 where there is none.",
    ),
)


# --- class_gradient: what the class loss does to the logits ------------------------------


def _class_gradient(logits, labels):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.class_loss(logits[None], labels[None], tf.ones_like(labels, tf.bool)[None])
    return tape.gradient(loss, logits).numpy()


def _gradient_cases(rng):
    yield Case("one RoI", (rng.normal(0, 1, (1, 4)).astype("f4"), np.int32([2])))
    yield Case("several RoIs", (rng.normal(0, 2, (5, 3)).astype("f4"), np.int32([0, 2, 1, 1, 0])))
    yield Case("equal logits", (np.zeros((2, 5), "f4"), np.int32([0, 3])))
    yield Case("very large logits", (np.float32([[900, 0, -900], [0, 900, 0]]), np.int32([0, 2])))
    yield Case("no RoIs", (np.zeros((0, 4), "f4"), np.zeros(0, "i4")))


def _truth(logits, labels):
    return np.eye(logits.shape[1])[labels]


def _only_probabilities(logits, labels):
    return _softmax(logits) / max(len(logits), 1)


def _downhill(logits, labels):
    return (_truth(logits, labels) - _softmax(logits)) / max(len(logits), 1)


def _of_the_sum(logits, labels):
    return _softmax(logits) - _truth(logits, labels)


def _of_sigmoids(logits, labels):
    p = 0.5 * (1 + np.tanh(0.5 * np.float64(logits)))
    return (p - _truth(logits, labels)) / max(len(logits), 1)


def _exploding_softmax(logits, labels):
    with np.errstate(all="ignore"):
        e = np.exp(logits)
        return (e / e.sum(-1, keepdims=True) - _truth(logits, labels)) / max(len(logits), 1)


CLASS_GRADIENT = Exercise(
    name="class_gradient",
    notebook=NOTEBOOK,
    title="The gradient of the class loss",
    reference=_class_gradient,
    cases=_gradient_cases,
    returns="an array of the shape of `logits`",
    kinds={"very large logits": "softmax of logits and of logits minus their maximum are equal."},
    mistakes=(
        Mistake(
            "a row of the gradient adds up to 0; yours to 1. What does the label do?",
            _only_probabilities,
        ),
        Mistake("that is the way downhill; the gradient points up.", _downhill),
        Mistake("right for one RoI; of several, the loss is the mean.", _of_the_sum),
        Mistake(
            "the classes exclude one another here: raising one logit must lower the "
            "probabilities of the others.",
            _of_sigmoids,
        ),
        Mistake("right until a logit is large: its exponential overflows.", _exploding_softmax),
    ),
    hints=(
        "The loss of one RoI is log(sum of exp(logits)) − the label's logit. Differentiate both.",
        "The derivative of the first is the softmax, of the second a 1 at the label; then a mean.",
    ),
)

# --- first_loss: which losses cannot come from a new network ----------------------------


def _expected(classes):
    return np.log([2, 1 + classes, 2])


def _first_loss(values, classes):
    return np.abs(np.asarray(values)[[0, 2, 4]] - _expected(classes)) > 0.2


def _first_losses(rng):
    for classes in (1, 4, 80):
        good = np.float32([0.69, 0.05, np.log(1 + classes), 0.002, 0.69])
        yield Case("a new network", (good + rng.uniform(-0.04, 0.04, 5).astype("f4"), classes))
        yield Case("a sum over the mask's cells", (good * [1, 1, 1, 1, 784], classes))
        yield Case("a class loss that is too small", (good - [0, 0, 0.5, 0, 0], classes))
        yield Case("large logits", (good + [2.5, 0, 7, 3, 4], classes))
        yield Case("large box losses", (good + [0, 3, 0, 2, 0], classes))


FIRST_LOSS = Exercise(
    name="first_loss",
    notebook=NOTEBOOK,
    title="Can these be the losses of a new network?",
    reference=_first_loss,
    cases=_first_losses,
    returns="three booleans: objectness, class, mask",
    kinds={
        "a class loss that is too small": "a value can also be too small: a new network cannot "
        "know that much.",
        "large box losses": "nothing is known of box losses in advance; which three values count?",
    },
    mistakes=(
        Mistake(
            "background is a class, too: how many classes does the softmax have?",
            lambda values, classes: (
                np.abs(np.asarray(values)[[0, 2, 4]] - np.log([2, max(classes, 1), 2])) > 0.2
            ),
        ),
        Mistake(
            "a loss that is too *small* is as impossible as one that is too large.",
            lambda values, classes: np.asarray(values)[[0, 2, 4]] - _expected(classes) > 0.2,
        ),
        Mistake(
            "you say which losses are right; the question is which are not.",
            lambda values, classes: ~_first_loss(values, classes),
        ),
        Mistake(
            "you took the first three values; the box losses are at the second and fourth place.",
            lambda values, classes: np.abs(np.asarray(values)[:3] - _expected(classes)) > 0.2,
        ),
    ),
    hints=(
        "With all logits at 0, what probability has each answer, and what is minus its logarithm?",
        "log 2 for objectness and mask, log(1 + classes) for the class. Then compare.",
    ),
)

EXERCISES = (OWN_BOX_LOSS, OWN_MASK_LOSS, CLASS_GRADIENT, FIRST_LOSS)
