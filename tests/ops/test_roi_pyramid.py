"""RoI operators on a pyramid: equal to the plain ones, called level by level."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.ops.roi import roi_align, roi_crop_and_resize, roi_pool
from labkit.ops.roi_pyramid import (
    pyramid_crop_and_resize,
    pyramid_roi_align,
    pyramid_roi_pool,
    roi_level,
)

# The atlas is some 60 cells long, so float32 holds a position to 4e-6 cells, and a few operations
# stand between the box and the sample. Neighbouring cells differ by up to 7.
TOLERANCE = 1e-4
STRIDES = (4, 8, 16)


def pyramid(batch: int, rows: int | None = None) -> list[tf.Tensor]:
    """Maps of images of 160 x 224 px; `rows` cuts every level off after as many rows."""
    rng = np.random.default_rng(5)
    shapes = [(batch, 160 // s, 224 // s, 3) for s in STRIDES]
    return [tf.constant(rng.normal(size=shape).astype("f4")[:, :rows]) for shape in shapes]


# Boxes (y1, x1, y2, x2) in pixels: what a trained network proposes, and what may never crash.
BOXES = {
    "inside": [30, 41, 90, 130],
    "within a cell": [33, 50, 34, 51],
    "the whole image": [0, 0, 160, 224],
    "across the top left corner": [-37, -21, 40, 60],
    "across the bottom right corner": [120, 190, 190, 260],
    "larger than the image": [-90, -50, 250, 300],
    "within a cell of the border": [-9, 20, 3, 26],
    "outside": [300, 400, 380, 470],
    "outside on the other side": [-200, -90, -120, -30],
    "a point": [50, 60, 50, 60],
    "a line": [20, 60, 100, 60],
    "corners swapped": [90, 130, 30, 41],
}


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("levels", [1, 3])
def test_equal_to_roi_align_in_value_and_gradient(levels, ratio, aligned):
    """Every box on every level.

    Each RoI has an image of its own: a CPU may lose a part of the gradient where RoIs overlap, see
    `labkit.ops.roi`.
    """
    boxes = tf.constant([box for box in BOXES.values() for _ in range(levels)], tf.float32)
    level = np.arange(len(boxes)) % levels
    features = pyramid(len(boxes))[:levels]
    upstream = np.random.default_rng(6).normal(size=(len(boxes), 5, 5, 3)).astype("f4")

    with tf.GradientTape() as tape:
        tape.watch(features)
        got = pyramid_roi_align(
            features, boxes[:, None], 5, STRIDES, ratio, aligned, level=level[:, None]
        )
    gradients = tape.gradient(got, features, upstream[:, None])

    for i in range(levels):
        own = np.flatnonzero(level == i)
        with tf.GradientTape() as tape:
            tape.watch(features[i])
            want = roi_align(
                features[i], tf.gather(boxes, own), own, 5, 1 / STRIDES[i], ratio, aligned
            )
        np.testing.assert_allclose(got.numpy()[own, 0], want, rtol=0, atol=TOLERANCE)
        gradient = tape.gradient(want, features[i], upstream[own])
        np.testing.assert_allclose(gradients[i], gradient, rtol=0, atol=TOLERANCE)
        assert np.any(gradient)


@st.composite
def rois(draw):
    """Boxes [2, K, 4] in and around two images, on whole pixels."""
    corner = st.integers(-40, 140)
    rows = draw(st.lists(st.tuples(corner, corner, corner, corner), min_size=1, max_size=6))
    boxes = np.array(rows, np.float32)
    return tf.constant(np.stack([boxes, boxes[::-1]]))


@settings(max_examples=15)  # many poolings each
@given(rois())
def test_every_operator_on_the_level_of_each_roi(boxes):
    # P2 has more rows than the other levels together in one pyramid, fewer in the other (`_atlas`).
    for features in (pyramid(2), pyramid(2, rows=4)):
        level = roi_level(boxes, 3, canonical_size=56.0)
        operators = (
            (
                pyramid_roi_align(features, boxes, 3, STRIDES, canonical_size=56.0),
                lambda f, b, image, s: roi_align(f, b, image, 3, 1 / s),
            ),
            (
                pyramid_roi_pool(features, boxes, 3, STRIDES, level),
                lambda f, b, image, s: roi_pool(f, b, image, 3, 1 / s),
            ),
            (
                pyramid_crop_and_resize(features, boxes, 3, (160, 224), level),
                lambda f, b, image, s: roi_crop_and_resize(f, b, image, 3, (160, 224)),
            ),
        )
        for got, plain in operators:
            for i in range(2):
                image = tf.fill([boxes.shape[1]], i)
                each = [
                    plain(f, boxes[i], image, s) for f, s in zip(features, STRIDES, strict=True)
                ]
                want = tf.gather(tf.stack(each, 1), level[i], batch_dims=1)
                np.testing.assert_allclose(got[i], want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("ratio", [0, 1, 2])
def test_no_rois(ratio):
    got = pyramid_roi_align(pyramid(2), tf.zeros([2, 0, 4]), 7, STRIDES, ratio)
    assert got.shape == (2, 0, 7, 7, 3)


def test_roi_level_by_example():
    sides = tf.constant([0.0, 1, 56, 111.99, 112, 223.9, 224, 447, 448, 5000])
    boxes = tf.stack([0 * sides, 0 * sides, sides, sides], axis=-1)
    assert roi_level(boxes, 4).numpy().tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert roi_level(boxes, 4, canonical_size=112.0).numpy()[4] == 2
    assert roi_level(tf.constant([[9.0, 9, 2, 99]]), 4).numpy().tolist() == [0]  # inverted


def test_shapes_are_static_in_a_graph():
    maps = [tf.TensorSpec([2, 32 // s, 32 // s, 5]) for s in (1, 2)]
    boxes = tf.TensorSpec([2, 9, 4])
    for ratio in (1, 2, 0):

        @tf.function
        def graph(a, b, boxes, ratio=ratio):
            return pyramid_roi_align([a, b], boxes, 7, (4, 8), ratio)

        got = graph.get_concrete_function(*maps, boxes).structured_outputs
        assert tuple(got.shape)[2:] == (7, 7, 5)
        assert tuple(got.shape) == (2, 9, 7, 7, 5)
