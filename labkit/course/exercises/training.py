"""The exercises of notebook 05, first half: steps, learning rate, gradient clipping."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.training.schedules import WarmUp
from labkit.training.stages import Stage

NOTEBOOK = "05_training"


# --- steps_of: epochs to steps ----------------------------------------------------------


def _steps_of(epochs, images, batch_size):
    return Stage(epochs=epochs).steps_of(images, batch_size)


def _steps_cases(rng):
    yield Case("whole epochs that fit", (3.0, 800, 8))
    yield Case("whole epochs that fit", (10.0, 1000, 20))
    yield Case("a last batch that is not full", (1.0, 1003, 8))
    yield Case("a last batch that is not full", (7.0, 50, 8))
    yield Case("part of an epoch", (0.25, 1000, 8))
    yield Case("less than one batch", (0.5, 6, 16))


def _batches_of_each_epoch(epochs, images, batch_size):
    return max(1, round(epochs * -(-images // batch_size)))


def _remainder_dropped(epochs, images, batch_size):
    return max(1, round(epochs * (images // batch_size)))


def _pictures_not_batches(epochs, images, batch_size):
    return round(epochs * images)


def _rounded_down(epochs, images, batch_size):
    return max(1, int(epochs * images / batch_size))


def _possibly_zero(epochs, images, batch_size):
    return round(epochs * images / batch_size)


STEPS_OF = Exercise(
    name="steps_of",
    notebook=NOTEBOOK,
    title="From epochs to steps",
    reference=_steps_of,
    cases=_steps_cases,
    returns="a whole number",
    kinds={"less than one batch": "a training of no steps is none: what is the least?"},
    mistakes=(
        Mistake(
            "you end every epoch with a batch that is not full. labkit fills it with the first "
            "pictures of the next epoch: count pictures, and divide at the end.",
            _batches_of_each_epoch,
        ),
        Mistake(
            "the pictures that do not fill a batch are lost in every epoch of yours: divide "
            "at the end.",
            _remainder_dropped,
        ),
        Mistake(
            "that is the number of pictures that are shown. How many does one step show?",
            _pictures_not_batches,
        ),
        Mistake(
            "you cut off what is behind the point; the nearest whole number is meant.",
            _rounded_down,
        ),
        Mistake(
            "right, as long as there is work for one batch: half an epoch of six pictures must "
            "not become nothing.",
            _possibly_zero,
        ),
    ),
    hints=(
        "How many pictures are shown in all? How many does one step show?",
        "epochs × images / batch size, rounded to the nearest, and at least 1.",
    ),
)


# --- rate_at: warm-up, then half a cosine -----------------------------------------------


def _rate_at(step, peak, steps, warmup):
    return float(WarmUp(peak, steps, warmup)(step))


def _rate_cases(rng):
    for step in (0, 7, 25):
        yield Case("steps of the warm-up", (step, 0.003, 400, 50))
    yield Case("the step at the top", (50, 0.003, 400, 50))
    for step in (51, 140, 333):
        yield Case("steps on the way down", (step, 0.003, 400, 50))
    yield Case("the end", (400, 0.02, 400, 50))
    for step in (0, 30, 60):
        yield Case("no warm-up", (step, 0.01, 120, 0))


def _cosine(share):
    return 0.5 * (1 + np.cos(np.pi * share))


def _warm(step, warmup):
    return min(0.1 + 0.9 * step / warmup, 1.0) if warmup else 1.0


def _from_zero(step, peak, steps, warmup):
    if step < warmup:
        return peak * step / warmup
    return peak * _cosine((step - warmup) / (steps - warmup))


def _whole_run_cosine(step, peak, steps, warmup):
    return peak * _warm(step, warmup) * _cosine(step / steps)


def _linear_decay(step, peak, steps, warmup):
    return peak * _warm(step, warmup) * (1 - max(step - warmup, 0) / (steps - warmup))


def _whole_cosine(step, peak, steps, warmup):
    return peak * _warm(step, warmup) * _cosine(2 * max(step - warmup, 0) / (steps - warmup))


def _degrees(step, peak, steps, warmup):
    share = max(step - warmup, 0) / (steps - warmup)
    return peak * _warm(step, warmup) * 0.5 * (1 + np.cos(180 * share))


def _warmup_of_zero(step, peak, steps, warmup):
    warm = min(0.1 + 0.9 * step / max(warmup, 1), 1.0)
    return peak * warm * _cosine(max(step - warmup, 0) / (steps - warmup))


RATE_AT = Exercise(
    name="rate_at",
    notebook=NOTEBOOK,
    title="Warm-up and cosine",
    reference=_rate_at,
    cases=_rate_cases,
    returns="a number",
    kinds={
        "no warm-up": "with no warm-up the first step has the full rate: the factor is 1.",
        "the end": "at the end of the cosine nothing is left of the rate.",
    },
    mistakes=(
        Mistake(
            "your warm-up begins at 0, so that the first step teaches nothing; here it begins "
            "at a tenth of the peak.",
            _from_zero,
        ),
        Mistake(
            "your cosine begins with the run. It should begin where the warm-up ends: what "
            "share of the steps *after* it is done?",
            _whole_run_cosine,
        ),
        Mistake("you go down in a straight line: slow, fast, slow is wanted.", _linear_decay),
        Mistake(
            "your cosine comes back up: by what angle does it fall from 1 to −1?", _whole_cosine
        ),
        Mistake("your angle is in degrees; cosines want radians.", _degrees),
        Mistake(
            "right with a warm-up; without one, your first step is at a tenth of the peak.",
            _warmup_of_zero,
        ),
    ),
    hints=(
        "Two factors: one rises from 0.1 to 1 and stays there, the other stays at 1 and then falls "
        "from 1 to 0.",
        "Warm-up: 0.1 + 0.9 · step / warmup, at most 1. Cosine: ½ (1 + cos(π s)), with s from 0 to "
        "1 over the steps after the warm-up.",
    ),
)


# --- clipped: gradients of a bounded length ---------------------------------------------


def _clipped(gradients, limit):
    found, _ = tf.clip_by_global_norm([tf.constant(g) for g in gradients], limit)
    return [g.numpy() for g in found]


def _clip_cases(rng):
    def arrays(scale):
        return [rng.normal(0, scale, shape).astype("f4") for shape in ((3, 4), (5,), (2, 2, 2))]

    yield Case("gradients that are too long", (arrays(3.0), 5.0))
    yield Case("gradients that are too long", (arrays(40.0), 1.0))
    yield Case("gradients that are short enough", (arrays(0.1), 5.0))
    yield Case(
        "one long gradient among short ones",
        ([np.float32([30, 40]), np.float32([[0.1, 0.2]])], 5.0),
    )
    yield Case("gradients of zero", ([np.zeros((2, 2), "f4"), np.zeros(3, "f4")], 5.0))


def _norm(gradients):
    return float(np.sqrt(sum((g**2).sum() for g in gradients)))


def _each_alone(gradients, limit):
    return [g * min(1, limit / max(_norm([g]), 1e-12)) for g in gradients]


def _each_value(gradients, limit):
    return [np.clip(g, -limit, limit) for g in gradients]


def _always_to_the_limit(gradients, limit):
    return [g * limit / max(_norm(gradients), 1e-12) for g in gradients]


def _root_forgotten(gradients, limit):
    return [g * min(1, limit / max(_norm(gradients) ** 2, 1e-12)) for g in gradients]


def _sum_of_norms(gradients, limit):
    total = sum(_norm([g]) for g in gradients)
    return [g * min(1, limit / max(total, 1e-12)) for g in gradients]


def _zero_by_zero(gradients, limit):
    with np.errstate(all="ignore"):
        return [
            g * np.minimum(np.float32(1), np.float32(limit) / (np.float32(_norm(gradients))))
            if _norm(gradients)
            else g / np.float32(0)
            for g in gradients
        ]


CLIPPED = Exercise(
    name="clipped",
    notebook=NOTEBOOK,
    title="Gradients of a bounded length",
    reference=_clipped,
    cases=_clip_cases,
    returns="a list of arrays, one for each gradient",
    kinds={
        "gradients that are short enough": "what is within the limit stays as it is.",
        "one long gradient among short ones": "all are shortened by the same factor, so that the "
        "direction of the step stays.",
    },
    mistakes=(
        Mistake(
            "you shorten each array by itself, and the step turns: there is one norm of all "
            "of them together.",
            _each_alone,
        ),
        Mistake(
            "you cut every value by itself, and the step turns: shorten the whole of it.",
            _each_value,
        ),
        Mistake(
            "right where they are too long; you stretch those that are short.", _always_to_the_limit
        ),
        Mistake(
            "your length is a sum of squares: is something missing on the way to a length?",
            _root_forgotten,
        ),
        Mistake("lengths at right angles do not add up: it is the squares that do.", _sum_of_norms),
        Mistake(
            "right, but gradients of zero have a length of 0, and you divide by it.", _zero_by_zero
        ),
    ),
    hints=(
        "Put all arrays end to end in your mind: how long is that one vector?",
        "The norm is the root of the sum of all squares; multiply all by min(1, limit / norm).",
    ),
)

EXERCISES = (STEPS_OF, RATE_AT, CLIPPED)
