"""Matching and sampling: equal to their rules. tests/parity compares them with torchvision's."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops.matching import (
    BACKGROUND,
    IGNORED,
    match,
    match_distinct,
    pick,
    sample,
    spare_crowds,
)

RPN, ROI = (0.7, 0.3, True), (0.5, 0.5, False)

# IoU matrices [candidates, objects] in steps of 0.1: many ties, many values on a threshold.
TENTHS = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 12), st.integers(0, 5)), elements=st.integers(0, 10)
).map(lambda m: np.float32(m) / np.float32(10))


# --- equal to its definition ---------------------------------------------------------------


def plain_match(iou, high, low, every_object):
    """The rule of Faster R-CNN, candidate by candidate."""
    matches = []
    for row in iou:
        best = int(np.argmax(row)) if len(row) else -1
        value = row[best] if len(row) else -1.0
        tops = [every_object and row[g] == iou[:, g].max() for g in range(len(row))]
        if value >= high or any(tops):
            matches.append(best)
        else:
            matches.append(BACKGROUND if value < low else IGNORED)
    return matches


@given(TENTHS, st.integers(0, 3), st.sampled_from([RPN, ROI]))
def test_match_equals_the_rule_and_ignores_padding(iou, padding, rule):
    candidates, objects = iou.shape
    padded = np.concatenate([iou, np.ones((candidates, padding), np.float32)], axis=1)
    valid = np.arange(objects + padding) < objects
    matches = match(tf.constant(padded), tf.constant(valid), *rule).numpy()
    high, low, every = rule
    assert matches.tolist() == plain_match(iou, np.float32(high), np.float32(low), every)
    assert np.all(matches < objects)


@given(TENTHS)
def test_every_object_gets_a_candidate(iou):
    matches = match(tf.constant(iou), tf.ones(iou.shape[1], tf.bool), *RPN).numpy()
    for g in range(iou.shape[1]):
        best = iou[:, g] == iou[:, g].max()
        assert np.all(matches[best] >= 0)  # all that tie, as in torchvision and Detectron2


@pytest.mark.parametrize("objects", [0, 3])
@pytest.mark.parametrize("rule", [RPN, ROI])
def test_without_objects_everything_is_background(objects, rule):
    for shape in [(7, objects), (2, 7, objects)]:
        valid = tf.zeros([*shape[:-2], objects], tf.bool)
        matches = match(tf.random.uniform(shape), valid, *rule)
        assert matches.shape == shape[:-1] and np.all(matches.numpy() == BACKGROUND)


def test_a_batch_equals_its_images_one_by_one():
    iou = np.random.default_rng(1).uniform(0, 1, (3, 20, 4)).astype("f4")
    valid = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    together = match(tf.constant(iou), tf.constant(valid), *RPN).numpy()
    for i in range(3):
        alone = match(tf.constant(iou[i]), tf.constant(valid[i]), *RPN)
        np.testing.assert_array_equal(together[i], alone)


def test_pick():
    values = tf.constant([[10, 11], [20, 21]])
    np.testing.assert_array_equal(
        pick(values, tf.constant([[1, 0, 1], [0, 0, 1]])), [[11, 10, 11], [20, 20, 21]]
    )
    of_none = pick(tf.zeros([2, 0, 4]), tf.zeros([2, 3], tf.int32))
    assert of_none.shape == (2, 3, 4) and not np.any(of_none)


# --- the sampler --------------------------------------------------------------------------


@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.integers(-1, 1)
    ),
    st.integers(1, 50),
    st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]),
    st.integers(0, 9),
)
def test_sample_has_the_right_counts_and_takes_the_highest_priority(labels, number, fraction, seed):
    positive, negative = labels == 1, labels == 0
    priority = np.random.default_rng(seed).uniform(size=labels.shape).astype("f4")
    got = sample(
        tf.constant(positive), tf.constant(negative), number, fraction, tf.constant(priority)
    )
    for row in range(len(labels)):
        left = number
        most_of_each = (int(number * fraction + 1e-6), number)
        for taken, eligible, most in zip(got, (positive, negative), most_of_each, strict=True):
            taken, eligible = taken.numpy()[row], eligible[row]
            wanted = min(eligible.sum(), most, left)
            assert taken.sum() == wanted
            assert not np.any(taken & ~eligible)
            if 0 < wanted < eligible.sum():  # those left out have a lower priority
                assert priority[row][taken].min() >= priority[row][eligible & ~taken].max()
            left -= wanted


def test_a_third_of_ten_is_three_and_a_quarter_of_512_is_128():
    for number, fraction, most in [(10, 0.3, 3), (512, 0.25, 128), (256, 0.5, 128), (48, 0.34, 16)]:
        everything = tf.ones([1, 600], tf.bool)
        priority = -tf.range(600.0)[None]
        positive, negative = sample(everything, everything, number, fraction, priority)
        assert positive.numpy().sum() == most and negative.numpy().sum() == number - most
        assert np.all(positive.numpy()[0, :most])  # -index takes the first


def test_no_candidates_to_sample():
    none = tf.zeros([2, 5], tf.bool)
    for taken in sample(none, none, 4, 0.5, tf.random.uniform([2, 5])):
        assert taken.shape == (2, 5) and not np.any(taken)


def test_shapes_are_static_in_a_graph():
    @tf.function
    def graph(iou, valid, priority):
        matches = match(iou, valid, *RPN)
        return matches, *sample(matches >= 0, matches == BACKGROUND, 8, 0.5, priority)

    got = graph.get_concrete_function(
        tf.TensorSpec([2, 30, 4]), tf.TensorSpec([2, 4], tf.bool), tf.TensorSpec([2, 30])
    ).structured_outputs
    assert [tuple(s.shape) for s in got] == [(2, 30)] * 3


# --- an own candidate for every object ------------------------------------------------------


def plain_distinct(iou, high, low):
    """The rule, pair by pair."""
    matches = plain_match(iou, high, low, every_object=False)
    left = iou.copy()
    for _ in range(min(iou.shape)):
        g, n = np.unravel_index(np.argmax(left.T), left.T.shape)
        matches[n] = int(g)
        left[n], left[:, g] = -1, -1
    return matches


@given(TENTHS, st.integers(0, 3))
def test_match_distinct_equals_the_rule_and_ignores_padding(iou, padding):
    candidates, objects = iou.shape
    padded = np.concatenate([iou, np.ones((candidates, padding), np.float32)], axis=1)
    valid = np.arange(objects + padding) < objects
    got = match_distinct(padded[None], valid[None], 0.5, 0.4)[0].numpy().tolist()
    assert got == plain_distinct(iou, 0.5, 0.4)
    for g in range(min(objects, candidates) if objects <= candidates else 0):
        assert g in got  # every object has one


def test_two_objects_that_share_their_best_candidate_get_one_each():
    iou = np.float32([[0.3, 0.35], [0.2, 0.1], [0.0, 0.0]])
    got = match_distinct(iou[None], np.ones((1, 2), bool), 0.5, 0.4)[0]
    assert got.numpy().tolist() == [1, 0, BACKGROUND]
    assert match(iou, np.ones(2, bool), 0.5, 0.4, True).numpy().tolist()[0] == 1


@pytest.mark.parametrize("known", [(None, None, None), (2, 7, 3), (None, 7, 3)])
def test_it_runs_in_a_graph_of_any_shapes(known):
    signature = [tf.TensorSpec(known), tf.TensorSpec([known[0], known[2]], tf.bool)]
    graph = tf.function(lambda *a: match_distinct(*a, 0.5, 0.4), input_signature=signature)
    iou = np.random.default_rng(0).random((2, 7, 3), np.float32)
    want = [plain_distinct(i, 0.5, 0.4) for i in iou]
    assert graph(iou, np.ones((2, 3), bool)).numpy().tolist() == want


def test_no_objects_are_all_background():
    got = match_distinct(np.zeros((2, 5, 0), np.float32), np.zeros((2, 0), bool), 0.5, 0.4)
    assert (got.numpy() == BACKGROUND).all()


def test_background_in_a_crowd_is_spared_and_positives_are_not():
    candidates = np.float32([[0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60], [0, 0, 10, 10]])
    crowds = np.float32([[[0, 0, 10, 14], [0, 0, 0, 0]]])  # the second is padding
    matches = np.int32([[BACKGROUND, BACKGROUND, BACKGROUND, 0]])
    got = spare_crowds(matches, candidates, crowds, 0.7)[0].numpy().tolist()
    # all of the first, exactly 0.7 of the second, none of the third, and a positive
    assert got == [IGNORED, BACKGROUND, BACKGROUND, 0]
