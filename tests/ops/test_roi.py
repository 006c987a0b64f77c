"""RoIAlign and its relatives: equal to their definitions, written down a second time.

tests/parity compares them with torchvision's, in value and gradient.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops.roi import roi_align, roi_crop_and_resize, roi_pool

# A map is some 60 cells long, so float32 holds a position to 4e-6 cells, and a few operations stand
# between the box and the sample. Neighbouring cells of the goldens differ by up to 6.
ALIGN_TOLERANCE = 1e-4


def sample_weights(start, size, output: int, ratio: int, length: int) -> np.ndarray:
    """[output, length]: how much each cell along one axis counts in each bin of a RoI."""
    f = np.float32
    weights = np.zeros((output, length))
    ratio = ratio or int(np.ceil(f(size) / f(output)))
    for b in range(output):
        for s in range(ratio):
            bin_size = f(size) / f(output)
            at = f(start) + f(b) * bin_size + (f(s) + f(0.5)) * bin_size / f(ratio)
            if at < -1 or at > length:
                continue
            at = min(max(at, 0), length - 1)
            low = min(int(at), length - 2) if length > 1 else 0
            weights[b, low] += (1 - (at - low)) / ratio
            if length > 1:
                weights[b, low + 1] += (at - low) / ratio
    return weights


def roi_align_by_definition(features, boxes, image, output, scale, ratio, aligned):
    """Bilinear sampling is separable: a matrix for the rows, one for the columns."""
    pooled = []
    for box, i in zip(np.float32(boxes) * np.float32(scale), image, strict=True):
        start, size = box[:2], box[2:] - box[:2]
        start, size = (start - np.float32(0.5), size) if aligned else (start, np.maximum(size, 1))
        rows, columns = (
            sample_weights(start[a], size[a], output, ratio, features.shape[1 + a]) for a in (0, 1)
        )
        pooled.append(np.einsum("ph,hwc,qw->pqc", rows, features[i], columns))
    return np.array(pooled).reshape(-1, output, output, features.shape[-1])


FEATURES = np.random.default_rng(7).normal(size=(2, 9, 13, 2)).astype("f4")


@st.composite
def rois(draw):
    """Boxes in and around a map of 9 x 13 cells, in eighths: samples often fall on a border."""
    number = st.integers(-40, 140)
    rows = draw(
        st.lists(
            st.tuples(number, number, number, number, st.integers(0, 1)), min_size=1, max_size=6
        )
    )
    rows = np.array(rows, np.float32)
    return rows[:, :4] / 8, rows[:, 4].astype(np.int32)


@given(
    rois(),
    st.sampled_from([0, 1, 2, 3]),
    st.booleans(),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([1, 2, 5]),
)
def test_roi_align_equals_its_definition(drawn, ratio, aligned, scale, output):
    boxes, image = drawn
    got = roi_align(tf.constant(FEATURES), boxes, image, output, scale, ratio, aligned)
    want = roi_align_by_definition(FEATURES, boxes, image, output, scale, ratio, aligned)
    np.testing.assert_allclose(got, want, rtol=0, atol=ALIGN_TOLERANCE)


def test_samples_exactly_one_cell_outside_read_the_border():
    """Where rounding decides between the border and 0, it must decide as in the definition."""
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 30, (500, 2))
    border = np.where(rng.random((500, 1)) < 0.5, -1, FEATURES.shape[1:3])
    start = border - (rng.integers(0, 15, (500, 2)) + 0.5) * size / 15  # one of 15 samples is there
    boxes = np.concatenate([start, start + size], axis=1).astype("f4")
    image = np.zeros(500, np.int32)
    got = roi_align(tf.constant(FEATURES), boxes, image, 5, 1.0, 3)
    want = roi_align_by_definition(FEATURES, boxes, image, 5, 1.0, 3, aligned=False)
    np.testing.assert_allclose(got, want, rtol=0, atol=ALIGN_TOLERANCE)


def test_the_well_known_check():
    """arange(25) as 5 x 5, box [1, 1, 3, 3], 4 x 4 bins: Detectron2's own example."""
    features = tf.reshape(tf.range(25.0), [1, 5, 5, 1])
    box, image = tf.constant([[1.0, 1, 3, 3]]), tf.constant([0])
    for ratio in (0, 1, 2):
        got = roi_align(features, box, image, 4, 1.0, ratio, aligned=True)[0, ..., 0]
        want = 4.5 + 0.5 * np.arange(4) + 2.5 * np.arange(4)[:, None]  # rows 4.5..6, ..., 12..13.5
        np.testing.assert_allclose(got, want, atol=1e-5)
        got = roi_align(features, box, image, 4, 1.0, ratio, aligned=False)[0, ..., 0]
        np.testing.assert_allclose(got, want + 3, atol=1e-5)  # half a cell in y and x: 2.5 + 0.5


