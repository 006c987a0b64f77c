"""One polygon for any mask, exact to the pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labkit.data.writers.outline import mask_polygon
from labkit.errors import LabkitError
from labkit.ops.coco_masks import decode_segmentation


def back(mask):
    return decode_segmentation([mask_polygon(mask).ravel().tolist()], *mask.shape)


@settings(max_examples=400)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_every_mask_comes_back_pixel_for_pixel(mask):
    """Parts, holes, holes in parts in holes, and pixels that touch in a corner."""
    if mask.any():
        assert (back(mask) == mask).all()


def test_a_rectangle_has_four_corners():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    assert sorted(map(tuple, mask_polygon(mask))) == [(3, 2), (3, 5), (8, 2), (8, 5)]


def test_a_ring_and_a_part_of_its_own():
    mask = np.zeros((40, 50), bool)
    mask[5:30, 5:30], mask[10:20, 12:25], mask[33:38, 40:48] = True, False, True
    polygon = mask_polygon(mask)
    assert len(polygon) == 4 + 2 * (4 + 2)  # each further outline costs its start and the way back
    assert (back(mask) == mask).all()


def test_large_masks():
    y, x = np.mgrid[:600, :800]
    mask = (np.sin(x / 9) + np.cos(y / 7) > 0.3) | (np.hypot(x - 400, y - 300) < 150)
    assert (back(mask) == mask).all()


def test_an_empty_mask_has_none():
    with pytest.raises(LabkitError, match="no outline"):
        mask_polygon(np.zeros((3, 3), bool))
