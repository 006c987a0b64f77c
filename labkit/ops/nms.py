"""Non-maximum suppression: of boxes that overlap much, keep the one with the highest score."""

import numpy as np
import tensorflow as tf


def nms(
    boxes: tf.Tensor, scores: tf.Tensor, threshold: float, most: int | None = None
) -> tf.Tensor:
    """Indices int32 [K] of the boxes kept, best score first.

    boxes [N, 4], scores [N]. Greedy: take the best box, drop every other one whose IoU with it is
    above threshold, go on with the rest. Ties in score keep the lower index first. A box whose far
    edge comes before its near one covers nothing: it neither suppresses nor is suppressed.
    """
    most = tf.shape(boxes)[0] if most is None else most
    # TensorFlow swaps the corners of such a box and would see one of positive size.
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
    """NMS within each group: boxes of different groups (classes, levels) never suppress another.

    boxes [N, 4], scores [N], groups int [N]. Returns indices int32 [K], best score first.
    Each group is suppressed on its own. Moving the groups apart by adding a large offset to the
    coordinates, the usual trick, rounds the boxes away: at 90 * 1333 px, float32 steps are 1/128.
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
    """NMS of a batch within groups, padded to a static size: what runs inside the model.

    boxes [B, N, 1 or C, 4]: each candidate's box, or its box for each of C groups.
    scores [B, N, C]; a score <= score_threshold takes no part.
    Returns boxes [B, most, 4], scores [B, most], groups int32 [B, most] and counts int32 [B].
    The same function as `batched_nms` (tested); TensorFlow runs it over batch and groups at once.
    Two differences: of equal scores in a group, either may be taken first, not always the lower
    index; and no box may have its corners swapped (decoded and clipped boxes never have).
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


def round_down(threshold):
    """The largest float32 not above a threshold given as a Python number; tensors stay as they are.

    0.3 becomes 0.30000001 in float32, the nearest. A pair whose IoU is exactly 3/10 becomes that
    number too, and 0.30000001 > 0.3 must stay true (torchvision compares in double precision).
    """
    if tf.is_tensor(threshold):
        return threshold
    nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-1.0))
