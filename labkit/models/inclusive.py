"""Boxes that end *at* their last pixel, for weights that were trained on such boxes.

labkit's boxes are half-open: a box of ten rows reaches from 0 to 10. Inside Matterport's network it
reaches from 0 to 9, and an image of H rows from 0 to H - 1. Deltas, IoU and the clipping of boxes
then differ by up to a pixel. With `config.inclusive_boxes` labkit computes them the same way:

- detection decodes, clips and suppresses inclusive boxes, in the RPN as in the box head, and finds
  the pyramid level of a RoI from them;
- training matches RoIs with objects, and encodes their deltas, by inclusive boxes;
- the RPN's training targets stay half-open, because Matterport computes those outside the network,
  from boxes in pixels (its `build_rpn_targets`).

Functions take and return half-open boxes unless their docstring says otherwise.
"""

import tensorflow as tf


def to_inclusive(boxes: tf.Tensor, config, thinnest: float = 0.0) -> tf.Tensor:
    """Half-open boxes [..., 4] as the config wants them for deltas and IoU.

    Args:
        boxes: float32 [..., 4], half-open.
        config: without `inclusive_boxes`, the boxes are returned as they are.
        thinnest: the side that remains of a side of one pixel or less.

    Returns:
        float32 [..., 4].
    """
    if not config.inclusive_boxes:
        return boxes
    near, far = boxes[..., :2], boxes[..., 2:]
    return tf.concat([near, tf.maximum(far - 1.0, near + thinnest)], axis=-1)


def from_inclusive(boxes: tf.Tensor, config) -> tf.Tensor:
    """The inverse of `to_inclusive`: half-open boxes [..., 4]."""
    return boxes + tf.constant([0.0, 0.0, 1.0, 1.0]) if config.inclusive_boxes else boxes


def limit(image_sizes: tf.Tensor, config) -> tf.Tensor:
    """The largest coordinates (y, x) of a box, [B, 2], in images of image_sizes [B, 2] pixels."""
    return image_sizes - 1.0 if config.inclusive_boxes else image_sizes
