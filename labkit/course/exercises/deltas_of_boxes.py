"""The exercises of notebook 01b on deltas: from a box to its deltas, and back."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.random_boxes import random_boxes
from labkit.ops import boxes as box_ops

NOTEBOOK = "01b_anchors_and_deltas"
STD = (0.1, 0.1, 0.2, 0.2)


# --- encode --------------------------------------------------------------------------


def _encode(boxes, anchors, std):
    return box_ops.encode(np.float32(boxes), np.float32(anchors), std).numpy()


def _encode_cases(rng):
    anchors = random_boxes(rng, 4)
    yield Case("boxes that are their anchors", (anchors, anchors.copy(), (1.0,) * 4))
    yield Case(
        "boxes that are only moved", (anchors + np.float32([3, -5, 3, -5]), anchors, (1.0,) * 4)
    )
    larger = anchors + np.float32([-4, -2, 4, 2])
    yield Case("boxes larger than their anchors", (larger, anchors, (1.0,) * 4))
    yield Case("boxes smaller than their anchors", (anchors, larger, (1.0,) * 4))
    yield Case("standard deviations", (larger, anchors, STD))
    yield Case("one box", (random_boxes(rng, 1), random_boxes(rng, 1), STD))
    none = np.zeros((0, 4), np.float32)
    yield Case("no boxes", (none, none, STD))
    whole = np.array([[0, 0, 10, 20], [5, 5, 8, 30]])
    yield Case("whole-number boxes", (whole + [1, 2, 4, 9], whole, STD))


def _encoded(boxes, anchors, std, divide=None, scale=None, at=0.5):
    """Deltas, with the mistakes named by the arguments."""
    boxes, anchors = np.asarray(boxes, float), np.asarray(anchors, float)
    size, new = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = boxes[:, :2] + at * new - anchors[:, :2] - at * size
    shift = shift / (new if divide == "box" else 1.0 if divide == "nothing" else size)
    with np.errstate(all="ignore"):
        scaled = (scale or (lambda n, s: np.log(n / s)))(new, size)
    return np.concatenate([shift, scaled], axis=1) / np.asarray(std)


def _no_logarithm(boxes, anchors, std):
    return _encoded(boxes, anchors, std, scale=lambda new, size: new / size)


def _the_misprint(boxes, anchors, std):
    return _encoded(boxes, anchors, std, scale=lambda new, size: np.log(new - size))


def _shift_in_pixels(boxes, anchors, std):
    return _encoded(boxes, anchors, std, divide="nothing")


def _shift_in_box_sizes(boxes, anchors, std):
    return _encoded(boxes, anchors, std, divide="box")


def _from_corner_to_corner(boxes, anchors, std):
    return _encoded(boxes, anchors, std, at=0.0)


def _without_std(boxes, anchors, std):
    return _encoded(boxes, anchors, np.ones(4))


def _times_std(boxes, anchors, std):
    return _encoded(boxes, anchors, 1 / np.asarray(std))


ENCODE = Exercise(
    name="encode",
    notebook=NOTEBOOK,
    title="From a box to its deltas",
    reference=_encode,
    cases=_encode_cases,
    returns="an array [N, 4]",
    tolerance=1e-3,  # a centre of 50 px is rounded by 4e-6; divided by a side of 1 px and std 0.1
    kinds={"no boxes": "no boxes have no deltas: an array of shape (0, 4)."},
    mistakes=(
        Mistake(
            "a box like its anchor should have four zeros: what function of h*/h is 0 where "
            "h*/h is 1?",
            _no_logarithm,
        ),
        Mistake(
            "that is the formula with the misprint: try it on a box that is as large as its "
            "anchor, or smaller.",
            _the_misprint,
        ),
        Mistake(
            "your shifts are in pixels: the same three pixels are much to a small anchor and "
            "nothing to a large one.",
            _shift_in_pixels,
        ),
        Mistake(
            "you measure the shift in sides of the box; when decoding the box is not known "
            "yet. Whose sides are?",
            _shift_in_box_sizes,
        ),
        Mistake(
            "you compare the corners; dy and dx go from centre to centre.", _from_corner_to_corner
        ),
        Mistake("right, but for the standard deviations: they are not used.", _without_std),
        Mistake("the standard deviations make small deltas larger: other way round?", _times_std),
    ),
    hints=(
        "First turn both boxes into centre and size: cy = (y1 + y2)/2, h = y2 − y1.",
        "Two shifts in sides of the anchor, two logarithms of quotients; then divide by std.",
        "Everything for y and x at once: columns 0 and 1 are the near corner, 2 and 3 the far one.",
    ),
)


# --- decode --------------------------------------------------------------------------


def _decode(deltas, anchors, std):
    return box_ops.decode(np.float32(deltas), np.float32(anchors), std).numpy()


def _decode_cases(rng):
    anchors = random_boxes(rng, 4)
    deltas = rng.normal(0, 0.5, (4, 4)).astype(np.float32)
    yield Case("deltas of zero", (deltas * 0, anchors, (1.0,) * 4))
    moved = deltas * np.float32([1, 1, 0, 0])
    yield Case("deltas that only move", (moved, anchors, (1.0,) * 4))
    yield Case("deltas that only resize", (deltas - moved, anchors, (1.0,) * 4))
    yield Case("any deltas", (deltas, anchors, (1.0,) * 4))
    yield Case("standard deviations", (deltas, anchors, STD))
    yield Case("one delta", (deltas[:1], anchors[:1], STD))
    none = np.zeros((0, 4), np.float32)
    yield Case("no deltas", (none, none, STD))
    wild = np.float32([[0, 0, 50, 0], [0, 0, 0, 1000]])
    yield Case("wild deltas", (wild, anchors[:2], (1.0,) * 4))


def _decoded(deltas, anchors, std, order=None, cap=box_ops.MAX_LOG_SCALE, half=0.5, exp=np.exp):
    """Boxes, with the mistakes named by the arguments."""
    deltas, anchors = np.asarray(deltas, float) * np.asarray(std), np.asarray(anchors, float)
    size = anchors[:, 2:] - anchors[:, :2]
    with np.errstate(all="ignore"):
        new = exp(np.minimum(deltas[:, 2:], cap)) * size
    centre = anchors[:, :2] + 0.5 * size + deltas[:, :2] * (new if order == "resize" else size)
    return np.concatenate([centre - half * new, centre + half * new], axis=1)


def _no_cap(deltas, anchors, std):
    return _decoded(deltas, anchors, std, cap=np.inf)


def _no_exponential(deltas, anchors, std):
    return _decoded(deltas, anchors, std, exp=lambda d: 1 + d)


def _shift_by_the_new_size(deltas, anchors, std):
    return _decoded(deltas, anchors, std, order="resize")


def _whole_size_from_the_centre(deltas, anchors, std):
    return _decoded(deltas, anchors, std, half=1.0)


def _std_forgotten(deltas, anchors, std):
    return _decoded(deltas, anchors, np.ones(4))


DECODE = Exercise(
    name="decode",
    notebook=NOTEBOOK,
    title="From deltas back to a box",
    reference=_decode,
    cases=_decode_cases,
    returns="an array [N, 4]",
    kinds={
        "no deltas": "no deltas make no boxes: an array of shape (0, 4).",
        "wild deltas": "a network early in training asks for anything: are dh and dw capped before "
        "the exponential?",
    },
    mistakes=(
        Mistake("right, until a delta is wild: exp(1000) is infinite. Where is the cap?", _no_cap),
        Mistake(
            "that is near enough for small dh and wrong for others: what undoes a logarithm?",
            _no_exponential,
        ),
        Mistake(
            "you resize first and then move by sides of the new box; the shift was measured in "
            "sides of the anchor.",
            _shift_by_the_new_size,
        ),
        Mistake(
            "your boxes are twice as high and wide: from the centre it is half a side to each "
            "edge.",
            _whole_size_from_the_centre,
        ),
        Mistake(
            "the deltas come divided by the standard deviations: undo that first.", _std_forgotten
        ),
    ),
    hints=(
        "Do what encode did, backwards: the last step first. Its last step was a division.",
        "centre = anchor's centre + (dy, dx) · anchor's size; size = anchor's size · exp(dh, dw).",
        "Cap dh and dw at log(1000/16) before the exponential, and go half a size from the centre "
        "both ways.",
    ),
)

EXERCISES = (ENCODE, DECODE)
