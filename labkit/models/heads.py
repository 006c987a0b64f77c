"""The second stage: each region of interest (RoI) becomes a class, a better box and a mask.

In the order of detection: `pool_rois` cuts the RoIs out of the feature maps, `box_head` and
`mask_head` are the two networks, `select` decides which boxes are detections. Then training:
`roi_targets` and `mask_targets`.

Source: Mask R-CNN (He et al. 2017), fig. 4 right; with convolutions and batch norm before the
dense layer, the heads of torchvision's v2 (Li et al. 2021).
"""

import keras
import tensorflow as tf
from keras import layers

from labkit.models.inclusive import from_inclusive, limit, to_inclusive
from labkit.models.layers import batch_norm, conv, small_normal
from labkit.ops import boxes as box_ops
from labkit.ops.matching import match, pick, sample
from labkit.ops.nms import grouped_nms_padded
from labkit.ops.roi import roi_align
from labkit.ops.roi_pyramid import (
    pyramid_crop_and_resize,
    pyramid_roi_align,
    pyramid_roi_pool,
    roi_level,
)

# --- from feature maps to RoIs of one size ----------------------------------------------


def pool_rois(maps: list[tf.Tensor], rois: tf.Tensor, output: int, config) -> tf.Tensor:
    """Each RoI as a small map, pooled by config.roi_op from the level that fits its size.

    Args:
        maps: P2..P5, [B, h, w, C] each.
        rois: [B, K, 4], in pixels of the padded image.
        output: the side of the small maps, in bins.
        config: the `Config`.

    Returns:
        [B, K, output, output, C].
    """
    c, strides = config, config.strides[: len(maps)]
    level = roi_levels(maps, rois, c)
    if c.roi_op == "pool":
        return pyramid_roi_pool(maps, rois, output, strides, level)
    if c.roi_op == "crop_and_resize":
        return pyramid_crop_and_resize(maps, rois, output, _image_shape(maps, c), level)
    return pyramid_roi_align(
        maps, rois, output, strides, c.roi_sampling_ratio, c.roi_aligned, level=level
    )


def roi_levels(maps: list[tf.Tensor], rois: tf.Tensor, config) -> tf.Tensor:
    """The level of each RoI [B, K, 4] among the maps P2..P5: int32 [B, K], 0 for P2."""
    canonical = config.roi_canonical_size
    if config.inclusive_boxes:
        # Matterport measures RoIs as fractions of H - 1 rows, and the 224 px as a fraction of H.
        shape = tf.cast(_image_shape(maps, config), tf.float32)
        canonical *= tf.sqrt(tf.reduce_prod(limit(shape, config) / shape))
    return roi_level(
        to_inclusive(rois, config),
        len(maps),
        canonical,
        config.roi_canonical_level,
        config.roi_level_rounding,
    )


def _image_shape(maps: list[tf.Tensor], config) -> tf.Tensor:
    """(H, W) of the padded images that the maps were made from."""
    return config.strides[0] * tf.shape(maps[0])[1:3]


# --- the networks -----------------------------------------------------------------------


def box_head(config, classes: int) -> keras.Model:
    """RoIs [K, 7, 7, C] to class logits [K, 1 + classes] and deltas [K, classes, 4].

    Class 0 is background, which has no box: deltas[:, c - 1] are those of class c. With
    config.class_agnostic, all classes share deltas [K, 1, 4].
    """
    x = rois = keras.Input((config.box_pool, config.box_pool, config.fpn_channels))
    for i, channels in enumerate(config.box_convs):
        x = _conv(x, channels, config, f"conv{i}")
    x = layers.Flatten()(x)
    for i, units in enumerate(config.box_dense):
        x = layers.Dense(units, "relu", kernel_initializer="he_normal", name=f"fc{i}")(x)
    logits = layers.Dense(1 + classes, kernel_initializer=small_normal(), name="logits")(x)
    boxes = 1 if config.class_agnostic else classes
    deltas = layers.Dense(4 * boxes, kernel_initializer=small_normal(0.001), name="deltas")(x)
    deltas = layers.Reshape((boxes, 4))(deltas)
    return keras.Model(rois, [logits, deltas], name="box_head")


