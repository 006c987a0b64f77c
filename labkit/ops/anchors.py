"""The anchor grid: at every cell of every pyramid level, a few boxes of fixed size and shape.

An anchor is a question that the region proposal network answers: is there an object about here,
about this large? Source: Faster R-CNN (Ren et al. 2015); one size a level: FPN (Lin et al. 2017).
"""

import numpy as np
import tensorflow as tf


def cell_anchors(size: float, ratios, rounding: bool = False, square: bool = False) -> np.ndarray:
    """Anchors of one cell, centred at the origin.

    Args:
        size: every anchor has the area size**2, in square pixels.
        ratios: height / width of each anchor.
        rounding: move the corners to whole pixels, as torchvision does: its published weights were
            trained that way.
        square: every anchor is as high as the ratio makes it wide: squares of different sizes. A
            slip in YOLACT's code that its published weights were trained with.

    Returns:
        float32 [len(ratios), 4].
    """
    roots = np.sqrt(np.asarray(ratios, np.float32))
    heights, widths = np.float32(size) * roots, np.float32(size) * (np.float32(1.0) / roots)
    heights = widths if square else heights
    anchors = np.stack([-heights, -widths, heights, widths], axis=1) / 2
    return np.round(anchors) if rounding else anchors


def grid_anchors(cell: np.ndarray, feature_shape, stride, offset: float = 0.0) -> tf.Tensor:
    """Anchors of one level, cell by cell in reading order.

    Args:
        cell: [A, 4] from `cell_anchors`.
        feature_shape: (H, W), in cells.
        stride: (pixels per row, pixels per column).
        offset: where in its cell an anchor is centred: 0 for the corner (torchvision, Detectron2),
            0.5 for the middle.

    Returns:
        float32 [H*W*A, 4], in pixels of the image.
    """
    stride_y, stride_x = tf.cast(stride[0], tf.float32), tf.cast(stride[1], tf.float32)
    y = (tf.range(feature_shape[0], dtype=tf.float32) + offset) * stride_y
    x = (tf.range(feature_shape[1], dtype=tf.float32) + offset) * stride_x
    y, x = tf.meshgrid(y, x, indexing="ij")
    centres = tf.reshape(tf.stack([y, x, y, x], axis=-1), [-1, 1, 4])
    return tf.reshape(centres + tf.constant(cell, tf.float32), [-1, 4])


def pyramid_anchors(
    image_shape,
    feature_shapes,
    sizes,
    ratios,
    rounding: bool = False,
    offset: float = 0.0,
    square: bool = False,
    strides: str | tuple[int, ...] = "whole",
) -> list[tf.Tensor]:
    """Anchors of every level of a pyramid.

    The stride of a level is "whole", image // feature, as in torchvision. 224 rows make 7 of P5
    and, rounded up, 4 of P6, whose stride then is 56 and not 64. 550 rows make 69 of P3: there a
    stride of 7 would end far from the border, and "exact" is 550 / 69, as in YOLACT. Detectron2's
    strides are those of an image that needs no rounding, and are given as numbers.

    Args:
        image_shape: (height, width) of the padded image, in pixels.
        feature_shapes: (H, W) of each level.
        sizes: the size of the anchors of each level, as in `cell_anchors`.
        ratios: as in `cell_anchors`.
        rounding: as in `cell_anchors`.
        offset: as in `grid_anchors`.
        square: as in `cell_anchors`.
        strides: "whole", "exact", or the stride of each level in pixels.

    Returns:
        A list of float32 [H*W*A, 4], in pixels of the image.
    """
    levels = []
    for level, ((rows, columns), size) in enumerate(zip(feature_shapes, sizes, strict=True)):
        if strides == "whole":
            stride = (image_shape[0] // rows, image_shape[1] // columns)
        elif strides == "exact":
            stride = (image_shape[0] / rows, image_shape[1] / columns)
        else:
            stride = (strides[level], strides[level])
        cell = cell_anchors(size, ratios, rounding, square)
        levels.append(grid_anchors(cell, (rows, columns), stride, offset))
    return levels
