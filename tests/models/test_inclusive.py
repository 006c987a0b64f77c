"""Boxes that end at their last pixel, and back."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.models.config import Config
from labkit.models.inclusive import from_inclusive, limit, to_inclusive

INCLUSIVE, HALF_OPEN = Config(inclusive_boxes=True), Config()
BOXES = tf.constant([[0.0, 0, 10, 20], [3, 4, 5.5, 9]])


def test_a_box_of_ten_rows_reaches_from_0_to_9():
    got = to_inclusive(BOXES, INCLUSIVE)
    np.testing.assert_array_equal(got, [[0, 0, 9, 19], [3, 4, 4.5, 8]])
    np.testing.assert_array_equal(limit(tf.constant([[10.0, 20]]), INCLUSIVE), [[9, 19]])
    np.testing.assert_array_equal(from_inclusive(got, INCLUSIVE), BOXES)


def test_other_configs_boxes_are_the_very_same():
    assert to_inclusive(BOXES, HALF_OPEN) is from_inclusive(BOXES, HALF_OPEN) is BOXES
    assert limit(BOXES, HALF_OPEN) is BOXES


@pytest.mark.parametrize("thinnest", [0.0, 0.01])
def test_a_box_of_a_pixel_or_less_never_turns_round(thinnest):
    got = to_inclusive(tf.constant([[5.0, 5, 6, 5.5]]), INCLUSIVE, thinnest)
    np.testing.assert_allclose(got[0, 2:] - got[0, :2], [thinnest] * 2, atol=1e-6)  # ulp of 5
