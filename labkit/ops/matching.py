"""Matching boxes to objects by IoU, and drawing a balanced sample of the matches.

Used twice: the region proposal network matches anchors (IoU 0.7 and 0.3, and every object gets its
best anchor), the heads match proposals (0.5 and 0.5).
"""

import tensorflow as tf

BACKGROUND = -1  # IoU below the low threshold: a negative example
BETWEEN = -2  # between the thresholds: ignored by the loss


def match(
    iou: tf.Tensor, valid: tf.Tensor, high: float, low: float, every_object: bool
) -> tf.Tensor:
    """The object that each candidate is matched to.

    Args:
        iou: [..., N, G], of N candidates with G objects.
        valid: bool [..., G], False for padding.
        high: a candidate whose best IoU is at least this is positive.
        low: a candidate whose best IoU is below this is background.
        every_object: also make positive every candidate that ties for the best IoU with some
            object, however low that IoU is, so that no object is without a positive. Such a
            candidate is matched to *its own* best object, which may be another one (torchvision
            and Detectron2 do the same).

    Returns:
        int32 [..., N]: the object's index, or BACKGROUND, or BETWEEN.
    """
    iou = tf.where(valid[..., None, :], iou, -1.0)
    # An image without objects has G padded columns, or none at all: then the best IoU is -1.
    iou = tf.pad(iou, [[0, 0]] * (iou.shape.rank - 1) + [[0, 1]], constant_values=-1.0)
    best = tf.argmax(iou, axis=-1, output_type=tf.int32)
    best_iou = tf.reduce_max(iou, axis=-1)
    matches = tf.where(best_iou >= high, best, BETWEEN)
    matches = tf.where(best_iou < low, BACKGROUND, matches)
    if every_object:
        top = tf.reduce_max(iou, axis=-2, keepdims=True)  # of each object
        is_top = tf.reduce_any((iou == top) & (iou >= 0.0), axis=-1)
        matches = tf.where(is_top, best, matches)
    return matches


def pick(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The values [B, G, ...] of the matched objects, index [B, K]; zeros where there are none."""
    padded = tf.pad(values, [[0, 0], [0, 1]] + [[0, 0]] * (values.shape.rank - 2))
    return tf.gather(padded, index, batch_dims=1)


def sample(
    positive: tf.Tensor,
    negative: tf.Tensor,
    number: int,
    positive_fraction: float,
    priority: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A balanced sample of the candidates of each image.

    Args:
        positive: bool [B, N], the positive candidates.
        negative: bool [B, N], the negative candidates.
        number: how many to take per image. Negatives fill up what positives leave.
        positive_fraction: at most number * positive_fraction positives are taken.
        priority: float [B, N]; the highest are taken first, so random numbers give a random sample
            and -index takes the first of each kind.

    Returns:
        The positives and the negatives taken, bool [B, N] each.
    """
    candidates = positive.shape[1] or tf.shape(positive)[1]
    most = tf.minimum(number, candidates)
    most_positive = tf.minimum(most_positives(number, positive_fraction), candidates)
    limit = tf.fill([tf.shape(positive)[0]], most_positive)
    taken = _take(positive, priority, most_positive, limit)
    count = tf.reduce_sum(tf.cast(taken, tf.int32), axis=1)
    return taken, _take(negative, priority, most, number - count)


def most_positives(number: int, fraction: float) -> int:
    """How many of a sample may be positive: a quarter of 512 is 128."""
    return int(number * fraction + 1e-6)  # 0.3 * 10 is 2.9999


def _take(eligible: tf.Tensor, priority: tf.Tensor, most, limit: tf.Tensor) -> tf.Tensor:
    """Of the eligible, the `limit` [B] with the highest priority (limit <= most): bool [B, N]."""
    lowest = priority.dtype.min
    values, indices = tf.math.top_k(tf.where(eligible, priority, lowest), k=most)
    chosen = (values > lowest) & (tf.range(most)[None] < limit[:, None])
    rows = tf.repeat(tf.range(tf.shape(eligible)[0]), most)
    places = tf.stack([rows, tf.reshape(indices, [-1])], axis=1)
    return tf.scatter_nd(places, tf.reshape(chosen, [-1]), tf.shape(eligible))
