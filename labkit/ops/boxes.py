"""Boxes: area, IoU, encoding as deltas and back, clipping.

A box is (y1, x1, y2, x2), float32, in pixels, half-open at the far edge: its height is y2 - y1.
All functions broadcast over leading axes, so they take one image as well as a batch.
"""

import math

import tensorflow as tf

# A network early in training may ask for exp(10) times the anchor's height. Every implementation
# caps the logarithm at the factor 1000/16 = 62.5 (Girshick's py-faster-rcnn, then all others).
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Area of boxes [..., 4] in square pixels: [...]; a negative side counts as 0."""
    height = tf.maximum(boxes[..., 2] - boxes[..., 0], 0.0)
    width = tf.maximum(boxes[..., 3] - boxes[..., 1], 0.0)
    return height * width


def intersection(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Area shared by each pair of boxes a [..., N, 4] and b [..., M, 4]: [..., N, M]."""
    # One matrix per coordinate: an array [..., N, M, 2] of corners would take twice the memory.
    ay1, ax1, ay2, ax2 = tf.split(a, 4, axis=-1)  # each [..., N, 1]
    by1, bx1, by2, bx2 = (tf.linalg.matrix_transpose(c) for c in tf.split(b, 4, axis=-1))
    height = tf.minimum(ay2, by2) - tf.maximum(ay1, by1)
    width = tf.minimum(ax2, bx2) - tf.maximum(ax1, bx1)
    return tf.maximum(height, 0.0) * tf.maximum(width, 0.0)


def iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each pair of boxes a [..., N, 4] and b [..., M, 4]: [..., N, M].

    A pair whose union is empty has IoU 0 (torchvision's box_iou gives NaN there).
    """
    shared = intersection(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return tf.math.divide_no_nan(shared, union)


def giou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Generalised IoU of each pair of boxes a [..., N, 4] and b [..., M, 4]: [..., N, M].

    IoU minus the fraction of the smallest enclosing box that neither of the two covers: from -1 to
    1. It is below 0 for boxes with a gap between them and falls with their distance; IoU stays 0.
    A pair whose enclosing box is empty has 0. Source: Rezatofighi et al. 2019.
    """
    enclosing = area(
        tf.concat(
            [
                tf.minimum(a[..., :, None, :2], b[..., None, :, :2]),
                tf.maximum(a[..., :, None, 2:], b[..., None, :, 2:]),
            ],
            axis=-1,
        )
    )
    shared = intersection(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return tf.math.divide_no_nan(shared, union) - tf.math.divide_no_nan(
        enclosing - union, enclosing
    )


def _centres_and_sizes(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(cy, cx) and (h, w) of boxes [..., 4], each [..., 2]."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def encode(boxes: tf.Tensor, anchors: tf.Tensor, std=(1.0, 1.0, 1.0, 1.0)) -> tf.Tensor:
    """Deltas [..., 4] that move anchors [..., 4] onto boxes [..., 4].

    dy = (cy* - cy)/h, dx = (cx* - cx)/w, dh = log(h*/h), dw = log(w*/w), each divided by its
    standard deviation `std`, so that the network regresses numbers of size one.
    Source: Faster R-CNN (Ren et al. 2015), eq. 2.
    """
    centre, size = _centres_and_sizes(anchors)
    target_centre, target_size = _centres_and_sizes(boxes)
    shift = (target_centre - centre) / size
    scale = tf.math.log(target_size / size)
    return tf.concat([shift, scale], axis=-1) / tf.constant(std, boxes.dtype)


def decode(deltas: tf.Tensor, anchors: tf.Tensor, std=(1.0, 1.0, 1.0, 1.0)) -> tf.Tensor:
    """Boxes [..., 4] from deltas [..., 4] and anchors [..., 4]: the inverse of `encode`.

    dh and dw are capped at log(1000/16), so that an extreme delta gives a large box and not inf.
    """
    deltas = deltas * tf.constant(std, deltas.dtype)
    centre, size = _centres_and_sizes(anchors)
    new_centre = deltas[..., :2] * size + centre
    half = 0.5 * tf.exp(tf.minimum(deltas[..., 2:], MAX_LOG_SCALE)) * size
    return tf.concat([new_centre - half, new_centre + half], axis=-1)


def clip(boxes: tf.Tensor, height, width) -> tf.Tensor:
    """Boxes [..., 4] clipped to an image of height x width pixels.

    Args:
        boxes: [..., 4].
        height: a number, or a tensor that broadcasts against boxes[..., 0] (one per image).
        width: like height.
    """
    height, width = tf.cast(height, boxes.dtype), tf.cast(width, boxes.dtype)
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    y1, y2 = (tf.clip_by_value(y, 0.0, height) for y in (y1, y2))
    x1, x2 = (tf.clip_by_value(x, 0.0, width) for x in (x1, x2))
    return tf.stack([y1, x1, y2, x2], axis=-1)


def large_enough(boxes: tf.Tensor, min_size: float) -> tf.Tensor:
    """Whether both sides of boxes [..., 4] are at least min_size pixels: bool [...]."""
    return tf.reduce_all(boxes[..., 2:] - boxes[..., :2] >= min_size, axis=-1)
