"""The five losses: equal to torchvision's in value and gradient, and never NaN."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.losses import (
    LOSS_NAMES,
    box_loss,
    class_loss,
    mask_loss,
    objectness_loss,
    smooth_l1,
)
from labkit.matching import sample

# A loss is a sum of some thousand float32 numbers, in another order than torch's: a few ulp.
# A gradient is one number of size 1/samples: an ulp or two.
VALUE = dict(rtol=1e-6, atol=1e-7)
GRADIENT = dict(rtol=1e-5, atol=1e-8)


# --- equal to torchvision ---------------------------------------------------------------


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_smooth_l1_golden(golden, beta):
    g = golden("losses")
    prefix = f"sl1_b{beta:.3f}"
    pred = tf.constant(g["sl1_pred"])
    with tf.GradientTape() as tape:
        tape.watch(pred)
        each = smooth_l1(pred - g["sl1_target"], beta)
        total = tf.reduce_sum(each)
    np.testing.assert_allclose(each, g[f"{prefix}_none"], **VALUE)
    np.testing.assert_allclose(total, g[f"{prefix}_sum"], **VALUE)
    np.testing.assert_allclose(tf.reduce_mean(each), g[f"{prefix}_mean"], **VALUE)
    want = g[f"{prefix}_sum_grad"]
    np.testing.assert_allclose(tape.gradient(total, pred), want, rtol=1e-6)


@pytest.mark.parametrize("mode, number", [("all", None), ("first256", 256), ("first64", 64)])
def test_rpn_losses_golden(golden, mode, number):
    g = golden("losses")
    labels = g["rpn_labels"]
    positive, negative = tf.constant(labels == 1), tf.constant(labels == 0)
    if number:  # its sampler takes the lowest indices first
        priority = -tf.range(float(labels.shape[1]))[None] * tf.ones([len(labels), 1])
        positive, negative = sample(positive, negative, number, 0.5, priority)
    logits, deltas = tf.constant(g["rpn_objectness"]), tf.constant(g["rpn_deltas"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([logits, deltas])
        objectness = objectness_loss(tf.reshape(logits, labels.shape), positive, negative)
        samples = tf.reduce_sum(tf.cast(positive | negative, tf.int32))
        box = box_loss(tf.reshape(deltas, [*labels.shape, 4]), tf.constant(g["rpn_targets"]),
                       positive, samples, 1 / 9)  # fmt: skip
    np.testing.assert_allclose(objectness, g[f"rpn_{mode}_loss_objectness"], **VALUE)
    np.testing.assert_allclose(box, g[f"rpn_{mode}_loss_box"], **VALUE)
    want = g[f"rpn_{mode}_grad_objectness"]
    np.testing.assert_allclose(tape.gradient(objectness, logits), want, **GRADIENT)
    np.testing.assert_allclose(tape.gradient(box, deltas), g[f"rpn_{mode}_grad_deltas"], **GRADIENT)


def test_head_losses_golden(golden):
    g = golden("losses")
    labels = g["frcnn_labels"].astype(np.int32)
    flat_logits, flat_deltas = tf.constant(g["frcnn_logits"]), tf.constant(g["frcnn_boxreg"])
    sampled = tf.ones(labels.shape, tf.bool)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([flat_logits, flat_deltas])
        logits = tf.reshape(flat_logits, [*labels.shape, -1])
        deltas = tf.reshape(flat_deltas, [*labels.shape, -1, 4])
        own = tf.gather(deltas, labels, batch_dims=2)
        by_class = class_loss(logits, labels, sampled)
        box = box_loss(own, tf.constant(g["frcnn_targets"]), labels > 0, labels.size, 1 / 9)
    np.testing.assert_allclose(by_class, g["frcnn_loss_cls"], **VALUE)
    np.testing.assert_allclose(box, g["frcnn_loss_box"], **VALUE)
    gradient = tape.gradient(by_class, flat_logits)
    np.testing.assert_allclose(gradient, g["frcnn_grad_logits"], **GRADIENT)
    np.testing.assert_allclose(tape.gradient(box, flat_deltas), g["frcnn_grad_boxreg"], **GRADIENT)

    nothing = tf.zeros_like(labels)
    np.testing.assert_allclose(
        class_loss(logits, nothing, sampled), g["frcnn_nopos_loss_cls"], **VALUE
    )
    box = box_loss(own, tf.constant(g["frcnn_targets"]), nothing > 0, labels.size, 1 / 9)
    assert box.numpy() == g["frcnn_nopos_loss_box"] == 0


def test_mask_loss_golden(golden):
    g = golden("losses")
    classes = np.take_along_axis(g["mask_gt_labels"], g["mask_matched"], axis=1)
    logits, targets = tf.constant(g["mask_logits"]), tf.constant(g["mask_targets"])
    shape = [*classes.shape, *targets.shape[1:]]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        own = tf.reshape(tf.gather(logits, classes.ravel(), batch_dims=1), shape)
        loss = mask_loss(own, tf.reshape(targets, shape), tf.ones(classes.shape, tf.bool))
    np.testing.assert_allclose(loss, g["mask_loss"], **VALUE)
    gradient = tf.gather(tape.gradient(loss, logits), classes.ravel(), batch_dims=1)
    np.testing.assert_allclose(gradient, g["mask_grad_logits_sel"], **GRADIENT)


# --- true to their definitions ------------------------------------------------------------


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 1 / 9, 0.5, 1.0]))
def test_smooth_l1_by_definition(d, beta):
    got = smooth_l1(tf.constant(d, tf.float32), beta).numpy()
    want = 0.5 * d * d / beta if abs(d) < beta else abs(d) - 0.5 * beta
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_smooth_l1_gradient_equals_finite_differences(beta):
    # Both sides of both joints, and close to them: there the two pieces have the same slope.
    d = tf.constant([-3.0, -1.02, -0.98, -beta, -0.05, 0.0, 0.1, beta, 0.97, 1.03, 7.0], tf.float64)
    exact, numeric = tf.test.compute_gradient(lambda x: smooth_l1(x, beta), [d], delta=1e-6)
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-5)  # delta / beta at the joint


LOSSES = {
    "objectness": lambda x, on, off: objectness_loss(x[..., 0], on, off),
    "box": lambda x, on, off: box_loss(x, 0 * x, on, np.sum(on | off), 1.0),
    "class": lambda x, on, off: class_loss(x, tf.cast(on, tf.int32), on | off),
    "mask": lambda x, on, off: mask_loss(tf.reshape(x, [2, 3, 2, 2]), tf.ones([2, 3, 2, 2]), on),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_without_positives_or_samples_a_loss_is_a_number(name, scale):
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


def test_nonsense_targets_of_non_positives_do_no_harm():
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


def test_only_what_is_sampled_counts():
    logits = tf.constant([[0.0, 50.0, -50.0, 3.0]])
    positive = tf.constant([[True, False, False, False]])
    negative = tf.constant([[False, False, True, False]])
    want = (np.log(2) + 0.0) / 2
    np.testing.assert_allclose(objectness_loss(logits, positive, negative), want, rtol=1e-6)


def test_the_names_are_in_the_agreed_order():
    assert LOSS_NAMES == ("objectness", "rpn_box", "class", "box", "mask")
