"""From a box anywhere in the image to a small feature map of fixed size.

`roi_align` is exact: equal to torchvision's and Detectron2's operator in value and gradient.
`roi_pool` is its coarse ancestor (Fast R-CNN), `roi_crop_and_resize` the popular approximation
(one bilinear sample a bin); the course compares the three. Those named `pyramid_` send every RoI to
the pyramid level that fits its size.
"""

import tensorflow as tf

_PAD = 2  # cells of replicated border: one that RoIAlign's definition needs, one against rounding


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
    """RoIAlign: float32 [K, output, output, C], the mean of bilinear samples in each bin of a RoI.

    features: [B, H, W, C]. boxes: [K, 4] in image pixels. image_index: int [K], each RoI's image.
    scale: cells a pixel (1/stride). sampling_ratio: samples a bin along each axis; 0 takes
    ceil(RoI size / output), which varies from RoI to RoI. aligned: shift by half a cell, so that
    cell i is centred at i + 0.5 (Detectron2's default); without it, RoIs are at least 1 cell large.
    A sample more than one cell outside the map counts as 0, one within that cell as the border.
    Source: Mask R-CNN (He et al. 2017), section 3; `aligned` from Detectron2.
    """
    level = tf.zeros(tf.shape(boxes)[:1], tf.int32)
    return _align_on_levels(
        [features], boxes, image_index, level, output, [scale], sampling_ratio, aligned
    )


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
    """RoIAlign of each RoI on the level of its size: float32 [B, K, output, output, C].

    features: P2, P3, ... [B, H, W, C] each, with `strides` pixels a cell. boxes: [B, K, 4].
    level: int32 [B, K], the map that each RoI is cut from; by default `roi_level`'s.
    """
    batch, number = tf.shape(boxes)[0], tf.shape(boxes)[1]
    flat = tf.reshape(boxes, [-1, 4])
    if level is None:
        level = roi_level(flat, len(features), canonical_size, canonical_level)
    level = tf.reshape(level, [-1])
    image_index = tf.repeat(tf.range(batch), number)
    scales = [1.0 / s for s in strides]
    pooled = _align_on_levels(
        features, flat, image_index, level, output, scales, sampling_ratio, aligned
    )
    return tf.reshape(pooled, [batch, number, output, output, features[0].shape[-1]])


def roi_level(
    boxes: tf.Tensor,
    levels: int,
    canonical_size: float = 224.0,
    canonical_level: int = 4,
    rounding: str = "down",
) -> tf.Tensor:
    """The pyramid level of boxes [..., 4], int32 [...]; 0 is P2, levels - 1 the last.

    level = floor(k0 + log2(sqrt(w h) / 224)): half the size, one level finer. The 1e-6 keeps a box
    of exactly 112 px from falling a level lower by rounding. rounding: "nearest" takes the level
    that is nearer, so that 160 px already belong where 224 do (Matterport).
    Source: FPN (Lin et al. 2017), eq. 1; the epsilon is torchvision's.
    """
    height, width = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    size = tf.sqrt(tf.maximum(height * width, 0.0))
    octave = tf.math.log(size / canonical_size) / tf.math.log(2.0)  # -inf for an empty box
    if rounding == "nearest":
        level = canonical_level + tf.round(octave)
    else:
        level = tf.floor(canonical_level + octave + 1e-6)
    return tf.cast(tf.clip_by_value(level, 2.0, levels + 1.0), tf.int32) - 2


def _align_on_levels(features, boxes, image_index, level, output, scales, sampling_ratio, aligned):
    """RoIAlign of boxes [K, 4], RoI k on features[level[k]]."""
    atlas, corners, shapes = _atlas(features)
    box = boxes * tf.gather(tf.constant(scales, tf.float32), level)[:, None]
    start, size = box[:, :2], box[:, 2:] - box[:, :2]
    if aligned:
        start -= 0.5
    else:
        size = tf.maximum(size, 1.0)
    corner, shape = tf.gather(corners, level), tf.gather(shapes, level)
    rois = (start, size, corner, shape, image_index)
    if sampling_ratio > 0:
        return _average_samples(atlas, rois, output, sampling_ratio, sampling_ratio)
    return _average_samples_adaptive(atlas, rois, output)


