"""COCO's encodings, against pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.ops.coco_masks import decode_segmentation, encode_rle, segmentation_box
from labkit.ops.mask_boxes import boxes_from_masks

some_masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def disc(height, width, cy, cx, radius):
    y, x = np.mgrid[:height, :width] + 0.5
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


@given(some_masks)
def test_rle_there_and_back(mask):
    rle = encode_rle(mask)
    assert isinstance(rle["counts"], str) and rle["size"] == list(mask.shape)
    assert (decode_segmentation(rle, *mask.shape) == mask).all()
    assert (coco_mask.decode(rle) == mask).all()
    assert (
        decode_segmentation({**rle, "counts": rle["counts"].encode()}, *mask.shape) == mask
    ).all()
    assert segmentation_box(rle, *mask.shape).tolist() == boxes_from_masks(mask[None])[0].tolist()


@given(some_masks)
def test_uncompressed_rle(mask):
    flat = mask.T.ravel().astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    counts = np.diff([0, *changes, mask.size]).tolist()
    rle = {"size": list(mask.shape), "counts": counts}
    assert (decode_segmentation(rle, *mask.shape) == mask).all()


def test_long_runs_take_several_characters():
    mask = disc(700, 900, 333, 500, 250)
    assert (decode_segmentation(encode_rle(mask), 700, 900) == mask).all()


def test_empty_runs_are_allowed():
    rle = {"size": [2, 3], "counts": [0, 1, 0, 2, 0, 0, 3]}
    assert decode_segmentation(rle, 2, 3).tolist() == [[True, True, False], [True, False, False]]
    assert segmentation_box(rle, 2, 3).tolist() == [0, 0, 2, 2]


def test_a_polygon_is_filled():
    mask = decode_segmentation([[2, 1, 8, 1, 8, 5, 2, 5]], 7, 10)
    expected = np.zeros((7, 10), bool)
    expected[1:5, 2:8] = True
    assert (mask == expected).all()


def test_several_polygons_are_joined():
    left, right = [0, 0, 2, 0, 2, 3, 0, 3], [4, 0, 6, 0, 6, 3, 4, 3]
    both = decode_segmentation([left, right], 4, 6)
    assert (both == (decode_segmentation([left], 4, 6) | decode_segmentation([right], 4, 6))).all()
    assert segmentation_box([left, right], 4, 6).tolist() == [0, 0, 3, 6]


@given(
    st.lists(st.floats(-20, 40, allow_nan=False), min_size=6, max_size=16).filter(
        lambda p: len(p) % 2 == 0
    )
)
def test_polygons_as_pycocotools_fills_them(polygon):
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 20, 24)))
    mask = decode_segmentation([polygon], 20, 24)
    assert (mask == expected).all()
    if mask.any():  # the box of the corners holds the pixels, but for pycocotools' rounding
        y1, x1, y2, x2 = segmentation_box([polygon], 20, 24)
        box = boxes_from_masks(mask[None])[0]
        assert (box[:2] >= [y1 - 1, x1 - 1]).all() and (box[2:] <= [y2 + 1, x2 + 1]).all()


@pytest.mark.parametrize(
    "segmentation, words",
    [
        (None, "missing"),
        ("abc", "of type str"),
        ([], "empty list"),
        ([1, 2, 3, 4, 5, 6], "flat list"),
        ([[1, 2, 3, 4]], "4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers"),
        ([[]], "0 numbers"),
        ([[1, 2, 3, 4, 5, "6"]], "not a list of numbers"),
        ([[1, 2, 3, 4, 5, True]], "not a list of numbers"),
        ([{"x": 1}], "not a list of numbers"),
        ([[1, 2, 3, 4, 5, 1e12]], "far outside"),
        ([[1, 2, 3, 4, 5, float("nan")]], "NaN"),
        ([[1, 2, 3, 4, 5, float("inf")]], "far outside"),
        ({"counts": [4]}, "lacks"),
        ({"size": [2, 2]}, "lacks"),
        ({"size": [2, 3], "counts": [6]}, "the image is"),
        ({"size": "22", "counts": [4]}, "the image is"),
        ({"size": [2, 2], "counts": [3]}, "add up to 3"),
        ({"size": [2, 2], "counts": [-1, 5]}, "negative run lengths"),
        ({"size": [2, 2], "counts": [5, -1]}, "negative"),
        ({"size": [2, 2], "counts": [2.5, 1.5]}, "whole numbers"),
        ({"size": [2, 2], "counts": None}, "neither text"),
        ({"size": [2, 2], "counts": "\x01é"}, "compressed run lengths"),
        ({"size": [2, 2], "counts": "P"}, "middle of a number"),
        ({"size": [2, 2], "counts": "o" * 40}, "middle of a number"),
        ({"size": [2, 2], "counts": "o" * 20 + "0"}, "far too large"),
        ({"size": [2, 2], "counts": ""}, "compressed run lengths"),
        ({"size": [2, 2], "counts": []}, "add up to 0"),
    ],
)
def test_an_invalid_segmentation_is_refused_with_a_sentence(segmentation, words):
    for function in (decode_segmentation, segmentation_box):
        with pytest.raises(LabkitError) as error:
            function(segmentation, 2, 2)
        assert words in str(error.value) and str(error.value).endswith(".")


@given(st.text(max_size=30))
def test_no_text_breaks_the_decoder(text):
    try:
        mask = decode_segmentation({"size": [5, 7], "counts": text}, 5, 7)
        assert mask.shape == (5, 7)
    except LabkitError:
        pass
