"""The exercises of notebook 05, second half: a running mean, AdamW's step, a plateau schedule."""

import keras
import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.training import lr_finder, schedules

NOTEBOOK = "05_training"
MEAN, SQUARE, TINY = 0.9, 0.999, 1e-7  # beta 1, beta 2 and epsilon of Keras' AdamW


# --- running_mean: without a start at zero ----------------------------------------------


def _running_cases(rng):
    yield Case("a falling loss", (np.linspace(5, 1, 30) + rng.normal(0, 0.3, 30),))
    yield Case("a loss that stands still", (np.full(12, 2.0),))
    yield Case("one value", (np.array([3.0]),))
    yield Case("no values", (np.zeros(0),))


def _recursive(values, start, weight=0.9):
    mean, means = start, []
    for value in values:
        mean = weight * mean + (1 - weight) * value
        means.append(mean)
    return np.array(means)


def _not_corrected(values):
    return _recursive(values, 0.0)


def _started_at_the_first(values):
    return _recursive(values, values[0] if len(values) else 0.0)


def _weights_swapped(values):
    return _recursive(values, 0.0, 0.1) / (1 - 0.1 ** np.arange(1, len(values) + 1))


def _corrected_from_zero(values):
    with np.errstate(all="ignore"):
        return _recursive(values, 0.0) / (1 - 0.9 ** np.arange(len(values)))


def _mean_of_all(values):
    return np.cumsum(values) / np.arange(1, len(values) + 1)


RUNNING_MEAN = Exercise(
    name="running_mean",
    notebook=NOTEBOOK,
    title="A running mean that starts where it should",
    reference=lr_finder.running_mean,
    cases=_running_cases,
    returns="an array as long as `values`",
    kinds={"a loss that stands still": "the mean of equal values is that value, from the first."},
    mistakes=(
        Mistake(
            "your mean starts at 0 and needs dozens of values to forget it: divide it by the "
            "sum of the weights that it has seen.",
            _not_corrected,
        ),
        Mistake(
            "started at the first value, that one weighs ten times as much as it should: start "
            "at 0 and divide by the weights seen so far.",
            _started_at_the_first,
        ),
        Mistake(
            "yours forgets nearly everything in a step: which of the two gets the 0.9?",
            _weights_swapped,
        ),
        Mistake(
            "nearly: after the first value one weight has been used, not none.",
            _corrected_from_zero,
        ),
        Mistake(
            "that is the mean of all values so far; it never forgets the bad beginning.",
            _mean_of_all,
        ),
    ),
    hints=(
        "m ← 0.9 m + 0.1 value, from m = 0; after one value the weights add up to 0.1, after two "
        "to 0.19.",
        "After i values the weights add up to 1 − 0.9^i: divide what you report, and keep m as it "
        "is.",
    ),
)


# --- adamw_step: one step for one array of weights --------------------------------------


def _adamw_step(w, g, m, v, t, rate, decay):
    """One step of Keras' own optimizer with the given moments and number of steps."""
    variable = keras.Variable(w, name="kernel")
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, epsilon=TINY)
    optimizer.build([variable])
    optimizer._momentums[0].assign(m)
    optimizer._velocities[0].assign(v)
    optimizer.iterations.assign(t - 1)
    optimizer.apply([keras.ops.convert_to_tensor(g)])
    return variable.numpy()


def _adamw_cases(rng):
    def arrays(scale=1.0):
        return [rng.normal(0, scale, (3, 2)).astype("f4") for _ in range(3)]

    for t in (2, 7):
        w, g, m = arrays()
        yield Case(
            "a step on the way", (w, g, m, rng.uniform(0.1, 2, (3, 2)).astype("f4"), t, 0.01, 0.0)
        )
    zero = np.zeros((3, 2), "f4")
    w, g, _ = arrays()
    yield Case("the very first step", (w, g, zero, zero, 1, 0.003, 0.0))
    w, g, m = arrays()
    yield Case("weights that decay", (w, g, m, np.full((3, 2), 0.5, "f4"), 4, 0.1, 0.3))
    yield Case("no gradient at all", (w, zero, zero, zero, 1, 0.1, 0.0))


def _step(w, g, m, v, t, rate, decay, corrected=True, root=True, tiny=TINY):
    m = MEAN * m + (1 - MEAN) * g
    v = SQUARE * v + (1 - SQUARE) * g**2
    if corrected:
        m, v = m / (1 - MEAN**t), v / (1 - SQUARE**t)
    with np.errstate(all="ignore"):
        return w * (1 - rate * decay) - rate * m / ((np.sqrt(v) if root else v) + np.float32(tiny))


def _not_yet_corrected(*args):
    return _step(*args, corrected=False)


def _without_root(*args):
    return _step(*args, root=False)


def _uphill(w, *rest):
    return 2 * w - _step(w, *rest)


def _decay_in_the_gradient(w, g, m, v, t, rate, decay):
    return _step(w, g + decay * w, m, v, t, rate, 0.0)


