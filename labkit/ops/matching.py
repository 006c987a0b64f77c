"""Matching boxes to objects by IoU, and drawing a balanced sample of the matches.

`match` is used twice in Mask R-CNN: the region proposal network matches anchors (IoU 0.7 and 0.3,
and every object gets its best anchor), the heads match proposals (0.5 and 0.5). `match_distinct` is
YOLACT's: there every object gets an anchor of its own.
"""

import tensorflow as tf

from labkit.ops import boxes as box_ops

BACKGROUND = -1  # IoU below the low threshold: a negative example
IGNORED = -2  # between the thresholds: takes part in no loss


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
        int32 [..., N]: the object's index, or BACKGROUND, or IGNORED.
    """
    iou = tf.where(valid[..., None, :], iou, -1.0)
    # An image without objects has G padded columns, or none at all: then the best IoU is -1.
    iou = tf.pad(iou, [[0, 0]] * (iou.shape.rank - 1) + [[0, 1]], constant_values=-1.0)
    best = tf.argmax(iou, axis=-1, output_type=tf.int32)
    best_iou = tf.reduce_max(iou, axis=-1)
    matches = tf.where(best_iou >= high, best, IGNORED)
    matches = tf.where(best_iou < low, BACKGROUND, matches)
    if every_object:
        top = tf.reduce_max(iou, axis=-2, keepdims=True)  # of each object
        is_top = tf.reduce_any((iou == top) & (iou >= 0.0), axis=-1)
        matches = tf.where(is_top, best, matches)
    return matches


def match_distinct(iou: tf.Tensor, valid: tf.Tensor, high: float, low: float) -> tf.Tensor:
    """The object that each candidate is matched to, where every object gets a candidate of its own.

    Two objects that share their best anchor would leave one of them without a positive in `match`.
    Here the pair of the highest IoU is matched first, whatever that IoU is; its object and its
    candidate are then taken, and the next pair is the best of those that are left, until every
    object has one or no candidate is left. Of equal IoUs the first object, and of its candidates
    the first, comes first. Source: SSD (Liu et al. 2016), as YOLACT (Bolya et al. 2019) orders it.

    Args:
        iou: [B, N, G], of N candidates with G objects.
        valid: bool [B, G], False for padding.
        high: a candidate whose best IoU is at least this is positive, too.
        low: a candidate whose best IoU is below this is background.

    Returns:
        int32 [B, N]: the object's index, or BACKGROUND, or IGNORED.
    """
    matches = match(iou, valid, high, low, every_object=False)
    batch, candidates, objects = tf.unstack(tf.shape(iou))
    # So many at most are taken by other objects, so an object's own is among its best G.
    most = tf.minimum(objects, candidates)
    overlap = tf.where(valid[:, None], iou, -1.0)
    best, place = tf.math.top_k(tf.linalg.matrix_transpose(overlap), most)  # [B, G, most]
    rows = tf.range(batch)

    def take_one(turn, best, matches):
        flat = tf.reshape(best, [batch, -1])
        first = tf.argmax(flat, axis=1, output_type=tf.int32)
        real = tf.reduce_max(flat, axis=1) >= 0.0
        owner = first // most
        taken = tf.gather(tf.reshape(place, [batch, -1]), first, batch_dims=1)
        old = tf.gather(matches, taken, batch_dims=1)
        places = tf.stack([rows, taken], axis=1)
        matches = tf.tensor_scatter_nd_update(matches, places, tf.where(real, owner, old))
        used = tf.range(objects)[None, :, None] == owner[:, None, None]
        left = tf.where(used | (place == taken[:, None, None]), -1.0, best)
        # Where sizes are known in advance, TensorFlow loses sight of the shape on the way here.
        return turn + 1, tf.reshape(left, [batch, objects, most]), matches

    def open_pairs(turn, best, _):
        return (turn < most) & tf.reduce_any(best >= 0.0)

    loop = (tf.constant(0), best, matches)
    shapes = (tf.TensorShape([]), tf.TensorShape([None, None, None]), matches.shape)
    return tf.while_loop(open_pairs, take_one, loop, shape_invariants=shapes)[2]


def spare_crowds(
    matches: tf.Tensor, candidates: tf.Tensor, crowds: tf.Tensor, share: float
) -> tf.Tensor:
    """Matches in which background inside a crowd is IGNORED: nobody knows what is there.

    Args:
        matches: int32 [B, N].
        candidates: [N, 4] or [B, N, 4].
        crowds: [B, K, 4], boxes of regions whose objects are not separated; those without an area
            are padding.
        share: a candidate with more than this share of its own area in one crowd is spared, unless
            it is positive.
    """
    area = box_ops.area(candidates)[..., None]
    inside = tf.math.divide_no_nan(box_ops.intersection(candidates, crowds), area)
    inside = tf.reduce_any(inside > share, axis=-1)
    return tf.where(inside & (matches < 0), IGNORED, matches)


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
    taken = take_highest(positive, priority, most_positive, limit)
    count = tf.reduce_sum(tf.cast(taken, tf.int32), axis=1)
    return taken, take_highest(negative, priority, most, number - count)


def most_positives(number: int, fraction: float) -> int:
    """How many of a sample may be positive: a quarter of 512 is 128."""
    return int(number * fraction + 1e-6)  # 0.3 * 10 is 2.9999


def take_highest(eligible: tf.Tensor, priority: tf.Tensor, most, limit: tf.Tensor) -> tf.Tensor:
    """Of the eligible, the `limit` [B] with the highest priority (limit <= most): bool [B, N]."""
    lowest = priority.dtype.min
    values, indices = tf.math.top_k(tf.where(eligible, priority, lowest), k=most)
    chosen = (values > lowest) & (tf.range(most)[None] < limit[:, None])
    rows = tf.repeat(tf.range(tf.shape(eligible)[0]), most)
    places = tf.stack([rows, tf.reshape(indices, [-1])], axis=1)
    return tf.scatter_nd(places, tf.reshape(chosen, [-1]), tf.shape(eligible))
