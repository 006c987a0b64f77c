"""From a box anywhere in the image to a small feature map of fixed size.

`roi_align` is exact: equal to torchvision's and Detectron2's operator in value and gradient.
`roi_pool` is its coarse ancestor (Fast R-CNN), `roi_crop_and_resize` the popular approximation
(one bilinear sample per bin); the course compares the three. `labkit.ops.roi_pyramid` has the same
operators on a feature pyramid.

The gradient of `tf.image.crop_and_resize` on a CPU is summed by several threads without a lock, so
that now and then an addition is lost where RoIs overlap (TensorFlow's issue 42033): a few dozen in
a million values, when measured. `tf.config.experimental.enable_op_determinism()` prevents it.
"""

from collections.abc import Callable

import tensorflow as tf

PAD = 2  # cells of replicated border: one that RoIAlign's definition needs, one against rounding


# --- RoIAlign ---------------------------------------------------------------------------


def roi_align(
    features: tf.Tensor,
    boxes: tf.Tensor,
    image_index: tf.Tensor,
    output: int,
    scale: float,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> tf.Tensor:
    """RoIAlign: the mean of bilinear samples in each bin of a RoI.

    Equal to torchvision's and Detectron2's operator in value and gradient. A sample more than one
    cell outside the map counts as 0, one within that cell reads the border.
    Source: Mask R-CNN (He et al. 2017), section 3; `aligned` is from Detectron2.

    Args:
        features: [B, H, W, C], a feature map for each image.
        boxes: [K, 4], the RoIs, in pixels of the image.
        image_index: int [K], the image that each RoI belongs to.
        output: number of bins along each side of a RoI.
        scale: cells per pixel (1/stride).
        sampling_ratio: samples per bin along each axis. 0 is adaptive: ceil(RoI size / output),
            which differs from RoI to RoI and from axis to axis.
        aligned: shift by half a cell, so that cell i is centred at i + 0.5 (Detectron2's default).
            Without it, RoIs are at least one cell large (torchvision's default).

    Returns:
        float32 [K, output, output, C].
    """
    # 1. Measure the RoIs in cells; the value of cell i is at coordinate i.
    features, image_index = tf.convert_to_tensor(features), tf.cast(image_index, tf.int32)
    start, end = tf.split(boxes * scale, 2, axis=1)  # each [K, 2]: y, x
    size = end - start
    if aligned:
        start -= 0.5
    else:
        size = tf.maximum(size, 1.0)
    # 2. Pad the maps: what lies up to a cell outside equals the border.
    padded = replicate_border(features)
    height, width, channels = tf.shape(features)[1], tf.shape(features)[2], features.shape[-1]

    def mean_of_samples(start, size, image_index, ratio):
        # 3. Place the samples, ratio[0] x ratio[1] per bin: evenly spaced over the whole RoI, the
        # outermost ones half a step inside its edges.
        count = output * ratio
        step = size / tf.cast(count, tf.float32)
        first, last = start + 0.5 * step, start + size - 0.5 * step
        # 4. Sample. crop_and_resize puts its outermost samples on the corners of the box it is
        # given, and 0 and 1 are to it the centres of the map's first and last cell.
        extent = tf.cast(tf.shape(padded)[1:3] - 1, tf.float32)
        corners = tf.concat([(first + PAD) / extent, (last + PAD) / extent], axis=1)
        samples = crop_and_resize(padded, corners, image_index, count)
        # 5. Samples farther outside count as 0.
        inside_y = samples_inside(start[:, 0], size[:, 0], output, ratio[0], height)
        inside_x = samples_inside(start[:, 1], size[:, 1], output, ratio[1], width)
        samples = tf.where((inside_y[:, :, None] & inside_x[:, None, :])[..., None], samples, 0.0)
        # 6. Average the samples of each bin.
        bins = tf.reshape(samples, [-1, output, ratio[0], output, ratio[1], channels])
        return tf.reduce_mean(bins, axis=[2, 4])

    rois = (start, size, image_index)
    if sampling_ratio > 0:
        return mean_of_samples(*rois, tf.constant([sampling_ratio, sampling_ratio]))
    return adaptive_mean(mean_of_samples, rois, output, channels)


def crop_and_resize(features: tf.Tensor, boxes: tf.Tensor, image_index: tf.Tensor, count):
    """`tf.image.crop_and_resize`, float32 [K, *count, C], which has its C even where K is 0.

    TensorFlow 2.20 forgets the number of channels where there are no boxes.
    """
    samples = tf.image.crop_and_resize(features, boxes, image_index, count)
    return tf.reshape(samples, [tf.shape(boxes)[0], count[0], count[1], features.shape[-1]])


def replicate_border(x: tf.Tensor) -> tf.Tensor:
    """Maps [B, H, W, C] with their outermost cells repeated `PAD` times on every side."""
    for axis in (1, 2):
        first, last = tf.split(tf.gather(x, [0, tf.shape(x)[axis] - 1], axis=axis), 2, axis=axis)
        x = tf.concat([first] * PAD + [x] + [last] * PAD, axis=axis)
    return x


def samples_inside(start: tf.Tensor, size: tf.Tensor, output: int, ratio, length) -> tf.Tensor:
    """Which samples of each RoI lie in [-1, length] along one axis: bool [K, output * ratio].

    At either end the value jumps to 0, so that the last bit of a position decides. Hence the sum is
    written as torchvision's, whose rounding it then shares: start + bin + part of a bin.

    Args:
        start: float32 [K], where the RoIs begin along this axis, in cells.
        size: float32 [K], their length.
        output: bins along this axis.
        ratio: samples per bin.
        length: cells of the map along this axis; a number, or [K] where every RoI has its own map.
    """
    bin_size = size[:, None] / output
    bins, part = tf.range(output * ratio) // ratio, tf.range(output * ratio) % ratio
    bins, part, ratio = (tf.cast(v, tf.float32) for v in (bins, part, ratio))
    at = start[:, None] + bins * bin_size + (part + 0.5) * bin_size / ratio
    return (at >= -1.0) & (at <= tf.cast(length, tf.float32)[..., None])


def adaptive_mean(
    mean_of_samples: Callable, rois: tuple[tf.Tensor, ...], output: int, channels: int
) -> tf.Tensor:
    """RoIAlign with as many samples per bin as the bin has cells: [K, output, output, channels].

    RoIs with equal sampling ratios are pooled together.

    Args:
        mean_of_samples: pools RoIs that share a ratio: `mean_of_samples(*rois, ratio)`, ratio int32
            [2] along y and x.
        rois: its other arguments, [K, ...] each: start [K, 2], size [K, 2] (in cells), ...
        output: bins along each side of a RoI.
        channels: of the map.
    """
    size = rois[1]
    ratios = tf.cast(tf.maximum(tf.math.ceil(size / output), 1.0), tf.int32)
    code, group_of = tf.unique(ratios[:, 0] * 65536 + ratios[:, 1])
    pooled = tf.zeros([tf.shape(size)[0], output, output, channels])

    def one_group(g, pooled):
        members = tf.where(group_of == g)[:, 0]
        ratio = tf.stack([code[g] // 65536, code[g] % 65536])
        part = mean_of_samples(*(tf.gather(r, members) for r in rois), ratio)
        return g + 1, tf.tensor_scatter_nd_update(pooled, members[:, None], part)

    _, pooled = tf.while_loop(lambda g, _: g < tf.size(code), one_group, (0, pooled))
    # A side of no length asks for no samples, and the mean of none is 0 (only `aligned` allows it).
    return tf.where(tf.reduce_all(size > 0.0, axis=1)[:, None, None, None], pooled, 0.0)


# --- what came before -------------------------------------------------------------------


def roi_pool(
    features: tf.Tensor, boxes: tf.Tensor, image_index: tf.Tensor, output: int, scale: float
) -> tf.Tensor:
    """RoIPool: the maximum of each bin of a RoI that is rounded to whole cells.

    The box is rounded to whole cells (half away from zero), then each bin once more, which moves
    features by up to a cell: the misalignment that RoIAlign removes. An empty bin is 0.
    Source: Fast R-CNN (Girshick 2015); torchvision.

    Args:
        features: [B, H, W, C], a feature map for each image.
        boxes: [K, 4], the RoIs, in pixels of the image.
        image_index: int [K], the image that each RoI belongs to.
        output: number of bins along each side of a RoI.
        scale: cells per pixel (1/stride).

    Returns:
        float32 [K, output, output, C].
    """
    features = tf.convert_to_tensor(features)
    height, width, channels = (tf.shape(features)[i] for i in (1, 2, 3))
    scaled = boxes * scale
    rounded = tf.sign(scaled) * tf.floor(tf.abs(scaled) + 0.5)
    start, end = rounded[:, :2], rounded[:, 2:]
    size = tf.maximum(end - start + 1.0, 1.0)

    def members(axis, length):  # bool [K, output, length]: the cells of each bin
        edges = tf.range(output + 1, dtype=tf.float32)[None] * (size[:, axis] / output)[:, None]
        low = tf.floor(edges[:, :-1]) + start[:, axis][:, None]
        high = tf.math.ceil(edges[:, 1:]) + start[:, axis][:, None]
        cell = tf.range(length, dtype=tf.float32)
        return (cell >= low[..., None]) & (cell < high[..., None])

    rows, columns = members(0, height), members(1, width)
    # Find which cell holds each maximum, then gather those cells: the gradient goes to them alone,
    # and the backward pass keeps K small maps of indices instead of all the cells compared.
    extent = tf.stack([height, width])
    first = tf.clip_by_value(tf.cast(start, tf.int32), 0, extent - 1)
    last = tf.clip_by_value(tf.cast(start + size, tf.int32), first + 1, extent)

    def winners(arguments):
        rows, columns, first, last, image = arguments
        (top, left), (bottom, right) = tf.unstack(first), tf.unstack(last)
        x = features[image, top:bottom, left:right]
        x = tf.where(rows[:, top:bottom, None, None], x[None], x.dtype.min)  # [P, h, w, C]
        row = tf.argmax(x, axis=1, output_type=tf.int32)  # [P, w, C]
        x = tf.reduce_max(x, axis=1)
        x = tf.where(columns[None, :, left:right, None], x[:, None], x.dtype.min)  # [P, P, w, C]
        column = tf.argmax(x, axis=2, output_type=tf.int32)  # [P, P, C]
        row = tf.gather(
            tf.transpose(row, [0, 2, 1]), tf.transpose(column, [0, 2, 1]), axis=2, batch_dims=2
        )
        cell = ((image * height + top + tf.transpose(row, [0, 2, 1])) * width) + left + column
        return cell * channels + tf.range(channels)

    # With the signature given, the output has its shape even if there is no RoI.
    indices = tf.TensorSpec([output, output, features.shape[-1]], tf.int32)
    image_index = tf.cast(image_index, tf.int32)
    index = tf.map_fn(
        winners, (rows, columns, first, last, image_index), fn_output_signature=indices
    )
    pooled = tf.gather(tf.reshape(features, [-1]), index)
    empty = ~tf.reduce_any(rows, 2)[:, :, None] | ~tf.reduce_any(columns, 2)[:, None, :]
    return tf.where(empty[..., None], 0.0, pooled)


def roi_crop_and_resize(
    features: tf.Tensor, boxes: tf.Tensor, image_index: tf.Tensor, output: int, image_shape
) -> tf.Tensor:
    """The approximation most TensorFlow code uses: one bilinear sample per bin, corner to corner.

    Boxes are normalised as in Matterport's Mask R-CNN: the far edge is moved in by a pixel, and
    coordinates are divided by the length minus one.

    Args:
        features: [B, H, W, C], a feature map for each image.
        boxes: [K, 4], the RoIs, in pixels of the image.
        image_index: int [K], the image that each RoI belongs to.
        output: number of bins along each side of a RoI.
        image_shape: (height, width) of the image in pixels.

    Returns:
        float32 [K, output, output, C].
    """
    extent = tf.cast(tf.stack([image_shape[0], image_shape[1]] * 2), tf.float32) - 1.0
    normal = (boxes - tf.constant([0.0, 0.0, 1.0, 1.0])) / extent
    return crop_and_resize(features, normal, image_index, [output, output])
