"""The five losses of Mask R-CNN.

    objectness  is there an object at this anchor?         binary cross-entropy   sampled anchors
    rpn_box     how must the anchor move?                  smooth L1              positive anchors
    class       which class is in this RoI?                cross-entropy          sampled RoIs
    box         how must the RoI move?                     smooth L1              positive RoIs
    mask        which of its pixels belong to the object?  binary cross-entropy   positive RoIs

Every function takes a mask of what counts and normalises as torchvision does: box losses are
summed over the positives and divided by the number of *all* samples, so that a batch with few
objects does not shout. The sums run over the whole batch, not image by image.
"""

import tensorflow as tf

LOSS_NAMES = ("objectness", "rpn_box", "class", "box", "mask")


def smooth_l1(difference: tf.Tensor, beta: float) -> tf.Tensor:
    """Elementwise: 0.5 d^2 / beta where |d| < beta, else |d| - 0.5 beta; beta 0 is plain L1.

    Source: Fast R-CNN (Girshick 2015), eq. 3, with the width beta of torchvision and Detectron2.
    """
    size = tf.abs(difference)
    if beta == 0:
        return size
    return tf.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)


def _masked_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def objectness_loss(logits: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of logits [B, A] over the sampled anchors (bool [B, A] each)."""
    labels = tf.cast(positive, logits.dtype)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return _masked_mean(entropy, tf.cast(positive | negative, logits.dtype))


def box_loss(
    deltas: tf.Tensor, targets: tf.Tensor, positive: tf.Tensor, samples: tf.Tensor, beta: float
) -> tf.Tensor:
    """Smooth L1 between deltas and targets [..., 4], summed over positives (bool [...]).

    samples: the number of all samples, positive and negative, that the sum is divided by.
    """
    # Targets of non-positives may be nonsense (log of nothing): select before, not after.
    difference = tf.where(positive[..., None], deltas - targets, 0.0)
    total = tf.reduce_sum(smooth_l1(difference, beta))
    return tf.math.divide_no_nan(total, tf.cast(samples, deltas.dtype))


def class_loss(logits: tf.Tensor, labels: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits [B, K, 1 + N] against int labels [B, K] over sampled RoIs."""
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return _masked_mean(entropy, tf.cast(sampled, logits.dtype))


def mask_loss(logits: tf.Tensor, targets: tf.Tensor, positive: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of logits [B, K, m, m] against targets in 0..1 over positive RoIs.

    The logits are those of each RoI's true class: classes do not compete for a pixel.
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return _masked_mean(tf.reduce_mean(entropy, axis=[2, 3]), tf.cast(positive, logits.dtype))
