"""Two rules, one set of RoIs."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.models.config import Config
from labkit.models.heads import select

EVERY = Config.preset("tiny", class_agnostic=False, box_passes=1)
TOP = EVERY.replace(detection_rule="top_class")
BOXES = tf.constant([[[0.0, 0, 10, 10]], [[0, 0, 10, 9]], [[30, 30, 40, 40]], [[50, 0, 60, 10]]])
REFINED = tf.tile(BOXES[None], [1, 1, 2, 1])  # both classes' boxes are the same
#                    background, cat, dog
PROBABILITIES = tf.constant([[[0.1, 0.5, 0.4], [0.1, 0.3, 0.6], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]]])
REAL = tf.constant([[True, True, True, False]])


def found(config, score_threshold, detections=10, refined=REFINED):
    boxes, scores, classes, count = select(
        refined, PROBABILITIES, REAL, config, score_threshold, 0.5, detections
    )
    first = (v[0, : int(count[0])] for v in (classes, scores, boxes))
    return [
        (int(c), round(float(s), 3), *map(float, b[:2])) for c, s, b in zip(*first, strict=True)
    ]


def test_every_class_of_a_roi_is_a_candidate():
    """The dog of the second suppresses that of the first, the cat of the first the second's."""
    assert found(EVERY, 0.05) == [(2, 0.6, 0, 0), (1, 0.5, 0, 0), (1, 0.4, 30, 30)]


def test_a_roi_is_only_what_it_most_likely_is():
    """The third is background, however sure of a cat it is besides; the fourth is padding."""
    assert found(TOP, 0.05) == [(2, 0.6, 0, 0), (1, 0.5, 0, 0)]


@pytest.mark.parametrize("config, expected", [(EVERY, []), (TOP, [(2, 0.6, 0, 0)])])
def test_a_score_that_equals_the_threshold(config, expected):
    assert found(config, tf.constant(0.6)) == expected


def test_no_more_than_asked_for():
    assert found(EVERY, 0.05, detections=1) == found(TOP, 0.05, detections=1) == [(2, 0.6, 0, 0)]


def test_a_box_of_no_height_is_a_detection_for_one_rule_only():
    flat = REFINED * [1.0, 1, 0, 1]
    assert found(EVERY, 0.45, refined=flat) == []
    assert len(found(TOP, 0.45, refined=flat)) == 2


def test_inclusive_boxes_come_out_half_open_and_overlap_less():
    """Rows 0..4 and 3..7: 2 of 8 rows shared half-open, 1 of 7 from first to last."""
    refined = tf.constant([[[[0.0, 0, 4, 10]], [[3, 0, 7, 10]]]])
    scores = tf.constant([[[0.1, 0.9], [0.2, 0.8]]])
    config = TOP.replace(inclusive_boxes=True)
    for threshold, count in ((0.15, 2), (0.14, 1)):  # 1/7 = 0.143
        boxes, _, _, n = select(
            refined, scores, tf.constant([[True, True]]), config, 0.5, threshold, 5
        )
        assert int(n[0]) == count
        np.testing.assert_array_equal(boxes[0, 0], [0, 0, 5, 11])
