"""Boxes: equal to their definitions. tests/parity compares them with torchvision's."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops import boxes as box_ops

STD = [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)]


def lattice_boxes(max_count: int, min_count: int = 0, min_size: int = 0):
    """Boxes on a grid of quarter pixels: exact in float32, often equal, touching or empty."""
    corner, size = st.integers(-80, 160), st.integers(4 * min_size, 160)
    corners = hnp.arrays(np.int32, st.just((max_count, 2)), elements=corner)
    sizes = hnp.arrays(np.int32, st.just((max_count, 2)), elements=size)

    def assemble(drawn):
        corner, size, count = drawn
        return (np.concatenate([corner, corner + size], axis=1)[:count] / 4).astype(np.float32)

    return st.tuples(corners, sizes, st.integers(min_count, max_count)).map(assemble)


def test_area_golden(golden):
    g = golden("boxes")
    boxes = g.boxes("a")
    proper = np.all(boxes[:, 2:] >= boxes[:, :2], axis=1)
    got = box_ops.area(tf.constant(boxes)).numpy()
    np.testing.assert_array_equal(got[proper], g["area_a"][proper])  # a single product
    assert np.all(got[~proper] == 0)  # torchvision multiplies the negative sides


def test_decode_caps_the_scale_as_torchvision_does(golden):
    assert box_ops.MAX_LOG_SCALE == pytest.approx(float(golden("boxes")["bbox_xform_clip"]))
    anchors = tf.constant([[10.0, 10.0, 14.0, 18.0]])
    y1, x1, y2, x2 = box_ops.decode(tf.constant([[0.0, 0.0, 100.0, 1e30]]), anchors).numpy()[0]
    np.testing.assert_allclose([y2 - y1, x2 - x1], [4 * 62.5, 8 * 62.5], rtol=1e-5)


# --- equal to their definitions ------------------------------------------------------------


def plain_iou(a, b):
    """IoU of two boxes, as one would write it on paper."""
    height = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    width = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - height * width
    return height * width / union if union > 0 else 0.0


@given(lattice_boxes(6), lattice_boxes(5))
def test_iou_is_symmetric_bounded_and_right(a, b):
    overlap = box_ops.iou(tf.constant(a), tf.constant(b)).numpy()
    assert overlap.shape == (len(a), len(b))
    assert np.all((overlap >= 0) & (overlap <= 1))
    np.testing.assert_array_equal(overlap.T, box_ops.iou(tf.constant(b), tf.constant(a)))
    want = np.array([[plain_iou(p, q) for q in b.astype(float)] for p in a.astype(float)])
    np.testing.assert_allclose(overlap, want.reshape(overlap.shape), rtol=1e-6)
    own = np.diagonal(box_ops.iou(tf.constant(a), tf.constant(a)))
    np.testing.assert_array_equal(own, (box_ops.area(tf.constant(a)).numpy() > 0).astype("f4"))


def test_iou_broadcasts_over_a_batch():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 40, (3, 9, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (3, 9, 2))], -1).astype("f4")
    anchors = tf.constant(boxes[0, :4])
    batch = box_ops.iou(anchors, tf.constant(boxes)).numpy()
    assert batch.shape == (3, 4, 9)
    for i in range(3):
        np.testing.assert_array_equal(batch[i], box_ops.iou(anchors, tf.constant(boxes[i])))


def test_iou_of_boxes_without_area_is_zero():
    boxes = tf.constant([[5.0, 5, 5, 5], [5, 0, 5, 10], [9, 9, 2, 2]])
    assert not np.any(box_ops.iou(boxes, boxes))
    assert not np.any(box_ops.iou(boxes, tf.constant([[0.0, 0, 10, 10]])))


@pytest.mark.parametrize(
    "b, want",
    [
        ([0, 0, 4, 4], 1.0),  # the same box
        ([0, 2, 4, 6], 8 / 24),  # half shared: together they fill the enclosing box
        ([0, 4, 4, 8], 0.0),  # side by side: no overlap, no gap
        ([0, 8, 4, 12], -16 / 48),  # a gap as large as each of them
        ([4, 4, 8, 8], -32 / 64),  # corner to corner: half of the enclosing square is empty
        ([1, 1, 3, 3], 4 / 16),  # one inside the other: the enclosing box is the larger
    ],
)
def test_giou_by_hand(b, want):
    a, b = tf.constant([[0.0, 0, 4, 4]]), tf.constant([b], tf.float32)
    np.testing.assert_allclose(box_ops.giou(a, b), [[want]], rtol=1e-6)


@given(lattice_boxes(6), lattice_boxes(5))
def test_giou_is_symmetric_bounded_and_never_above_iou(a, b):
    got = box_ops.giou(tf.constant(a), tf.constant(b)).numpy()
    assert got.shape == (len(a), len(b))
    assert np.all((got >= -1) & (got <= 1))
    np.testing.assert_array_equal(got.T, box_ops.giou(tf.constant(b), tf.constant(a)))
    assert np.all(got <= box_ops.iou(tf.constant(a), tf.constant(b)).numpy())
    own = np.diagonal(box_ops.giou(tf.constant(a), tf.constant(a)))
    np.testing.assert_array_equal(own, (box_ops.area(tf.constant(a)).numpy() > 0).astype("f4"))


@given(lattice_boxes(1, min_count=1, min_size=1), st.integers(50, 500), st.integers(1, 500))
def test_giou_falls_with_the_distance_where_iou_stays_0(box, gap, further):
    near, far = (tf.constant(box + np.float32([0, d, 0, d])) for d in (gap, gap + further))
    a = tf.constant(box)
    assert box_ops.iou(a, near) == box_ops.iou(a, far) == 0
    assert box_ops.giou(a, far) < box_ops.giou(a, near) < 0


def test_giou_broadcasts_over_a_batch_and_over_no_boxes():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 40, (3, 9, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (3, 9, 2))], -1).astype("f4")
    batch = box_ops.giou(tf.constant(boxes[0, :4]), tf.constant(boxes)).numpy()
    assert batch.shape == (3, 4, 9)
    for i in range(3):
        one = box_ops.giou(tf.constant(boxes[0, :4]), tf.constant(boxes[i]))
        np.testing.assert_array_equal(batch[i], one)
    assert box_ops.giou(tf.zeros([0, 4]), tf.constant(boxes[0])).shape == (0, 9)


def test_giou_of_boxes_without_area():
    point, line = [[5.0, 5, 5, 5]], [[5.0, 0, 5, 10]]
    assert box_ops.giou(tf.constant(point), tf.constant(point)) == 0
    assert box_ops.giou(tf.constant(line), tf.constant(line)) == 0
    # two points: they cover nothing of the box that encloses them
    assert box_ops.giou(tf.constant(point), tf.constant([[7.0, 8, 7, 8]])) == -1


@given(lattice_boxes(8, min_size=1), lattice_boxes(8, min_size=1), st.sampled_from(STD))
def test_decode_inverts_encode(boxes, anchors, std):
    count = min(len(boxes), len(anchors))
    boxes, anchors = tf.constant(boxes[:count]), tf.constant(anchors[:count])
    back = box_ops.decode(box_ops.encode(boxes, anchors, std), anchors, std)
    # Sizes up to 40 px, offsets up to 100 px of boxes 1 px large: a few ulp of 100.
    np.testing.assert_allclose(back, boxes, rtol=0, atol=1e-4)


def test_encode_by_example():
    anchor, box = tf.constant([[0.0, 0, 10, 20]]), tf.constant([[10.0, 0, 30, 10]])
    # centre (5, 10) moves to (20, 5), height 10 doubles, width 20 halves
    want = [[1.5, -0.25, np.log(2), np.log(0.5)]]
    np.testing.assert_allclose(box_ops.encode(box, anchor), want, rtol=1e-6)
    scaled = box_ops.encode(box, anchor, (0.1, 0.1, 0.2, 0.2))
    np.testing.assert_allclose(scaled, np.array(want) / [0.1, 0.1, 0.2, 0.2], rtol=1e-6)


@given(lattice_boxes(8), st.integers(1, 60), st.integers(1, 60))
def test_clip_is_idempotent_and_stays_inside(boxes, height, width):
    once = box_ops.clip(tf.constant(boxes), height, width)
    np.testing.assert_array_equal(once, box_ops.clip(once, height, width))
    once = once.numpy()
    assert np.all((once >= 0) & (once <= [height, width, height, width]))
    assert np.all(once[:, 2:] >= once[:, :2])
    inside = np.all((boxes >= 0) & (boxes <= [height, width, height, width]), axis=1)
    np.testing.assert_array_equal(once[inside], boxes[inside])


def test_clip_takes_one_size_per_image():
    boxes = tf.constant([[[-5.0, -5, 99, 99]], [[-5.0, -5, 99, 99]]])
    sizes = tf.constant([[10.0, 20.0], [30.0, 40.0]])
    got = box_ops.clip(boxes, sizes[:, :1], sizes[:, 1:])
    np.testing.assert_array_equal(got, [[[0, 0, 10, 20]], [[0, 0, 30, 40]]])


def test_gradients_equal_finite_differences():
    rng = np.random.default_rng(3)
    corner, deltas = rng.uniform(0, 20, (4, 2)), rng.normal(0, 0.5, (4, 4))
    anchors = tf.constant(np.concatenate([corner, corner + [5.0, 8.0]], 1), tf.float64)

    def decode(d):
        return box_ops.decode(d, anchors, (0.1, 0.1, 0.2, 0.2))

    exact, numeric = tf.test.compute_gradient(decode, [tf.constant(deltas, tf.float64)], 1e-4)
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-6)  # float64: delta^2 is 1e-8


def test_a_capped_scale_has_no_gradient_and_is_finite():
    anchors = tf.constant([[0.0, 0, 8, 8]])
    deltas = tf.constant([[0.0, 0.0, 1e4, -1e4]])
    with tf.GradientTape() as tape:
        tape.watch(deltas)
        boxes = box_ops.decode(deltas, anchors)
    gradient = tape.gradient(boxes, deltas).numpy()
    assert np.all(np.isfinite(boxes)) and np.all(np.isfinite(gradient))
    assert gradient[0, 2] == 0


def test_no_boxes():
    none, some = tf.zeros([0, 4]), tf.constant([[0.0, 0, 1, 1]])
    assert box_ops.iou(none, some).shape == (0, 1)
    assert box_ops.iou(some, none).shape == (1, 0)
    for empty in (box_ops.encode(none, none), box_ops.decode(none, none), box_ops.clip(none, 5, 5)):
        assert empty.shape == (0, 4)
    assert box_ops.area(none).shape == box_ops.large_enough(none, 1.0).shape == (0,)


def test_shapes_are_static_in_a_graph():
    @tf.function
    def graph(a, b):
        return box_ops.iou(a, b), box_ops.encode(a[0], a[1]), box_ops.clip(a, 5.0, 5.0)

    shapes = graph.get_concrete_function(
        tf.TensorSpec([2, 7, 4]), tf.TensorSpec([2, 3, 4])
    ).structured_outputs
    assert [tuple(s.shape) for s in shapes] == [(2, 7, 3), (7, 4), (2, 7, 4)]