def _atlas(features: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """All levels of a pyramid on one sheet, so that one gather serves every RoI whatever its level.

    P2 stands left, P3, P4, ... below one another to its right, each with its border replicated.
    Returns the sheet [B, H', W', C], and per level its first row and column there and its own
    (H, W), both float32 [L, 2].
    """
    shapes = [tf.shape(f)[1:3] for f in features]
    padded = [_replicate_border(f) for f in features]
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
    return sheet, corners + _PAD, tf.cast(tf.stack(shapes), tf.float32)


def _replicate_border(x: tf.Tensor) -> tf.Tensor:
    for axis in (1, 2):
        first, last = tf.split(tf.gather(x, [0, tf.shape(x)[axis] - 1], axis=axis), 2, axis=axis)
        x = tf.concat([first] * _PAD + [x] + [last] * _PAD, axis=axis)
    return x


def _pad_to(x: tf.Tensor, height, width) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [0, height - tf.shape(x)[1]], [0, width - tf.shape(x)[2]], [0, 0]])


def _average_samples(atlas, rois, output: int, ratio_y, ratio_x) -> tf.Tensor:
    """Mean of ratio_y x ratio_x samples in each of output x output bins: [K, output, output, C]."""
    start, size, corner, shape, image_index = rois
    ratio = tf.stack([ratio_y, ratio_x])
    count = output * ratio  # samples along each axis, evenly spaced over the RoI
    step = size / tf.cast(count, tf.float32)
    first, last = start + 0.5 * step, start + size - 0.5 * step
    # crop_and_resize puts its outermost samples on the corners of the box it is given, and wants
    # it in units of the sheet, 0 and 1 being the centres of the first and last cell.
    extent = tf.cast(tf.shape(atlas)[1:3] - 1, tf.float32)
    sheet_box = tf.concat([(first + corner) / extent, (last + corner) / extent], axis=1)
    samples = tf.image.crop_and_resize(atlas, sheet_box, image_index, count)
    inside_y = _inside(start[:, 0], size[:, 0], output, ratio_y, shape[:, 0])
    inside_x = _inside(start[:, 1], size[:, 1], output, ratio_x, shape[:, 1])
    # Where a sample lies outside its own map, the sheet shows something else, or nothing.
    samples = tf.where((inside_y[:, :, None] & inside_x[:, None, :])[..., None], samples, 0.0)
    channels = atlas.shape[-1]
    if isinstance(ratio_y, int) and ratio_y == ratio_x == 1:
        return tf.reshape(samples, [-1, output, output, channels])
    bins = tf.reshape(samples, [-1, output, ratio[0], output, ratio[1], channels])
    return tf.reduce_mean(bins, axis=[2, 4])


def _inside(start: tf.Tensor, size: tf.Tensor, output: int, ratio, length: tf.Tensor) -> tf.Tensor:
    """bool [K, output * ratio]: which samples along one axis of each RoI lie in [-1, length].

    At either end the value jumps to 0, so that the last bit of a position decides. Hence the sum is
    written as torchvision's, whose rounding it then shares: start + bin + part of a bin.
    """
    bin_size = size[:, None] / output
    bins, part = tf.range(output * ratio) // ratio, tf.range(output * ratio) % ratio
    bins, part, ratio = (tf.cast(v, tf.float32) for v in (bins, part, ratio))
    at = start[:, None] + bins * bin_size + (part + 0.5) * bin_size / ratio
    return (at >= -1.0) & (at <= length[:, None])


