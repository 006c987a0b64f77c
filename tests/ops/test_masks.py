"""Masks: encodings against pycocotools, pasting against torchvision, mini-masks there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.ops.masks import (
    boxes_from_masks,
    decode_segmentation,
    encode_rle,
    expand_mini_mask,
    mini_mask,
    paste_mask,
    paste_masks,
    segmentation_box,
)

some_masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def disc(height, width, cy, cx, radius):
    y, x = np.mgrid[:height, :width] + 0.5
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


# ---- boxes ---------------------------------------------------------------------------------------


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


# ---- encodings -----------------------------------------------------------------------------------


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


# ---- mini-masks ----------------------------------------------------------------------------------


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


# ---- pasting -------------------------------------------------------------------------------------


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
