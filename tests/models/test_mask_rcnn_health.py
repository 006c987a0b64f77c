"""The vital signs of a step, by numbers that can be counted by hand."""

import numpy as np
import tensorflow as tf

from labkit.models.mask_rcnn_health import SIGNS, vital_signs


def signs(batch_boxes, classes, proposals, positive, logits, labels):
    trace = {
        "proposals": {"boxes": tf.constant(proposals, tf.float32)},
        "rpn_targets": {"positive": tf.constant([[True, True, False], [True, False, False]])},
        "rois": {"positive": tf.constant(positive), "classes": tf.constant(labels)},
        "class_logits": tf.constant(logits, tf.float32),
    }
    batch = {"boxes": tf.constant(batch_boxes, tf.float32), "classes": tf.constant(classes)}
    found = vital_signs(trace, batch)
    assert tuple(found) == SIGNS
    return {name: float(total / count) for name, (total, count) in found.items()}


BOXES = [[[0, 0, 10, 10], [20, 20, 30, 30]], [[0, 0, 10, 10], [0, 0, 0, 0]]]
PROPOSALS = [[[0, 0, 10, 8], [0, 0, 0, 0]], [[0, 0, 10, 4], [50, 50, 60, 60]]]
# Of two RoIs an image three are positive: called background, rightly 1, and 2 instead of 1.
LOGITS = [[[5, 0, 0], [0, 5, 0]], [[0, 0, 5], [5, 0, 0]]]
POSITIVE, LABELS = [[True, True], [True, False]], [[2, 1], [1, 0]]


def test_by_hand():
    found = signs(BOXES, [[1, 2], [1, 0]], PROPOSALS, POSITIVE, LOGITS, LABELS)
    assert found["anchors"] == 1.5 and found["rois"] == 1.5
    # IoU 0.8 finds one of three objects; 0.4 is too little; padding is no object
    np.testing.assert_allclose(found["recall"], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose([found["background"], found["right"]], [1 / 3, 1 / 3], rtol=1e-6)


def test_without_objects_there_is_nothing_to_share():
    none = [[False, False], [False, False]]
    found = signs(BOXES, [[0, 0], [0, 0]], PROPOSALS, none, LOGITS, LABELS)
    assert np.isnan([found["recall"], found["background"], found["right"]]).all()
    assert found["rois"] == 0.0