def _decay_without_the_rate(w, g, m, v, t, rate, decay):
    return _step(w, g, m, v, t, rate, 0.0) - decay * w


def _without_epsilon(*args):
    return _step(*args, tiny=0.0)


ADAMW_STEP = Exercise(
    name="adamw_step",
    notebook=NOTEBOOK,
    title="One step of AdamW",
    reference=_adamw_step,
    cases=_adamw_cases,
    returns="the new weights, of the shape of `w`",
    kinds={
        "the very first step": "both averages begin at zero and are far too small: which sums of "
        "weights are they to be divided by?",
        "weights that decay": "decay is a thing of its own, beside the step along the gradient.",
    },
    mistakes=(
        Mistake(
            "your averages still carry their beginning at zero: divide each by the sum of its "
            "weights so far.",
            _not_yet_corrected,
        ),
        Mistake(
            "your average of squares is not yet a size: something is missing on the way back "
            "from squares.",
            _without_root,
        ),
        Mistake("you climb: the gradient points to where the loss grows.", _uphill),
        Mistake(
            "that is Adam with the decay in its gradient, where the division undoes it. AdamW "
            "shrinks the weights beside the step.",
            _decay_in_the_gradient,
        ),
        Mistake(
            "your decay does not know the learning rate: it would go on where the rate is 0.",
            _decay_without_the_rate,
        ),
        Mistake(
            "where the gradient has always been zero you divide zero by zero.",
            _without_epsilon,
        ),
    ),
    hints=(
        "Update the average of gradients (0.9) and that of squares (0.999), correct both for their "
        "beginning, and divide the first by the root of the second.",
        "m̂ = m / (1 − 0.9^t), v̂ = v / (1 − 0.999^t); then w − rate · m̂ / (√v̂ + 1e-7), and "
        "rate · decay · w less.",
    ),
)


# --- plateau_factor: when the loss stands still -----------------------------------------


def _plateau_cases(rng):
    falling = np.linspace(4, 1, 60)
    yield Case("a loss that falls", (falling, 10))
    yield Case("a loss that stands still", (np.full(35, 2.0), 10))
    yield Case(
        "a fall, a plateau, a fall",
        (np.r_[falling[:30], np.full(20, falling[30]), falling[40:]], 10),
    )
    yield Case("a loss with a spike", (np.r_[falling, 90.0, falling[50:59] * 0.5], 10))
    yield Case("a last window that is not full", (np.r_[np.full(10, 2.0), np.full(7, 3.0)], 10))
    yield Case(
        "a loss that comes back", (np.r_[np.full(10, 1.0), np.full(10, 5.0), np.full(10, 3.0)], 10)
    )
    yield Case("a hair less every window", (np.repeat([1.0, 0.995, 0.99, 0.985], 5), 5))
    yield Case("no losses yet", (np.zeros(0), 10))


def _factor(losses, patience, level=np.median, share=0.99, last_only=False, whole=True):
    ends = len(losses) // patience if whole else -(-len(losses) // patience)
    factor, best = 1.0, np.inf
    for i in range(ends):
        value = level(losses[i * patience : (i + 1) * patience])
        if value > share * best:
            factor /= 10
        best = value if last_only else min(best, value)
    return max(factor, 1e-3)


def _by_the_mean(losses, patience):
    return _factor(losses, patience, np.mean)


def _any_improvement_counts(losses, patience):
    return _factor(losses, patience, share=1.0 - 1e-9)


def _against_the_window_before(losses, patience):
    return _factor(losses, patience, last_only=True)


def _incomplete_window(losses, patience):
    return _factor(losses, patience, whole=False)


def _only_once(losses, patience):
    return max(_factor(losses, patience), 0.1)


PLATEAU = Exercise(
    name="plateau_factor",
    notebook=NOTEBOOK,
    title="When the loss stands still",
    reference=schedules.plateau_factor,
    cases=_plateau_cases,
    returns="a number: 1, 0.1, 0.01 or 0.001",
    kinds={"no losses yet": "before the first window is full, the rate is what it was: 1."},
    mistakes=(
        Mistake(
            "one spike lifts the mean of a whole window: what is the middle of its values "
            "less moved by?",
            _by_the_mean,
        ),
        Mistake(
            "a hair's breadth is no progress: at least one per cent below the best is asked.",
            _any_improvement_counts,
        ),
        Mistake(
            "you compare with the window before; after a bad window anything looks good. "
            "Compare with the best so far.",
            _against_the_window_before,
        ),
        Mistake("you judge a window that is not full yet.", _incomplete_window),
        Mistake(
            "right for the first plateau; every further one lowers the rate again, down to a "
            "thousandth.",
            _only_once,
        ),
    ),
    hints=(
        "Cut the losses into whole windows of `patience`, take each one's median, and remember the "
        "lowest so far.",
        "A window whose median is above 0.99 × the best before it costs a factor of ten; stop at "
        "0.001.",
    ),
)

EXERCISES = (RUNNING_MEAN, ADAMW_STEP, PLATEAU)
