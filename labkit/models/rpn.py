"""The region proposal network: which anchors hold an object, and how they should move.

Source: Faster R-CNN (Ren et al. 2015); the order of the steps is torchvision's and Detectron2's.
"""

import keras
import tensorflow as tf
from keras import layers

from labkit.models.inclusive import from_inclusive, limit, to_inclusive
from labkit.models.layers import conv, small_normal
from labkit.ops import boxes as box_ops
from labkit.ops.losses import box_loss, objectness_loss
from labkit.ops.matching import BACKGROUND, match, pick, sample
from labkit.ops.nms import grouped_nms_padded


def rpn_head(config) -> keras.Model:
    """The network that all levels share: a map to objectness [H, W, A] and deltas [H, W, 4 A]."""
    x = features = keras.Input((None, None, config.fpn_channels))
    for i in range(config.rpn_convs):
        channels = config.rpn_channels or config.fpn_channels
        x = conv(channels, 3, init=small_normal(), name=f"conv{i}")(x)
        x = layers.ReLU()(x)
    anchors = config.anchors_per_cell
    objectness = conv(anchors, 1, init=small_normal(), name="objectness")(x)
    deltas = conv(4 * anchors, 1, init=small_normal(), name="deltas")(x)
    return keras.Model(features, [objectness, deltas], name="rpn")


def flatten_level(objectness: tf.Tensor, deltas: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Maps of one level to logits [B, H*W*A] and deltas [B, H*W*A, 4], in the anchors' order."""
    batch = tf.shape(objectness)[0]
    return tf.reshape(objectness, [batch, -1]), tf.reshape(deltas, [batch, -1, 4])


# --- proposals --------------------------------------------------------------------------


def propose(
    logits: list[tf.Tensor],
    deltas: list[tf.Tensor],
    anchors: list[tf.Tensor],
    image_sizes: tf.Tensor,
    config,
    training: bool,
) -> dict[str, tf.Tensor | dict[str, tf.Tensor]]:
    """The boxes worth a second look: top-k, decode, clip, drop tiny ones, NMS, top-n.

    Top-k and NMS treat each level on its own. With config.proposals_joint, all levels are treated
    as one, so that large and small objects compete.

    Args:
        logits: of each level, objectness logits [B, A].
        deltas: of each level, [B, A, 4].
        anchors: of each level, [A, 4].
        image_sizes: float32 [B, 2], the part of the padded image within which boxes may lie.
        config: the `Config`.
        training: whether the limits on the number of boxes are those of training.

    Returns:
        boxes [B, P, 4], scores [B, P] (probabilities) and level int32 [B, P] (0 if joint), padded
        after the first `count` int32 [B]. And `candidates`, the K boxes before NMS, kept so that
        the steps can be shown: anchors, decoded (not yet clipped) and boxes, [B, K, 4] each,
        scores [B, K] (-1 for boxes that are too small) and level int32 [K].
    """
    if training:
        before_nms, most = config.proposals_before_nms_train, config.proposals_train
    else:
        before_nms, most = config.proposals_before_nms, config.proposals
    if config.proposals_joint:
        logits, deltas = [tf.concat(logits, 1)], [tf.concat(deltas, 1)]
        anchors = [tf.concat(anchors, 0)]
    logit, delta, anchor, level = _best_anchors(logits, deltas, anchors, before_nms)
    decoded = box_ops.decode(delta, to_inclusive(anchor, config), config.rpn_box_std)
    boxes = box_ops.clip(decoded, *tf.split(limit(image_sizes, config), 2, axis=1))
    large = box_ops.large_enough(boxes, config.rpn_min_size)
    scores = tf.where(large, tf.sigmoid(logit), -1.0)

    # NMS within each level: an anchor of P2 does not suppress one of P5.
    own_level = tf.one_hot(level, len(logits), on_value=True, off_value=False)
    level_scores = tf.where(own_level[None], scores[:, :, None], -1.0)
    kept, kept_scores, kept_level, count = grouped_nms_padded(
        boxes[:, :, None], level_scores, config.rpn_nms_iou, most, score_threshold=-0.5
    )
    return {
        "boxes": from_inclusive(kept, config),
        "scores": kept_scores,
        "level": kept_level,
        "count": count,
        "candidates": {
            "anchors": anchor,
            "decoded": from_inclusive(decoded, config),
            "boxes": from_inclusive(boxes, config),
            "scores": scores,
            "level": level,
        },
    }


def _best_anchors(logits, deltas, anchors, most: int) -> tuple[tf.Tensor, ...]:
    """The `most` highest logits of each level, with their deltas and anchors.

    Returns the levels one after another: logits [B, K], deltas and anchors [B, K, 4], and the level
    of each, int32 [K].
    """
    best = []
    for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
        top, index = tf.math.top_k(logit, tf.minimum(most, tf.shape(logit)[1]))
        delta, anchor = tf.gather(delta, index, batch_dims=1), tf.gather(anchor, index)
        best.append((top, delta, anchor, tf.fill([tf.shape(top)[1]], level)))
    logits, deltas, anchors, levels = zip(*best, strict=True)
    return tf.concat(logits, 1), tf.concat(deltas, 1), tf.concat(anchors, 1), tf.concat(levels, 0)


# --- training ---------------------------------------------------------------------------


def rpn_targets(
    anchors: tf.Tensor, gt_boxes: tf.Tensor, gt_valid: tf.Tensor, priority: tf.Tensor, config
) -> dict[str, tf.Tensor]:
    """What the RPN should predict for each anchor, and the sample of anchors that is trained.

    Args:
        anchors: [A, 4], all levels one after another.
        gt_boxes: [B, G, 4], the objects.
        gt_valid: bool [B, G], False for padding.
        priority: [B, A], random numbers, see `labkit.ops.matching.sample`.
        config: the `Config`.

    Returns:
        matches int32 [B, A] (see `labkit.match`), deltas [B, A, 4] (meaningful for positive
        anchors), and the sampled anchors, positive and negative, bool [B, A].
    """
    overlap = box_ops.iou(anchors, gt_boxes)
    matches = match(overlap, gt_valid, config.rpn_positive_iou, config.rpn_negative_iou, True)
    positive, negative = sample(
        matches >= 0,
        matches == BACKGROUND,
        config.rpn_samples,
        config.rpn_positive_fraction,
        priority,
    )
    target = pick(gt_boxes, tf.maximum(matches, 0))
    deltas = box_ops.encode(target, anchors[None], config.rpn_box_std)
    return {"matches": matches, "deltas": deltas, "positive": positive, "negative": negative}


def rpn_losses(
    logits: list[tf.Tensor], deltas: list[tf.Tensor], targets: dict[str, tf.Tensor], config
) -> dict[str, tf.Tensor]:
    """The two scalar losses of the RPN: objectness and rpn_box.

    Args:
        logits: of each level, [B, A].
        deltas: of each level, [B, A, 4].
        targets: as `rpn_targets` returns them.
        config: the `Config`.
    """
    positive, negative = targets["positive"], targets["negative"]
    samples = tf.reduce_sum(tf.cast(positive | negative, tf.int32))
    return {
        "objectness": objectness_loss(tf.concat(logits, 1), positive, negative),
        "rpn_box": box_loss(
            tf.concat(deltas, 1), targets["deltas"], positive, samples, config.smooth_l1_beta
        ),
    }