def _average_samples_adaptive(atlas, rois, output: int) -> tf.Tensor:
    """As many samples a bin as it has cells: RoIs with the same numbers are served together."""
    size = rois[1]
    ratios = tf.cast(tf.maximum(tf.math.ceil(size / output), 1.0), tf.int32)
    code, group_of = tf.unique(ratios[:, 0] * 65536 + ratios[:, 1])
    pooled = tf.zeros([tf.shape(size)[0], output, output, atlas.shape[-1]])

    def one_group(g, pooled):
        members = tf.where(group_of == g)[:, 0]
        part = _average_samples(
            atlas, [tf.gather(r, members) for r in rois], output, code[g] // 65536, code[g] % 65536
        )
        return g + 1, tf.tensor_scatter_nd_update(pooled, members[:, None], part)

    _, pooled = tf.while_loop(lambda g, _: g < tf.size(code), one_group, (0, pooled))
    # A side of no length asks for no samples, and the mean of none is 0 (only `aligned` allows it).
    return tf.where(tf.reduce_all(size > 0.0, axis=1)[:, None, None, None], pooled, 0.0)


# --- what came before -------------------------------------------------------------------


def roi_pool(
    features: tf.Tensor, boxes: tf.Tensor, image_index: tf.Tensor, output: int, scale: float
) -> tf.Tensor:
    """RoIPool: float32 [K, output, output, C], the maximum of each bin of a RoI rounded to cells.

    Arguments as `roi_align`. The box is rounded to whole cells (half away from zero), then each bin
    to whole cells once more, which moves features by up to a cell: the misalignment that RoIAlign
    removes. An empty bin is 0. Source: Fast R-CNN (Girshick 2015); torchvision.
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
    # Of a RoI's cells only the winners are looked up in the end: a gather, whose gradient goes to
    # them alone, and which remembers K maps of indices and not K times all the cells compared.
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

    # Said beforehand, the shape is known even if there is no RoI.
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
    """The approximation most TensorFlow code uses: one bilinear sample a bin, corner to corner.

    Arguments as `roi_align`; image_shape: (height, width) in pixels. Boxes are normalised as in
    Matterport's Mask R-CNN: the far edge moved in by a pixel, divided by the length minus one.
    """
    extent = tf.cast(tf.stack([image_shape[0], image_shape[1]] * 2), tf.float32) - 1.0
    normal = (boxes - tf.constant([0.0, 0.0, 1.0, 1.0])) / extent
    return tf.image.crop_and_resize(features, normal, image_index, [output, output])


# --- these two on a pyramid -------------------------------------------------------------


def pyramid_roi_pool(
    features: list[tf.Tensor], boxes: tf.Tensor, output: int, strides, level: tf.Tensor
) -> tf.Tensor:
    """RoIPool of boxes [B, K, 4] on features[level], level int32 [B, K]: [B, K, output, output, C].

    features and strides as in `pyramid_roi_align`.
    """

    def on_level(i, boxes, image):
        return roi_pool(features[i], boxes, image, output, 1.0 / strides[i])

    return _level_by_level(on_level, features, boxes, output, level)


def pyramid_crop_and_resize(
    features: list[tf.Tensor], boxes: tf.Tensor, output: int, image_shape, level: tf.Tensor
) -> tf.Tensor:
    """The approximation on a pyramid; arguments as `pyramid_roi_pool` and `roi_crop_and_resize`."""

    def on_level(i, boxes, image):
        return roi_crop_and_resize(features[i], boxes, image, output, image_shape)

    return _level_by_level(on_level, features, boxes, output, level)


def _level_by_level(pool, features, boxes, output: int, level: tf.Tensor) -> tf.Tensor:
    """Each level's RoIs pooled together by pool(level, boxes, image_index), then put in order."""
    batch, number = tf.shape(boxes)[0], tf.shape(boxes)[1]
    flat, level = tf.reshape(boxes, [-1, 4]), tf.reshape(level, [-1])
    image_index = tf.repeat(tf.range(batch), number)
    members = [tf.where(level == i)[:, 0] for i in range(len(features))]
    pooled = [pool(i, tf.gather(flat, m), tf.gather(image_index, m)) for i, m in enumerate(members)]
    order = tf.math.invert_permutation(tf.concat(members, axis=0))
    pooled = tf.gather(tf.concat(pooled, axis=0), order)
    return tf.reshape(pooled, [batch, number, output, output, features[0].shape[-1]])
