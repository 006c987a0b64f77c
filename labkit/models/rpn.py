"""The region proposal network: which anchors hold an object, and how they should move.

Source: Faster R-CNN (Ren et al. 2015); the order of steps is torchvision's and Detectron2's.
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
    """One small network for all levels: a map to objectness [H, W, A] and deltas [H, W, 4 A]."""
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


def propose(
    logits: list[tf.Tensor],
    deltas: list[tf.Tensor],
    anchors: list[tf.Tensor],
    image_sizes: tf.Tensor,
    config,
    training: bool,
) -> dict[str, tf.Tensor]:
    """The boxes worth a second look: top-k a level, decode, clip, drop tiny, NMS a level, top-n.

    Where config.proposals_joint, all levels are as one: large and small objects then compete.

    logits, deltas: of each level, [B, A] and [B, A, 4]; anchors: of each level, [A, 4].
    image_sizes: [B, 2], the part of the padded image that is image.
    Returns boxes [B, P, 4], scores [B, P] (probabilities), level int32 [B, P] (0 where joint),
    count int32 [B]; and for those who watch, of the K boxes that were near: `candidate_anchors`,
    `decoded` and, clipped, `candidates` [B, K, 4], `candidate_scores` [B, K] (-1 for tiny ones),
    `candidate_level` [K].
    """
    before = config.proposals_before_nms_train if training else config.proposals_before_nms
    most = config.proposals_train if training else config.proposals
    if config.proposals_joint:
        logits, deltas = [tf.concat(logits, 1)], [tf.concat(deltas, 1)]
        anchors = [tf.concat(anchors, 0)]
    starts, boxes, scores, level_of = [], [], [], []
    for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
        top, index = tf.math.top_k(logit, tf.minimum(before, tf.shape(logit)[1]))
        delta = tf.gather(delta, index, batch_dims=1)
        starts.append(tf.gather(anchor, index))
        start = to_inclusive(starts[-1], config)
        boxes.append(box_ops.decode(delta, start, config.rpn_box_std))
        scores.append(tf.sigmoid(top))
        level_of.append(tf.fill([tf.shape(top)[1]], level))
    decoded, scores, level_of = tf.concat(boxes, 1), tf.concat(scores, 1), tf.concat(level_of, 0)
    boxes = box_ops.clip(decoded, *tf.split(limit(image_sizes, config), 2, axis=1))
    scores = tf.where(box_ops.large_enough(boxes, config.rpn_min_size), scores, -1.0)
    # A level is a group of its own: an anchor of P2 does not suppress one of P5.
    own_level = tf.one_hot(level_of, len(logits), on_value=True, off_value=False)
    grouped = tf.where(own_level[None], scores[:, :, None], -1.0)
    kept, kept_scores, level, count = grouped_nms_padded(
        boxes[:, :, None], grouped, config.rpn_nms_iou, most, score_threshold=-0.5
    )
    return {
        "boxes": from_inclusive(kept, config),
        "scores": kept_scores,
        "level": level,
        "count": count,
        "candidate_anchors": tf.concat(starts, 1),
        "decoded": from_inclusive(decoded, config),
        "candidates": from_inclusive(boxes, config),
        "candidate_scores": scores,
        "candidate_level": level_of,
    }


def rpn_targets(
    anchors: tf.Tensor, gt_boxes: tf.Tensor, gt_valid: tf.Tensor, priority: tf.Tensor, config
) -> dict[str, tf.Tensor]:
    """What each anchor should have said.

    anchors [A, 4]; gt_boxes [B, G, 4]; gt_valid bool [B, G]; priority [B, A] as in `sample`.
    Returns matches int32 [B, A], deltas [B, A, 4] (meaningful where positive), and the sampled
    positive and negative, bool [B, A].
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
    """The two scalar losses of the RPN: objectness and rpn_box."""
    positive, negative = targets["positive"], targets["negative"]
    samples = tf.reduce_sum(tf.cast(positive | negative, tf.int32))
    return {
        "objectness": objectness_loss(tf.concat(logits, 1), positive, negative),
        "rpn_box": box_loss(
            tf.concat(deltas, 1), targets["deltas"], positive, samples, config.smooth_l1_beta
        ),
    }