def mask_head(config, classes: int) -> keras.Model:
    """RoIs [K, 14, 14, C] to mask logits [K, 28, 28, classes], a mask for every class.

    With config.class_agnostic there is one mask for all classes. The paper finds that hardly worse
    (29.7 mask AP against 30.3, table 2b): naming the class is the box head's task.
    """
    x = rois = keras.Input((config.mask_pool, config.mask_pool, config.fpn_channels))
    for i, channels in enumerate(config.mask_convs):
        x = _conv(x, channels, config, f"conv{i}")
    x = layers.Conv2DTranspose(
        config.mask_channels, 2, 2, kernel_initializer="he_normal", name="deconv"
    )(x)
    x = layers.ReLU()(x)
    masks = 1 if config.class_agnostic else classes
    logits = conv(masks, 1, init=small_normal(), name="logits")(x)
    return keras.Model(rois, logits, name="mask_head")


def _conv(x, channels: int, config, name: str):
    norm = config.heads_batch_norm
    x = conv(channels, 3, bias=not norm, name=name)(x)
    x = batch_norm(config, f"{name}_bn")(x) if norm else x
    return layers.ReLU()(x)


# --- from refined boxes to detections ---------------------------------------------------


def select(
    refined: tf.Tensor,
    probabilities: tf.Tensor,
    real: tf.Tensor,
    config,
    score_threshold,
    nms_iou,
    detections,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which of the refined boxes are detections: score threshold, NMS in each class, top-n.

    Two rules are in use. In the paper's code, torchvision and Detectron2 ("every_class") every
    class of every RoI is a candidate, so that one RoI may become a cat and a dog; its score must be
    above the threshold, and its sides at least a hundredth of a pixel. In Matterport's
    ("top_class") only the most probable class is, if its score is not below the threshold.

    Args:
        refined: [B, P, N or 1, 4], the box of each RoI for each class or for all, inclusive if
            config.inclusive_boxes.
        probabilities: [B, P, 1 + N], background first.
        real: bool [B, P], False for padding.
        config: the `Config`.
        score_threshold: a number, or a scalar tensor, as the next two.
        nms_iou: of two boxes of a class with a larger IoU, only the better one is kept.
        detections: D, the most detections of an image.

    Returns:
        boxes [B, D, 4] (half-open), scores [B, D], classes int32 [B, D] and the number of real ones
        among them, int32 [B].
    """
    scores = probabilities[..., 1:]
    if config.detection_rule == "top_class":
        best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        top = tf.one_hot(best - 1, tf.shape(scores)[-1], on_value=True, off_value=False)
        good, least = top & (scores >= score_threshold), -0.5
    else:
        good, least = box_ops.large_enough(refined, 1e-2), score_threshold
    scores = tf.where(real[..., None] & good, scores, -1.0)
    boxes, scores, classes, count = grouped_nms_padded(refined, scores, nms_iou, detections, least)
    return from_inclusive(boxes, config), scores, classes + 1, count


# --- training ---------------------------------------------------------------------------


def roi_targets(
    proposals: tf.Tensor, count: tf.Tensor, gt: dict[str, tf.Tensor], priority: tf.Tensor, config
) -> dict[str, tf.Tensor]:
    """A sample of RoIs, and what the box head should predict for each.

    The objects' own boxes are added to the proposals: early in training they are the only good
    ones.

    Args:
        proposals: [B, P, 4].
        count: int32 [B], how many of an image's proposals are real.
        gt: the objects: boxes [B, G, 4] and classes int32 [B, G] (0 for padding).
        priority: [B, G + P], random numbers, see `labkit.ops.matching.sample`.
        config: the `Config`.

    Returns:
        K = config.roi_samples RoIs, the positive ones first: rois [B, K, 4], classes int32 [B, K]
        (0 for background), matches int32 [B, K] (the object), deltas [B, K, 4], positive and
        sampled bool [B, K] (False for rows that are padding).
    """
    valid = gt["classes"] > 0
    real = tf.sequence_mask(count, tf.shape(proposals)[1])
    candidates = tf.concat([gt["boxes"], proposals], axis=1)
    real = tf.concat([valid, real], axis=1)
    overlap = box_ops.iou(to_inclusive(candidates, config), to_inclusive(gt["boxes"], config))
    threshold = config.roi_positive_iou
    matches = match(overlap, valid, threshold, threshold, False)
    positive, negative = sample(
        real & (matches >= 0),
        real & (matches < 0),
        config.roi_samples,
        config.roi_positive_fraction,
        priority,
    )
    # Positives (2), then negatives (1), then those not sampled (0): ties keep their order.
    rank = 2 * tf.cast(positive, tf.int32) + tf.cast(negative, tf.int32)
    rank, index = tf.math.top_k(rank, tf.minimum(config.roi_samples, tf.shape(rank)[1]))
    rois = tf.gather(candidates, index, batch_dims=1)
    matched = tf.maximum(tf.gather(matches, index, batch_dims=1), 0)
    positive = rank == 2
    classes = tf.where(positive, pick(gt["classes"], matched), 0)
    start = _not_empty(rois)
    target = tf.where(positive[..., None], pick(gt["boxes"], matched), start)
    # An inclusive box of one pixel has a side of 0, whose logarithm is not finite: hence 0.01.
    target, start = (to_inclusive(boxes, config, thinnest=0.01) for boxes in (target, start))
    deltas = box_ops.encode(target, start, config.roi_box_std)
    return {
        "rois": rois,
        "classes": classes,
        "matches": matched,
        "deltas": deltas,
        "positive": positive,
        "sampled": rank > 0,
    }


def _not_empty(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes [..., 4], a unit box for each empty one: padding needs finite deltas, though unused."""
    empty = ~box_ops.large_enough(boxes, 1e-6)
    return tf.where(empty[..., None], tf.constant([0.0, 0.0, 1.0, 1.0]), boxes)


def mask_targets(
    rois: tf.Tensor, matches: tf.Tensor, masks: tf.Tensor, frames: tf.Tensor | None, size: int
) -> tf.Tensor:
    """The mask that the mask head should predict for each RoI: RoIAlign of its object's mask.

    Args:
        rois: [B, K, 4].
        matches: int32 [B, K], the object of each RoI.
        masks: uint8 [B, G, h, w] (0 or 1), of the image's size or mini-masks.
        frames: None for masks of the image's size; for mini-masks the boxes [B, G, 4] that they
            fill.
        size: the side of the targets, in cells.

    Returns:
        float32 [B, K, size, size], in 0..1.
    """
    batch, number = tf.shape(rois)[0], tf.shape(rois)[1]
    masks = pick(masks, matches)  # [B, K, h, w]
    height, width = tf.shape(masks)[2], tf.shape(masks)[3]
    if frames is not None:  # the RoI in cells of the mini-mask
        frame = _not_empty(pick(frames, matches))
        extent = tf.cast(tf.stack([height, width]), tf.float32) / (frame[..., 2:] - frame[..., :2])
        origin = tf.concat([frame[..., :2]] * 2, axis=-1)
        rois = (rois - origin) * tf.concat([extent, extent], axis=-1)
    flat = tf.cast(tf.reshape(masks, [-1, height, width, 1]), tf.float32)
    # torchvision samples full masks with as many points as a bin has pixels and no half-pixel
    # shift; a mini-mask of twice the target's side needs two points, at pixel centres.
    ratio, aligned = (0, False) if frames is None else (2, True)
    targets = roi_align(
        flat, tf.reshape(rois, [-1, 4]), tf.range(batch * number), size, 1.0, ratio, aligned
    )
    return tf.reshape(targets, [batch, number, size, size])
