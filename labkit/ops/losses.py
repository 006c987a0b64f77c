"""The five losses of Mask R-CNN.

    objectness  is there an object at this anchor?         binary cross-entropy   sampled anchors
    rpn_box     how must the anchor move?                  smooth L1              positive anchors
    class       which class is in this RoI?                cross-entropy          sampled RoIs
    box         how must the RoI move?                     smooth L1              positive RoIs
    mask        which of its pixels belong to the object?  binary cross-entropy   positive RoIs

Every function takes a mask of what counts and normalises as torchvision does: box losses are
summed over the positives and divided by the number of *all* samples, so that the few positives of a
batch with few objects do not get a large weight. Sums run over the whole batch, not image by image.
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
    """Smooth L1 between deltas and targets, summed over the positives.

    Args:
        deltas: [..., 4].
        targets: [..., 4].
        positive: bool [...].
        samples: the number of all samples, positive and negative, that the sum is divided by.
        beta: as in `smooth_l1`.
    """
    # Targets of negatives may be NaN or infinite (the log of 0): select before the loss, not after,
    # or their gradient would be NaN.
    difference = tf.where(positive[..., None], deltas - targets, 0.0)
    total = tf.reduce_sum(smooth_l1(difference, beta))
    return tf.math.divide_no_nan(total, tf.cast(samples, deltas.dtype))


def class_loss(
    logits: tf.Tensor,
    labels: tf.Tensor,
    sampled: tf.Tensor,
    class_weights: tuple[float, ...] = (),
    focal: float = 0.0,
) -> tf.Tensor:
    """Mean cross-entropy over the sampled RoIs.

    `class_weights` and `focal` are for long-tailed data, where a few classes have nearly all the
    examples.

    Args:
        logits: [B, K, 1 + N], of background and N classes.
        labels: int [B, K], 0 for background.
        sampled: bool [B, K].
        class_weights: w of background and of every class, 1 + N numbers. The mean becomes
            sum(w_y CE) / sum(w_y), with y the label, as in torch's CrossEntropyLoss(weight).
        focal: gamma of (1 - p_y)^gamma CE, where p_y is the probability of the label: easy examples
            count little (Lin et al. 2017, eq. 4; there for every anchor). 0 is cross-entropy.
    """
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if focal:
        # Below gamma = 1, (1 - p)^gamma has an infinite slope at p = 1: stay just above 0.
        missing = tf.maximum(-tf.math.expm1(-entropy), 1e-6)
        entropy = missing**focal * entropy
    weights = tf.cast(sampled, logits.dtype)
    if class_weights:
        weights *= tf.gather(tf.constant(class_weights, logits.dtype), labels)
    return _masked_mean(entropy, weights)


def mask_loss(logits: tf.Tensor, targets: tf.Tensor, positive: tf.Tensor) -> tf.Tensor:
    """Mean binary cross-entropy of logits [B, K, m, m] against targets in 0..1 over positive RoIs.

    The logits are those of each RoI's true class, so classes do not compete for a pixel.
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return _masked_mean(tf.reduce_mean(entropy, axis=[2, 3]), tf.cast(positive, logits.dtype))
