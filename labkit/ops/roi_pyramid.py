"""RoI operators on a feature pyramid: every RoI is pooled from the level that fits its size.

`pyramid_roi_align` equals `labkit.roi_align` level by level (a test holds the two together), but
pools the RoIs of all levels at once: the network runs it in every step.
"""

from collections.abc import Callable

import tensorflow as tf

from labkit.ops.roi import (
    PAD,
    adaptive_mean,
    crop_and_resize,
    replicate_border,
    roi_crop_and_resize,
    roi_pool,
    samples_inside,
)


def roi_level(
    boxes: tf.Tensor,
    levels: int,
    canonical_size: float = 224.0,
    canonical_level: int = 4,
    rounding: str = "down",
) -> tf.Tensor:
    """The pyramid level of each box: k = floor(k0 + log2(sqrt(w h) / 224)).

    Half the size, one level finer. 1e-6 is added to the logarithm, so that rounding does not send a
    box of exactly 112 px one level too low.
    Source: FPN (Lin et al. 2017), eq. 1; the epsilon is torchvision's.

    Args:
        boxes: [..., 4], in pixels.
        levels: how many levels there are, from P2 up; others are clipped to these.
        canonical_size: side in pixels of a square box that belongs on `canonical_level`.
        canonical_level: k0.
        rounding: "down", or "nearest" for the nearer level, so that a box of 160 px already belongs
            where one of 224 px does (Matterport).

    Returns:
        int32 [...], from 0 (P2) to levels - 1.
    """
    height, width = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    size = tf.sqrt(tf.maximum(height * width, 0.0))
    octave = tf.math.log(size / canonical_size) / tf.math.log(2.0)  # -inf for an empty box
    if rounding == "nearest":
        level = canonical_level + tf.round(octave)
    else:
        level = tf.floor(canonical_level + octave + 1e-6)
    return tf.cast(tf.clip_by_value(level, 2.0, levels + 1.0), tf.int32) - 2


# --- RoIAlign ---------------------------------------------------------------------------


def pyramid_roi_align(
    features: list[tf.Tensor],
    boxes: tf.Tensor,
    output: int,
    strides,
    sampling_ratio: int = 2,
    aligned: bool = False,
    canonical_size: float = 224.0,
    canonical_level: int = 4,
    level: tf.Tensor | None = None,
) -> tf.Tensor:
    """RoIAlign of each RoI on its level of a pyramid.

    All levels are laid out on one sheet, the atlas, and the RoIs moved to where their level lies
    there. One `crop_and_resize` then serves them all, where `roi_align` would take one per level.

    Args:
        features: the maps P2, P3, ..., [B, H, W, C] each.
        boxes: [B, K, 4], the RoIs of each image, in pixels.
        output: number of bins along each side of a RoI.
        strides: pixels per cell of each map.
        sampling_ratio: samples per bin along each axis; 0 is adaptive, as in `roi_align`.
        aligned: shift by half a cell, as in `roi_align`.
        canonical_size: as in `roi_level`.
        canonical_level: as in `roi_level`.
        level: int32 [B, K], the map that each RoI is pooled from, 0 for P2; by default `roi_level`
            decides.

    Returns:
        float32 [B, K, output, output, C].
    """
    batch, number = tf.shape(boxes)[0], tf.shape(boxes)[1]
    channels = features[0].shape[-1]
    boxes = tf.reshape(boxes, [-1, 4])
    if level is None:
        level = roi_level(boxes, len(features), canonical_size, canonical_level)
    level = tf.reshape(level, [-1])
    image_index = tf.repeat(tf.range(batch), number)

    scales = tf.constant([1.0 / stride for stride in strides], tf.float32)
    start, end = tf.split(boxes * tf.gather(scales, level)[:, None], 2, axis=1)
    size = end - start
    if aligned:
        start -= 0.5
    else:
        size = tf.maximum(size, 1.0)
    atlas, corners, shapes = _atlas(features)

    def mean_of_samples(start, size, corner, shape, image_index, ratio):
        # As in `roi_align`, with two differences: `corner` (row and column) is where a RoI's map
        # begins on the atlas, and `shape` says where it ends. Beyond that the atlas shows another
        # level, or nothing, but samples there count as 0 in any case.
        count = output * ratio
        step = size / tf.cast(count, tf.float32)
        first, last = start + 0.5 * step, start + size - 0.5 * step
        extent = tf.cast(tf.shape(atlas)[1:3] - 1, tf.float32)
        atlas_boxes = tf.concat([(first + corner) / extent, (last + corner) / extent], axis=1)
        samples = crop_and_resize(atlas, atlas_boxes, image_index, count)
        inside_y = samples_inside(start[:, 0], size[:, 0], output, ratio[0], shape[:, 0])
        inside_x = samples_inside(start[:, 1], size[:, 1], output, ratio[1], shape[:, 1])
        samples = tf.where((inside_y[:, :, None] & inside_x[:, None, :])[..., None], samples, 0.0)
        bins = tf.reshape(samples, [-1, output, ratio[0], output, ratio[1], channels])
        return tf.reduce_mean(bins, axis=[2, 4])

    rois = (start, size, tf.gather(corners, level), tf.gather(shapes, level), image_index)
    if sampling_ratio > 0:
        pooled = mean_of_samples(*rois, tf.constant([sampling_ratio, sampling_ratio]))
    else:
        pooled = adaptive_mean(mean_of_samples, rois, output, channels)
    return tf.reshape(pooled, [batch, number, output, output, channels])


