"""NMS: equal to the greedy rule, and the padded form equal to the plain one.

tests/parity compares it with torchvision's.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.models import inference
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops import boxes as box_ops
from labkit.ops.nms import batched_nms, fast_nms, grouped_nms_padded, nms


@st.composite
def scored_boxes(draw, most=14):
    """Boxes on a coarse lattice (many overlaps, many exact ties in IoU) with a few score values."""
    count = draw(st.integers(0, most))
    rows = draw(
        st.lists(
            st.tuples(
                *[st.integers(0, 8)] * 2,
                *[st.integers(1, 10)] * 2,
                st.integers(1, 9),
                st.integers(0, 2),
            ),
            min_size=count,
            max_size=count,
        )
    )
    rows = np.array(rows, np.float32).reshape(-1, 6)
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return boxes, rows[:, 4] / 10, rows[:, 5].astype(np.int32)


# --- equal to its definition ----------------------------------------------------------------


def plain_nms(boxes, scores, threshold):
    """The greedy rule, box by box."""
    overlap = box_ops.iou(tf.constant(boxes), tf.constant(boxes)).numpy()
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if all(float(overlap[i, j]) <= threshold for j in kept):
            kept.append(int(i))
    return kept


@given(scored_boxes(), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0]))
def test_nms_equals_the_rule(drawn, threshold):
    boxes, scores, _ = drawn
    kept = nms(tf.constant(boxes), tf.constant(scores), threshold).numpy()
    assert kept.tolist() == plain_nms(boxes, scores, threshold)
    if len(boxes):
        assert scores[kept[0]] == scores.max()  # the best is always first
        assert np.all(np.diff(scores[kept]) <= 0)
    overlap = box_ops.iou(tf.constant(boxes[kept]), tf.constant(boxes[kept])).numpy()
    np.fill_diagonal(overlap, 0.0)
    assert np.all(overlap.astype(float) <= threshold)
    few = nms(tf.constant(boxes), tf.constant(scores), threshold, most=3)
    assert few.numpy().tolist() == kept[:3].tolist()


@given(scored_boxes(), st.sampled_from([0.3, 0.5, 0.7]))
def test_batched_nms_equals_nms_of_each_group(drawn, threshold):
    boxes, scores, groups = drawn
    kept = batched_nms(tf.constant(boxes), tf.constant(scores), tf.constant(groups), threshold)
    each = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        each += members[plain_nms(boxes[members], scores[members], threshold)].tolist()
    assert kept.numpy().tolist() == sorted(each, key=lambda i: (-scores[i], i))
    few = batched_nms(tf.constant(boxes), tf.constant(scores), tf.constant(groups), threshold, 2)
    assert few.numpy().tolist() == kept.numpy()[:2].tolist()


def as_rows(boxes, scores, groups):
    """Detections as comparable rows: ties in score have no order between groups."""
    rows = np.concatenate([scores[:, None], np.float32(groups)[:, None], boxes], axis=1)
    return sorted(map(tuple, rows.tolist()))


@given(st.lists(scored_boxes(), min_size=1, max_size=3), st.sampled_from([0.3, 0.5, 0.7]))
def test_grouped_nms_padded_equals_batched_nms(images, threshold):
    size, most, cut = 14, 42, 0.15
    boxes = np.zeros((len(images), size, 4), "f4")
    scores = np.full((len(images), size, 3), -1, "f4")
    # All scores different: of equal ones, TensorFlow's kernel may take either first.
    images = [(b, s + np.float32(0.001) * np.arange(len(s), dtype="f4"), g) for b, s, g in images]
    for i, (b, s, g) in enumerate(images):
        boxes[i, : len(b)] = b
        scores[i, np.arange(len(b)), g] = s
    got_boxes, got_scores, got_groups, count = (
        t.numpy()
        for t in grouped_nms_padded(
            tf.constant(boxes[:, :, None]), tf.constant(scores), threshold, most, cut
        )
    )
    assert got_boxes.shape == (len(images), most, 4) and got_groups.dtype == np.int32
    for i, (b, s, g) in enumerate(images):
        b, s, g = b[s > cut], s[s > cut], g[s > cut]
        kept = batched_nms(tf.constant(b), tf.constant(s), tf.constant(g), threshold).numpy()
        n = count[i]
        assert n == len(kept)
        assert np.all(np.diff(got_scores[i, :n]) <= 0)
        assert as_rows(got_boxes[i, :n], got_scores[i, :n], got_groups[i, :n]) == as_rows(
            b[kept], s[kept], g[kept]
        )
        assert not np.any(got_boxes[i, n:]) and not np.any(got_scores[i, n:])


def test_grouped_nms_padded_with_a_box_for_each_group():
    """As the box head uses it: every class has its own refined box."""
    boxes = tf.constant([[[[0.0, 0, 10, 10], [50, 50, 60, 60]], [[0, 0, 10, 9], [0, 0, 10, 10]]]])
    scores = tf.constant([[[0.9, 0.8], [0.7, 0.6]]])
    kept, values, groups, count = grouped_nms_padded(boxes, scores, 0.5, 5, 0.05)
    assert count.numpy().tolist() == [3]
    np.testing.assert_array_equal(groups[0, :3], [0, 1, 1])
    np.testing.assert_allclose(values[0], [0.9, 0.8, 0.6, 0, 0])
    np.testing.assert_array_equal(kept[0, :3], [[0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 10]])


def test_the_best_are_kept_when_there_are_more_than_fit():
    boxes = tf.constant([[[20.0 * i, 0, 20 * i + 10, 10] for i in range(6)]])[:, :, None]
    scores = tf.constant([[0.1, 0.6, 0.3, 0.9, 0.2, 0.5]])[..., None]
    kept, values, _, count = grouped_nms_padded(boxes, scores, 0.5, 3, 0.0)
    assert count.numpy().tolist() == [3]
    np.testing.assert_allclose(values[0], [0.9, 0.6, 0.5])
    np.testing.assert_array_equal(kept[0, :, 0], [60, 20, 100])


def test_groups_do_not_influence_each_other():
    """The offset trick would add 80 * 4000 to a coordinate, which loses its last bits."""
    boxes = tf.constant([[0.0, 0, 4000, 4000], [0.0, 0, 4000, 3999.75]])
    scores = tf.constant([0.9, 0.8])
    assert batched_nms(boxes, scores, tf.constant([80, 79]), 0.5).numpy().tolist() == [0, 1]
    assert batched_nms(boxes, scores, tf.constant([80, 80]), 0.5).numpy().tolist() == [0]


def test_no_boxes():
    none, no_scores = tf.zeros([0, 4]), tf.zeros([0])
    assert nms(none, no_scores, 0.5).shape == (0,)
    assert batched_nms(none, no_scores, tf.zeros([0], tf.int32), 0.5).shape == (0,)
    boxes, scores, groups, count = grouped_nms_padded(
        tf.zeros([2, 0, 1, 4]), tf.zeros([2, 0, 3]), 0.5, 4, 0.0
    )
    assert count.numpy().tolist() == [0, 0] and boxes.shape == (2, 4, 4)


def test_thresholds_may_be_tensors():
    boxes, scores = tf.constant([[0.0, 0, 10, 10], [0, 0, 10, 6]]), tf.constant([0.9, 0.8])
    assert nms(boxes, scores, tf.constant(0.5)).numpy().tolist() == [0]
    assert nms(boxes, scores, tf.constant(0.7)).numpy().tolist() == [0, 1]


def test_detect_suppresses_by_a_threshold_rounded_down(monkeypatch, micro_config):
    """Two boxes whose IoU is 3/10, and a threshold of 0.3, which float32 cannot represent."""
    thresholds = []

    def stop(images, sizes, score_threshold, nms_iou, detections):
        thresholds.append(nms_iou)
        raise StopIteration

    monkeypatch.setattr(inference, "_compiled", lambda model: stop)
    with pytest.raises(StopIteration):
        MaskRCNN(micro_config.replace(nms_iou=0.3), ["a"]).detect(np.zeros((64, 64, 3), np.uint8))
    boxes = tf.constant([[[[0.0, 0, 10, 10]], [[0, 0, 10, 3]]]])
    kept = grouped_nms_padded(boxes, tf.constant([[[0.9], [0.8]]]), thresholds[0], 2, 0.1)
    assert kept[3].numpy().tolist() == [1]


def test_shapes_are_static_in_a_graph():
    @tf.function
    def graph(boxes, scores):
        return grouped_nms_padded(boxes, scores, 0.5, 20, 0.0)

    got = graph.get_concrete_function(
        tf.TensorSpec([2, 50, 1, 4]), tf.TensorSpec([2, 50, 3])
    ).structured_outputs
    assert [tuple(s.shape) for s in got] == [(2, 20, 4), (2, 20), (2, 20), (2,)]


# --- Fast NMS -------------------------------------------------------------------------------


@given(scored_boxes())
def test_fast_nms_keeps_what_no_better_box_overlaps(found):
    boxes, scores, _ = found
    order, keep = (x.numpy()[0] for x in fast_nms(boxes, scores[None], 0.5, 100))
    assert order.tolist() == np.argsort(-scores, kind="stable").tolist()
    overlap = box_ops.iou(boxes[order], boxes[order]).numpy()
    want = [not (overlap[:i, i] > 0.5).any() for i in range(len(order))]
    assert keep.tolist() == want
    assert set(order[keep]) <= set(nms(boxes, scores, 0.5).numpy())  # never more than greedy


def test_a_suppressed_box_suppresses():
    chain = np.float32([[0, 0, 10, 10], [0, 0, 10, 7], [0, 0, 10, 4]])
    scores = np.float32([0.9, 0.8, 0.7])
    _, keep = fast_nms(chain, scores[None], 0.5, 10)
    assert keep.numpy().tolist() == [[True, False, False]]
    assert nms(chain, scores, 0.5).numpy().tolist() == [0, 2]


def test_fast_nms_compares_the_best_of_each_group_only():
    boxes = np.tile(np.float32([0, 0, 1, 1]), (6, 1)) * np.arange(1, 7, dtype=np.float32)[:, None]
    order, keep = fast_nms(boxes, np.float32([np.arange(6), -np.arange(6)]), 0.99, 2)
    assert order.numpy().tolist() == [[5, 4], [0, 1]] and keep.numpy().all()
    order, keep = fast_nms(np.zeros((0, 4), np.float32), np.zeros((3, 0), np.float32), 0.5, 2)
    assert order.shape == keep.shape == (3, 0)


def test_of_two_boxes_without_area_one_is_kept():
    boxes = np.float32([[3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 9, 9]])
    _, keep = fast_nms(boxes, np.float32([[0.9, 0.8, 0.7]]), 0.5, 10)
    assert keep.numpy().tolist() == [[True, False, True]]
