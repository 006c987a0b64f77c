"""Masks as sums of prototypes: assembled, cropped, and the targets that they learn from.

A network draws k maps of the whole image, the prototypes, and says k numbers for every object, its
coefficients. The object's mask is the sigmoid of the sum of the maps, each times its number, cut
off outside the object's box. Source: YOLACT (Bolya et al. 2019, sec. 3.2 and 3.3).

Prototypes have a cell for every few pixels, and all that happens here happens on their grid: masks
of the size of the image would take sixteen times the memory.
"""

import tensorflow as tf


def assemble(prototypes: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """Mask logits [B, N, h, w] from prototypes [B, h, w, k] and coefficients [B, N, k]."""
    batch, height, width, count = tf.unstack(tf.shape(prototypes))
    flat = tf.reshape(prototypes, [batch, height * width, count])
    logits = tf.matmul(coefficients, flat, transpose_b=True)
    return tf.reshape(logits, [batch, -1, height, width])


def on_grid(boxes: tf.Tensor, image_shape, grid_shape) -> tf.Tensor:
    """Boxes [..., 4] in pixels of an image (height, width), in cells of a grid (h, w) over it."""
    scale = [
        tf.cast(g, tf.float32) / tf.cast(i, tf.float32)
        for g, i in zip(grid_shape, image_shape, strict=True)
    ]
    return boxes * tf.stack(scale * 2)


def inside(boxes: tf.Tensor, grid_shape, margin: float = 1.0) -> tf.Tensor:
    """Which cells of a grid lie in each box: bool [..., h, w].

    Args:
        boxes: [..., 4] in cells.
        grid_shape: (h, w).
        margin: cells that the box is widened by on every side. A cell is inside if its near edge
            is: at least start - margin, and below end + margin.
    """
    y1, x1, y2, x2 = (c[..., None] for c in tf.unstack(boxes, axis=-1))
    rows, columns = (tf.range(n, dtype=tf.float32) for n in grid_shape)
    rows = (rows >= y1 - margin) & (rows < y2 + margin)
    columns = (columns >= x1 - margin) & (columns < x2 + margin)
    return rows[..., :, None] & columns[..., None, :]


# --- what prototypes learn from -----------------------------------------------------------


def targets_of_mini_masks(minis: tf.Tensor, boxes: tf.Tensor, image_shape, grid_shape) -> tf.Tensor:
    """Mini-masks [B, G, m, m] in their boxes as whole masks on a grid: bool [B, G, h, w].

    The mini-mask is interpolated bilinearly at the centre of every cell that lies in the box, and
    is true above 0.5. (Mini-masks are larger than what the grid has for most boxes.)

    Args:
        minis: of 0 and 1.
        boxes: [B, G, 4] in pixels.
        image_shape: (height, width) of the padded images.
        grid_shape: (h, w).
    """
    start, end = tf.split(on_grid(boxes, image_shape, grid_shape), 2, axis=-1)
    rows = _weights(start[..., 0], end[..., 0], minis.shape[-2], grid_shape[0])
    columns = _weights(start[..., 1], end[..., 1], minis.shape[-1], grid_shape[1])
    sampled = tf.matmul(tf.matmul(rows, tf.cast(minis, tf.float32)), columns, transpose_b=True)
    return sampled > 0.5


def _weights(start: tf.Tensor, end: tf.Tensor, samples: int, cells) -> tf.Tensor:
    """What each of `samples` between start and end [...] counts in each cell: [..., cells, m]."""
    centre = tf.range(cells, dtype=tf.float32) + 0.5
    start, end = start[..., None], end[..., None]
    place = tf.math.divide_no_nan(centre - start, end - start) * samples - 0.5
    place = tf.clip_by_value(place, 0.0, samples - 1.0)[..., None]
    weights = tf.maximum(1.0 - tf.abs(place - tf.range(samples, dtype=tf.float32)), 0.0)
    within = (centre >= start) & (centre < end)
    return tf.where(within[..., None], weights, 0.0)


def targets_of_masks(masks: tf.Tensor, grid_shape) -> tf.Tensor:
    """Masks [B, G, H, W] of the padded image's size on a grid: bool [B, G, h, w].

    Interpolated bilinearly at the cells' centres, and true above 0.5, as in YOLACT.
    """
    shape = tf.shape(masks)
    flat = tf.reshape(masks, [-1, shape[2], shape[3], 1])
    small = tf.image.resize(tf.cast(flat, tf.float32), tf.stack(grid_shape))
    return tf.reshape(small, [shape[0], shape[1], *grid_shape]) > 0.5


def union_by_class(targets: tf.Tensor, classes: tf.Tensor, count: int) -> tf.Tensor:
    """What a map of each class should be: float32 [B, h, w, count], of 0 and 1.

    Args:
        targets: bool [B, G, h, w].
        classes: int32 [B, G], 0 for padding, otherwise 1 to count.
        count: of classes.
    """
    member = tf.one_hot(classes - 1, count)  # padding, -1, is no class
    covered = tf.einsum("bghw,bgc->bhwc", tf.cast(targets, tf.float32), member)
    return tf.cast(covered > 0.0, tf.float32)
