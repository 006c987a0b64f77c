"""Non-maximum suppression: of boxes that overlap, keep only the one with the highest score."""

import numpy as np
import tensorflow as tf

from labkit.ops import boxes as box_ops


def nms(
    boxes: tf.Tensor, scores: tf.Tensor, threshold: float, most: int | None = None
) -> tf.Tensor:
    """Greedy non-maximum suppression.

    Take the box with the best score, drop all others whose IoU with it is above the threshold, and
    go on with the rest. Of equal scores the lower index comes first. A box whose far edge comes
    before its near edge is empty: it neither suppresses nor is suppressed.

    Args:
        boxes: [N, 4].
        scores: [N].
        threshold: the IoU above which a box is suppressed.
        most: keep at most so many; all by default.

    Returns:
        int32 [K], the indices of the boxes that are kept, best score first.
    """
    most = tf.shape(boxes)[0] if most is None else most
    # TensorFlow would swap the corners of an inverted box and see one with an area.
    boxes = tf.concat([boxes[:, :2], tf.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    threshold = round_down(threshold)
    return tf.image.non_max_suppression(boxes, scores, most, iou_threshold=threshold)


def batched_nms(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    groups: tf.Tensor,
    threshold: float,
    most: int | None = None,
) -> tf.Tensor:
    """NMS within each group: boxes of different classes or levels do not suppress each other.

    NMS runs on one group after another. The usual trick, one run after the groups are moved apart
    by a large offset, rounds the coordinates: at 90 * 1333 px, float32 steps are 1/128.

    Args:
        boxes: [N, 4].
        scores: [N].
        groups: int [N].
        threshold: the IoU above which a box is suppressed.
        most: keep at most so many, of all groups together; all by default.

    Returns:
        int32 [K], the indices of the boxes that are kept, best score first.
    """
    names, group_of = tf.unique(groups)
    keep = tf.zeros_like(scores, tf.bool)

    def one_group(g, keep):
        members = tf.where(group_of == g)[:, 0]
        kept = nms(tf.gather(boxes, members), tf.gather(scores, members), threshold)
        places = tf.gather(members, kept)[:, None]
        return g + 1, tf.tensor_scatter_nd_update(keep, places, tf.ones_like(kept, tf.bool))

    _, keep = tf.while_loop(lambda g, _: g < tf.size(names), one_group, (0, keep))
    kept = tf.where(keep)[:, 0]
    order = tf.argsort(tf.gather(scores, kept), direction="DESCENDING", stable=True)
    return tf.cast(tf.gather(kept, order), tf.int32)[:most]


def grouped_nms_padded(
    boxes: tf.Tensor, scores: tf.Tensor, threshold: float, most: int, score_threshold: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """NMS of a batch within groups, padded to a static size: the form that runs inside the model.

    The same function as `batched_nms` (a test compares them), but TensorFlow runs it on the whole
    batch and all groups at once. There are two differences: of equal scores in a group either box
    may be taken first, and no box may have its corners swapped (decoded and clipped boxes do not).

    Args:
        boxes: [B, N, 1 or C, 4], each candidate's box, or its box for each of C groups.
        scores: [B, N, C].
        threshold: the IoU above which a box is suppressed.
        most: keep at most so many per image.
        score_threshold: only scores above it take part.

    Returns:
        boxes [B, most, 4], scores [B, most], groups int32 [B, most] and counts int32 [B].
    """
    boxes, scores, groups, count = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=most,
        max_total_size=most,
        iou_threshold=round_down(threshold),
        score_threshold=score_threshold,
        clip_boxes=False,
    )
    return boxes, scores, tf.cast(groups, tf.int32), count


def fast_nms(
    boxes: tf.Tensor, scores: tf.Tensor, threshold: float, most: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fast NMS: all boxes of a group are compared at once, and one that was dropped still drops.

    Greedy NMS asks of every box whether a box that was *kept* overlaps it; here any box of a higher
    score counts, even one that was itself suppressed. This removes a few boxes too many and needs
    one matrix of IoUs instead of a loop. Of two boxes without any area one is dropped. Of equal
    scores the lower index comes first. Source: YOLACT (Bolya et al. 2019, sec. 5.1).

    Args:
        boxes: [N, 4]: one for all groups; or [C, N, 4].
        scores: [C, N], of C groups (classes): boxes of different groups do not compete.
        threshold: the IoU above which a box is suppressed.
        most: so many of the highest scores of each group take part; the others are dropped.

    Returns:
        int32 [C, K] and bool [C, K]: the indices of each group's K best boxes (K is most, or N if
        there are fewer), best score first, and which of them are kept.
    """
    boxes = tf.convert_to_tensor(boxes)
    _, order = tf.math.top_k(scores, tf.minimum(most, tf.shape(scores)[1]))
    if boxes.shape.rank == 2:
        best = tf.gather(boxes, order)  # [C, K, 4]
    else:
        best = tf.gather(boxes, order, batch_dims=1)
    area = tf.reduce_prod(best[..., 2:] - best[..., :2], axis=-1)
    shared = box_ops.intersection(best, best)
    union = area[:, :, None] + area[:, None, :] - shared
    overlap = tf.where(union == 0.0, 1.0, tf.math.divide_no_nan(shared, union))
    above = tf.linalg.band_part(tf.ones_like(overlap), 0, -1) - tf.linalg.band_part(
        tf.ones_like(overlap), 0, 0
    )  # of row i and column j: whether i has the higher score
    return order, tf.reduce_max(overlap * above, axis=1) <= threshold


def round_down(threshold):
    """The largest float32 that is not above a Python number; tensors stay as they are.

    The float32 nearest to 0.3 is 0.30000001, and so is an IoU of exactly 3/10. torchvision compares
    in double precision, where 0.30000001 > 0.3; rounding the threshold down keeps that true.
    """
    if tf.is_tensor(threshold):
        return threshold
    nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-1.0))
