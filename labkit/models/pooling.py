"""Every RoI as a small map, from the level of its size, by the operator that the config names."""

import tensorflow as tf

from labkit.models.inclusive import limit, to_inclusive
from labkit.ops.roi import (
    pyramid_crop_and_resize,
    pyramid_roi_align,
    pyramid_roi_pool,
    roi_level,
)


def pool_rois(maps: list[tf.Tensor], rois: tf.Tensor, output: int, config) -> tf.Tensor:
    """RoIs [B, K, 4] (pixels) of P2..P5 as [B, K, output, output, C]."""
    c, strides = config, config.strides[: len(maps)]
    image_shape = strides[0] * tf.shape(maps[0])[1:3]
    level = roi_levels(maps, rois, c)
    if c.roi_op == "pool":
        return pyramid_roi_pool(maps, rois, output, strides, level)
    if c.roi_op == "crop_and_resize":
        return pyramid_crop_and_resize(maps, rois, output, image_shape, level)
    return pyramid_roi_align(
        maps, rois, output, strides, c.roi_sampling_ratio, c.roi_aligned, level=level
    )


def roi_levels(maps: list[tf.Tensor], rois: tf.Tensor, config) -> tf.Tensor:
    """The level of each RoI [B, K, 4] among the maps P2..P5: int32 [B, K], 0 for P2."""
    image_shape = config.strides[0] * tf.shape(maps[0])[1:3]
    canonical = config.roi_canonical_size
    if config.inclusive_boxes:
        # Matterport compares a RoI's part of the image with that of 224 px, and an image of H rows
        # is H - 1 long for the one and H for the other.
        shape = tf.cast(image_shape, tf.float32)
        canonical *= tf.sqrt(tf.reduce_prod(limit(shape, config) / shape))
    return roi_level(
        to_inclusive(rois, config),
        len(maps),
        canonical,
        config.roi_canonical_level,
        config.roi_level_rounding,
    )
