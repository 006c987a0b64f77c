"""Whether a YOLACT learns: the vital signs of a training step, and checks of a run."""

from collections.abc import Iterator

import tensorflow as tf

from labkit.models.detector import Finding

SIGNS = ("anchors", "background", "right", "mask_iou")
LEARNT = 200  # steps after which the head names something on any data


def vital_signs(trace: dict, batch: dict) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The vital signs of a `YOLACT.trace_losses`, each a sum and what it is divided by.

    anchors: positive ones, an image. background, right: of the positives, the share that the head
    calls background, and the share whose class it gets right. mask_iou: of the masks that were
    assembled, the mean IoU with the truth, on the prototypes' grid and within the object's box.
    """
    targets = trace["targets"]
    positive = targets["positive"]
    images = tf.cast(tf.shape(positive)[0], tf.float32)
    predicted = tf.argmax(trace["logits"], axis=-1, output_type=tf.int32)
    found = (trace["mask_logits"] > 0.0) & trace["within"]
    truth = trace["mask_targets"] & trace["within"]
    both, either = (
        tf.reduce_sum(tf.cast(m, tf.float32), [2, 3]) for m in (found & truth, found | truth)
    )
    real = tf.cast(trace["shares"] > 0.0, tf.float32)
    return {
        "anchors": (_count(positive), images),
        "background": (_count((predicted == 0) & positive), _count(positive)),
        "right": (_count((predicted == targets["labels"]) & positive), _count(positive)),
        "mask_iou": (
            tf.reduce_sum(tf.math.divide_no_nan(both, either) * real),
            tf.reduce_sum(real),
        ),
    }


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.float32))


# --- checks of a run ----------------------------------------------------------------------


def background(r) -> Iterator[Finding]:
    """The head has learnt that nothing is an object."""
    if r.steps < LEARNT or not r.lately("background") > 0.95:
        return
    yield Finding(
        "everything is background",
        f"the head calls {r.lately('background'):.0%} of the positive anchors background; "
        f"{r.lately('anchors'):.1f} anchors an image are positive",
        "fewer negatives (it is the ratio to positives), background's weight in class_weights "
        "lower, a longer training; see that the class loss has a weight.",
    )


def masks(r) -> Iterator[Finding]:
    """Classes are found, and masks are not."""
    if r.steps < LEARNT or not (r.lately("right") > 0.5 > 2 * r.lately("mask_iou")):
        return
    yield Finding(
        "the masks do not follow the objects",
        f"{r.lately('right'):.0%} of the positive anchors have the right class, but their masks "
        f"overlap the objects with an IoU of {r.lately('mask_iou'):.2f}",
        "see that the mask loss has a weight and the prototypes train; more prototypes; finer ones "
        "(strides from 4 on) where objects are small.",
    )


CHECKS = (background, masks)
