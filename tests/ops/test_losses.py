"""The five losses: equal to their definitions, and never NaN.

tests/parity compares them with torchvision's.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops.losses import (
    LOSS_NAMES,
    box_loss,
    class_loss,
    mask_loss,
    objectness_loss,
    smooth_l1,
)

# --- equal to their definitions ------------------------------------------------------------


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 1 / 9, 0.5, 1.0]))
def test_smooth_l1_by_definition(d, beta):
    got = smooth_l1(tf.constant(d, tf.float32), beta).numpy()
    want = 0.5 * d * d / beta if abs(d) < beta else abs(d) - 0.5 * beta
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_smooth_l1_gradient_equals_finite_differences(beta):
    # On both sides of both joints and close to them, where the two pieces have the same slope.
    d = tf.constant([-3.0, -1.02, -0.98, -beta, -0.05, 0.0, 0.1, beta, 0.97, 1.03, 7.0], tf.float64)
    exact, numeric = tf.test.compute_gradient(lambda x: smooth_l1(x, beta), [d], delta=1e-6)
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-5)  # delta / beta at the joint


LOSSES = {
    "objectness": lambda x, on, off: objectness_loss(x[..., 0], on, off),
    "box": lambda x, on, off: box_loss(x, 0 * x, on, np.sum(on | off), 1.0),
    "class": lambda x, on, off: class_loss(x, tf.cast(on, tf.int32), on | off),
    "mask": lambda x, on, off: mask_loss(tf.reshape(x, [2, 3, 2, 2]), tf.ones([2, 3, 2, 2]), on),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_without_positives_or_samples_a_loss_is_finite(name, scale):
    """No positives, no samples at all, and logits so wrong that exp() would overflow."""
    x = tf.constant(scale * np.random.default_rng(2).normal(size=(2, 3, 4)), tf.float32)
    on, off = tf.ones([2, 3], tf.bool), tf.zeros([2, 3], tf.bool)
    for positive, negative in [(off, on), (off, off), (on, off)]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = LOSSES[name](x, positive, negative)
        gradient = tape.gradient(loss, x)
        assert np.isfinite(loss) and np.all(np.isfinite(gradient)) and loss >= 0
        if not np.any(positive | negative):
            assert loss == 0 and not np.any(gradient)


def test_nan_targets_of_negatives_are_ignored():
    deltas = tf.ones([1, 3, 4])
    targets = tf.constant([[[np.nan] * 4, [np.inf] * 4, [0.0] * 4]])
    with tf.GradientTape() as tape:
        tape.watch(deltas)
        loss = box_loss(deltas, targets, tf.constant([[False, False, True]]), 2, 1.0)
    assert loss == 4 * 0.5 / 2
    np.testing.assert_array_equal(tape.gradient(loss, deltas)[0], [[0] * 4, [0] * 4, [0.5] * 4])


def test_sums_run_over_the_batch_and_not_image_by_image():
    """Image one has one sample of loss 1, image two three of loss 0: together 1/4, not 1/2."""
    deltas = tf.constant([[[1.5, 0, 0, 0]] * 3, [[0.0, 0, 0, 0]] * 3])
    positive = tf.constant([[True, False, False], [True, True, True]])
    assert box_loss(deltas, 0 * deltas, positive, 4, 1.0).numpy() == 0.25


def test_only_sampled_anchors_count():
    logits = tf.constant([[0.0, 50.0, -50.0, 3.0]])
    positive = tf.constant([[True, False, False, False]])
    negative = tf.constant([[False, False, True, False]])
    want = (np.log(2) + 0.0) / 2
    np.testing.assert_allclose(objectness_loss(logits, positive, negative), want, rtol=1e-6)


def test_the_names_are_in_the_agreed_order():
    assert LOSS_NAMES == ("objectness", "rpn_box", "class", "box", "mask")


# --- long tails -------------------------------------------------------------------------

# p of the label: 1/2, 3/4 and 1/4.
TWO_CLASSES = tf.math.log(tf.constant([[[0.5, 0.5], [0.75, 0.25], [0.75, 0.25]]]))
LABELS = tf.constant([[0, 0, 1]])
ALL = tf.ones([1, 3], tf.bool)


def test_class_weights_give_a_weighted_mean():
    entropy = -np.log([0.5, 0.75, 0.25])
    got = class_loss(TWO_CLASSES, LABELS, ALL, class_weights=(1.0, 4.0))
    np.testing.assert_allclose(got, (entropy[0] + entropy[1] + 4 * entropy[2]) / 6, rtol=1e-6)
    equal = class_loss(TWO_CLASSES, LABELS, ALL, class_weights=(3.0, 3.0))
    np.testing.assert_allclose(equal, entropy.mean(), rtol=1e-6)


def test_a_class_of_weight_0_does_not_count():
    got = class_loss(TWO_CLASSES, LABELS, ALL, class_weights=(0.0, 1.0))
    np.testing.assert_allclose(got, -np.log(0.25), rtol=1e-6)
    assert class_loss(TWO_CLASSES, 0 * LABELS, ALL, class_weights=(0.0, 1.0)) == 0.0


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_by_its_formula(gamma):
    p = np.array([0.5, 0.75, 0.25])
    got = class_loss(TWO_CLASSES, LABELS, ALL, focal=gamma)
    np.testing.assert_allclose(got, np.mean((1 - p) ** gamma * -np.log(p)), rtol=1e-5)


def test_focal_loss_of_gamma_0_is_cross_entropy():
    plain, focal = (class_loss(TWO_CLASSES, LABELS, ALL, focal=g) for g in (0.0, 1e-7))
    np.testing.assert_allclose(focal, plain, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": (1.0, 0.5, 3.0)},
        {"focal": 2.0},
        {"focal": 0.5, "class_weights": (0.2, 1.0, 1.0)},
    ],
)
def test_gradients_for_long_tails_equal_finite_differences(options):
    logits = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 3)), tf.float64)
    labels, sampled = tf.constant([[0, 1, 2, 2]]), tf.constant([[True, True, True, False]])
    exact, numeric = tf.test.compute_gradient(
        lambda x: class_loss(x, labels, sampled, **options), [logits], delta=1e-5
    )
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-8)  # delta squared is 1e-10


def test_focal_loss_of_a_certain_prediction_is_finite():
    """Where p is 1 to the last digit, and where it is so small that its logarithm is -1e4."""
    logits = tf.constant([[[1e4, 0.0], [0.0, 1e4]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = class_loss(logits, tf.constant([[0, 0]]), tf.ones([1, 2], tf.bool), focal=0.5)
    assert np.isfinite(loss) and np.all(np.isfinite(tape.gradient(loss, logits)))
    np.testing.assert_allclose(loss, 1e4 / 2, rtol=1e-5)
