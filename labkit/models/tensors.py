"""Small things that every detector does with tensors."""

import tensorflow as tf


def height_width(x: tf.Tensor):
    """(H, W) of [B, H, W, C]: numbers where they are known, so that anchors become constants."""
    dynamic = tf.shape(x)
    return tuple(x.shape[i] if x.shape[i] is not None else dynamic[i] for i in (1, 2))


def float32(x: tf.Tensor) -> tf.Tensor:
    """Out of mixed precision: boxes, softmax and losses want all their digits."""
    return tf.cast(x, tf.float32)
