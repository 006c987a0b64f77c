"""Pasting, against bilinear sampling written as a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.ops.mini_masks import mini_mask
from labkit.ops.pasting import paste_mask, paste_masks


def whole(window, top, left, height, width):
    image = np.zeros((height, width), np.float32)
    image[top : top + window.shape[0], left : left + window.shape[1]] = window
    return image


def sampled(prob, box, height, width):
    """Pasting by "exact", written down pixel by pixel."""
    m = len(prob)
    padded = np.pad(prob.astype(np.float64), 1)
    y1, x1, y2, x2 = (float(v) for v in box)
    image = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            v = (i + 0.5 - y1) / (y2 - y1) * m - 0.5
            u = (j + 0.5 - x1) / (x2 - x1) * m - 0.5
            if not (-1 < v < m and -1 < u < m):
                continue
            r, c = int(np.floor(v)), int(np.floor(u))
            a, b = v - r, u - c
            patch = padded[r + 1 : r + 3, c + 1 : c + 3]
            image[i, j] = [1 - a, a] @ patch @ [1 - b, b]
    return image


side = st.floats(0.25, 30, width=32)
start = st.floats(-15, 25, width=32)


@given(start, start, side, side, st.integers(0, 2**32 - 1))
def test_exact_pasting_is_bilinear_sampling(y1, x1, box_height, box_width, seed):
    prob = np.random.RandomState(seed).rand(6, 6).astype(np.float32)
    box = (y1, x1, y1 + box_height, x1 + box_width)
    pasted = whole(*paste_mask(prob, box, 20, 24), 20, 24)
    np.testing.assert_allclose(pasted, sampled(prob, box, 20, 24), atol=1e-5)


def test_a_full_grid_fills_its_box():
    masks = paste_masks(np.ones((2, 28, 28)), np.array([[3, 4, 9, 12], [-5, -5, 4, 30]]), 12, 16)
    expected = np.zeros((2, 12, 16), bool)
    expected[0, 3:9, 4:12] = True
    expected[1, :4] = True
    assert (masks == expected).all()


@pytest.mark.parametrize("method", ["exact", "integer"])
def test_boxes_outside_and_no_boxes(method):
    outside = np.array([[50, 50, 60, 60], [-30, 0, -20, 10]])
    assert not paste_masks(np.ones((2, 28, 28)), outside, 20, 20, method=method).any()
    assert paste_masks(np.zeros((0, 28, 28)), np.zeros((0, 4)), 20, 30, method=method).shape == (
        0,
        20,
        30,
    )


def test_a_threshold_of_zero_does_not_fill_the_window():
    prob = np.zeros((1, 28, 28), np.float32)
    prob[0, 14, 14] = 1
    mask = paste_masks(prob, np.array([[0, 0, 28, 28]]), 40, 40, threshold=0.0)
    assert mask.sum() == 1


@pytest.mark.parametrize("method", ["exact", "integer"])
def test_a_huge_box_costs_no_memory(method):
    box = (-1e6, -1e6, 1e6, 1e6)
    window, top, left = paste_mask(np.ones((28, 28)), box, 20, 30, method)
    assert window.shape == (20, 30) and (top, left) == (0, 0) and (window == 1).all()


def test_wrong_calls():
    grid, box = np.ones((28, 28)), (0, 0, 5, 5)
    with pytest.raises(LabkitError, match='"exact" or "integer"'):
        paste_mask(grid, box, 9, 9, "fast")
    with pytest.raises(LabkitError, match="finite"):
        paste_mask(grid, (0, 0, np.nan, 5), 9, 9)
    with pytest.raises(LabkitError, match="do not go together"):
        paste_masks(np.ones((2, 28, 28)), np.ones((3, 4)), 9, 9)
    with pytest.raises(LabkitError, match="finite"):
        mini_mask(np.ones((9, 9)), (0, np.inf, 5, 5))
