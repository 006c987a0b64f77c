"""Where a picture lies in a batch: by hand, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.models.config import Config
from labkit.models.placement import Placement

SQUARE = Config(resize="square", image_min_side=64, image_max_side=64)


def test_by_hand():
    """60 x 90 doubled, in the upper left corner of its canvas."""
    placement = Placement.of((60, 90, 3), (120, 180), (128, 192), Config())
    assert placement == Placement((60, 90), (120, 180), (0, 0))
    assert placement.scale == (2.0, 2.0) and placement.box == [0, 0, 120, 180]
    np.testing.assert_array_equal(
        placement.in_batch(np.float32([[1, 2, 30, 45]])), [[2, 4, 60, 90]]
    )


def test_in_the_middle_of_a_square():
    placement = Placement.of((30, 60), (32, 64), (64, 64), SQUARE)
    assert placement.origin == (16, 0) and placement.box == [16, 0, 48, 64]
    np.testing.assert_array_equal(placement.in_picture(np.float32([16, 0, 48, 64])), [0, 0, 30, 60])


def test_inclusive_boxes_map_first_and_last_pixels_onto_each_other():
    placement = Placement((10, 10), (19, 19), (4, 0), inclusive=True)
    # Pixels 0 to 9 are pixels 0 to 18: the factor is 18 / 9; the last one is 9 there and 18 here.
    np.testing.assert_array_equal(placement.in_batch(np.float32([0, 0, 10, 10])), [4, 0, 23, 19])
    np.testing.assert_array_equal(placement.in_batch(np.float32([1, 1, 3, 3])), [6, 2, 9, 5])


@given(
    shape=st.tuples(st.integers(2, 2000), st.integers(2, 2000)),
    size=st.tuples(st.integers(2, 1333), st.integers(2, 1333)),
    origin=st.tuples(st.integers(0, 500), st.integers(0, 500)),
    inclusive=st.booleans(),
    box=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_there_and_back(shape, size, origin, inclusive, box):
    placement = Placement(shape, size, origin, inclusive)
    box = np.float32(box) * np.float32(shape * 2)
    back = placement.in_picture(placement.in_batch(box))
    # Half a unit in the last place of a coordinate of up to 1833, on either way, times the scale.
    bound = 4 * 1833 * 2**-23 * max(1, *(a / b for a, b in zip(shape, size, strict=True)))
    np.testing.assert_allclose(back, box, rtol=1e-6, atol=bound)


def test_a_picture_of_one_pixel_has_a_place():
    placement = Placement((1, 1), (16, 16), (0, 0), inclusive=True)
    assert np.isfinite(placement.in_batch(np.float32([0, 0, 1, 1]))).all()


@pytest.mark.parametrize("boxes", [np.zeros((0, 4), np.float32), np.ones((2, 3, 4), np.float32)])
def test_any_number_of_boxes(boxes):
    placement = Placement((10, 10), (20, 20), (0, 0))
    assert placement.in_batch(boxes).shape == placement.in_picture(boxes).shape == boxes.shape
    assert placement.in_batch(boxes).dtype == np.float32
