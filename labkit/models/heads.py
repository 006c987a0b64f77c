"""The two heads that look at each region of interest: what is it and where exactly, and its mask.

Source: Mask R-CNN (He et al. 2017), fig. 4 right; with convolutions and batch norm before the
dense layer, the heads of torchvision's v2 (Li et al. 2021).
"""

import keras
import tensorflow as tf
from keras import layers

from labkit.models.inclusive import to_inclusive
from labkit.models.layers import batch_norm, conv, small_normal
from labkit.ops import boxes as box_ops
from labkit.ops.matching import match, pick, sample
from labkit.ops.roi import roi_align


def box_head(config, classes: int) -> keras.Model:
    """RoIs [K, 7, 7, C] to class logits [K, 1 + classes] and deltas [K, classes, 4].

    Class 0 is background, which has no box: deltas[:, c - 1] are those of class c. Where
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

    Where config.class_agnostic there is one for all. The paper finds that hardly worse (29.7 mask
    AP against 30.3, table 2b): the class is the box head's business.
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


# --- what the heads are taught ----------------------------------------------------------


def roi_targets(
    proposals: tf.Tensor, count: tf.Tensor, gt: dict[str, tf.Tensor], priority: tf.Tensor, config
) -> dict[str, tf.Tensor]:
    """A sample of RoIs and what the heads should say of each.

    proposals [B, P, 4], of which count int32 [B] are real. gt: boxes [B, G, 4], classes int32
    [B, G] with 0 for padding. priority [B, G + P] as in `sample`.
    The objects' own boxes are added to the proposals: early in training they are the only good
    ones. Returns, positives first: rois [B, K, 4], classes int32 [B, K] (0 background), matches
    int32 [B, K], deltas [B, K, 4], positive and sampled bool [B, K] (some rows may be padding).
    """
    valid = gt["classes"] > 0
    real = tf.sequence_mask(count, tf.shape(proposals)[1])
    candidates = tf.concat([gt["boxes"], proposals], axis=1)
    real = tf.concat([valid, real], axis=1)
    overlap = box_ops.iou(candidates, gt["boxes"])
    threshold = config.roi_positive_iou
    matches = match(overlap, valid, threshold, threshold, False)
    positive, negative = sample(
        real & (matches >= 0),
        real & (matches < 0),
        config.roi_samples,
        config.roi_positive_fraction,
        priority,
    )
    # Positives (2), then negatives (1), then what was not drawn (0): ties keep their order.
    rank = 2 * tf.cast(positive, tf.int32) + tf.cast(negative, tf.int32)
    rank, index = tf.math.top_k(rank, tf.minimum(config.roi_samples, tf.shape(rank)[1]))
    rois = tf.gather(candidates, index, batch_dims=1)
    matched = tf.maximum(tf.gather(matches, index, batch_dims=1), 0)
    positive = rank == 2
    classes = tf.where(positive, pick(gt["classes"], matched), 0)
    start = _not_empty(rois)
    target = tf.where(positive[..., None], pick(gt["boxes"], matched), start)
    # Nothing has no logarithm: a hundredth of a pixel is left of a box that ends where it begins.
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
    """Padding is an empty box: its deltas are never used, but must be finite."""
    empty = ~box_ops.large_enough(boxes, 1e-6)
    return tf.where(empty[..., None], tf.constant([0.0, 0.0, 1.0, 1.0]), boxes)


def mask_targets(
    rois: tf.Tensor, matches: tf.Tensor, masks: tf.Tensor, frames: tf.Tensor | None, size: int
) -> tf.Tensor:
    """The mask each RoI should show, float32 [B, K, size, size], by RoIAlign of its object's mask.

    rois [B, K, 4]; matches int32 [B, K]. masks uint8 [B, G, h, w] (0, 1): either of the image's
    size (frames None), or mini-masks that fill the boxes `frames` [B, G, 4].
    """
    batch, number = tf.shape(rois)[0], tf.shape(rois)[1]
    masks = pick(masks, matches)  # [B, K, h, w]
    height, width = tf.shape(masks)[2], tf.shape(masks)[3]
    if frames is not None:  # the RoI in the mini-mask's own cells
        frame = _not_empty(pick(frames, matches))
        extent = tf.cast(tf.stack([height, width]), tf.float32) / (frame[..., 2:] - frame[..., :2])
        origin = tf.concat([frame[..., :2]] * 2, axis=-1)
        rois = (rois - origin) * tf.concat([extent, extent], axis=-1)
    flat = tf.cast(tf.reshape(masks, [-1, height, width, 1]), tf.float32)
    # torchvision projects full masks with as many samples as a bin has pixels and no half-pixel
    # shift; a mini-mask of twice the target's side needs two samples, at pixel centres.
    ratio, aligned = (0, False) if frames is None else (2, True)
    targets = roi_align(
        flat, tf.reshape(rois, [-1, 4]), tf.range(batch * number), size, 1.0, ratio, aligned
    )
    return tf.reshape(targets, [batch, number, size, size])
