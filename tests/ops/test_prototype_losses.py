"""YOLACT's losses: by hand, without positives, their slopes; tests/parity has the original."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.ops import prototype_losses as losses


def test_the_hardest_background_is_taken_three_for_a_positive():
    logits = np.zeros((2, 8, 3), np.float32)
    logits[0, :, 1] = [9, 0, 7, 1, 6, 2, 5, 3]  # how much it looks like class 1
    background = np.ones((2, 8), bool)
    background[0, 0] = False  # the positive
    taken = losses.hard_negatives(logits, background, np.int32([1, 0]), 3.0).numpy()
    assert np.flatnonzero(taken[0]).tolist() == [2, 4, 6]
    assert taken[1].sum() == 3  # of an image without objects


def test_class_loss_is_a_sum_over_the_positives_and_may_be_weighted():
    logits = np.zeros((1, 4, 3), np.float32)
    labels, taken = np.int32([[1, 0, 0, 2]]), np.array([[True, True, True, False]])
    got = losses.class_loss(logits, labels, taken, 1.0)
    assert float(got) == pytest.approx(3 * np.log(3))
    got = losses.class_loss(logits, labels, taken, 1.0, (0.5, 2.0, 9.0))
    assert float(got) == pytest.approx((2 + 0.5 + 0.5) * np.log(3))
    assert float(losses.class_loss(logits, labels, np.zeros((1, 4), bool), 0.0)) == 0.0


def mask_inputs(target_outside=False):
    logits = tf.Variable(tf.zeros([1, 2, 4, 4]))
    within = np.zeros((1, 2, 4, 4), bool)
    within[..., 1:3, 1:3] = True
    targets = within.copy()
    targets[..., 0, 0] = target_outside
    return logits, targets, within, np.float32([[4.0, 4.0]]), np.float32([[1.0, 0.0]])


def test_mask_loss_counts_cells_in_the_box_over_its_area():
    logits, *rest = mask_inputs()
    assert float(losses.mask_loss(logits, *rest, 1.0)) == pytest.approx(np.log(2))
    assert float(losses.mask_loss(logits, *rest, 1.0, True)) == pytest.approx(np.log(2))
    logits, *rest = mask_inputs(target_outside=True)
    assert float(losses.mask_loss(logits, *rest, 1.0)) == pytest.approx(np.log(2))
    original = float(losses.mask_loss(logits, *rest, 1.0, True))
    assert original == pytest.approx(np.log(2) + 100 / 4)


@pytest.mark.parametrize("as_torch, slope", [(False, -0.25), (True, 0.0)])
def test_a_cell_that_is_entirely_wrong_has_a_slope_by_default(as_torch, slope):
    logits, *rest = mask_inputs()
    logits.assign(tf.fill(logits.shape, -60.0))
    with tf.GradientTape() as tape:
        loss = losses.mask_loss(logits, *rest, 1.0, as_torch)
    got = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(got[0, 0, 1:3, 1:3], slope, atol=1e-6)
    assert np.isfinite(got).all() and float(loss) == pytest.approx(60.0)


def test_no_positives_and_boxes_without_area_are_zero_not_nan():
    logits, targets, within, areas, shares = mask_inputs()
    assert float(losses.mask_loss(logits, targets, within, areas, 0 * shares, 0.0)) == 0.0
    assert float(losses.mask_loss(logits, targets, within, 0 * areas, shares, 1.0)) == 0.0


def test_semantic_loss_sums_classes_and_averages_cells():
    got = losses.semantic_loss(
        np.zeros((2, 3, 4, 5), np.float32), np.ones((2, 3, 4, 5), np.float32)
    )
    assert float(got) == pytest.approx(5 * np.log(2))
