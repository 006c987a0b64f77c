"""Which of the boxes that the box head made become detections: the last step before the masks.

Two rules are in use. The paper's code, torchvision and Detectron2 take every class of every RoI for
a candidate, so that one RoI may become a cat and a dog; Matterport's takes only the likeliest.
"""

import tensorflow as tf

from labkit.models.inclusive import from_inclusive
from labkit.ops.boxes import large_enough
from labkit.ops.nms import grouped_nms_padded


def select(
    refined: tf.Tensor,
    probabilities: tf.Tensor,
    real: tf.Tensor,
    config,
    score_threshold,
    nms_iou,
    detections,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The detections of a batch: boxes [B, D, 4], scores [B, D], classes int32 [B, D], count [B].

    refined [B, P, N or 1, 4]: each RoI's box for every class, or for all; inclusive where the
    config's boxes are, which those returned never are. probabilities [B, P, 1 + N], background
    first. real bool [B, P]: which RoIs are no padding.
    A class suppresses only its own boxes. Under "top_class" what is not below the threshold counts;
    under "every_class" what is above it, and is no thinner than a hundredth of a pixel.
    """
    scores = probabilities[..., 1:]
    if config.detection_rule == "top_class":
        best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        likeliest = tf.one_hot(best - 1, tf.shape(scores)[-1], on_value=True, off_value=False)
        good, least = likeliest & (scores >= score_threshold), -0.5
    else:
        good, least = large_enough(refined, 1e-2), score_threshold
    scores = tf.where(real[..., None] & good, scores, -1.0)
    boxes, scores, classes, count = grouped_nms_padded(refined, scores, nms_iou, detections, least)
    return from_inclusive(boxes, config), scores, classes + 1, count
