"""From the anchors' boxes and scores to detections: three kinds of NMS.

    fast         every class by itself, all boxes compared at once (`labkit.ops.nms.fast_nms`)
    cross_class  the same, but boxes of all classes compete
    ordinary     every class by itself, one box after another

Every image has its own number of candidates, so images are looked at one after another.
"""

import tensorflow as tf

from labkit.ops import boxes as box_ops
from labkit.ops.nms import batched_nms, fast_nms, round_down


def select(boxes, probabilities, image_sizes, config, score_threshold, nms_iou, most):
    """Which anchors of each image are detections, the best first.

    Args:
        boxes: [B, A, 4], decoded, in pixels.
        probabilities: [B, A, 1 + N], background first.
        image_sizes: float32 [B, 2].
        config: the `YolactConfig`. If `faithful`, a class is kept whatever its score where another
            class of the same anchor is above the threshold, and so is a box outside the image.
        score_threshold: an anchor is a candidate if one of its classes is above.
        nms_iou: boxes with a higher IoU suppress one another.
        most: so many at most.

    Returns:
        int32 [B, most] anchors and classes (1 to N), scores [B, most], and count int32 [B]; what
        lies beyond count is 0.
    """

    def of_image(values):
        boxes, probabilities, size = values
        scores = probabilities[:, 1:]
        candidate = tf.reduce_max(scores, axis=1) > score_threshold
        if not config.faithful:
            candidate &= box_ops.area(box_ops.clip(boxes, size[0], size[1])) > 0.0
        anchors = tf.cast(tf.where(candidate)[:, 0], tf.int32)
        boxes, scores = tf.gather(boxes, anchors), tf.gather(scores, anchors)
        kind = _KINDS[config.nms]
        index, group, score = kind(boxes, scores, nms_iou, config.nms_candidates, score_threshold)
        if not config.faithful:
            above = score > score_threshold
            index, group, score = index[above], group[above], score[above]
        best, order = tf.math.top_k(score, tf.minimum(most, tf.size(score)))
        index, group = tf.gather(tf.gather(anchors, index), order), tf.gather(group, order)
        count = tf.size(best)
        room = [[0, most - count]]
        return tf.pad(index, room), tf.pad(group + 1, room), tf.pad(best, room), count

    signature = [tf.TensorSpec([None], t) for t in (tf.int32, tf.int32, tf.float32)]
    signature.append(tf.TensorSpec([], tf.int32))
    found = tf.map_fn(
        of_image, (boxes, probabilities, image_sizes), fn_output_signature=tuple(signature)
    )
    return found


def _fast(boxes, scores, threshold, most: int, least):
    """(box, class, score) of what Fast NMS keeps; boxes [n, 4], scores [n, N]."""
    scores = tf.transpose(scores)
    order, keep = fast_nms(boxes, scores, threshold, most)
    group = tf.broadcast_to(tf.range(tf.shape(scores)[0])[:, None], tf.shape(order))
    score = tf.gather(scores, order, batch_dims=1)
    return order[keep], group[keep], score[keep]


def _cross_class(boxes, scores, threshold, most: int, least):
    """As `_fast`, where a box is only what it most likely is and competes with all others."""
    highest = tf.reduce_max(scores, axis=1)
    order, keep = fast_nms(boxes, highest[None], threshold, most)
    index = order[keep]
    group = tf.argmax(scores, axis=1, output_type=tf.int32)
    return index, tf.gather(group, index), tf.gather(highest, index)


def _ordinary(boxes, scores, threshold, most: int, least):
    """(box, class, score) of what greedy NMS keeps; classes that score above `least` take part."""
    places = tf.cast(tf.where(scores > least), tf.int32)
    index, group = places[:, 0], places[:, 1]
    score = tf.gather_nd(scores, places)
    kept = batched_nms(tf.gather(boxes, index), score, group, round_down(threshold))
    return tf.gather(index, kept), tf.gather(group, kept), tf.gather(score, kept)


_KINDS = {"fast": _fast, "cross_class": _cross_class, "ordinary": _ordinary}
