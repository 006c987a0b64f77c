"""The exercises of notebook 04, first half: levels, elementwise losses, the box of a class."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.ops import losses, roi_pyramid

NOTEBOOK = "04_heads_and_losses"
BETA = 1 / 9


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


# --- level_of: the pyramid level of each box --------------------------------------------


def _level_of(boxes):
    return roi_pyramid.roi_level(tf.constant(boxes), 4).numpy()


def _sized(heights, widths):
    zero = np.zeros_like(heights)
    return np.stack([zero, zero, heights, widths], -1).astype("f4")


def _level_cases(rng):
    for _ in range(3):
        sides = np.exp(rng.uniform(np.log(60), np.log(800), (2, 9)))
        yield Case("boxes of ordinary sizes", (_sized(*sides),))
    exact = np.float32([112, 224, 448])
    yield Case("boxes of exactly 112, 224 and 448 px", (_sized(exact, exact),))
    yield Case("tiny and huge boxes", (_sized(*np.float32([[3, 5, 1500, 4000]] * 2)),))
    yield Case("boxes without area", (_sized(np.zeros(2), np.float32([0, 50])),))
    yield Case("a batch of images", (_sized(*rng.uniform(30, 600, (2, 2, 5))),))
    yield Case("no boxes at all", (np.zeros((0, 4), "f4"),))


def _octaves(boxes):
    with np.errstate(divide="ignore"):
        sides = boxes[..., 2:] - boxes[..., :2]
        return np.log2(np.sqrt(sides.prod(-1)) / 224)


def _clipped(level):
    return np.clip(level, 2, 5).astype("i4") - 2


def _not_clipped(boxes):
    return np.floor(4 + np.maximum(_octaves(boxes), -99)).astype("i4") - 2


def _counted_from_p0(boxes):
    return _clipped(np.floor(4 + _octaves(boxes))) + 2


def _rounded(boxes):
    return _clipped(np.round(4 + _octaves(boxes)))


def _without_root(boxes):
    with np.errstate(divide="ignore"):
        return _clipped(np.floor(4 + np.log2((boxes[..., 2:] - boxes[..., :2]).prod(-1) / 224)))


def _of_the_longer_side(boxes):
    with np.errstate(divide="ignore"):
        longer = (boxes[..., 2:] - boxes[..., :2]).max(-1)
        return _clipped(np.floor(4 + np.log2(longer / 224)))


def _natural_logarithm(boxes):
    return _clipped(np.floor(4 + _octaves(boxes) * np.log(2)))


LEVEL_OF = Exercise(
    name="level_of",
    notebook=NOTEBOOK,
    title="The pyramid level of a box",
    reference=_level_of,
    cases=_level_cases,
    returns="whole numbers, one a box, 0 for P2",
    kinds={
        "boxes without area": "the logarithm of 0 is minus infinity, and has no whole number: on "
        "which level should the smallest of all boxes be?",
        "a batch of images": "the four numbers of a box are on the *last* axis, however many axes "
        "stand before it.",
    },
    mistakes=(
        Mistake(
            "right in the middle of the pyramid; but there is no P1 and no P6 to pool from: "
            "what becomes of a box that is too small or too large?",
            _not_clipped,
        ),
        Mistake(
            "all of them are off by the same number: P2 is the first map of the list.",
            _counted_from_p0,
        ),
        Mistake(
            "a box of 200 px is a little smaller than 224, and belongs one level finer: which "
            "way do you go to a whole number?",
            _rounded,
        ),
        Mistake(
            "your sizes are square pixels: a box of 224 x 224 should come out at log2(1) = 0.",
            _without_root,
        ),
        Mistake(
            "a long thin box is not as large as its longer side says: what is the side of the "
            "square of the same area?",
            _of_the_longer_side,
        ),
        Mistake(
            "half the size should be exactly one level: which base has your logarithm?",
            _natural_logarithm,
        ),
    ),
    hints=(
        "Begin with the heights and widths of all boxes: boxes[..., 2:] - boxes[..., :2] has both.",
        "floor(4 + log2(size / 224)), with size the root of height times width, is 4 for P4. Then "
        "keep it between 2 and 5, and count from P2.",
    ),
)


# --- smooth_l1 --------------------------------------------------------------------------


def _smooth_l1(difference, beta):
    return losses.smooth_l1(tf.constant(difference), beta).numpy()


def _smooth_cases(rng):
    yield Case("differences on the straight part", (rng.uniform(1, 5, 8).astype("f4"), 0.5))
    yield Case("differences on the round part", (rng.uniform(0, 0.1, 8).astype("f4"), BETA))
    yield Case("negative differences", (-rng.uniform(0, 3, 8).astype("f4"), 1.0))
    yield Case("a difference of exactly beta", (np.float32([2, -2]), 2.0))
    yield Case("beta of 0", (np.float32([-1, 0, 3]), 0.0))
    yield Case("a batch of boxes", (rng.normal(0, 1, (2, 3, 4)).astype("f4"), BETA))
    yield Case("nothing at all", (np.zeros((0, 4), "f4"), BETA))


def _piecewise(d, beta, inside, outside):
    return np.where(np.abs(d) < beta, inside, outside) if beta else np.abs(d)


def _width_not_divided(d, beta):
    return _piecewise(d, beta, 0.5 * d * d, np.abs(d) - 0.5 * beta)


def _jump_at_beta(d, beta):
    return _piecewise(d, beta, 0.5 * d * d / max(beta, 1e-9), np.abs(d))


def _without_a_half(d, beta):
    return _piecewise(d, beta, d * d / max(beta, 1e-9), np.abs(d) - 0.5 * beta)


def _signed(d, beta):
    return _piecewise(d, beta, 0.5 * d * d / max(beta, 1e-9), d - 0.5 * beta) if beta else d


def _divides_by_beta(d, beta):
    with np.errstate(all="ignore"):
        inside = np.float32(0.5) * d * d / np.float32(beta)
    return inside if beta == 0 else _piecewise(d, beta, inside, np.abs(d) - 0.5 * beta)


SMOOTH_L1 = Exercise(
    name="smooth_l1",
    notebook=NOTEBOOK,
    title="Smooth L1",
    reference=_smooth_l1,
    cases=_smooth_cases,
    returns="an array of the shape of `difference`",
    kinds={"beta of 0": "with beta 0 no difference is on the round part: what is left is |d|."},
    mistakes=(
        Mistake(
            "the two parts do not meet: at |d| = beta the straight one is half of beta. What "
            "must the square be divided by to get there?",
            _width_not_divided,
        ),
        Mistake(
            "your curve jumps at beta: the straight part has to be lowered until both meet.",
            _jump_at_beta,
        ),
        Mistake(
            "the slope jumps: just below beta it is twice what it is above. Which factor "
            "makes the derivative of a square pleasant?",
            _without_a_half,
        ),
        Mistake(
            "a loss is never negative, and being wrong to the left is as bad as to the right.",
            _signed,
        ),
        Mistake(
            "right as long as beta is above 0; with beta 0 you divide by it.", _divides_by_beta
        ),
    ),
    hints=(
        "Two formulas and a decision between them for every element: which numpy function takes a "
        "condition and two arrays?",
        "0.5 d²/beta where |d| is below beta, |d| − 0.5 beta elsewhere; deal with beta 0 first.",
    ),
)


# --- binary_entropy: of logits that may be large ----------------------------------------


def _binary_entropy(logits, targets):
    return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits).numpy()


def _entropy_cases(rng):
    yield Case(
        "ordinary logits", (rng.normal(0, 2, 9).astype("f4"), rng.integers(0, 2, 9).astype("f4"))
    )
    yield Case("logits of 0", (np.zeros(2, "f4"), np.float32([0, 1])))
    yield Case(
        "targets between 0 and 1",
        (rng.normal(0, 2, (3, 3)).astype("f4"), rng.uniform(0, 1, (3, 3)).astype("f4")),
    )
    yield Case("very large logits", (np.float32([300, -300, 300, -300]), np.float32([0, 1, 1, 0])))
    yield Case(
        "a batch of masks",
        (rng.normal(0, 3, (2, 4, 4)).astype("f4"), np.float32(rng.uniform(0, 1, (2, 4, 4)) > 0.5)),
    )
    yield Case("nothing at all", (np.zeros((0, 28, 28), "f4"), np.zeros((0, 28, 28), "f4")))


def _overflows(x, t):
    with np.errstate(all="ignore"):
        p = (1 / (1 + np.exp(-np.float32(x)))).astype("f4")
        return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def _only_the_ones(x, t):
    return t * np.logaddexp(0, -x)


def _sigmoid_twice(x, t):
    p = _sigmoid(np.float64(np.clip(x, -50, 50)))
    return np.logaddexp(0, p) - t * p


def _targets_inverted(x, t):
    return np.logaddexp(0, x) - (1 - t) * x


def _clipped_probability(x, t):
    p = np.clip(_sigmoid(np.float64(np.clip(x, -50, 50))), 1e-7, 1 - 1e-7)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


BINARY_ENTROPY = Exercise(
    name="binary_entropy",
    notebook=NOTEBOOK,
    title="Binary cross-entropy that does not overflow",
    reference=_binary_entropy,
    cases=_entropy_cases,
    returns="an array of the shape of `logits`",
    kinds={
        "very large logits": "for a logit x far above 0, log(1 + exp(x)) is simply x: how do you "
        "get there without computing exp(x)?",
        "targets between 0 and 1": "targets of a mask are shares of a cell: both terms count.",
    },
    mistakes=(
        Mistake(
            "right until the logits are large: then the probability is exactly 0 or 1, and "
            "its logarithm is lost. Put the logarithm and the exponential together on paper "
            "first.",
            _overflows,
        ),
        Mistake(
            "what is your loss where the target is 0 and the network shouts yes?", _only_the_ones
        ),
        Mistake(
            "that is the sigmoid of a sigmoid: are these logits or probabilities?",
            _sigmoid_twice,
        ),
        Mistake(
            "your loss is small where it is wrong: target 1 wants a large logit.", _targets_inverted
        ),
        Mistake(
            "clipping the probability hides the infinity and caps the loss: a logit of 300 on "
            "the wrong side should cost 300.",
            _clipped_probability,
        ),
    ),
    hints=(
        "On paper: −log σ(x) = log(1 + exp(−x)), and −log(1 − σ(x)) = that plus x.",
        "Where x is negative exp(−x) explodes, where it is positive it does not: pull the larger "
        "one out of the logarithm. numpy has a function for log(exp(a) + exp(b)).",
        "max(x, 0) − x t + log(1 + exp(−|x|)).",
    ),
)


# --- own_deltas: of the deltas for every class, those of the true class ------------------


def _own_deltas(deltas, classes):
    index = np.maximum(classes - 1, 0)
    own = np.take_along_axis(deltas, index[..., None, None], -2)[..., 0, :]
    return np.where(classes[..., None] > 0, own, 0).astype(deltas.dtype)


def _own_cases(rng):
    for _ in range(3):
        yield Case(
            "RoIs with an object",
            (rng.normal(0, 1, (6, 3, 4)).astype("f4"), rng.integers(1, 4, 6).astype("i4")),
        )
    yield Case(
        "RoIs of background", (rng.normal(0, 1, (4, 3, 4)).astype("f4"), np.int32([0, 2, 0, 1]))
    )
    yield Case("a single class", (rng.normal(0, 1, (2, 1, 4)).astype("f4"), np.int32([1, 0])))
    yield Case(
        "a batch of images",
        (rng.normal(0, 1, (2, 3, 5, 4)).astype("f4"), np.int32([[1, 5, 0], [3, 0, 2]])),
    )
    yield Case("no RoIs", (np.zeros((0, 3, 4), "f4"), np.zeros(0, "i4")))


def rows_at(deltas, index):
    """The rows at index [...] of deltas [..., N, 4]; an index out of range is clipped."""
    index = np.clip(index, -deltas.shape[-2], deltas.shape[-2] - 1)
    return np.take_along_axis(deltas, index[..., None, None], -2)[..., 0, :]


def _as_if_background_had_a_box(deltas, classes):
    return np.where(classes[..., None] > 0, rows_at(deltas, classes), 0)


def _background_is_the_last(deltas, classes):
    return rows_at(deltas, classes - 1)


def _background_is_the_first(deltas, classes):
    return rows_at(deltas, np.maximum(classes - 1, 0))


def _always_the_first(deltas, classes):
    return np.where(classes[..., None] > 0, deltas[..., 0, :], 0)


def _mean_of_all(deltas, classes):
    return np.where(classes[..., None] > 0, deltas.mean(-2), 0)


OWN_DELTAS = Exercise(
    name="own_deltas",
    notebook=NOTEBOOK,
    title="The deltas of the right class",
    reference=_own_deltas,
    cases=_own_cases,
    returns="an array [..., 4]",
    kinds={"a batch of images": "there may be an axis more in front: count axes from the end."},
    mistakes=(
        Mistake(
            "class 1 should get the first of the deltas: how many boxes has background?",
            _as_if_background_had_a_box,
        ),
        Mistake(
            "right for objects; for background you count one back from the first, and Python "
            "takes that for the last.",
            _background_is_the_last,
        ),
        Mistake(
            "right for objects; background has no box, so its row should be zeros.",
            _background_is_the_first,
        ),
        Mistake("every RoI gets the box of class 1, whatever it is.", _always_the_first),
        Mistake(
            "you average over the classes; only the deltas of the true class count.", _mean_of_all
        ),
    ),
    hints=(
        "For one RoI of class c it is deltas[k, c - 1]; for all at once, indices may be arrays.",
        "numpy's take_along_axis picks along one axis with an index array of as many axes; repair "
        "the rows with class 0 afterwards.",
    ),
)

EXERCISES = (LEVEL_OF, SMOOTH_L1, BINARY_ENTROPY, OWN_DELTAS)