def test_gradient_equals_finite_differences():
    features = tf.constant(FEATURES[:, :4, :5, :1])
    boxes = tf.constant([[0.3, 0.4, 3.2, 5.1], [-1.5, 2.0, 2.5, 7.5], [2.0, 2, 2, 2]])
    image = tf.constant([0, 1, 1])
    for ratio, aligned in [(0, True), (2, False)]:
        # The function is linear in the features, so that a large step is exact but for rounding.
        exact, numeric = tf.test.compute_gradient(
            tf.function(lambda x, r=ratio, a=aligned: roi_align(x, boxes, image, 2, 1.0, r, a)),
            [features],
            delta=1.0,
        )
        np.testing.assert_allclose(exact[0], numeric[0], atol=1e-5)


def test_outside_is_zero_in_value_and_gradient():
    features = tf.constant(FEATURES)
    boxes = tf.constant([[-20.0, -20, -10, -10], [30, 0, 40, 5]])
    for ratio in (0, 2):
        with tf.GradientTape() as tape:
            tape.watch(features)
            got = roi_align(features, boxes, [0, 1], 3, 1.0, ratio)
        assert not np.any(got) and not np.any(tape.gradient(got, features))


@pytest.mark.parametrize("ratio", [0, 1, 2])
def test_no_rois(ratio):
    features, boxes, image = tf.constant(FEATURES), tf.zeros([0, 4]), tf.zeros([0], tf.int32)
    with tf.GradientTape() as tape:
        tape.watch(features)
        got = roi_align(features, boxes, image, 7, 1.0, ratio)
    assert got.shape == (0, 7, 7, 2) and not np.any(tape.gradient(got, features))
    assert roi_pool(features, boxes, image, 7, 1.0).shape == (0, 7, 7, 2)


def test_numpy_arrays_are_accepted():
    boxes = np.array([[0.0, 1, 4, 5]], np.float32)
    for op in (roi_align, roi_pool):
        want = op(tf.constant(FEATURES), tf.constant(boxes), tf.constant([1]), 3, 0.5)
        np.testing.assert_array_equal(op(FEATURES, boxes, np.array([1]), 3, 0.5), want)


def test_the_approximation_misses_by_what_the_course_says():
    """One bilinear sample a bin, corner to corner: not the mean over a bin, and half a cell off."""
    ramp = tf.reshape(tf.range(16.0), [1, 1, 16, 1]) * tf.ones([1, 16, 1, 1])
    box = tf.constant([[4.0, 4, 12, 12]])
    exact = roi_align(ramp, box, [0], 4, 1.0, aligned=True)[0, 0, :, 0]
    np.testing.assert_allclose(exact, [4.5, 6.5, 8.5, 10.5], atol=1e-5)  # centres of bins, less 0.5
    approximate = roi_crop_and_resize(ramp, box, [0], 4, (16, 16))[0, 0, :, 0]
    np.testing.assert_allclose(approximate, np.linspace(4, 11, 4), atol=1e-5)


def test_shapes_are_static_in_a_graph():
    for ratio in (1, 2, 0):

        @tf.function
        def graph(features, boxes, image, ratio=ratio):
            return roi_align(features, boxes, image, 7, 0.25, ratio)

        specs = tf.TensorSpec([2, 32, 32, 5]), tf.TensorSpec([9, 4]), tf.TensorSpec([9], tf.int32)
        assert graph.get_concrete_function(*specs).output_shapes[1:] == (7, 7, 5)
