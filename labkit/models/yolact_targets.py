"""What a YOLACT should say at each anchor, and the masks that it learns from.

Source: YOLACT (Bolya et al. 2019, sec. 3.3), in the order of its code.
"""

import tensorflow as tf

from labkit.ops import boxes as box_ops
from labkit.ops import prototypes
from labkit.ops.matching import BACKGROUND, match_distinct, spare_crowds


def anchor_targets(anchors: tf.Tensor, batch: dict[str, tf.Tensor], config) -> dict:
    """The object of each anchor, and what follows from it.

    Args:
        anchors: [A, 4], all levels one after another.
        batch: boxes [B, G, 4] and classes [B, G]; also crowds [B, K, 4], if there are any.
        config: the `YolactConfig`.

    Returns:
        matches int32 [B, A] (see `match_distinct`); positive and background, bool [B, A]; owner
        int32 [B, A], the object (0 where there is none); labels int32 [B, A], 0 for background;
        boxes [B, A, 4] and deltas [B, A, 4], meaningful for positives; counts int32 [B], the
        positives of each image.
    """
    boxes, classes = batch["boxes"], batch["classes"]
    valid = (classes > 0) & (box_ops.area(boxes) > 0.0)
    overlap = box_ops.iou(anchors, boxes)
    matches = match_distinct(overlap, valid, config.positive_iou, config.negative_iou)
    if "crowds" in batch:
        matches = spare_crowds(matches, anchors, batch["crowds"], config.crowd_share)
    positive = matches >= 0
    owner = tf.maximum(matches, 0)
    target = _of_owner(boxes, owner)
    return {
        "matches": matches,
        "positive": positive,
        "background": matches == BACKGROUND,
        "owner": owner,
        "labels": tf.where(positive, _of_owner(classes, owner), 0),
        "boxes": target,
        "deltas": box_ops.encode(target, anchors[None], config.box_std),
        "counts": tf.reduce_sum(tf.cast(positive, tf.int32), axis=1),
    }


def drawn_masks(targets: dict, priority: tf.Tensor, most: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The positives of each image whose masks are assembled.

    Args:
        targets: of `anchor_targets`.
        priority: [B, A], random numbers above 0; where there are too many, the highest are drawn.
        most: positives of an image.

    Returns:
        int32 [B, K], anchors (K is the number of the image that has most), and float32 [B, K]: what
        each counts, 0 for padding, and more than 1 where positives were left out.
    """
    counts = targets["counts"]
    most = tf.minimum(most, tf.reduce_max(counts))
    order = tf.where(targets["positive"], priority, -1.0)
    _, anchors = tf.math.top_k(order, most)
    drawn = tf.minimum(counts, most)
    real = tf.sequence_mask(drawn, most, tf.float32)
    each = tf.math.divide_no_nan(tf.cast(counts, tf.float32), tf.cast(drawn, tf.float32))
    return anchors, real * each[:, None]


def mask_targets(batch: dict[str, tf.Tensor], grid_shape, config) -> tf.Tensor:
    """The objects' masks on a grid (h, w) over the padded images: bool [B, G, h, w].

    At the prototypes' size, and smaller than the images' by that: eight images of 550 px with fifty
    objects each are 7.6 MB.
    """
    image_shape = tf.unstack(tf.shape(batch["images"])[1:3])
    if config.mini_mask:
        return prototypes.targets_of_mini_masks(
            batch["masks"], batch["boxes"], image_shape, grid_shape
        )
    return prototypes.targets_of_masks(batch["masks"], grid_shape)


def _of_owner(values: tf.Tensor, owner: tf.Tensor) -> tf.Tensor:
    """The values [B, G, ...] of the owners [B, A]; zeros where there is no object at all."""
    room = [[0, 0], [0, 1]] + [[0, 0]] * (values.shape.rank - 2)
    return tf.gather(tf.pad(values, room), owner, batch_dims=1)
