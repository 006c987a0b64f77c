"""The exercises of notebook 02a on the sample of anchors and its objectness loss."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.ops import losses
from labkit.ops.matching import sample

NOTEBOOK = "02a_rpn_targets"


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

EXERCISES = (SAMPLE, LOSS)
