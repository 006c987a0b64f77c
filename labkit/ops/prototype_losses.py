"""The four losses of YOLACT (Bolya et al. 2019), which has no regions of interest to sample.

    class     what is at this anchor?             cross-entropy          positives, hard negatives
    box       how must the anchor move?           smooth L1              positives
    mask      which cells belong to the object?   binary cross-entropy   positives
    semantic  of which classes is this cell?      binary cross-entropy   every cell

Of thousands of anchors nearly all are background, and easy. The class loss takes three times as
many negatives as positives, the hardest of each image (online hard example mining, Shrivastava et
al. 2016, in the form of SSD). The box loss is `labkit.ops.losses.box_loss`. The first three are
sums over all images divided by the number of positives of the batch.
"""

import tensorflow as tf

from labkit.ops.matching import take_highest

LARGEST = 100.0  # what torch's binary cross-entropy of probabilities is at most
LEAST_SLOPE = 1e-12  # p (1 - p) below this counts as this where torch divides by it


def hard_negatives(
    logits: tf.Tensor, background: tf.Tensor, positives: tf.Tensor, ratio: float
) -> tf.Tensor:
    """The background that looks least like background: bool [B, A].

    Args:
        logits: [B, A, 1 + N], of the background first.
        background: bool [B, A], the anchors to choose from.
        positives: int32 [B], how many positives each image has.
        ratio: so many negatives are taken for a positive. An image without objects gets as many as
            one with a single positive would.
    """
    surprise = tf.reduce_logsumexp(logits, axis=-1) - logits[..., 0]  # -log p(background)
    wanted = tf.cast(ratio * tf.cast(tf.maximum(positives, 1), tf.float32), tf.int32)
    wanted = tf.minimum(wanted, tf.shape(logits)[1] - 1)
    return take_highest(background, surprise, tf.reduce_max(wanted), wanted)


def class_loss(logits: tf.Tensor, labels: tf.Tensor, taken: tf.Tensor, positives, weights=()):
    """Cross-entropy of logits [B, A, 1 + N], summed over the taken anchors, over the positives.

    Args:
        logits: of background and N classes.
        labels: int32 [B, A], 0 for background.
        taken: bool [B, A], positives and hard negatives.
        positives: scalar, how many there are in the batch.
        weights: of background and of every class, 1 + N numbers; () weighs all alike.
    """
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if weights:
        entropy *= tf.gather(tf.constant(weights, logits.dtype), labels)
    return tf.math.divide_no_nan(tf.reduce_sum(tf.where(taken, entropy, 0.0)), positives)


def mask_loss(
    logits: tf.Tensor,
    targets: tf.Tensor,
    within: tf.Tensor,
    areas: tf.Tensor,
    shares: tf.Tensor,
    positives: tf.Tensor,
    as_torch: bool = False,
) -> tf.Tensor:
    """Binary cross-entropy of masks within their boxes, each over its box's area.

    Args:
        logits: [B, K, h, w], of K positives of each image.
        targets: bool [B, K, h, w].
        within: bool [B, K, h, w], the cells that count: those in the object's box.
        areas: [B, K], of the boxes in cells.
        shares: [B, K], what each mask counts: 0 for padding, 1, or more where it stands for
            positives that were not drawn.
        positives: scalar, how many there are in the batch.
        as_torch: compute the entropy from rounded probabilities, as the original does: it is 100 at
            most and has no slope where a probability is 0 or 1, and a target outside of its box
            costs 100 that nothing can win back.
    """
    truth = tf.cast(targets, logits.dtype)
    if as_torch:
        outside = LARGEST * truth
        entropy = tf.where(within, entropy_of_probabilities(logits, truth), outside)
    else:
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logits)
        entropy = tf.where(within, entropy, 0.0)
    each = tf.math.divide_no_nan(tf.reduce_sum(entropy, axis=[2, 3]), areas)
    return tf.math.divide_no_nan(tf.reduce_sum(each * shares), positives)


@tf.custom_gradient
def entropy_of_probabilities(logits: tf.Tensor, truth: tf.Tensor):
    """Binary cross-entropy as torch computes it from sigmoid(logits), in value and slope."""
    p = 1.0 / (1.0 + tf.exp(-logits))  # tf.sigmoid rounds otherwise near 1

    def minus_log(q):
        return tf.where(q > 0.0, -tf.math.log(tf.where(q > 0.0, q, 1.0)), LARGEST)

    def gradient(upstream):
        slope = p * (1.0 - p)
        return upstream * (p - truth) * slope / tf.maximum(slope, LEAST_SLOPE), None

    value = truth * minus_log(p) + (1.0 - truth) * minus_log(1.0 - p)
    return tf.minimum(value, LARGEST), gradient


def semantic_loss(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy of logits [B, h, w, N], summed over classes; a mean over the rest.

    targets: float32 [B, h, w, N], of 0 and 1.
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_mean(tf.reduce_sum(entropy, axis=-1))
