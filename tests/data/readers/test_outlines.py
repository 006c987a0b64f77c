"""Outlines as polygons: areas, turns, and what has no area."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data.readers.outlines import (
    check_segmentation,
    ellipse,
    joined,
    numbers,
    rectangle,
    turned,
)
from labkit.io.data_files import Unusable
from labkit.ops.coco_masks import decode_segmentation, encode_rle


def filled(polygons, size=(120, 140)):
    return decode_segmentation(polygons, *size)


def test_a_rectangle_covers_its_pixels():
    mask = filled(rectangle(20, 10, 5, 40))
    assert mask.sum() == 15 * 30 and mask[10:40, 5:20].all()
    for corners in ((3, 1, 3, 9), (1, 4, 9, 4)):
        with pytest.raises(Unusable, match="no area"):
            rectangle(*corners)


@given(
    rx=st.floats(2, 40),
    ry=st.floats(2, 40),
    theta=st.floats(-7, 7),
    cx=st.floats(60, 70),
    cy=st.floats(50, 60),
)
def test_an_ellipse_is_where_its_equation_holds(rx, ry, theta, cx, cy):
    """Pixels whose centre is clearly inside are in, those clearly outside are out."""
    mask = filled(ellipse(cx, cy, rx, ry, theta))
    y, x = np.mgrid[:120, :140] + 0.5
    along = (x - cx) * math.cos(theta) + (y - cy) * math.sin(theta)
    across = (y - cy) * math.cos(theta) - (x - cx) * math.sin(theta)
    # pycocotools rounds corners to a fifth of a pixel: within a pixel of the rim all is allowed.
    assert mask[np.hypot(along / max(rx - 1, 0.1), across / max(ry - 1, 0.1)) < 1].all()
    assert not mask[np.hypot(along / (rx + 1), across / (ry + 1)) > 1].any()


def test_turned_about_the_middle_clockwise():
    right = [[60, 50, 80, 50, 80, 54, 60, 54]]  # 20 x 4 about (70, 52)
    assert turned(right, 0) is right
    mask = filled(turned(right, 90))
    assert mask.sum() == 80 and mask[42:62, 68:72].all()
    wedge = [[60, 50, 80, 50, 60, 54]]  # its tip is on the right: then below, or above
    for degrees, wide, narrow in ((90, 45, 59), (-90, 59, 45)):
        rows = filled(turned(wedge, degrees)).sum(axis=1)
        assert rows[wide] > rows[narrow]


def test_joined():
    one, two = rectangle(1, 1, 9, 9), rectangle(5, 5, 20, 20)
    assert joined([one], 30, 30) is one and joined([one, two], 30, 30) == one + two
    painted = joined([one, encode_rle(filled(two, (30, 30)))], 30, 30)
    assert (filled(painted, (30, 30)) == filled(one + two, (30, 30))).all()


def test_large_circles_have_their_area():
    mask = filled(ellipse(500, 500, 400, 400), (1000, 1000))
    assert mask.sum() == pytest.approx(math.pi * 400**2, rel=1e-3)


@pytest.mark.parametrize("axes", [(0, 5), (5, 0), (-1, 5), (5, -1)])
def test_an_ellipse_without_area(axes):
    with pytest.raises(Unusable, match="not both positive"):
        ellipse(9, 9, *axes)


NO_NUMBERS = [None, "three", "nan", "", True, float("nan"), float("inf"), [3], 10**400]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_numbers_names_the_field(value):
    assert numbers({"x": 1, "y": 2.5}, "x", "y") == [1.0, 2.5]
    assert numbers({"x": "1", "y": " 2.5 "}, "x", "y") == [1.0, 2.5]
    with pytest.raises(Unusable, match='"y" is .*, not a number'):
        numbers({"x": 1, "y": value}, "x", "y")


@pytest.mark.parametrize(
    "segmentation, words",
    [
        ([[1, 1, 5, 5]], "4 numbers"),
        ([[1, 1, 1, 1, 1, 1]], "covers no pixel"),
        ([[200, 1, 210, 1, 210, 9]], "covers no pixel"),
        (None, "missing"),
        ([[10**400, 1, 5, 5, 9, 9]], "far outside"),
        ({"size": [120, 140], "counts": [10**400]}, "whole numbers"),
    ],
)
def test_what_is_no_segmentation(segmentation, words):
    with pytest.raises(Unusable, match=words):
        check_segmentation(segmentation, 120, 140)


def test_thin_but_not_empty_is_kept():
    check_segmentation([[1, 1, 9, 1, 9, 2, 1, 2]], 120, 140)
