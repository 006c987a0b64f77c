"""Sizes, places and filters of images. tests/parity compares the first rule with torchvision's."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.resize import Placement, origins, resize_image, resized_shape

SQUARE = Config.preset("matterport")
SMALL_SQUARE = Config(resize="square", image_min_side=64, image_max_side=64)


# --- sizes and places -------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((480, 640), (768, 1024)),  # 800 would make the longer side 1067
        ((640, 480), (1024, 768)),
        ((400, 400), (800, 800)),  # enlarged to the shorter side
        ((900, 1000), (900, 1000)),  # neither too small nor too large: as it is
        ((3000, 2000), (1024, 683)),  # made smaller, rounded to the nearest
        ((800, 1024), (800, 1024)),
        ((1, 5000), (1, 1024)),  # a row stays
    ],
)
def test_square_enlarges_to_the_shorter_side_and_shrinks_to_the_longer(shape, expected):
    assert resized_shape(*shape, SQUARE) == expected


def test_an_image_lies_in_the_middle_of_its_square():
    config = SQUARE.replace(image_min_side=32, image_max_side=64)
    picture = np.full((30, 63, 3), 200, np.uint8)  # becomes 30 x 64, then 17 rows above and below
    batch, sizes = batch_of([picture], config)
    assert batch.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(sizes, [[30, 64]])
    np.testing.assert_array_equal(origins((64, 64), sizes, config), [[17, 0]])
    rows = np.flatnonzero(batch[0].any(axis=(1, 2)))
    assert (rows[0], rows[-1]) == (17, 46)


def test_other_rules_put_it_in_the_corner():
    np.testing.assert_array_equal(origins((64, 64), np.float32([[30, 61]]), Config()), [[0, 0]])


def test_placement_by_hand():
    """60 x 90 doubled, in the upper left corner of its canvas."""
    placement = Placement.of((60, 90, 3), (120, 180), (128, 192), Config())
    assert placement == Placement((60, 90), (120, 180), (0, 0))
    assert placement.scale == (2.0, 2.0) and placement.box == [0, 0, 120, 180]
    np.testing.assert_array_equal(
        placement.in_batch(np.float32([[1, 2, 30, 45]])), [[2, 4, 60, 90]]
    )


def test_placement_in_the_middle_of_a_square():
    placement = Placement.of((30, 60), (32, 64), (64, 64), SMALL_SQUARE)
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
def test_boxes_there_and_back(shape, size, origin, inclusive, box):
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
def test_a_placement_takes_any_number_of_boxes(boxes):
    placement = Placement((10, 10), (20, 20), (0, 0))
    assert placement.in_batch(boxes).shape == placement.in_picture(boxes).shape == boxes.shape
    assert placement.in_batch(boxes).dtype == np.float32


# --- pixels -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(13, 20), (40, 61), (5, 7), (20, 20)])
def test_black_border_is_scipys_interpolation_with_zeros_around(shape):
    """As skimage's resize has it: cut to the image's own range, then to whole numbers."""
    image = np.random.default_rng(0).integers(30, 220, (20, 20, 3)).astype(np.uint8)
    got = resize_image(image, *shape, "black_border")
    factors = (shape[0] / 20, shape[1] / 20)
    want = np.stack(
        [
            scipy.ndimage.zoom(
                image[..., i].astype(float), factors, order=1, mode="grid-constant", grid_mode=True
            )
            for i in range(3)
        ],
        axis=-1,
    )
    want = np.floor(np.clip(want, image.min(), image.max()) + 1e-3)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, want)


def test_three_filters_differ_where_they_say():
    """One white row of nine black ones, at a third of the size, and a white image enlarged."""
    line = np.zeros((9, 9, 3), np.uint8)
    line[3] = 255  # the middle of the second third is row 4
    small = {f: resize_image(line, 3, 3, f)[:, 1, 0] for f in ("antialias", "bilinear")}
    assert small["antialias"][1] > 50 and small["bilinear"].tolist() == [0, 0, 0]
    white = np.full((2, 2, 3), 200, np.uint8)
    white[0, 0] = 0  # so that darker than the rest is still within the image's range
    large = {f: resize_image(white, 4, 4, f)[:, 3, 0] for f in ("bilinear", "black_border")}
    assert large["bilinear"].tolist() == [200] * 4
    assert large["black_border"].tolist() == [112, 150, 150, 112]  # 0.75 x 200, and 0.75 of that
