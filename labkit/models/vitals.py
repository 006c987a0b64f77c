"""The vital signs of a training step: what tells why losses do not fall, at next to no cost.

Losses say that something is wrong. These say what: no anchor fits, no proposal covers an object,
the box head calls everything background, gradients explode. `labkit.diagnose` reads them.
"""

import tensorflow as tf

from labkit.ops import boxes as box_ops

VITALS = ("anchors", "rois", "recall", "background", "right", "gradient")


def vital_signs(trace: dict, batch: dict, gradients, scale) -> tf.Tensor:
    """float32 [6] in the order of VITALS, of a `MaskRCNN.trace_losses` and its gradients.

    anchors, rois: positive ones that were sampled, an image. recall: the share of objects that some
    proposal covers with an IoU of at least 0.5. background, right: of the positive RoIs, the share
    that the box head calls background, and the share whose class it gets right. gradient: the norm
    of all gradients together, which were computed of a loss multiplied by `scale`; infinite where
    that was too much for float16, and Keras leaves the step out.
    recall is NaN where a batch has no objects, background and right where it has no positive RoI.
    """
    images = tf.cast(tf.shape(batch["boxes"])[0], tf.float32)
    objects = batch["classes"] > 0
    best = tf.reduce_max(box_ops.iou(trace["proposals"]["boxes"], batch["boxes"]), axis=1)
    rois = trace["rois"]
    said = tf.argmax(trace["class_logits"], axis=-1, output_type=tf.int32)
    return tf.stack(
        [
            _count(trace["rpn_targets"]["positive"]) / images,
            _count(rois["positive"]) / images,
            _share(best >= 0.5, objects),
            _share(said == 0, rois["positive"]),
            _share(said == rois["classes"], rois["positive"]),
            tf.linalg.global_norm([g for g in gradients if g is not None]) / scale,
        ]
    )


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.float32))


def _share(flags: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
    """Of those among which, how many have the flag; NaN of none."""
    return _count(flags & among) / _count(among)
