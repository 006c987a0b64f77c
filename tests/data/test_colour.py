"""Colours: what stays, what turns, and that nothing wraps around."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labkit.data.colour import LUMA, colour_matrix, recolour

images = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))
factors = st.floats(0.0, 2.0)


def pixel(*rgb):
    return np.uint8([[rgb]])


@given(images)
def test_nothing_asked_nothing_changed(image):
    assert recolour(image, 1.0, 1.0, 0.0) is image
    np.testing.assert_array_equal(recolour(image, 1.0, 1.0, 1.0), image)  # once round the circle


@given(images, factors, factors, st.floats(-0.5, 0.5))
def test_size_and_kind_stay(image, contrast, saturation, hue):
    before = image.copy()
    changed = recolour(image, contrast, saturation, hue)
    assert changed.dtype == np.uint8 and changed.shape == image.shape
    np.testing.assert_array_equal(image, before)


@given(factors, st.floats(-0.5, 0.5))
def test_brightness_is_not_touched_by_hue_and_saturation(saturation, hue):
    np.testing.assert_allclose(LUMA @ colour_matrix(saturation, hue), LUMA, atol=1e-9)
    np.testing.assert_allclose(colour_matrix(saturation, hue) @ np.ones(3), 1, atol=2e-4)


@given(st.integers(0, 255), factors, st.floats(-0.5, 0.5))
def test_grey_stays_grey(value, saturation, hue):
    changed = recolour(pixel(value, value, value), 1.0, saturation, hue).astype(int)
    assert np.abs(changed - value).max() <= 1


def test_no_saturation_is_grey():
    assert recolour(pixel(255, 0, 0), 1.0, 0.0, 0.0).tolist() == [[[76, 76, 76]]]


def test_a_third_of_a_turn_leads_from_red_to_green_to_blue():
    red = pixel(120, 40, 40)
    assert recolour(red, 1.0, 1.0, 1 / 3)[0, 0].argmax() == 1
    assert recolour(red, 1.0, 1.0, -1 / 3)[0, 0].argmax() == 2


def test_contrast_goes_by_the_distance_from_the_mean():
    image = np.uint8([[[100] * 3, [140] * 3]])
    assert recolour(image, 0.5, 1.0, 0.0)[0, :, 0].tolist() == [110, 130]
    assert recolour(image, 2.0, 1.0, 0.0)[0, :, 0].tolist() == [80, 160]
    extreme = np.uint8([[[0] * 3, [255] * 3]])
    assert recolour(extreme, 1.9, 1.0, 0.0)[0, :, 0].tolist() == [0, 255]  # cut, not wrapped


@pytest.mark.parametrize("hue", [0.25, -0.25, 0.5])
def test_a_turn_and_its_opposite_are_nothing(hue):
    there, back = colour_matrix(1.0, hue), colour_matrix(1.0, -hue)
    np.testing.assert_allclose(there @ back, np.eye(3), atol=1e-9)
