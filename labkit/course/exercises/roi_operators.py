"""The exercises of notebook 03, second half: recognise an operator, and choose its samples."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.ops import roi as roi_ops

NOTEBOOK = "03_roialign_vs_roipool"


# --- name_operator: which operator is it, from its outputs alone ------------------------


def _reader(operator: int, ratio: int = 2):
    """read(features [H, W], box, output) -> [output, output] of operator 0, 1, 2 or 3."""

    def read(features, box, output):
        features = tf.constant(np.float32(features)[None, :, :, None])
        boxes = np.float32([box])
        if operator == 0:
            pooled = roi_ops.roi_pool(features, boxes, [0], output, 1.0)
        elif operator == 1:
            size = features.shape[1:3]
            pooled = roi_ops.roi_crop_and_resize(features, boxes, [0], output, size)
        else:
            pooled = roi_ops.roi_align(features, boxes, [0], output, 1.0, ratio, operator == 3)
        return pooled.numpy()[0, :, :, 0]

    return read


def _name_operator(read):
    ramp = np.tile(np.arange(20) + 0.5, (20, 1))
    errors = read(ramp, [4.3, 5.2, 12.3, 13.2], 4)[0, [0, -1]] - np.array([6.2, 12.2])
    if np.abs(errors).max() < 0.1:
        return 3
    if np.abs(errors - 0.5).max() < 0.1:
        return 2
    return 1 if errors[0] < -0.2 < 0.2 < errors[1] else 0


def _operators(rng):
    yield Case("RoIPool", (_reader(0),))
    yield Case("crop_and_resize", (_reader(1),))
    for ratio in (1, 2, 4):
        yield Case("RoIAlign with aligned=False", (_reader(2, ratio),))
        yield Case("RoIAlign with aligned=True", (_reader(3, ratio),))


def _confusing(names: dict):
    """A solution that takes some operators for others."""

    def wrong(read):
        found = _name_operator(read)
        return names.get(found, found)

    return wrong


NAME_OPERATOR = Exercise(
    name="name_operator",
    notebook=NOTEBOOK,
    title="Which operator is it?",
    reference=_name_operator,
    cases=_operators,
    returns="one whole number from 0 to 3",
    mistakes=(
        Mistake(
            "you mixed up the two RoIAligns: which of them reads the true places?",
            _confusing({2: 3, 3: 2}),
        ),
        Mistake(
            "you take RoIPool for RoIAlign without the half cell. One bin does not tell them "
            "apart: RoIAlign's error is the same in all bins, RoIPool's is not.",
            _confusing({0: 2}),
        ),
        Mistake(
            "you take crop_and_resize for RoIAlign. In the middle of the RoI it is nearly exact: "
            "look at the first and the last bin.",
            _confusing({1: 3}),
        ),
        Mistake(
            "you mixed up RoIPool and crop_and_resize: which of them reads too far out at both "
            "ends?",
            _confusing({0: 1, 1: 0}),
        ),
    ),
    hints=(
        "Do as in section 3: on a map whose values are coordinates, a bin's value is the place "
        "that it read.",
        "Compare the first and the last bin with their true places. Both exact, both off by half "
        "a cell, both too far out, or anything else?",
    ),
)


# --- samples_needed: no cell under the RoI is skipped -----------------------------------


def _samples_needed(box, stride, output, spacing, *, over=np.max, rounded=np.ceil, least=1):
    y1, x1, y2, x2 = box
    cells = over([y2 - y1, x2 - x1]) / stride / output  # in a bin
    return max(int(rounded(cells / spacing)), least)


def _sampling_cases(rng):
    yield Case("the RoI of the text", (np.float32([0, 0, 111, 111]), 4, 7, 1.0))
    for _ in range(4):
        near, side = rng.uniform(0, 50, 2), rng.uniform(30, 200, 2)
        box = np.float32([*near, *(near + side)])
        yield Case("a RoI of any shape", (box, int(rng.choice([4, 8])), 7, 1.0))
        yield Case("another spacing", (box, 4, 14, float(rng.choice([0.3, 0.6, 2.2]))))
    yield Case("a RoI smaller than a cell", (np.float32([3, 3, 5, 6]), 8, 7, 1.0))
    yield Case("exactly one cell between samples", (np.float32([0, 0, 112, 56]), 4, 7, 1.0))
    yield Case("a RoI without area", (np.float32([3, 3, 3, 3]), 8, 7, 1.0))


SAMPLES_NEEDED = Exercise(
    name="samples_needed",
    notebook=NOTEBOOK,
    title="How many samples does a RoI need?",
    reference=_samples_needed,
    cases=_sampling_cases,
    returns="one whole number, at least 1",
    mistakes=(
        Mistake(
            "your box is still in pixels: how many cells of the map is it?",
            lambda box, stride, output, spacing: _samples_needed(box, 1, output, spacing),
        ),
        Mistake(
            "right along the shorter side; samples must be close enough along *both* axes.",
            lambda *args: _samples_needed(*args, over=np.min),
        ),
        Mistake(
            "you round down, so that the samples are too far apart in most cases.",
            lambda *args: _samples_needed(*args, rounded=np.floor),
        ),
        Mistake(
            "you round to the nearest number: below it, the samples are too far apart.",
            lambda *args: _samples_needed(*args, rounded=np.round),
        ),
        Mistake(
            "each bin needs one sample at least, also in a RoI without area.",
            lambda *args: _samples_needed(*args, least=0),
        ),
        Mistake(
            "the distance of samples in a bin depends on the size of a *bin*, not of the RoI.",
            lambda box, stride, output, spacing: _samples_needed(box, stride, 1, spacing),
        ),
    ),
    hints=(
        "How many cells does a bin span along its longer side? Samples divide a bin evenly.",
        "Cells in a bin, divided by the number of samples, is the distance between them: solve "
        "for the number and round up.",
    ),
)

EXERCISES = (NAME_OPERATOR, SAMPLES_NEEDED)
