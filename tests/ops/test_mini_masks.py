"""Mini-masks, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops.mask_boxes import boxes_from_masks
from labkit.ops.mini_masks import expand_mini_mask, mini_mask


def disc(height, width, cy, cx, radius):
    y, x = np.mgrid[:height, :width] + 0.5
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 28),
    st.integers(1, 28),
    st.integers(0, 2**32 - 1),
)
def test_a_small_mask_comes_back_exactly(top, left, height, width, seed):
    """Even one of random pixels, the hardest case, in a box of up to half the grid's side."""
    mask = np.zeros((48, 48), bool)
    window = mask[top : top + height, left : left + width]
    window[:] = np.random.RandomState(seed).rand(height, width) < 0.5
    box = (top, left, top + height, left + width)
    assert (expand_mini_mask(mini_mask(mask, box), box, 48, 48) == mask).all()


@pytest.mark.parametrize("radius", [40, 90, 180])
def test_a_large_mask_comes_back_nearly(radius):
    mask = disc(400, 400, 200, 200, radius)
    box = boxes_from_masks(mask[None])[0]
    back = expand_mini_mask(mini_mask(mask, box), box, 400, 400)
    assert (back & mask).sum() / (back | mask).sum() > 0.985
    # wrong only within one cell of the outline
    cell = 2 * radius / 56
    outer, inner = disc(400, 400, 200, 200, radius + cell), disc(400, 400, 200, 200, radius - cell)
    assert not (back & ~outer).any() and not (inner & ~back).any()


def test_mini_masks_do_not_shift():
    """A mask that is symmetric in its box is symmetric in its mini-mask, in any size of grid."""
    mask = disc(101, 101, 50.5, 50.5, 33)
    for size in [(7, 7), (28, 28), (56, 40)]:
        mini = mini_mask(mask, boxes_from_masks(mask[None])[0], size)
        assert mini.shape == size
        assert (mini == mini[::-1]).all() and (mini == mini[:, ::-1]).all()


def test_a_mini_mask_of_part_of_a_mask():
    mask = np.zeros((40, 40), bool)
    mask[:20] = True
    mini = mini_mask(mask, (10.0, 5.5, 30.0, 35.5), (20, 20))
    assert mini[:10].all() and not mini[10:].any()


def test_mini_masks_at_and_beyond_the_border():
    mask = np.ones((10, 10), bool)
    assert mini_mask(mask, (0, 0, 10, 10), (56, 56)).all()
    half_outside = mini_mask(mask, (-10, 0, 10, 10), (20, 20))
    assert not half_outside[:10].any() and half_outside[10:].all()
    assert not mini_mask(mask, (20, 20, 30, 30)).any()
    assert mini_mask(np.ones((1, 1), bool), (0, 0, 1, 1)).all()


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 9, 5, 5)])
def test_a_box_without_area_has_an_empty_mini_mask(box):
    assert not mini_mask(np.ones((20, 20), bool), box).any()
    assert not expand_mini_mask(np.ones((56, 56), bool), box, 20, 20).any()
