"""Masks and their boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labkit.errors import LabkitError
from labkit.ops.mask_boxes import boxes_from_masks

some_masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def test_boxes_are_tight_and_half_open():
    masks = np.zeros((3, 6, 8), bool)
    masks[0, 2:5, 1:7] = True
    masks[1, 5, 7] = True
    boxes = boxes_from_masks(masks)
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[2, 1, 5, 7], [5, 7, 6, 8], [0, 0, 0, 0]]
    assert boxes_from_masks(np.zeros((0, 6, 8))).shape == (0, 4)


@given(some_masks)
def test_a_box_holds_its_mask_and_every_side_touches_it(mask):
    y1, x1, y2, x2 = boxes_from_masks(mask[None])[0].astype(int)
    inside = mask[y1:y2, x1:x2]
    assert inside.sum() == mask.sum()
    if mask.any():
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_one_mask_without_its_first_axis_is_refused():
    with pytest.raises(LabkitError, match=r"mask\[None\]"):
        boxes_from_masks(np.zeros((4, 4)))