def _atlas(features: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """All levels of a pyramid on one sheet, each with its border replicated.

    P2 stands on the left, P3, P4, ... below one another to its right.

    Returns:
        The sheet, [B, H', W', C]; where the first cell of each level lies on it, float32 [L, 2]
        (row, column); and (H, W) of each level, float32 [L, 2].
    """
    shapes = [tf.shape(f)[1:3] for f in features]
    padded = [replicate_border(f) for f in features]
    rows = [tf.shape(p)[1] for p in padded]
    first, others = padded[0], padded[1:]
    tops, top = [0], 0
    for r in rows[1:]:
        tops.append(top)
        top += r
    left = [0] + [tf.shape(first)[2]] * len(others)
    corners = tf.cast(tf.stack([tf.stack(tops), tf.stack(left)], axis=1), tf.float32)
    sheet = first
    if others:
        widest = tf.shape(others[0])[2]
        column = tf.concat([_pad_to(p, tf.shape(p)[1], widest) for p in others], axis=1)
        height = tf.maximum(rows[0], top)
        sheet = tf.concat(
            [_pad_to(first, height, tf.shape(first)[2]), _pad_to(column, height, widest)], axis=2
        )
    return sheet, corners + PAD, tf.cast(tf.stack(shapes), tf.float32)


def _pad_to(x: tf.Tensor, height, width) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [0, height - tf.shape(x)[1]], [0, width - tf.shape(x)[2]], [0, 0]])


# --- what came before, level by level -----------------------------------------------------


def pyramid_roi_pool(
    features: list[tf.Tensor], boxes: tf.Tensor, output: int, strides, level: tf.Tensor
) -> tf.Tensor:
    """RoIPool of each RoI on its level of a pyramid; the arguments are `pyramid_roi_align`'s."""

    def pool(i, boxes, image_index):
        return roi_pool(features[i], boxes, image_index, output, 1.0 / strides[i])

    return _level_by_level(pool, features, boxes, output, level)


def pyramid_crop_and_resize(
    features: list[tf.Tensor], boxes: tf.Tensor, output: int, image_shape, level: tf.Tensor
) -> tf.Tensor:
    """`roi_crop_and_resize` of each RoI on its level; image_shape is (height, width) in pixels."""

    def pool(i, boxes, image_index):
        return roi_crop_and_resize(features[i], boxes, image_index, output, image_shape)

    return _level_by_level(pool, features, boxes, output, level)


def _level_by_level(
    pool: Callable, features: list[tf.Tensor], boxes: tf.Tensor, output: int, level: tf.Tensor
) -> tf.Tensor:
    """Pools each level's RoIs by `pool(level, boxes, image_index)`, and restores their order."""
    batch, number = tf.shape(boxes)[0], tf.shape(boxes)[1]
    flat, level = tf.reshape(boxes, [-1, 4]), tf.reshape(level, [-1])
    image_index = tf.repeat(tf.range(batch), number)
    members = [tf.where(level == i)[:, 0] for i in range(len(features))]
    pooled = [pool(i, tf.gather(flat, m), tf.gather(image_index, m)) for i, m in enumerate(members)]
    order = tf.math.invert_permutation(tf.concat(members, axis=0))
    pooled = tf.gather(tf.concat(pooled, axis=0), order)
    return tf.reshape(pooled, [batch, number, output, output, features[0].shape[-1]])
