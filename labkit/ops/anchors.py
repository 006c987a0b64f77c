"""The anchor grid: at every cell of every pyramid level, a few boxes of fixed size and shape.

An anchor is a question that the region proposal network answers: is there an object about here,
about this large? Source: Faster R-CNN (Ren et al. 2015); one size a level: FPN (Lin et al. 2017).
"""

import numpy as np
import tensorflow as tf


def cell_anchors(size: float, ratios, rounding: bool = False) -> np.ndarray:
    """Anchors of one cell, centred at the origin: float32 [len(ratios), 4].

    Every anchor has the area size**2 and height/width equal to its ratio. `rounding` moves the
    corners to whole pixels, as torchvision does: its published weights were trained with that.
    """
    roots = np.sqrt(np.asarray(ratios, np.float32))
    heights, widths = np.float32(size) * roots, np.float32(size) * (np.float32(1.0) / roots)
    anchors = np.stack([-heights, -widths, heights, widths], axis=1) / 2
    return np.round(anchors) if rounding else anchors


def grid_anchors(cell: np.ndarray, feature_shape, stride, offset: float = 0.0) -> tf.Tensor:
    """Anchors of one level, float32 [H*W*A, 4], cell by cell in reading order.

    cell: [A, 4] from `cell_anchors`. feature_shape: (H, W) cells. stride: (pixels a row, pixels a
    column). offset: where in its cell an anchor is centred, 0 for the corner (torchvision,
    Detectron2), 0.5 for the middle.
    """
    stride_y, stride_x = tf.cast(stride[0], tf.float32), tf.cast(stride[1], tf.float32)
    y = (tf.range(feature_shape[0], dtype=tf.float32) + offset) * stride_y
    x = (tf.range(feature_shape[1], dtype=tf.float32) + offset) * stride_x
    y, x = tf.meshgrid(y, x, indexing="ij")
    centres = tf.reshape(tf.stack([y, x, y, x], axis=-1), [-1, 1, 4])
    return tf.reshape(centres + tf.constant(cell, tf.float32), [-1, 4])


def pyramid_anchors(
    image_shape, feature_shapes, sizes, ratios, rounding: bool = False, offset: float = 0.0
) -> list[tf.Tensor]:
    """Anchors of every level of a pyramid: a list of float32 [H*W*A, 4], in pixels of the image.

    image_shape: (height, width) of the padded image. feature_shapes: (H, W) of each level.
    A level's stride is image // feature, as in torchvision: where P6 has an odd number of rows,
    rounding up makes that 56 and not 64.
    """
    levels = []
    for (rows, columns), size in zip(feature_shapes, sizes, strict=True):
        stride = (image_shape[0] // rows, image_shape[1] // columns)
        cell = cell_anchors(size, ratios, rounding)
        levels.append(grid_anchors(cell, (rows, columns), stride, offset))
    return levels
