"""The exercises of notebook 03: rounding, bilinear reading, RoIPool and RoIAlign of one RoI."""

import numpy as np
import tensorflow as tf

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.ops import roi as roi_ops

NOTEBOOK = "03_roialign_vs_roipool"


def _map(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.normal(size=(height, width)).astype("f4")


def _one(pooled) -> np.ndarray:
    """The first channel of the first RoI in the output of a RoI operator."""
    return np.asarray(pooled)[0, :, :, 0]


# --- round_to_cells: the first thing that RoIPool does ----------------------------------


def _round_to_cells(box, stride):
    """The first and last row and column that RoIPool reads, from pooled maps of coordinates."""
    rows, columns = np.meshgrid(np.arange(40.0), np.arange(40.0), indexing="ij")
    grids = np.float32(np.stack([-rows, -columns, rows, columns], axis=-1))[None]
    read = roi_ops.roi_pool(tf.constant(grids), np.float32([box]), [0], 1, 1 / stride)[0, 0, 0]
    return (read.numpy() * [-1, -1, 1, 1]).astype(np.int64)


def _round_cases(rng):
    for stride in (4, 8):
        near, side = rng.uniform(0, 15, 2), rng.uniform(1, 15, 2)
        box = np.float32([*near, *(near + side)]) * stride
        yield Case("a box between the cells", (box, stride))
        yield Case("a box on the cells", (np.float32([2, 3, 7, 9]) * stride, stride))
        yield Case("edges exactly half-way", (np.float32([0.5, 1.5, 4.5, 6.5]) * stride, stride))
    yield Case("a box without area", (np.float32([12, 20, 12, 20]), 4))


def _whole(values):
    return np.asarray(values).astype(np.int64)


ROUND = Exercise(
    name="round_to_cells",
    notebook=NOTEBOOK,
    title="Round a box to cells",
    reference=_round_to_cells,
    cases=_round_cases,
    returns="four whole numbers",
    mistakes=(
        Mistake("a box is in pixels; how many cells is that?", lambda b, s: _whole(b + 0.5)),
        Mistake(
            "you cut off what is behind the point: 2.9 should become 3.", lambda b, s: _whole(b / s)
        ),
        Mistake("you round up always; 2.1 should become 2.", lambda b, s: _whole(np.ceil(b / s))),
        Mistake(
            "right between the halves; numpy rounds 0.5 and 1.5 to the *even* neighbour, "
            "RoIPool rounds both up.",
            lambda b, s: _whole(np.round(b / s)),
        ),
        Mistake(
            "you widen the box to all the cells it touches; RoIPool rounds each edge by itself.",
            lambda b, s: _whole([*np.floor(b[:2] / s), *np.ceil(b[2:] / s)]),
        ),
    ),
    hints=(
        "First from pixels to cells: divide by the stride.",
        "Adding a half and rounding down rounds to the nearest whole number, halves up.",
    ),
)


# --- bilinear: a map read between its cells ---------------------------------------------


def _bilinear(features, y, x):
    point = np.float32([[y, x, y, x]])
    x = tf.constant(features[None, ..., None], tf.float32)
    pooled = roi_ops.roi_align(x, point, [0], 1, 1.0, 1, True)
    return float(_one(pooled)[0, 0])


def _bilinear_cases(rng):
    features = _map(rng, 5, 7)
    for _ in range(2):
        y, x = rng.uniform(0.5, 4.5), rng.uniform(0.5, 6.5)
        yield Case("points between four centres", (features, y, x))
    yield Case("the centre of a cell", (features, 2.5, 3.5))
    for y, x in ((0.25, 3.2), (1.9, 6.9)):
        yield Case("points in the outer half of a border cell", (features, y, x))
    yield Case("a corner of the map", (features, 5.0, 7.0))
    yield Case("a map of one cell", (features[:1, :1], 0.3, 0.8))
    yield Case("a map of whole numbers", (np.arange(25).reshape(5, 5), 2.2, 3.15))


def _read(features, y, x, clamp=True):
    """The bilinear value at index coordinates (y, x)."""
    h, w = features.shape
    if clamp:
        y, x = np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    fy, fx = y - y0, x - x0
    total = 0.0
    for r, a in ((y0, 1 - fy), (y0 + 1, fy)):
        for c, b in ((x0, 1 - fx), (x0 + 1, fx)):
            if 0 <= r < h and 0 <= c < w:
                total += a * b * features[r, c]
    return float(total)


def _nearest(features, y, x):
    return float(features[min(int(y), len(features) - 1), min(int(x), features.shape[1] - 1)])


def _swapped_weights(features, y, x):
    h, w = features.shape
    y, x = np.clip(y - 0.5, 0, h - 1), np.clip(x - 0.5, 0, w - 1)
    return _read(features, 2 * np.floor(y) + 1 - y, 2 * np.floor(x) + 1 - x)


BILINEAR = Exercise(
    name="bilinear",
    notebook=NOTEBOOK,
    title="Read a map between its cells",
    reference=_bilinear,
    cases=_bilinear_cases,
    returns="one number",
    mistakes=(
        Mistake(
            "you read as if the values stood at the cells' corners; cell 0 has its centre at "
            "half a cell.",
            lambda f, y, x: _read(f, y, x),
        ),
        Mistake(
            "right inside; nearer to the border than the outermost centres there is nothing to "
            "mix with, so go on with the border's own value.",
            lambda f, y, x: _read(f, y - 0.5, x - 0.5, clamp=False),
        ),
        Mistake(
            "that is the value of the cell that holds the point; mix the four around it.", _nearest
        ),
        Mistake(
            "the half cell goes the other way: does a point at 0.5 read cell 0?",
            lambda f, y, x: _read(f, y + 0.5, x + 0.5),
        ),
        Mistake(
            "your weights are exchanged: the nearer a centre, the *more* it counts.",
            _swapped_weights,
        ),
        Mistake(
            "y and x are exchanged: rows come first.", lambda f, y, x: _read(f, x - 0.5, y - 0.5)
        ),
    ),
    hints=(
        "Let u = y − 0.5 and v = x − 0.5: now cell (i, j) stands at exactly (i, j).",
        "Clip u to 0 … H − 1 and v to 0 … W − 1; that settles the border.",
        "With i = floor(u) and f = u − i, row i counts 1 − f and row i + 1 counts f (the last row "
        "has none after it, and f is 0 there). The same along x; multiply.",
    ),
    kinds={"a map of one cell": "there is no second row or column to mix with."},
)


# --- sample_rows: where RoIAlign reads --------------------------------------------------


def _sample_rows(y1, y2, output, ratio):
    """RoIAlign's sampling rows, from a map whose values are the rows, `ratio` bins per bin."""
    rows = np.float32(np.mgrid[:64, :2][0] + 0.5)[None, ..., None]
    box = np.float32([[y1, 0, y2, 2]])
    pooled = roi_ops.roi_align(tf.constant(rows), box, [0], output * ratio, 1.0, 1, True)
    return _one(pooled)[:, 0].reshape(output, ratio)


def _sample_cases(rng):
    for ratio in (1, 3):
        start = rng.uniform(1, 20)
        args = (start, start + rng.uniform(3, 40), int(rng.integers(2, 8)), ratio)
        yield Case("one sample a bin" if ratio == 1 else "several samples a bin", args)
    yield Case("a single bin", (3.25, 9.5, 1, 2))
    yield Case("a RoI smaller than a cell", (4.2, 4.9, 2, 2))
    yield Case("a RoI without height", (7.5, 7.5, 3, 2))


def _spread(y1, y2, output, ratio, offset=0.5, last=0):
    at = (np.arange(output * ratio) + offset) / max(output * ratio - last, 1)
    return (y1 + at * (y2 - y1)).reshape(output, ratio)


SAMPLES = Exercise(
    name="sample_rows",
    notebook=NOTEBOOK,
    title="Where RoIAlign reads",
    reference=_sample_rows,
    cases=_sample_cases,
    returns="an array [output, ratio]",
    mistakes=(
        Mistake(
            "the first sample should not sit on the RoI's edge: each stands in the *middle* of "
            "its part of a bin.",
            lambda *a: _spread(*a, offset=0.0),
        ),
        Mistake(
            "from edge to edge is what crop_and_resize does. RoIAlign's outermost samples are "
            "inside the RoI.",
            lambda *a: _spread(*a, offset=0.0, last=1),
        ),
        Mistake(
            "the rows and columns of your array are exchanged: one row for each bin.",
            lambda *a: _spread(*a).T,
        ),
        Mistake(
            "right but flat: one row for each bin, please.", lambda *a: _spread(*a).reshape(-1)
        ),
        Mistake(
            "you measure from 0; the RoI begins at y1.",
            lambda y1, y2, output, ratio: _spread(0, y2 - y1, output, ratio),
        ),
        Mistake(
            "you rounded; RoIAlign never does.",
            lambda y1, y2, *a: _spread(np.round(y1), np.round(y2), *a),
        ),
    ),
    hints=(
        "Cut the RoI into output × ratio equal parts. Where is the middle of the first?",
        "Part number k, counted from 0, has its middle at (k + 0.5) parts from y1.",
        "All of them at once: arange(output · ratio); in the end in the shape [output, ratio].",
    ),
)


# --- pool_one: RoIPool of one RoI -------------------------------------------------------


def _pool_one(features, cells, output):
    box = np.float32([cells])
    return _one(roi_ops.roi_pool(tf.constant(features[None, ..., None]), box, [0], output, 1.0))


def _pool_cases(rng):
    features = _map(rng, 12, 14)
    yield Case("bins of whole cells", (features, (1, 2, 6, 7), 3))
    for output in (2, 3):
        yield Case("bins that do not divide evenly", (features, (2, 3, 8, 12), output))
    yield Case("more bins than cells", (features, (4, 4, 5, 5), 4))
    yield Case("a single cell", (features, (3, 3, 3, 3), 2))
    yield Case("a map of negative values", (features - 10, (1, 1, 7, 9), 3))


def _pooled(features, cells, output, *, extra=1, cover=True, reduce=np.max):
    first, size = np.array(cells[:2]), np.array(cells[2:]) - cells[:2] + extra
    up = np.ceil if cover else np.floor
    low = first[:, None] + np.floor(np.arange(output) * size[:, None] / output)
    high = first[:, None] + up(np.arange(1, output + 1) * size[:, None] / output)
    out = np.zeros((output, output), np.float32)
    for p in range(output):
        for q in range(output):
            bin_ = features[int(low[0, p]) : int(high[0, p]), int(low[1, q]) : int(high[1, q])]
            out[p, q] = reduce(bin_) if bin_.size else 0.0
    return out


POOL = Exercise(
    name="pool_one",
    notebook=NOTEBOOK,
    title="RoIPool of one RoI",
    reference=_pool_one,
    cases=_pool_cases,
    returns="an array [output, output]",
    mistakes=(
        Mistake(
            "the last row and column are missing: RoIPool's last cell belongs to the RoI.",
            lambda *a: _pooled(*a, extra=0),
        ),
        Mistake(
            "where the cells do not divide evenly, bins overlap: the far edge is rounded *up*.",
            lambda *a: _pooled(*a, cover=False),
        ),
        Mistake(
            "that is the mean; RoIPool takes the largest.", lambda *a: _pooled(*a, reduce=np.mean)
        ),
        Mistake("the bins of rows and columns are exchanged.", lambda *a: _pooled(*a).T),
        Mistake(
            "where does your maximum begin? With a map below 0, 0 is not the largest.",
            lambda *a: np.maximum(_pooled(*a), 0),
        ),
    ),
    hints=(
        "How many rows has the RoI, if its first is 2 and its last is 8?",
        "Bin p begins at floor(p · rows / output) and ends before ceil((p + 1) · rows / output), "
        "counted from the first row.",
        "Two loops over the bins, and the maximum of a slice of the map in each.",
    ),
    kinds={"more bins than cells": "several bins then look at the same cell: no bin is empty."},
)


# --- align_one: RoIAlign of one RoI -----------------------------------------------------


def _align_one(features, box, output, ratio):
    x, boxes = tf.constant(features[None, ..., None], tf.float32), np.float32([box])
    return _one(roi_ops.roi_align(x, boxes, [0], output, 1.0, ratio, True))


def _align_cases(rng):
    features = _map(rng, 12, 15)
    for ratio in (1, 3):
        near = rng.uniform(0.5, 4, 2)
        box = np.float32([*near, *(near + rng.uniform(2, 7, 2))])
        yield Case("RoIs anywhere", (features, box, int(rng.integers(2, 5)), ratio))
    yield Case("RoIs on the cells", (features, np.float32([2, 3, 8, 12]), 3, 2))
    yield Case("a RoI smaller than a cell", (features, np.float32([3.2, 4.1, 3.7, 4.9]), 2, 2))
    yield Case("a RoI along the border", (features, np.float32([0, 0, 6, 15]), 3, 2))
    yield Case("a RoI without area", (features, np.float32([5, 6, 5, 6]), 2, 2))
    whole = np.arange(180).reshape(12, 15)
    yield Case("a map of whole numbers", (whole, np.float32([1.2, 2.3, 6.4, 9.1]), 2, 2))


def _aligned(features, box, output, ratio, shift=0.5, reduce=np.mean):
    y, x = (_spread(box[a], box[a + 2], output, ratio).reshape(-1) - shift for a in (0, 1))
    values = np.array([[_read(features, a, b) for b in x] for a in y])
    bins = values.reshape(output, ratio, output, ratio)
    return reduce(bins, axis=(1, 3)).astype(np.float32)


ALIGN = Exercise(
    name="align_one",
    notebook=NOTEBOOK,
    title="RoIAlign of one RoI",
    reference=_align_one,
    cases=_align_cases,
    returns="an array [output, output]",
    mistakes=(
        Mistake(
            "you read half a cell too far down and to the right: where is the centre of cell 0?",
            lambda *a: _aligned(*a, shift=0.0),
        ),
        Mistake(
            "that is the largest of each bin's samples; RoIAlign takes their mean.",
            lambda *a: _aligned(*a, reduce=np.max),
        ),
        Mistake(
            "you add the samples up; the answer should not grow with their number.",
            lambda *a: _aligned(*a, reduce=np.sum),
        ),
        Mistake(
            "one sample in the middle of each bin: right for ratio 1. What does ratio ask for?",
            lambda f, b, o, r: _aligned(f, b, o, 1),
        ),
        Mistake(
            "you round the box before you cut it up; that is RoIPool's habit.",
            lambda f, b, o, r: _aligned(f, np.floor(b + 0.5), o, r),
        ),
        Mistake("y and x are exchanged in your answer.", lambda *a: _aligned(*a).T),
    ),
    hints=(
        "You have both halves: `sample_rows` says where to read, `bilinear` reads.",
        "All samples of the RoI are a grid of output · ratio rows and as many columns.",
        "Reshape that grid to [output, ratio, output, ratio] and take the mean over both ratios.",
    ),
    tolerance=1e-3,
)


# --- slope: the gradient of bilinear reading --------------------------------------------


def _slope(features, y, x):
    at = tf.Variable([[y - 0.5, x - 0.5]], dtype=tf.float32)
    h, w = features.shape
    with tf.GradientTape() as tape:
        edge = tf.constant([[max(h - 1, 1), max(w - 1, 1)]], tf.float32)
        point = tf.concat([at / edge, at / edge], axis=1)
        value = tf.image.crop_and_resize(features[None, ..., None], point, [0], [1, 1])
    return tape.gradient(value, at).numpy()[0]


def _slope_cases(rng):
    features = _map(rng, 6, 8)
    for _ in range(3):
        y, x = rng.integers(0, [5, 7]) + rng.uniform(0.6, 1.4, 2)
        yield Case("points between four centres", (features, y, x))
    ramp = 3 * np.mgrid[:6, :8][0] - np.mgrid[:6, :8][1]
    yield Case("a ramp", (np.float32(ramp), 3.2, 4.9))
    yield Case("a flat map", (np.ones((4, 4), np.float32), 2.3, 1.9))


def _differences(features, y, x, shift=0.5, weigh=True):
    u, v = y - shift, x - shift
    i, j = int(u), int(v)
    f, g = (u - i, v - j) if weigh else (0.0, 0.0)
    (a, b), (c, d) = features[i : i + 2, j : j + 2]
    return np.float32([(1 - g) * (c - a) + g * (d - b), (1 - f) * (b - a) + f * (d - c)])


SLOPE = Exercise(
    name="slope",
    notebook=NOTEBOOK,
    title="How the value changes with the point",
    reference=_slope,
    cases=_slope_cases,
    returns="two numbers, along y and along x",
    mistakes=(
        Mistake(
            "the sign is the other way round: if the row below is larger, the value grows as y "
            "grows.",
            lambda *a: -_differences(*a),
        ),
        Mistake(
            "along x first and then along y? It is the other way round.",
            lambda *a: _differences(*a)[::-1],
        ),
        Mistake(
            "you take one pair of neighbours; the point lies between *two* such pairs, which "
            "both count.",
            lambda *a: _differences(*a, weigh=False),
        ),
        Mistake(
            "those are the slopes half a cell away: where is the centre of cell 0?",
            lambda f, y, x: _differences(np.pad(f, ((0, 1), (0, 1)), "edge"), y, x, shift=0),
        ),
        Mistake(
            "your two slopes are added up: one number for each direction, please.",
            lambda *a: _differences(*a).sum(),
        ),
    ),
    hints=(
        "On paper: differentiate (1−f)(1−g)·a + (1−f)·g·b + f·(1−g)·c + f·g·d by f.",
        "Along y it is a mean of two differences, c − a and d − b. Which weights?",
    ),
    tolerance=1e-3,
)

EXERCISES = (ROUND, BILINEAR, SAMPLES, POOL, ALIGN, SLOPE)
