"""The exact mean over bins: equal to dense sampling, to values by hand, and exact on a plane."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.ops.roi import roi_align
from labkit.ops.roi_exact import bin_weights, precise_roi_pool

MAP = np.random.default_rng(3).normal(size=(2, 7, 9, 2)).astype("f4")


def spans():
    """(start, end) in sixteenths of a cell, in and around a map of some ten cells."""
    return st.tuples(st.integers(-40, 160), st.integers(0, 120)).map(
        lambda n: (n[0] / 16, (n[0] + n[1]) / 16)
    )


@given(spans(), st.integers(1, 5), st.integers(1, 12))
def test_weights_are_a_mean(span, output, length):
    weights = bin_weights(*span, output, length)
    assert weights.shape == (output, length)
    # Differences of squares up to 400, divided by a bin of 1e-4 cells at least: 1e-9 is left.
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-8)
    assert weights.min() > -1e-8


def test_a_bin_by_hand():
    # Over [0, 1] of a map 0, 1 the surface is a straight line; over [-1, 0] it is its border.
    np.testing.assert_allclose(bin_weights(0, 1, 1, 2), [[0.5, 0.5]], atol=1e-12)
    np.testing.assert_allclose(bin_weights(-1, 0, 1, 2), [[1, 0]], atol=1e-12)
    np.testing.assert_allclose(bin_weights(1, 3, 1, 3), [[0, 0.25, 0.75]], atol=1e-12)
    np.testing.assert_allclose(bin_weights(0, 2, 2, 3), [[0.5, 0.5, 0], [0, 0.5, 0.5]], atol=1e-12)


def test_the_mean_over_a_point_is_the_value_there():
    # The mean over 1e-4 cells is the value up to that times the slope, which is at most 1 here.
    np.testing.assert_allclose(bin_weights(1.25, 1.25, 1, 4), [[0, 0.75, 0.25, 0]], atol=1e-4)


@settings(max_examples=20)  # RoIAligns of up to 160 x 160 samples
@given(spans(), spans(), st.integers(1, 4))
def test_dense_sampling_approaches_it(rows, columns, output):
    box = np.float32([[rows[0], columns[0], rows[1], columns[1]]])
    exact = precise_roi_pool(MAP, box, [1], output, 1.0)
    # Samples outside the map by more than a cell are 0 for roi_align: those RoIs are not compared.
    inside = (box[:, :2] >= 0).all() and (box[:, 2:] <= MAP.shape[1:3]).all()
    dense = roi_align(tf.constant(MAP), box, [1], output, 1.0, sampling_ratio=40, aligned=True)
    if inside and (box[:, 2:] > box[:, :2]).all():
        # The midpoint rule is exact on straight pieces; a kink inside a step of h cells costs at
        # most h/8 of the step's share, and slopes here differ by less than 12.
        step = float((box[:, 2:] - box[:, :2]).max()) / output / 40
        np.testing.assert_allclose(exact, dense, atol=1e-4 + 12 * step)


def test_a_plane_is_read_exactly():
    rows, columns = np.mgrid[:8, :8] + 0.5
    plane = (2 * rows - columns)[None, :, :, None]
    got = precise_roi_pool(plane, np.array([[2.0, 4.0, 14.0, 10.0]]), [0], 3, 0.5)[0, :, :, 0]
    centres_y, centres_x = np.array([2.0, 4.0, 6.0]), np.array([2.5, 3.5, 4.5])
    np.testing.assert_allclose(got, 2 * centres_y[:, None] - centres_x, atol=1e-9)


def test_no_rois_and_one_cell():
    assert precise_roi_pool(MAP, np.zeros((0, 4)), [], 3, 1.0).shape == (0, 3, 3, 2)
    one = precise_roi_pool(np.full((1, 1, 1, 1), 5.0), [[-3, 0, 8, 1]], [0], 2, 1.0)
    assert one == pytest.approx(np.full((1, 2, 2, 1), 5.0))
