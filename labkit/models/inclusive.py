"""Boxes that end *at* their last pixel, for weights that were trained on such boxes.

labkit's boxes are half-open: one of 10 rows reaches from 0 to 10. Matterport's, inside its network,
reach from the first pixel to the last, from 0 to 9, and an image of H rows from 0 to H - 1. What
the deltas mean, where boxes are cut and their IoU then differ by up to a pixel. With
`config.inclusive_boxes` these three are computed on such boxes, and on them only: what goes in and
comes out of every function is half-open.
"""

import tensorflow as tf


def to_inclusive(boxes: tf.Tensor, config, thinnest: float = 0.0) -> tf.Tensor:
    """Boxes [..., 4] as the config wants them where deltas and IoU are computed.

    thinnest: what is left of a box of one pixel or less.
    """
    if not config.inclusive_boxes:
        return boxes
    near, far = boxes[..., :2], boxes[..., 2:]
    return tf.concat([near, tf.maximum(far - 1.0, near + thinnest)], axis=-1)


def from_inclusive(boxes: tf.Tensor, config) -> tf.Tensor:
    """And back: half-open boxes [..., 4]."""
    return boxes + tf.constant([0.0, 0.0, 1.0, 1.0]) if config.inclusive_boxes else boxes


def limit(image_sizes: tf.Tensor, config) -> tf.Tensor:
    """The largest coordinates [B, 2] that a box has in images of [B, 2] pixels."""
    return image_sizes - 1.0 if config.inclusive_boxes else image_sizes
