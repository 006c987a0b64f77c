"""Whether a Mask R-CNN learns: the vital signs of a training step, and checks of a run.

Losses say that something is wrong. Vital signs say what: no anchor fits, no proposal covers an
object, the box head calls everything background. They cost next to nothing. `labkit.diagnose` reads
what a run wrote down of them.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.models.detector import Finding
from labkit.ops import boxes as box_ops

SIGNS = ("anchors", "rois", "recall", "background", "right")
LEARNT = 200  # steps after which the RPN finds, and the box head names, something on any data


def vital_signs(trace: dict, batch: dict) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The vital signs of a `MaskRCNN.trace_losses`, each a sum and what it is divided by.

    anchors, rois: positive ones that were sampled, an image. recall: the share of objects that some
    proposal covers with an IoU of at least 0.5. background, right: of the positive RoIs, the share
    that the box head calls background, and the share whose class it gets right.
    """
    images = tf.cast(tf.shape(batch["boxes"])[0], tf.float32)
    objects = batch["classes"] > 0
    best = tf.reduce_max(box_ops.iou(trace["proposals"]["boxes"], batch["boxes"]), axis=1)
    rois = trace["rois"]
    positive = rois["positive"]
    predicted = tf.argmax(trace["class_logits"], axis=-1, output_type=tf.int32)
    return {
        "anchors": (_count(trace["rpn_targets"]["positive"]), images),
        "rois": (_count(positive), images),
        "recall": (_count((best >= 0.5) & objects), _count(objects)),
        "background": (_count((predicted == 0) & positive), _count(positive)),
        "right": (_count((predicted == rois["classes"]) & positive), _count(positive)),
    }


def loss_counts(trace: dict, config) -> dict[str, tf.Tensor]:
    """What each loss of a `MaskRCNN.trace_losses` is a sum divided by, float32 by name.

    The anchors that were sampled for the RPN's losses; the RoIs that were sampled, weighted where
    the config weights classes, for the class loss; the RoIs for the box loss; the positive ones for
    the mask loss.
    """
    anchors, rois = trace["rpn_targets"], trace["rois"]
    sampled = _count(anchors["positive"] | anchors["negative"])
    weighted = samples = _count(rois["sampled"])
    if config.class_weights:
        weights = tf.gather(tf.constant(config.class_weights, tf.float32), rois["classes"])
        weighted = tf.reduce_sum(tf.where(rois["sampled"], weights, 0.0))
    return {
        "objectness": sampled,
        "rpn_box": sampled,
        "class": weighted,
        "box": samples,
        "mask": _count(rois["positive"]),
    }


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.float32))


# --- checks of a run ----------------------------------------------------------------------


def recall(r) -> Iterator[Finding]:
    """The RPN no longer gets better, and misses many objects."""
    values = r.vital("recall")
    if len(values) < LEARNT:
        return
    *_, third, last = (float(part.mean()) for part in np.array_split(values, 4))
    if last >= 0.5 or last > third + 0.03:  # good enough, or still rising
        return
    yield Finding(
        "the RPN has stopped finding objects",
        f"{last:.0%} of the objects are covered by a proposal (IoU 0.5) in the last quarter, "
        f"{third:.0%} in the one before; no more than these can be detected",
        f"more proposals (proposals_train is {r.config['proposals_train']}), a higher rpn_nms_iou "
        f"({r.config['rpn_nms_iou']}), anchors that fit; see that the RPN trains and its losses "
        "have a weight.",
    )


def background(r) -> Iterator[Finding]:
    """The box head has learnt that nothing is an object."""
    if r.steps < LEARNT or not r.lately("background") > 0.95:
        return
    yield Finding(
        "everything is background",
        f"the box head calls {r.lately('background'):.0%} of the RoIs on objects background; "
        f"{r.lately('rois'):.1f} of {r.config['roi_samples']} RoIs an image are on an object",
        "raise roi_positive_fraction or lower roi_positive_iou, give the class loss its weight, "
        "lower background's in class_weights; with very few objects, lower roi_samples.",
    )


CHECKS = (recall, background)
