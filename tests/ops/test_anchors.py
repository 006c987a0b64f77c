"""Anchors: equal to torchvision's grid, and where the formula says they are."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from labkit.ops.anchors import cell_anchors, grid_anchors, pyramid_anchors

RATIOS = (0.5, 1.0, 2.0)


def test_the_stride_of_p6_follows_from_its_size(golden):
    """224 rows make 7 rows of P5 and 4 of P6: torchvision's stride there is 56 and not 64."""
    g = golden("anchors")
    assert g["224x320_stride"][-1].tolist() == [56, 64]
    p6 = pyramid_anchors((224, 320), [(4, 5)], (512,), (1.0,))[0].numpy()
    centres = (p6[:, :2] + p6[:, 2:]) / 2
    assert np.unique(centres[:, 0]).tolist() == [0, 56, 112, 168]
    assert np.unique(centres[:, 1]).tolist() == [0, 64, 128, 192, 256]


@given(st.floats(4, 600), st.lists(st.floats(0.2, 5), min_size=1, max_size=5))
def test_cell_anchors_have_their_area_and_ratio(size, ratios):
    anchors = cell_anchors(size, ratios)
    assert anchors.shape == (len(ratios), 4) and anchors.dtype == np.float32
    height, width = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    np.testing.assert_allclose(height * width, np.full(len(ratios), size**2), rtol=1e-5)
    np.testing.assert_allclose(height / width, ratios, rtol=1e-5)
    np.testing.assert_array_equal(anchors[:, :2], -anchors[:, 2:])  # centred at the origin
    rounded = cell_anchors(size, ratios, rounding=True)
    np.testing.assert_array_equal(rounded, np.round(rounded))
    assert np.all(np.abs(rounded - anchors) <= 0.5)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_grid_is_in_reading_order(offset):
    cell = cell_anchors(8, (0.5, 2.0))
    anchors = grid_anchors(cell, (3, 5), (4, 16), offset).numpy()
    assert anchors.shape == (3 * 5 * 2, 4) and anchors.dtype == np.float32
    for y, x, a in [(0, 0, 0), (0, 1, 1), (2, 4, 0), (1, 3, 1)]:
        centre = [(y + offset) * 4, (x + offset) * 16] * 2
        np.testing.assert_allclose(anchors[(y * 5 + x) * 2 + a], cell[a] + centre, rtol=1e-6)


def test_in_a_graph_shapes_are_static_and_sizes_may_be_tensors():
    @tf.function
    def static():
        return pyramid_anchors((64, 96), [(16, 24), (8, 12)], (8, 16), RATIOS)

    got = static.get_concrete_function().structured_outputs
    assert [tuple(a.shape) for a in got] == [(16 * 24 * 3, 4), (8 * 12 * 3, 4)]

    @tf.function
    def dynamic(image, feature):
        return pyramid_anchors(tf.unstack(image), [tf.unstack(feature)], (8,), RATIOS)[0]

    got = dynamic(tf.constant([64, 96]), tf.constant([16, 24]))
    np.testing.assert_array_equal(got, static()[0])


def test_every_level_needs_a_size():
    with pytest.raises(ValueError):
        pyramid_anchors((64, 64), [(16, 16), (8, 8)], (8,), RATIOS)
